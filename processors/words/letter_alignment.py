"""Which letter of a text is said at each moment of its sound. Pure.

Theory of operation
-------------------
A letter sounds more or less the same in most words: an ``s`` hisses, a vowel is loud, ahead of a
``t`` it is silent for a moment. What a letter's sound is like, in loudness and colour, and how long
it lasts, is known on average (``letter_sounds.py``). The text is a row of such letters, with a
pause between words where there is one; the course through the row that fits the sound best says
where each word ends (Viterbi's algorithm, in steps of 10 ms). Letters that do not sound are passed
over. Where the sound tells nothing, the letters share it: a course that runs far ahead of the
letters' share of the sound, or behind it, counts as a little worse at each step.

It takes some milliseconds for a sentence. What hardly varies in loudness is no speech, and a text
that is not written in Latin letters has none that are known: both are left to who asks.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from twilio_frames.audio import decode_mulaw
from twilio_frames.processors.words.letter_sounds import LETTERS, SOUNDS
from twilio_frames.processors.words.sounding import BLOCK, SPEAKING_RATE, loud_blocks

__all__ = [
    "OTHER",
    "PAUSE",
    "aligned_ends",
    "letters_said",
    "likeliest",
    "sound_features",
    "would_tell",
]

Floats = npt.NDArray[np.float32]

OTHER, PAUSE = LETTERS.index("#"), LETTERS.index("_")
"""Where in the table a sign of no letter's sound is, and silence."""

_SIGNS = ",.;:!?"
_LONGEST_BLOCKS = 1500
_LEAST_KNOWN_SHARE = 0.6
# Natural logarithms of power: speech has two and more, noise and tones a tenth of that.
_LEAST_VARIATION = 0.7
# Found on the texts that the table was made of, see bench/word_places.py.
_SOUND_WEIGHT = 0.25
_SHARE_WEIGHT = 0.3
_SKIPPED_LETTER, _SKIPPED_PAUSE, _SKIPPED_SIGN = -8.0, -0.05, -3.0
_PAUSE_STEPS = 15.0
_SHARE_DOUBT, _LETTERS_DOUBT = 0.15, 1.5

_WINDOW, _FFT = 200, 256
_PREEMPHASIS = 0.9
_EDGES = (100, 300, 550, 850, 1200, 1650, 2200, 2900, 3900)
_FLOOR = 2e4
_SLOPE_WEIGHT = 0.7


_FREQUENCIES = np.fft.rfftfreq(_FFT, 1 / 8000)
_BANDS = np.stack(
    [(low <= _FREQUENCIES) & (high > _FREQUENCIES) for low, high in pairwise(_EDGES)], axis=1
).astype(np.float32)
_COSINES = np.array(
    [[np.cos(np.pi * k * (i + 0.5) / 8) / 3 for k in range(1, 6)] for i in range(8)], np.float32
)
_HANN = np.hanning(_WINDOW).astype(np.float32)
_TABLE = np.array(SOUNDS, np.float32)
_MEANS, _VARIANCES, _STEPS = _TABLE[:, :8], _TABLE[:, 8:16] ** 2, _TABLE[:, 16]


def sound_features(mulaw: bytes) -> Floats:
    """Loudness, colour and their slope: a row of eight for each block of 10 ms."""
    samples = np.frombuffer(decode_mulaw(mulaw), np.int16).astype(np.float32)
    samples[1:] -= _PREEMPHASIS * samples[:-1]
    blocks = -(-len(samples) // BLOCK)
    padded = np.pad(samples, (60, blocks * BLOCK - len(samples) + _WINDOW - 60))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::BLOCK][:blocks]
    power = np.abs(np.fft.rfft(windows * _HANN, _FFT)).astype(np.float32) ** 2
    bands = np.log(power @ _BANDS + _FLOOR)
    loudness, colour = bands.mean(1), bands @ _COSINES
    # Each voice and line has a colour of its own.
    colour -= colour[loudness > np.percentile(loudness, 95) - 5].mean(0)
    loudness -= np.percentile(loudness, 90)
    features = np.zeros((blocks, 8), np.float32)
    features[:, 0], features[:, 1:6] = loudness, colour
    features[2:-2, 6] = (loudness[4:] - loudness[:-4]) * _SLOPE_WEIGHT
    features[2:-2, 7] = (colour[4:, 0] - colour[:-4, 0]) * _SLOPE_WEIGHT
    return features


