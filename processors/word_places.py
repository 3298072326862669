"""Where the words of a text lie in its sound, if nobody tells: an estimate. Pure."""

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np

from twilio_frames.processors.letter_alignment import aligned_ends
from twilio_frames.processors.sounding import BLOCK, BYTES_A_LETTER, letters_of, loud_blocks

__all__ = ["SpeechPace", "spoken_letters", "word_ends"]

_MARKUP = re.compile(r"<[^<>]*>")
_PAUSE_SIGNS = ",.;:!?"
_PAUSE_BLOCKS = 8
_PAUSE_REACH_BLOCKS = 25
_TELLING_LETTERS = 10
# Voices at 220 words a minute take 330 bytes a letter over their quickest sentence.
_QUICKEST_BYTES_A_LETTER = 300.0
# The quickest sentence of a voice takes 0.78 of what its letters take on average.
_QUICKEST_SHARE = 0.65
_REMEMBERED_SHARE = 0.25


class SpeechPace:
    """How much sound a voice takes for its letters, learned from what it has said wholly."""

    def __init__(self) -> None:
        self._bytes = BYTES_A_LETTER * _TELLING_LETTERS
        self._letters = float(_TELLING_LETTERS)
        self._is_known = False

    @property
    def bytes_a_letter(self) -> float:
        """Bytes of mu-law at 8 kHz, silence left out."""
        return self._bytes / self._letters

    def learn(self, sounding: int, letters: int) -> None:
        """Notes what was said wholly; what was learned last counts most.

        Args:
            sounding: How many bytes of it are no silence.
            letters: How many letters its words have.
        """
        if letters >= _TELLING_LETTERS and sounding:
            kept = _REMEMBERED_SHARE if self._is_known else 0.0
            self._bytes = self._bytes * kept + sounding
            self._letters = self._letters * kept + letters
            self._is_known = True

    def holds(self, sounding: int, letters: Sequence[int]) -> bool:
        """Whether there is enough sound for words; none is not enough for any.

        Args:
            sounding: How many bytes of it are no silence.
            letters: How many letters each word has.
        """
        total = sum(letters)
        if not total or (sounding and total < _TELLING_LETTERS):
            return True
        quickest = _QUICKEST_BYTES_A_LETTER
        if self._is_known:
            quickest = self.bytes_a_letter * _QUICKEST_SHARE
        return sounding >= total * quickest


def spoken_letters(text: str) -> Iterator[int]:
    """How many letters each word of a text has where it is said; none in markup."""
    plain = _MARKUP.sub(lambda markup: re.sub(r"\S", "<", markup.group()), text)
    for word in plain.split():
        yield 0 if set(word) == {"<"} else letters_of(word)


def word_ends(words: Sequence[str], mulaw: bytes, length: int, *, missing: int = 0) -> list[int]:
    """Where words end in a stretch of sound, each behind the one before it.

    Args:
        words: As they are written; an empty one takes no sound.
        mulaw: The sound, as far as it is known.
        length: Bytes of all of it.
        missing: How many bytes ahead of what is known are not known any more.
    """
    spoken = [word for word in words if word]
    if not spoken:
        return [0] * len(words)
    known = [] if missing else aligned_ends(spoken, mulaw, length)
    ends = iter(known or _ends_by_letters(spoken, bytes(missing) + mulaw, length))
    places: list[int] = []
    for word in words:
        places.append(min(length, next(ends)) if word else (places or [0])[-1])
    return places


def _ends_by_letters(words: Sequence[str], mulaw: bytes, length: int) -> list[int]:
    """Where words end if each takes sound in proportion to its letters."""
    sounding = _sounding_blocks(mulaw, length)
    pauses = sounding[:-1][np.diff(sounding) > _PAUSE_BLOCKS]
    shares = np.cumsum([letters_of(word) for word in words], dtype=float)
    last_blocks = np.rint(shares / shares[-1] * len(sounding)).astype(int) - 1
    ends: list[int] = []
    for word, block in zip(words, sounding[last_blocks.clip(0)].tolist(), strict=True):
        if word[-1:] in _PAUSE_SIGNS and len(pauses):
            nearest = int(pauses[np.argmin(np.abs(pauses - block))])
            block = nearest if abs(nearest - block) <= _PAUSE_REACH_BLOCKS else block
        ends.append((block + 1) * BLOCK)
    return list(accumulate(ends, max))


def _sounding_blocks(mulaw: bytes, length: int) -> np.ndarray:
    """Which blocks of a stretch hold sound; those that are not known count as if."""
    blocks = max(1, -(-length // BLOCK))
    loud = np.ones(blocks, dtype=bool)
    known = loud_blocks(mulaw)[:blocks]
    loud[: len(known)] = known
    return np.flatnonzero(loud if loud.any() else ~loud)
