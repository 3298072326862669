"""How far a voice has got: its words, their times, and which of its audio was handed on. Pure.

Theory of operation
-------------------
Whoever has something said keeps a book: what was asked for, what came of it, how far that was
handed on, and what is left. Text is counted in words that can be spoken; a sign on its own is none.
Audio is counted in bytes of mu-law from the beginning of the utterance, 8000 a second, over all
that was asked for in turn. It is handed on no sooner than the caller's side needs it, so that there
is a choice where it is cut when it breaks off.
"""

import re
from collections import OrderedDict

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.processors.words.sounding import sounding_bytes

__all__ = ["HeldAudio", "behind_words", "is_speakable", "words_in"]

_WORD = re.compile(r"\s*\S+")
_SPEAKABLE = re.compile(r"[^\W_]")
NANOSECONDS = 1_000_000_000
"""In a second."""
_CONTEXTS_KEPT = 16
# Times come out of seconds, and sums of them, by a fraction of a microsecond.
_ROUNDING = 1_000_000


def is_speakable(text: str) -> bool:
    """Whether there is anything in a text to speak."""
    return _SPEAKABLE.search(text) is not None


def words_in(text: str) -> int:
    """How many words there are to speak in a text."""
    return sum(map(is_speakable, text.split()))


def behind_words(text: str, words: int) -> tuple[str, int]:
    """What is left of a text behind some words.

    Args:
        text: What was to be said.
        words: How many words were.

    Returns:
        The rest; and how many words were said beyond the text.
    """
    while words > 0 and (word := _WORD.match(text)):
        words -= is_speakable(word.group())
        text = text[word.end() :]
    return text, words


class HeldAudio:
    """The audio of an utterance: what has come, and how much of it was handed on.

    Args:
        lead_secs: How much audio the caller's side must have.
    """

    def __init__(self, *, lead_secs: float):
        self.begin = 0
        """Where that begins which was asked for last."""
        self.handed = 0
        """Up to where it was handed on."""
        self._lead = round(lead_secs * SAMPLE_RATE)
        self._audio = bytearray()
        self._began_at: float | None = None

    @property
    def end(self) -> int:
        """Up to where it has come."""
        return self.begin + len(self._audio)

    @property
    def is_ahead(self) -> bool:
        """Whether there is audio that has not been handed on."""
        return self.end > self.handed

    def take(self, mulaw: bytes) -> None:
        """Notes audio of what was asked for last."""
        self._audio += mulaw

    def needed(self, now: float) -> int:
        """Up to where the caller's side needs it.

        Args:
            now: Seconds of any clock.
        """
        if self._began_at is None or self.handed < (now - self._began_at) * SAMPLE_RATE:
            # The caller's side has nothing left.
            self._began_at = now - self.handed / SAMPLE_RATE
        return round((now - self._began_at) * SAMPLE_RATE) + self._lead

    def hand_on(self, place: int) -> bytes:
        """Gives the audio up to a place, from where it was handed on before."""
        before, self.handed = self.handed, place
        return self.between(before, place)

    def between(self, begin: int, end: int) -> bytes:
        """The audio between two places of what was asked for last."""
        return bytes(self._audio[begin - self.begin : end - self.begin])

    def sounding(self, begin: int, end: int) -> int:
        """How many bytes between two places are no silence."""
        return sounding_bytes(self.between(begin, end))

    def drop_rest(self) -> None:
        """Forgets what was not handed on."""
        del self._audio[self.handed - self.begin :]

    def ask_anew(self) -> None:
        """Forgets what has come: what is asked for next begins behind what was handed on."""
        self.begin = self.handed
        self._audio.clear()


class SecondsBefore:
    """How much audio the latest TTS contexts had, in case one of them is begun again."""

    def __init__(self) -> None:
        self._seconds: OrderedDict[str, float] = OrderedDict()

    def of(self, context_id: str | None) -> float:
        """How much a context had; 0 if it is a new one."""
        return 0.0 if context_id is None else self._seconds.get(context_id, 0.0)

    def add(self, context_id: str | None, seconds: float) -> None:
        """Notes more of it."""
        if context_id is not None:
            self._seconds[context_id] = self.of(context_id) + seconds
            if len(self._seconds) > _CONTEXTS_KEPT:
                self._seconds.popitem(last=False)


def baseline_of(pts: int, *, began_at: int, follows_pts: int, seconds_before: float) -> int:
    """The time from which the words of a stretch of speech count, nanoseconds.

    Args:
        pts: The time of its first word.
        began_at: Pipecat's clock at its first audio.
        follows_pts: The time of the last word before it, unless Pipecat has forgotten that one in
            an interruption.
        seconds_before: How much audio the same TTS context had before it was begun again.
    """
    follows = began_at < follows_pts <= pts + _ROUNDING
    baseline = follows_pts if follows else min(began_at, pts)
    before = round(seconds_before * NANOSECONDS)
    # The service may count on from there, or again from zero: whatever the word is nearer to.
    return baseline + before if pts - baseline > before // 2 else baseline
