"""How far a voice has got: which words it has said, and which of its audio was handed on. Pure.

Theory of operation
-------------------
Whoever has something said keeps a book: what was asked for, what came of it, how far that was
handed on, and what is left. Text is counted in words that can be spoken; a sign on its own is none.
Audio is counted in bytes of mu-law from the beginning of the utterance, 8000 a second, over all
that was asked for in turn. It is handed on no sooner than the caller's side needs it, so that there
is a choice where it is cut when it breaks off.
"""

import re

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.processors.words.sounding import sounding_bytes

__all__ = ["HeldAudio", "behind_words", "is_speakable", "words_in"]

_WORD = re.compile(r"\s*\S+")
_SPEAKABLE = re.compile(r"[^\W_]")


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