def letters_said(word: str) -> list[int]:
    """The letters of a word, as places in the table; at least one."""
    said: list[int] = []
    for sign in unicodedata.normalize("NFKD", word.lower()):
        if sign.isdigit():
            said += [OTHER] * SPEAKING_RATE.digit_letters
        elif "a" <= sign <= "z":
            said.append(LETTERS.index(sign))
        elif sign.isalnum():
            said.append(OTHER)
    return said or [OTHER]


class _Row:
    """The letters of a text and the pauses between its words, in a row.

    Args:
        words: Those that are spoken.
    """

    def __init__(self, words: Sequence[str]):
        letters, owners, skipped = [PAUSE], [-1], [0.0]
        for number, word in enumerate(words):
            said = letters_said(word)
            letters += [*said, PAUSE]
            owners += [number] * len(said) + [-1]
            skipped += [_SKIPPED_LETTER] * len(said)
            skipped.append(_SKIPPED_SIGN if word[-1:] in _SIGNS else _SKIPPED_PAUSE)
        self.letters, self.owners = np.array(letters), np.array(owners)
        self.skipped = np.array(skipped, np.float32)
        self.is_letter = self.owners >= 0
        self.done = np.cumsum(self.is_letter)
        steps = np.where(self.is_letter, _STEPS[self.letters], _PAUSE_STEPS)
        self.step = np.log(1 / np.maximum(steps, 1.05)).astype(np.float32)
        self.stay = np.log1p(-np.exp(self.step)).astype(np.float32)

    @property
    def is_known(self) -> bool:
        """Whether the sound of most of its letters is known."""
        letters = self.letters[self.is_letter]
        return bool(np.mean(letters != OTHER) >= _LEAST_KNOWN_SHARE)


def aligned_ends(words: Sequence[str], mulaw: bytes, length: int) -> list[int] | None:
    """Where words end in a stretch of sound, by what their letters sound like.

    Args:
        words: As they are written.
        mulaw: The sound, as far as it is known.
        length: Bytes of all of it.

    Returns:
        Places that never decrease; None if the sound or the text says too little.
    """
    heard = _heard(mulaw)
    course = _course(_Row(words), *heard, length) if heard else None
    return course.ends if course else None


def likeliest(texts: Sequence[tuple[Sequence[str], int]], mulaw: bytes) -> int | None:
    """Which of some texts a stretch of sound is most like.

    Args:
        texts: Words as they are written, each with the bytes of all their sound.
        mulaw: The sound, or the beginning of it.

    Returns:
        The number of a text; None if the sound or the texts say too little.
    """
    heard = _heard(mulaw)
    if heard is None:
        return None
    courses = [_course(_Row(words), *heard, length) for words, length in texts]
    scores = [course.score if course else -np.inf for course in courses]
    return int(np.argmax(scores)) if max(scores) > -np.inf else None


def would_tell(words: Sequence[str], mulaw: bytes) -> bool:
    """Whether a sound that is speech would tell which words it is of: most letters are known."""
    return _Row(words).is_known and len(mulaw) <= _LONGEST_BLOCKS * BLOCK


def _heard(mulaw: bytes) -> tuple[npt.NDArray[np.bool_], Floats] | None:
    """Which blocks of a sound are loud, and their features; None if it is no speech, or long."""
    loud = loud_blocks(mulaw)
    if not loud.any() or len(loud) > _LONGEST_BLOCKS:
        return None
    features = sound_features(mulaw)
    return None if features[loud, 0].std() < _LEAST_VARIATION else (loud, features)


