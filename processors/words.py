"""Which audio each word of the bot lies on.

Theory of operation
-------------------
A word has been heard when the last sound of it has. Where that is, is told in one of two ways.

*With timestamps.* Pipecat gives each word a presentation time: the moment the service pushed the
utterance's first audio, plus the word's offset; for an utterance that waits behind another, the
time of the last word before it, plus the offset. Both beginnings are seen here, so the offset is
known, and with it the place in the audio, whenever the word arrives and however long the audio has
to wait. A word ends where its sound does, before the next word.

*Without.* The text of a sentence comes behind its audio. Its words are laid over the stretch by
their letters; silence inside it takes no part, and a comma is where a pause is near.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields

import numpy as np
from pipecat.frames.frames import AggregatedTextFrame, SystemFrame, TTSTextFrame

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw

_BLOCK = 80
_SILENT_BELOW = 250
_PAUSE_BLOCKS = 8
_PAUSE_REACH_BLOCKS = 25
_PAUSE_SIGNS = ",.;:!?"
_NANOSECONDS = 1_000_000_000


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
    if text != source.text:
        frame.raw_text = None
        frame.includes_inter_frame_spaces = False
    return frame


@dataclass(slots=True)
class _Utterance:
    """One TTS context: a stretch of audio, and what is known of the words on it."""

    begin: int | None = None
    end: int = 0
    began_at: int = 0
    baseline: int | None = None
    segment: int = 0
    announced: AggregatedTextFrame | None = None
    waiting: list[TTSTextFrame] = field(default_factory=list)
    placed: list[tuple[int, TTSTextFrame]] = field(default_factory=list)
    is_timed: bool = False
    is_over: bool = False

    def awaits_nothing_behind(self, word: TTSTextFrame) -> bool:
        """Whether this is the last word of what was to be spoken."""
        words = self.announced.text.split() if self.announced else []
        return words[-1:] == [word.text]


Lay = Callable[[HeardTextFrame, int], None]
Sound = Callable[[int, int], bytes]


class WordLayer:
    """Lays words on audio.

    Args:
        lay: Called with each word and the place where its sound ends.
        sound: Gives the mu-law audio between two places, as far as it is still there.
    """

    def __init__(self, lay: Lay, sound: Sound):
        self._lay = lay
        self._sound = sound
        self._utterances: dict[str | None, _Utterance] = {}
        self._last_pts = 0

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
            utterance.began_at = now
        utterance.end = end
        self._settle(utterance)

    def announce(self, frame: AggregatedTextFrame) -> None:
        """Notes a text that is about to be spoken."""
        self._utterance(frame.context_id).announced = frame

    def text(self, frame: TTSTextFrame) -> None:
        """Lays a word with a time, or a sentence without."""
        utterance = self._utterance(frame.context_id)
        if frame.pts:
            utterance.is_timed = True
            utterance.waiting.append(frame)
            self._settle(utterance)
        else:
            self._lay_sentence(frame, utterance.segment, utterance.end)
            utterance.segment = utterance.end
            utterance.announced = None

    def over(self, context_id: str | None) -> None:
        """Notes that an utterance has no more audio."""
        utterance = self._utterances.pop(context_id, None)
        if utterance is not None:
            utterance.is_over = True
            self._settle(utterance)

    def cut(self, heard: int) -> None:
        """Lays what is known of the texts that were being spoken when they were cut.

        A sentence whose text would have come behind its audio is laid by what was announced.

        Args:
            heard: Up to where audio was heard.
        """
        for utterance in self._utterances.values():
            self._settle(utterance)
            self._lay_last(utterance)
            frame = utterance.announced
            begins = utterance.begin is not None and utterance.segment < min(heard, utterance.end)
            if frame is not None and begins and not utterance.is_timed:
                self._lay_unfinished(frame, utterance)
        self._utterances.clear()
        # Pipecat's words count from the present again after an interruption.
        self._last_pts = 0

    def _utterance(self, context_id: str | None) -> _Utterance:
        return self._utterances.setdefault(context_id, _Utterance())

    def _settle(self, utterance: _Utterance) -> None:
        if utterance.begin is None:
            return
        for frame in utterance.waiting:
            utterance.placed.append((self._place(utterance, frame), frame))
        utterance.waiting.clear()
        while len(utterance.placed) > 1 and utterance.placed[1][0] <= utterance.end:
            (begin, frame), (following, _) = utterance.placed[0], utterance.placed[1]
            self._lay(heard_text(frame, frame.text), self._end_of_sound(begin, following))
            del utterance.placed[0]
        if utterance.is_over:
            for begin, frame in utterance.placed:
                self._lay(heard_text(frame, frame.text), self._end_of_sound(begin, utterance.end))
            utterance.placed.clear()

    def _lay_last(self, utterance: _Utterance) -> None:
        """Lays the word behind which no audio came any more, if its sound had come to an end.

        It had if silence follows, or if no more words than these were to be spoken.
        """
        if not utterance.placed:
            return
        begin, frame = utterance.placed[0]
        end = self._end_of_sound(begin, utterance.end)
        if begin < end and (end < utterance.end or utterance.awaits_nothing_behind(frame)):
            self._lay(heard_text(frame, frame.text), end)

    def _place(self, utterance: _Utterance, frame: TTSTextFrame) -> int:
        begin, pts = utterance.begin or 0, frame.pts or 0
        if utterance.baseline is None:
            utterance.baseline = max(self._last_pts, min(utterance.began_at, pts))
        self._last_pts = max(self._last_pts, pts)
        return begin + round((pts - utterance.baseline) * SAMPLE_RATE / _NANOSECONDS)

    def _end_of_sound(self, begin: int, end: int) -> int:
        """Where the last sound before a place ends."""
        blocks = _loud_blocks(self._sound(begin, end))
        silent_blocks = len(blocks) - (int(np.flatnonzero(blocks)[-1]) + 1 if blocks.any() else 0)
        return end if silent_blocks == len(blocks) else max(begin, end - silent_blocks * _BLOCK)

    def _lay_sentence(self, frame: TTSTextFrame, begin: int, end: int) -> None:
        words = frame.text.split()
        if not words or end <= begin:
            self._lay(heard_text(frame, frame.text), end)
            return
        sounding = self._sounding_blocks(begin, end)
        pauses = sounding[:-1][np.diff(sounding) > _PAUSE_BLOCKS]
        shares = np.cumsum([max(1, sum(map(str.isalnum, word))) for word in words], dtype=float)
        last_blocks = sounding[np.rint(shares / shares[-1] * len(sounding)).astype(int) - 1]
        for word, block in zip(words, last_blocks.tolist(), strict=True):
            if word[-1] in _PAUSE_SIGNS and len(pauses):
                nearest = int(pauses[np.argmin(np.abs(pauses - block))])
                block = nearest if abs(nearest - block) <= _PAUSE_REACH_BLOCKS else block
            self._lay(heard_text(frame, word), min(end, begin + (block + 1) * _BLOCK))

    def _sounding_blocks(self, begin: int, end: int) -> np.ndarray:
        """Which blocks of a stretch hold sound; those whose audio is not there count as if."""
        blocks = max(1, -(-(end - begin) // _BLOCK))
        loud = np.ones(blocks, dtype=bool)
        known = _loud_blocks(self._sound(begin, end))[:blocks]
        loud[: len(known)] = known
        return np.flatnonzero(loud if loud.any() else ~loud)

    def _lay_unfinished(self, announced: AggregatedTextFrame, utterance: _Utterance) -> None:
        frame = TTSTextFrame(announced.text, announced.text_type)
        frame.context_id = announced.context_id
        # Speech takes some 65 ms a letter; more audio may have been to come.
        expected = round(len(announced.text) * 0.065 * SAMPLE_RATE)
        end = max(utterance.end, utterance.segment + expected)
        self._lay_sentence(frame, utterance.segment, end)


def _loud_blocks(mulaw: bytes) -> np.ndarray:
    """Which blocks of 10 ms hold sound."""
    samples = np.abs(np.frombuffer(decode_mulaw(mulaw), dtype=np.int16).astype(np.int32))
    whole = len(samples) // _BLOCK * _BLOCK
    loud = samples[:whole].reshape(-1, _BLOCK).max(axis=1) > _SILENT_BELOW
    rest = samples[whole:]
    return np.append(loud, rest.max() > _SILENT_BELOW) if len(rest) else loud
