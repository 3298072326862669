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
the text ahead; a model that speaks itself gives its text in pieces, beside the audio. The texts of
such an utterance share its audio, and are laid when it is over.

What was to be spoken is known beforehand, by announcements. Where an utterance is cut before its
texts could be laid, they are laid over what would have been its length.

Pipecat takes an utterance for spoken when nothing of it has come for some seconds, and begins it
again when more does: an LLM may think in the middle of a reply. What comes then is laid as an
utterance of its own. Its times count from its own first audio for Pipecat; for the service they may
go on from the first audio of all, and the first of them says which.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from itertools import groupby

import numpy as np
from pipecat.frames.frames import AggregatedTextFrame, SystemFrame, TTSStartedFrame, TTSTextFrame

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.processors.sounding import BLOCK, letters_of, loud_blocks
from twilio_frames.processors.utterance import Utterance
from twilio_frames.processors.word_times import NANOSECONDS, SecondsBefore, baseline_of

_PAUSE_BLOCKS = 8
_PAUSE_REACH_BLOCKS = 25
_PAUSE_SIGNS = ",.;:!?"
_SECONDS_A_LETTER = 0.065


@dataclass
class HeardTextFrame(SystemFrame, TTSTextFrame):
    """A word the caller has heard.

    A system frame, so that it reaches the assistant's memory before an interruption that follows it
    does (a data frame is overtaken, and then counts for the next reply).
    """


def heard_text(source: TTSTextFrame, text: str) -> HeardTextFrame:
    """The frame of a word from a service's text frame.

    Args:
        source: What the service pushed.
        text: The word.
    """
    given = {f.name: getattr(source, f.name) for f in fields(TTSTextFrame) if f.init}
    frame = HeardTextFrame(**{**given, "text": text})
    frame.append_to_context = source.append_to_context
    frame.includes_inter_frame_spaces = source.includes_inter_frame_spaces
    frame.transport_destination = source.transport_destination
    frame.interruptible = source.interruptible
    if text != source.text:
        frame.raw_text = None
        frame.includes_inter_frame_spaces = False
    return frame


Lay = Callable[[AggregatedTextFrame, int], None]
Sound = Callable[[int, int], bytes]


