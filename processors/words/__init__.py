"""Which audio each word of the bot lies on.

Theory of operation
-------------------
A word has been heard when the last sound of it has. Where that is, is told in one of two ways.

*With timestamps.* Pipecat gives each word a presentation time: the moment the service pushed the
utterance's first audio, plus the word's offset; for an utterance that waits behind another, the
time of the last word before it, plus the offset. Both beginnings are seen here, so the offset is
known, and with it the place in the audio, whenever the word arrives and however long the audio has
to wait. A word ends where its sound does, before the next word.

*Without.* The words of a sentence are laid over its stretch by their letters; silence inside it
takes no part, and a comma is where a pause is near. A service that makes a sentence's audio at once
pushes the text behind it. One that hears of its audio by another way, over a WebSocket say, pushes
the text ahead; a model that speaks itself gives its text in pieces, beside the audio: of what it
has not written yet it has not spoken. The texts of such an utterance share its audio, and are laid
when it is over.

Which of these a service does, shows with its first audio: it lies between the announcement of a
text and the text, or behind the text. A text without a sound was not said: it is laid nowhere, and
kept for whoever can have it said. Where the sound is too short for the letters of a text, at the
pace of the voice, the words are laid that fit into it.

What was to be spoken is known beforehand, by announcements. Where an utterance is cut before its
texts could be laid, they are laid over what would have been its length.

Pipecat takes an utterance for spoken when nothing of it has come for some seconds, and begins it
again when more does: an LLM may think in the middle of a reply. What comes then is laid as an
utterance of its own. Its times count from its own first audio for Pipecat; for the service they may
go on from the first audio of all, and the first of them says which.
"""

from collections.abc import Iterable, Sequence

from pipecat.frames.frames import AggregatedTextFrame, TTSStartedFrame, TTSTextFrame

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.audio.mulaw import NEARLY_SILENT
from twilio_frames.processors.words.progress import NANOSECONDS, SecondsBefore, baseline_of
from twilio_frames.processors.words.text_layer import Lay, Sound, TextLayer
from twilio_frames.processors.words.utterance import LATE, HeardTextFrame, Utterance, heard_text

__all__ = [
    "HeardTextFrame",
    "WordAligner",
]


