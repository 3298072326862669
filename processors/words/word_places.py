"""Where the words of a text lie in its sound, if nobody tells: an estimate. Pure."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from twilio_frames.processors.words.letter_alignment import aligned_ends, likeliest, would_tell
from twilio_frames.processors.words.sounding import (
    BLOCK,
    SPEAKING_RATE,
    letters_of,
    loud_blocks,
    sounding_bytes,
)

__all__ = ["SpeechPace", "silent_texts", "spoken_letters", "word_ends"]

_MARKUP = re.compile(r"<[^<>]*>")
_PAUSE_SIGNS = ",.;:!?"
_PAUSE_BLOCKS = 8
_PAUSE_REACH_BLOCKS = 25


@dataclass(frozen=True, slots=True)
class _Shares:
    """How much sound is too little, by what the letters take on average."""

    # The quickest sentence of a voice takes 0.78.
    quickest: float = 0.65
    # Two or more sentences of a known voice take 0.9 at least.
    suspect: float = 0.88
    # What was learned before counts so much.
    remembered: float = 0.25


_SHARES = _Shares()

# To look for a text in ten seconds of sound takes 20 ms.
_MOST_LIKENESSES = 6
# In natural logarithms.
_FAR_OFF, _CLEARLY_NEARER = 0.3, 0.1


class SpeechPace:
    """How much sound a voice takes for its letters, learned from what it has said wholly."""

    def __init__(self) -> None:
        self._bytes = SPEAKING_RATE.letter_bytes * SPEAKING_RATE.telling_letters
        self._letters = float(SPEAKING_RATE.telling_letters)
        self._is_known = False

    @property
    def bytes_a_letter(self) -> float:
        """Bytes of mu-law at 8 kHz, silence left out."""
        return self._bytes / self._letters

    @property
    def is_known(self) -> bool:
        """Whether it has been learned."""
        return self._is_known

    def learn(self, sounding: int, letters: int) -> None:
        """Notes what was said wholly; what was learned last counts most.

        Args:
            sounding: How many bytes of it are no silence.
            letters: How many letters its words have.
        """
        if letters >= SPEAKING_RATE.telling_letters and sounding:
            kept = _SHARES.remembered if self._is_known else 0.0
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
        if not total or (sounding and total < SPEAKING_RATE.telling_letters):
            return True
        quickest = SPEAKING_RATE.fastest_letter_bytes
        if self._is_known:
            quickest = self.bytes_a_letter * _SHARES.quickest
        return sounding >= total * quickest


def spoken_letters(text: str) -> Iterator[int]:
    """How many letters each word of a text has where it is said; none in markup."""
    plain = _MARKUP.sub(lambda markup: re.sub(r"\S", "<", markup.group()), text)
    for word in plain.split():
        yield 0 if set(word) == {"<"} else letters_of(word)


def silent_texts(
    texts: Sequence[str], mulaw: bytes, pace: SpeechPace, *, told: int | None = None
) -> range:
    """Which of some texts, in a row, made no sound, where there is too little for all of them.

    Args:
        texts: What was to be said.
        mulaw: All the sound that there is of it.
        pace: Of the voice.
        told: Of a voice that tells of its words: of how many texts it did. Two in a row that it
            left out behind those have Pipecat lose what it told of the others.
    """
    letters = [sum(spoken_letters(text)) for text in texts]
    sounding, expected = sounding_bytes(mulaw), sum(letters) * pace.bytes_a_letter
    if not 0 < sounding < _SHARES.suspect * expected:
        return range(0)

    def off(run: range) -> float:
        left = sum(letters) - sum(letters[run.start : run.stop])
        return abs(math.log(sounding / (max(1, left) * pace.bytes_a_letter)))

    # Where the sound does not tell, a voice that broke off has left out the last.
    nearest = sorted(_runs(len(texts), told), key=lambda run: (round(off(run), 2), -run.stop))
    runs = [range(0), *nearest[:_MOST_LIKENESSES]]
    if nearest and nearest[0].stop == len(texts) and told and off(nearest[0]) < off(range(0)):
        # A voice that goes on to the next text without telling, and breaks off in it, is rare.
        return nearest[0]
    is_whole = pace.holds(sounding, letters)
    length = len(mulaw) + (0 if is_whole else max(0, round(expected) - sounding))
    rows = [(_words_without(texts, run), len(mulaw) if run else length) for run in runs]
    found = likeliest(rows, mulaw) if nearest else 0
    if found is not None:
        return runs[found]
    is_comparable = pace.is_known or would_tell(rows[0][0], mulaw)
    is_nearer = off(nearest[0]) < min(_FAR_OFF, off(range(0)) - _CLEARLY_NEARER)
    return nearest[0] if is_comparable and is_nearer else range(0)


def _runs(count: int, told: int | None) -> Iterator[range]:
    """The texts in a row that may have made no sound; some sound is of another."""
    if told is not None:
        yield from (range(told, stop) for stop in range(told + 2, count))
        if 0 < told < count:
            yield range(told, count)
    else:
        pairs = combinations(range(count + 1), 2)
        yield from (range(*pair) for pair in pairs if pair != (0, count))


def _words_without(texts: Sequence[str], run: range) -> list[str]:
    return " ".join(text for number, text in enumerate(texts) if number not in run).split()


def word_ends(
    words: Sequence[str],
    mulaw: bytes,
    length: int,
    *,
    missing: int = 0,
    told_at: Sequence[int] = (),
) -> list[int]:
    """Where words end in a stretch of sound, each behind the one before it.

    Args:
        words: As they are written; an empty one takes no sound.
        mulaw: The sound, as far as it is known.
        length: Bytes of all of it.
        missing: How many bytes ahead of what is known are not known any more.
        told_at: Of each word, how many bytes of the sound there were before it was told of: it does
            not begin before that. None of them if nobody knows.
    """
    spoken = [word for word in words if word]
    told = [at for word, at in zip(words, told_at, strict=False) if word]
    if not spoken:
        return [0] * len(words)
    known = [] if missing else aligned_ends(spoken, mulaw, length, told_at=told)
    ends = iter(known or _ends_by_letters(spoken, bytes(missing) + mulaw, length, told))
    places: list[int] = []
    for word in words:
        places.append(min(length, next(ends)) if word else (places or [0])[-1])
    return places


def _ends_by_letters(
    words: Sequence[str], mulaw: bytes, length: int, told_at: Sequence[int]
) -> list[int]:
    """Where words end if each takes sound in proportion to its letters."""
    sounding = _sounding_blocks(mulaw, length)
    # How much sounds ahead of each: the pauses themselves are no distance.
    pauses = np.flatnonzero(np.diff(sounding) > _PAUSE_BLOCKS) + 1.0
    shares = np.cumsum([letters_of(word) for word in words], dtype=float)
    # A word that is known to end at a pause says where those around it are; so does one that
    # cannot begin yet.
    known_shares, known = [0.0], [0.0]

    def due_at(share: float) -> float:
        return float(np.interp(share, [known_shares[-1], shares[-1]], [known[-1], len(sounding)]))

    ats = [*told_at, *[0] * (len(words) - len(told_at))]
    told = np.searchsorted(sounding, np.array(ats) / BLOCK).tolist()
    bounds = pairwise([0.0, *shares.tolist()])
    for word, (begin, share), at in zip(words, bounds, told, strict=True):
        if at > due_at(begin):
            known_shares.append(begin)
            known.append(float(at))
        due = due_at(share)
        if word[-1:] in _PAUSE_SIGNS and len(pauses):
            nearest = float(pauses[np.argmin(np.abs(pauses - due))])
            if abs(nearest - due) <= _PAUSE_REACH_BLOCKS and nearest > known[-1]:
                known_shares.append(share)
                known.append(nearest)
    ends = np.interp(shares, [*known_shares, shares[-1]], [*known, len(sounding)])
    blocks = sounding[np.rint(ends).astype(int).clip(1) - 1]
    return ((blocks + 1) * BLOCK).tolist()


def _sounding_blocks(mulaw: bytes, length: int) -> np.ndarray:
    """Which blocks of a stretch hold sound; those that are not known count as if."""
    blocks = max(1, -(-length // BLOCK))
    loud = np.ones(blocks, dtype=bool)
    known = loud_blocks(mulaw)[:blocks]
    loud[: len(known)] = known
    return np.flatnonzero(loud if loud.any() else ~loud)