class WordLayer:
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
        self._before = SecondsBefore()
        self._last_pts = 0
        self._protected_pts = 0

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
            begin: Where it begins in the script.
            end: Where it ends.
            now: Pipecat's clock, nanoseconds.
        """
        utterance = self._utterance(context_id)
        if utterance.begin is None:
            utterance.begin = utterance.segment = begin
            utterance.began_at, utterance.follows_pts = now, self._last_pts
        utterance.extend(end)
        self._settle(utterance)

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
        for context_id, utterance in list(self._utterances.items()):
            if utterance.begin is not None and utterance.was_announced:
                self.over(context_id)
                ended.append(context_id)
            elif not utterance.has_begun:
                del self._utterances[context_id]
                for text in utterance.take_shown():
                    self._lay(text, length)
        return ended

    def text(self, frame: TTSTextFrame) -> None:
        """Lays a word with a time, or a sentence without."""
        utterance = self._utterance(frame.context_id)
        if frame.pts:
            utterance.is_timed, utterance.last_word = True, frame.text
            utterance.waiting += utterance.take_shown()
            utterance.waiting.append(frame)
            self._settle(utterance)
            return
        texts = utterance.take_sentence(frame)
        if utterance.text_leads is None:
            # Pieces of running text come beside their audio: neither ends where the other does.
            is_ahead = utterance.begin is None and utterance.has_begun
            utterance.text_leads = is_ahead or frame.includes_inter_frame_spaces
        if utterance.text_leads:
            utterance.leading += texts
        else:
            self._lay_over(texts, utterance.segment, utterance.end)
            utterance.segment = utterance.end

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
            utterance.drop_broken_word()
            self._settle(utterance)
            if utterance.begin is not None:
                self._before.add(context_id, (utterance.end - utterance.begin) / SAMPLE_RATE)
            texts = [*utterance.leading, *utterance.take_shown()]
            self._lay_over(texts, utterance.segment, utterance.end)

    def broken_off(self, context_id: str | None, spoken_words: int) -> None:
        """Notes that an utterance has no more audio, though more of it was to be spoken.

        Args:
            context_id: Which utterance.
            spoken_words: Of the words whose place is not known, how many lie on its audio.
        """
        utterance = self._utterances.pop(context_id, None)
        if utterance is None:
            return
        self._settle(utterance)
        utterance.drop_broken_word()
        texts: list[AggregatedTextFrame] = []
        if utterance.placed and spoken_words:
            begin = utterance.placed[0][0]
            last = [frame for place, frame in utterance.placed if place == begin]
            self._lay_group(last, begin, utterance.end)
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
            self._settle(utterance)
            self._lay_last(utterance)
            begins = utterance.begin is not None and utterance.segment < min(heard, utterance.end)
            if begins and not utterance.is_timed:
                self._lay_unfinished(utterance.take_unlaid(), utterance)
            was_unfinished = was_unfinished or utterance.is_unfinished
        self._utterances = protected
        # Pipecat's words count from the present again after an interruption, or from the last word
        # that may not be interrupted, be it complete or not.
        self._last_pts = self._protected_pts
        return was_unfinished

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
            self._utterances[context_id] = utterance
        return self._utterances[context_id]

    def _settle(self, utterance: Utterance) -> None:
        """Lays the words whose end is known: where the next one begins, or the audio ends."""
        if utterance.begin is None:
            return
        for frame in utterance.waiting:
            utterance.placed.append((self._place(utterance, frame), frame))
        utterance.waiting.clear()
        # Words that share a time share the stretch up to the next.
        groups = [
            (begin, [frame for _, frame in group])
            for begin, group in groupby(utterance.placed, key=lambda placed: placed[0])
        ]
        ends = [begin for begin, _ in groups[1:]]
        if utterance.is_over:
            ends.append(utterance.end)
        for (begin, frames), end in zip(groups, ends, strict=False):
            if end > utterance.end:
                break
            self._lay_group(frames, begin, end)
            del utterance.placed[: len(frames)]

    def _lay_last(self, utterance: Utterance) -> None:
        """Lays the words behind which no audio came any more, if their sound had come to an end.

        It had if silence follows, or if no more words than these were to be spoken.
        """
        if not utterance.placed:
            return
        begin = utterance.placed[0][0]
        frames = [frame for place, frame in utterance.placed if place == begin]
        end = self._end_of_sound(begin, utterance.end)
        if begin < end and (end < utterance.end or utterance.awaits_nothing_behind(frames[-1])):
            self._lay_group(frames, begin, end)

    def _place(self, utterance: Utterance, frame: AggregatedTextFrame) -> int:
        begin, pts = utterance.begin or 0, frame.pts or utterance.last_pts
        if not pts:
            return begin
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
        return begin + round((pts - utterance.baseline) * SAMPLE_RATE / NANOSECONDS)

    def _lay_group(self, frames: list[AggregatedTextFrame], begin: int, end: int) -> None:
        word, *others = frames
        if not others and isinstance(word, TTSTextFrame):
            self._lay(heard_text(word, word.text), self._end_of_sound(begin, end))
        else:
            self._lay_over(frames, begin, self._end_of_sound(begin, end))

    def _end_of_sound(self, begin: int, end: int) -> int:
        """Where the last sound before a place ends."""
        blocks = loud_blocks(self._sound(begin, end))
        silent_blocks = len(blocks) - (int(np.flatnonzero(blocks)[-1]) + 1 if blocks.any() else 0)
        return end if silent_blocks == len(blocks) else max(begin, end - silent_blocks * BLOCK)

    def _lay_over(self, texts: Iterable[AggregatedTextFrame], begin: int, end: int) -> None:
        """Lays the words of texts over a stretch, by their letters."""
        if end <= begin:
            for text in texts:
                self._lay_one(text, text.text, end)
            return
        words = [(text, word) for text in texts for word in _words_of(text)]
        if not words:
            return
        sounding = self._sounding_blocks(begin, end)
        pauses = sounding[:-1][np.diff(sounding) > _PAUSE_BLOCKS]
        shares = np.cumsum([_letters(text, word) for text, word in words], dtype=float)
        last_blocks = np.rint(shares / max(1.0, shares[-1]) * len(sounding)).astype(int) - 1
        for (text, word), block in zip(words, sounding[last_blocks.clip(0)].tolist(), strict=True):
            if word[-1:] in _PAUSE_SIGNS and len(pauses):
                nearest = int(pauses[np.argmin(np.abs(pauses - block))])
                block = nearest if abs(nearest - block) <= _PAUSE_REACH_BLOCKS else block
            self._lay_one(text, word, min(end, begin + (block + 1) * BLOCK))

    def _lay_one(self, text: AggregatedTextFrame, word: str, end: int) -> None:
        self._lay(heard_text(text, word) if isinstance(text, TTSTextFrame) else text, end)

    def _sounding_blocks(self, begin: int, end: int) -> np.ndarray:
        """Which blocks of a stretch hold sound; those whose audio is not there count as if."""
        blocks = max(1, -(-(end - begin) // BLOCK))
        loud = np.ones(blocks, dtype=bool)
        known = loud_blocks(self._sound(begin, end))[:blocks]
        loud[: len(known)] = known
        return np.flatnonzero(loud if loud.any() else ~loud)

    def _lay_unfinished(self, texts: list[AggregatedTextFrame], utterance: Utterance) -> None:
        # More audio may have been to come.
        letters = sum(len(text.text) for text in texts if isinstance(text, TTSTextFrame))
        expected = round(letters * _SECONDS_A_LETTER * SAMPLE_RATE)
        self._lay_over(texts, utterance.segment, max(utterance.end, utterance.segment + expected))


def _words_of(text: AggregatedTextFrame) -> list[str]:
    is_whole = text.includes_inter_frame_spaces or not isinstance(text, TTSTextFrame)
    return [text.text] if is_whole else text.text.split()


def _letters(text: AggregatedTextFrame, word: str) -> int:
    return letters_of(word) if isinstance(text, TTSTextFrame) else 0