class WordAligner:
    """Lays words on audio.

    Args:
        lay: Called with each word, a ``HeardTextFrame``, and the place where its sound ends; and
            with each text that is shown between words rather than spoken, and its place.
        sound: Gives the mu-law audio between two places, as far as it is still there.
    """

    def __init__(self, lay: Lay, sound: Sound):
        self._lay = lay
        self._sound = sound
        self._utterances: dict[str | None, Utterance] = {}
        self._paused: dict[str | None, Utterance] = {}
        self._before = SecondsBefore()
        self._last_pts = 0
        self._protected_pts = 0
        self._texts = TextLayer(lay, sound)
        self._unsounded: list[str] = []
        self._was_broken_off = False

    def start(self, frame: TTSStartedFrame) -> None:
        """Notes that an utterance begins, or begins again."""
        before = self._utterances.get(frame.context_id)
        if before is not None and before.begin is not None:
            behind = before.take_announced_behind()
            self.over(frame.context_id)
            again = self._utterance(frame.context_id)
            again.announced, again.was_announced = behind, before.was_announced
        self._utterance(frame.context_id).start(frame)

    def audio(self, context_id: str | None, begin: int, end: int, now: int) -> None:
        """Notes audio of an utterance.

        Args:
            context_id: Which utterance.
            begin: Where it begins in the output queue.
            end: Where it ends.
            now: Pipecat's clock, nanoseconds.
        """
        utterance = self._utterances.get(context_id) or self._utterance(context_id)
        if utterance.begin is None:
            utterance.begin = begin
            utterance.segment = begin if utterance.goes_on_from is None else utterance.goes_on_from
            utterance.began_at, utterance.follows_pts = now, self._last_pts
        utterance.end = end
        if utterance.leading or utterance.announced:
            utterance.note_order()
        if utterance.waiting or (len(utterance.placed) > 1 and utterance.placed[1][0] <= end):
            self._settle(utterance)

    def leave_out(self, context_id: str | None, text: str) -> None:
        """Notes that a part of what was announced will make no sound."""
        utterance = self._utterances.get(context_id)
        if utterance is not None and utterance.is_remembered:
            self._unsounded.append(text)

    def take_unsounded(self) -> list[str]:
        """What was to be said and remembered, and made no sound: texts, in order, each once."""
        unsounded, self._unsounded = self._unsounded, []
        return unsounded

    def announce(self, frame: AggregatedTextFrame) -> None:
        """Notes a text that is about to be spoken."""
        self._utterance(frame.context_id).announce(frame)

    def show(self, frame: AggregatedTextFrame) -> bool:
        """Lays a text that is not spoken behind the words before it.

        Returns:
            False if it belongs to no utterance: its place is where the audio ends.
        """
        if frame.context_id is None:
            return False
        utterance = self._utterance(frame.context_id)
        if frame.pts:
            utterance.waiting.append(frame)
            self._settle(utterance)
        else:
            utterance.announce(frame)
        return True

    def end_reply(self, length: int) -> list[str | None]:
        """Lays what is to be shown where nothing is spoken, and what nobody else says is over.

        Args:
            length: Up to where there is audio.

        Returns:
            The utterances that are over: a TTS service that announces what it says has the end of a
            reply follow all of it, but may not say of each that it has ended.
        """
        ended: list[str | None] = []
        self._paused.clear()
        for context_id, utterance in list(self._utterances.items()):
            if utterance.was_announced and (utterance.begin is not None or utterance.is_awaited):
                # Nobody has said that it is over: who said it has been replaced, for one.
                left = utterance.take_awaited()
                self.over(context_id)
                # Whoever tells that speech broke off has the rest said by another voice, which may
                # still be at it.
                self._leave_out([] if self._was_broken_off else left, utterance)
                ended.append(context_id)
            elif not utterance.has_begun:
                del self._utterances[context_id]
                for text in utterance.take_shown():
                    self._lay(text, length)
        return ended

    def text(self, frame: TTSTextFrame) -> bool:
        """Lays a word with a time, or a sentence without.

        Returns:
            False if it belongs to no utterance: its place is where the audio ends.
        """
        utterance = self._utterances.get(frame.context_id) or self._utterance(frame.context_id)
        # Zero where the service has told of no word since the call began.
        if frame.pts is not None:
            utterance.is_timed, utterance.last_word = True, frame.text
            utterance.words_timed += len(frame.text.split())
            if utterance.announced:
                # What is to be shown ahead of the word goes with it.
                utterance.waiting += utterance.take_shown()
            utterance.waiting.append(frame)
            utterance.told_until = utterance.end
            self._settle(utterance)
            return True
        if not utterance.is_known:
            del self._utterances[frame.context_id]
            return False
        texts = utterance.take_sentence(frame)
        if frame.includes_inter_frame_spaces:
            utterance.note_running(frame)
        if utterance.text_leads or (utterance.text_leads is None and utterance.begin is None):
            utterance.leading += texts
        else:
            self._leave_out(utterance.take_silent(), utterance)
            self._lay_whole(texts, utterance)
        return True

    def word_broken_off(self, context_id: str | None) -> None:
        """Notes that the last word of an utterance begins anew where its audio ends."""
        if (utterance := self._utterances.get(context_id)) is not None:
            self._settle(utterance)
            utterance.break_off_word()

    def over(self, context_id: str | None) -> None:
        """Notes that an utterance has no more audio."""
        utterance = self._utterances.pop(context_id, None)
        if utterance is not None:
            utterance.is_over = True
            begun = utterance.segment if utterance.is_amid_a_text else None
            utterance.drop_broken_word()
            self._place_waiting(utterance, is_last=True)
            if utterance.begin is not None and not utterance.skipped:
                self._texts.learn(utterance.told, utterance.begin, utterance.told_end)
            # The times of a voice that took over may be off by what the one before it had said.
            unplaced = [] if self._was_broken_off else utterance.take_unplaced()
            unplaced += utterance.take_silent()
            self._settle(utterance)
            if utterance.begin is not None:
                self._before.add(context_id, (utterance.end - utterance.begin) / SAMPLE_RATE)
            self._leave_out(unplaced, utterance)
            shown = [text for text in unplaced if not isinstance(text, TTSTextFrame)]
            self._lay_whole([*utterance.leading, *shown, *utterance.take_shown()], utterance)
            if begun is not None:
                utterance.segment = begun
                self._paused[context_id] = utterance

    def broken_off(self, context_id: str | None, spoken_words: int) -> None:
        """Notes that an utterance has no more audio, though more of it was to be spoken.

        Args:
            context_id: Which utterance.
            spoken_words: Of the words whose place is not known, how many lie on its audio.
        """
        self._was_broken_off = True
        utterance = self._utterances.pop(context_id, None)
        if utterance is None:
            return
        self._settle(utterance)
        utterance.drop_broken_word()
        texts: list[AggregatedTextFrame] = []
        if utterance.placed and spoken_words:
            begin = utterance.placed[0][0]
            last = [frame for place, frame in utterance.placed if place == begin]
            self._lay_together(last, begin, utterance.end)
        for text in () if utterance.is_timed else utterance.leading:
            words = text.text.split()[:spoken_words]
            spoken_words -= len(words)
            if words and isinstance(text, TTSTextFrame):
                texts.append(heard_text(text, " ".join(words)))
        self._lay_over(texts, utterance.segment, utterance.end)

    def cut(self, heard: int) -> bool:
        """Lays what is known of the texts that were being spoken when they were cut.

        Sentences whose place is not known yet are laid by what was announced. What may not be
        interrupted goes on, see :meth:`move`.

        Args:
            heard: Up to where audio was heard.

        Returns:
            Whether more was to be said than the words that were laid.
        """
        was_unfinished = False
        protected: dict[str | None, Utterance] = {}
        for context_id, utterance in self._utterances.items():
            if utterance.is_protected:
                protected[context_id] = utterance
                continue
            self._place_waiting(utterance, is_last=True)
            self._settle(utterance)
            was_unfinished = was_unfinished or utterance.is_unfinished
            self._lay_last(utterance)
            utterance.take_silent()
            begins = utterance.begin is not None and utterance.segment < min(heard, utterance.end)
            if begins and not utterance.is_timed:
                self._texts.lay_unfinished(
                    utterance.take_unlaid(), utterance.segment, utterance.end, utterance.came_at
                )
        self._utterances = protected
        self._paused.clear()
        self._unsounded.clear()
        self._was_broken_off = False
        # Pipecat's words count from the present again after an interruption, or from the last word
        # that may not be interrupted, be it complete or not.
        self._last_pts = self._protected_pts
        return was_unfinished

    def awaits_words(self, place: int) -> bool:
        """Whether it is not known yet which words lie at a place, and somebody is about to tell."""
        return any(one.awaits_words(place) for one in self._utterances.values())

    def move(self, length: int) -> bool:
        """Follows audio that may not be interrupted to where it lies after a cut.

        Args:
            length: Up to where there is audio.

        Returns:
            Whether there is an utterance that goes on.
        """
        for utterance in sorted(self._utterances.values(), key=lambda one: -one.end):
            if utterance.begin is not None:
                length = utterance.move(length - utterance.end)
        return bool(self._utterances)

    def _utterance(self, context_id: str | None) -> Utterance:
        if context_id not in self._utterances:
            utterance = Utterance(seconds_before=self._before.of(context_id))
            if (paused := self._paused.pop(context_id, None)) is not None:
                utterance.go_on_from(paused)
            self._utterances[context_id] = utterance
        return self._utterances[context_id]

    def _settle(self, utterance: Utterance) -> None:
        """Lays the words whose end is known: where the next one begins, or the audio ends."""
        if utterance.waiting:
            self._place_waiting(utterance)
        placed = utterance.placed
        while placed and (len(placed) > 1 or utterance.is_over):
            begin, end = placed[0][0], placed[-1][0]
            # Words that share a time share the stretch up to the next.
            count = next((n for n, (place, _) in enumerate(placed) if place != begin), len(placed))
            if count < len(placed):
                end = placed[count][0]
            elif utterance.is_over:
                end = utterance.end
            else:
                break
            if end > utterance.end:
                break
            frames = [frame for _, frame in placed[:count]]
            is_end = utterance.is_over and end == utterance.end
            is_end = is_end or bool(utterance.skipped and utterance.has_skipped(frames))
            if not is_end:
                utterance.told += [frame.text for frame in frames]
                utterance.told_end = end
            del placed[:count]
            sound, word = self._sound(begin, end), frames[0]
            end -= len(sound) - len(sound.rstrip(NEARLY_SILENT) or sound)
            if count == 1 and isinstance(word, TTSTextFrame) and len(word.text.split()) < 2:
                self._lay(heard_text(word, word.text), end)
            elif is_end:
                self._lay_end(frames, begin, end, utterance)
            else:
                self._lay_over(frames, begin, end)

    def _place_waiting(self, utterance: Utterance, *, is_last: bool = False) -> None:
        """Places what waits; a text that may have been skipped, once the word behind it is here."""
        if utterance.begin is None or not utterance.waiting:
            return
        waiting, utterance.waiting = utterance.waiting, []
        if len(waiting) > 1 or utterance.announced or len(waiting[0].text.split()) > 1:
            waiting, utterance.waiting = utterance.placeable(waiting, is_last=is_last)
        for frame in waiting:
            place, pts = utterance.begin, frame.pts or utterance.last_pts
            if pts:
                if utterance.baseline is None:
                    utterance.baseline = baseline_of(
                        pts,
                        began_at=utterance.began_at,
                        follows_pts=utterance.follows_pts,
                        seconds_before=utterance.seconds_before,
                    )
                self._last_pts = utterance.last_pts = max(self._last_pts, pts)
                if utterance.is_protected:
                    self._protected_pts = self._last_pts
                place += round((pts - utterance.baseline) * SAMPLE_RATE / NANOSECONDS)
            utterance.tells_late = utterance.tells_late or utterance.told_until - place > LATE
            if frame.id not in utterance.skipped:
                utterance.placed.append((place, frame))
            elif utterance.placed:
                # It is between the word before it and the one behind, if it is anywhere.
                utterance.placed.append((utterance.placed[-1][0], frame))
            else:
                left = self._texts.lay_whole([frame], utterance.begin, place)
                self._leave_out(left, utterance)

    def _lay_last(self, utterance: Utterance) -> None:
        """Lays the words behind which no audio came any more, if their sound had come to an end.

        It had if silence follows, or if no more words than these were to be spoken. Where a voice
        that tells of words long behind their sound owes some, it can only be estimated.
        """
        if not utterance.placed:
            return
        begin = utterance.placed[0][0]
        frames = [frame for place, frame in utterance.placed if place == begin]
        frames = [frame for frame in frames if not utterance.has_skipped([frame])]
        end = self._end_of_sound(begin, utterance.end)
        if utterance.owes_words and (rest := utterance.take_awaited()):
            self._texts.lay_unfinished([*frames, *rest], begin, utterance.end)
            return
        is_over = self._texts.ends_in_silence(frames, begin, end, utterance.end)
        if begin < end and (is_over or utterance.awaits_nothing_behind(frames[-1])):
            self._lay_together(frames, begin, end)

    def _lay_together(self, frames: list[AggregatedTextFrame], begin: int, end: int) -> None:
        end = self._end_of_sound(begin, end)
        word = frames[0]
        if len(frames) == 1 and isinstance(word, TTSTextFrame) and len(word.text.split()) < 2:
            # Where its sound ends is known, and no estimate.
            self._lay(heard_text(word, word.text), end)
        else:
            self._lay_over(frames, begin, end)

    def _end_of_sound(self, begin: int, end: int) -> int:
        sound = self._sound(begin, end)
        return end - (len(sound) - len(sound.rstrip(NEARLY_SILENT) or sound))

    def _lay_end(
        self, frames: list[AggregatedTextFrame], begin: int, end: int, utterance: Utterance
    ) -> None:
        """Lays the last words of an utterance, or those with a text that was skipped.

        Pipecat gives all that a service has not told of the time of the last word that it has.
        """
        told = sum(not utterance.may_be_rest(frame) for frame in frames)
        left = self._texts.lay_whole(frames, begin, end, begun=frames[0], told=told)
        self._leave_out(left, utterance)

    def _lay_whole(self, texts: Sequence[AggregatedTextFrame], utterance: Utterance) -> None:
        """Lays texts over the sound that has come for them, and not for those before them."""
        left = self._texts.lay_whole(
            texts, utterance.segment, utterance.end, came_at=utterance.came_at
        )
        self._leave_out(left, utterance)
        utterance.segment = utterance.end

    def _leave_out(self, texts: Iterable[AggregatedTextFrame], utterance: Utterance) -> None:
        """Notes what made no sound, if a voice was to speak it, for the memory."""
        if utterance.was_announced and utterance.is_remembered:
            self._unsounded += [text.text for text in texts if isinstance(text, TTSTextFrame)]

    def _lay_over(self, texts: Iterable[AggregatedTextFrame], begin: int, end: int) -> None:
        self._texts.lay_over(texts, begin, end)