@dataclass(frozen=True, slots=True)
class _Course:
    """The best course through a text.

    Parameters:
        ends: Where its words end.
        score: How well it fits the sound.
    """

    ends: list[int]
    score: float


def _course(
    row: _Row, loud: npt.NDArray[np.bool_], features: Floats, length: int
) -> _Course | None:
    blocks = len(loud)
    unknown = max(0.0, length / BLOCK - blocks)
    if not row.is_known or len(row.letters) > blocks:
        return None
    share = np.cumsum(loud) / (loud.sum() + unknown)
    fit = _fit(row, features, share)
    path, score = _best_path(row, fit, float(share[-1]), is_whole=not unknown)
    return _Course(_ends(row, path, loud, unknown), score)


def _fit(row: _Row, features: Floats, share: npt.NDArray[np.float64]) -> Floats:
    """How well each block fits each of a row's letters."""
    away = features[:, None, :] - _MEANS
    fits = -0.5 * ((away**2 / _VARIANCES).sum(2) + np.log(_VARIANCES).sum(1))
    total = row.done[-1]
    ahead = share[:, None] - (row.done - row.is_letter / 2) / total
    return (fits[:, row.letters] * _SOUND_WEIGHT - ahead**2 * (_SHARE_WEIGHT * total)).astype(
        np.float32
    )


def _best_path(
    row: _Row, fit: Floats, share: float, *, is_whole: bool
) -> tuple[npt.NDArray[np.int64], float]:
    """At which of a row's letters each block is, and how well that fits."""
    blocks, size = fit.shape
    jump = row.step[:-2] + row.skipped[1:-1]
    score = np.full(size, -np.inf, np.float32)
    score[0], score[1] = fit[0, 0], fit[0, 1] + row.skipped[0]
    stepped, jumped = np.full((2, size), -np.inf, np.float32)
    has_stepped, has_jumped = np.zeros((2, blocks, size), bool)
    for block in range(1, blocks):
        np.add(score[:-1], row.step[:-1], out=stepped[1:])
        np.add(score[:-2], jump, out=jumped[2:])
        np.add(score, row.stay, out=score)
        np.greater(stepped, score, out=has_stepped[block])
        np.maximum(score, stepped, out=score)
        np.greater(jumped, score, out=has_jumped[block])
        np.maximum(score, jumped, out=score)
        np.add(score, fit[block], out=score)
    if is_whole:
        score[:-2] = -np.inf
    else:
        expected = share * row.done[-1]
        score -= 0.5 * ((row.done - expected) / (_SHARE_DOUBT * expected + _LETTERS_DOUBT)) ** 2
    path = np.empty(blocks, np.int64)
    place = int(score.argmax())
    best = float(score[place])
    for block in range(blocks - 1, -1, -1):
        path[block] = place
        place -= 2 if has_jumped[block, place] else int(has_stepped[block, place])
    return path, best


def _ends(
    row: _Row, path: npt.NDArray[np.int64], loud: npt.NDArray[np.bool_], unknown: float
) -> list[int]:
    """Where each word's last sound ends; beyond what is known, by its letters."""
    done, total = int(row.done[path[-1]]), int(row.done[-1])
    sounding, owners = np.flatnonzero(loud), row.owners[path]
    ends: list[int] = []
    for word in range(int(row.owners.max()) + 1):
        beyond = int(row.done[row.owners == word][-1]) - done
        if beyond > 0:
            ends.append(round((len(path) + beyond * unknown / (total - done)) * BLOCK))
            continue
        said = np.flatnonzero(owners == word)
        before = np.searchsorted(sounding, said[-1] + 1) if len(said) else 0
        end = (int(sounding[before - 1]) + 1) * BLOCK if before else 0
        ends.append(max(end, *ends[-1:], 0))
    return ends
