"""Which letter of a text is said at each moment of its sound. Pure.

Theory of operation
-------------------
A letter sounds more or less the same in most words: an ``s`` hisses, a vowel is loud, ahead of a
``t`` it is silent for a moment. What a letter's sound is like, in loudness and colour, and how long
it lasts, is known on average (``letter_sounds.py``). The text is a row of such letters, with a
pause between words where there is one. How likely each letter is at each moment, is the sum over
all courses through the row, each by how well it fits the sound (the forward-backward algorithm, in
steps of 10 ms); a word ends where it is as likely over as not, which is wrong at the fewest
moments. Letters that do not sound are passed over. Where the sound tells nothing, the letters share
it: a course that runs far ahead of the letters' share of the sound, or behind it, counts as a
little worse at each step. So does a word at each step before anything was told of it.

It takes some milliseconds for a sentence. What hardly varies in loudness is no speech, and a text
that is not written in Latin letters has none that are known: both are left to who asks.
"""

import math
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
Chances = npt.NDArray[np.float64]

OTHER, PAUSE = LETTERS.index("#"), LETTERS.index("_")
"""Where in the table a sign of no letter's sound is, and silence."""

_SIGNS = ",.;:!?"


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What is looked at for letters."""

    longest_blocks: int = 1500
    # Of the letters of a text.
    known_share: float = 0.6
    # Natural logarithms of power: speech has two and more, noise and tones a tenth of that.
    variation: float = 0.7


_BOUNDS = _Bounds()


@dataclass(frozen=True, slots=True)
class _Weights:
    """How much each sign of a letter counts; found on the texts of bench/word_places.py."""

    sound: float = 0.25
    share: float = 0.3
    untold: float = 1.0
    # Of a feature, against its change over 20 ms.
    slope: float = 0.7
    # How long a pause lasts, usually.
    pause_steps: float = 15.0
    # The product of two of them is still a number.
    least_chance: float = 1e-140


_WEIGHTS = _Weights()

_SKIPPED_LETTER, _SKIPPED_PAUSE, _SKIPPED_SIGN = -8.0, -0.05, -3.0
_SHARE_DOUBT, _LETTERS_DOUBT = 0.15, 1.5
_AMID_A_LETTER = 0.5

_WINDOW, _FFT = 200, 256
_PREEMPHASIS = 0.9
_EDGES = (100, 300, 550, 850, 1200, 1650, 2200, 2900, 3900)
_FLOOR = 2e4


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
    features[2:-2, 6] = (loudness[4:] - loudness[:-4]) * _WEIGHTS.slope
    features[2:-2, 7] = (colour[4:, 0] - colour[:-4, 0]) * _WEIGHTS.slope
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
        told_at: See :func:`aligned_ends`.
    """

    def __init__(self, words: Sequence[str], told_at: Sequence[int] = ()):
        letters, owners, skipped, told = [PAUSE], [-1], [0.0], [0]
        ats = [*told_at, *[0] * (len(words) - len(told_at))]
        for number, (word, at) in enumerate(zip(words, ats, strict=True)):
            said = letters_said(word)
            letters += [*said, PAUSE]
            told += [at] * (len(said) + 1)
            owners += [number] * len(said) + [-1]
            skipped += [_SKIPPED_LETTER] * len(said)
            skipped.append(_SKIPPED_SIGN if word[-1:] in _SIGNS else _SKIPPED_PAUSE)
        self.letters, self.owners = np.array(letters), np.array(owners)
        self.skipped = np.array(skipped, np.float32)
        self.told = np.array(told) / BLOCK
        self.is_letter = self.owners >= 0
        self.done = np.cumsum(self.is_letter)
        steps = 1 / np.maximum(
            np.where(self.is_letter, _STEPS[self.letters], _WEIGHTS.pause_steps), 1.05
        )
        self.stays, self.steps = 1 - steps, steps[:-1]
        self.jumps = steps[:-2] * np.exp(self.skipped[1:-1])

    @property
    def is_known(self) -> bool:
        """Whether the sound of most of its letters is known."""
        letters = self.letters[self.is_letter]
        return bool(np.mean(letters != OTHER) >= _BOUNDS.known_share)

    def fits_in(self, heard: "_Heard") -> bool:
        """Whether it can be found in a sound."""
        return self.is_known and len(self.letters) <= len(heard.loud)


def aligned_ends(
    words: Sequence[str], mulaw: bytes, length: int, *, told_at: Sequence[int] = ()
) -> list[int] | None:
    """Where words end in a stretch of sound, by what their letters sound like.

    Args:
        words: As they are written.
        mulaw: The sound, as far as it is known.
        length: Bytes of all of it.
        told_at: Of each word, how many bytes of the sound there were before it was told of.

    Returns:
        Places that never decrease; None if the sound or the text says too little.
    """
    heard, row = _heard(mulaw), _Row(words, told_at)
    if heard is None or not row.fits_in(heard):
        return None
    return _Alignment(row, heard, length).ends()


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
    rows = [(_Row(words), length) for words, length in texts]
    scores = [
        _Alignment(row, heard, length).score if row.fits_in(heard) else -np.inf
        for row, length in rows
    ]
    return int(np.argmax(scores)) if max(scores) > -np.inf else None


def would_tell(words: Sequence[str], mulaw: bytes) -> bool:
    """Whether a sound that is speech would tell which words it is of: most letters are known."""
    return _Row(words).is_known and len(mulaw) <= _BOUNDS.longest_blocks * BLOCK


@dataclass(frozen=True, slots=True)
class _Heard:
    """A sound.

    Parameters:
        loud: Which of its blocks hold any.
        features: See :func:`sound_features`.
    """

    loud: npt.NDArray[np.bool_]
    features: Floats


def _heard(mulaw: bytes) -> _Heard | None:
    """What is heard of a sound; None if it is no speech, or long."""
    loud = loud_blocks(mulaw)
    if not loud.any() or len(loud) > _BOUNDS.longest_blocks:
        return None
    features = sound_features(mulaw)
    return None if features[loud, 0].std() < _BOUNDS.variation else _Heard(loud, features)


class _Alignment:
    """How a text goes through a sound.

    Args:
        row: The text's letters.
        heard: The sound, or the beginning of it.
        length: Bytes of all of it.
    """

    def __init__(self, row: _Row, heard: _Heard, length: int):
        self._row, self._loud = row, heard.loud
        self._unknown = max(0.0, length / BLOCK - len(heard.loud))
        share = np.cumsum(heard.loud) / (heard.loud.sum() + self._unknown)
        fit = self._fit(heard.features, share)
        best = fit.max(1)
        self._likely = np.exp(fit - best[:, None])
        self._at_last = self._chances_at_last(float(share[-1]))
        self._chances = np.empty_like(self._likely)
        self.score = float(best.sum()) + self._go_forward()
        """How well the text fits the sound, as a logarithm."""

    def ends(self) -> list[int]:
        """Where each word's last sound ends; beyond what is known, by its letters."""
        self._weigh_by_what_follows()
        passed = np.cumsum(self._chances, axis=1)
        row, sounding = self._row, np.flatnonzero(self._loud)
        done, total = int(row.done[np.searchsorted(passed[-1], 0.5)]), int(row.done[-1])
        ends: list[int] = []
        for word in range(int(row.owners.max()) + 1):
            last = int(np.flatnonzero(row.owners == word)[-1])
            # What sounds of the pause behind a word is the word's, or the next one's.
            is_over = passed[:, last] + passed[:, last + 1] < 1.0
            beyond = float(row.done[last]) - done
            if beyond == 0 and self._unknown and not is_over.any():
                # Its last letter is still being said where the known sound breaks off.
                beyond = _AMID_A_LETTER
            if beyond > 0:
                blocks = len(self._loud) + beyond * self._unknown / max(beyond, total - done)
                ends.append(round(blocks * BLOCK))
                continue
            over_at = int(is_over.argmax()) if is_over.any() else len(self._loud)
            before = int(np.searchsorted(sounding, over_at))
            end = (int(sounding[before - 1]) + 1) * BLOCK if before else 0
            ends.append(max(end, *ends[-1:], 0))
        return ends

    def _fit(self, features: Floats, share: Chances) -> Chances:
        """How well each block fits each of the letters."""
        row = self._row
        away = features[:, None, :] - _MEANS
        fits = -0.5 * ((away**2 / _VARIANCES).sum(2) + np.log(_VARIANCES).sum(1))
        total = row.done[-1]
        ahead = share[:, None] - (row.done - row.is_letter / 2) / total
        is_untold = np.arange(len(share))[:, None] < row.told
        return (
            fits[:, row.letters] * _WEIGHTS.sound
            - ahead**2 * (_WEIGHTS.share * total)
            - is_untold * _WEIGHTS.untold
        )

    def _chances_at_last(self, share: float) -> Chances:
        """How likely the last block is at each letter, by the length of all."""
        done = self._row.done
        if not self._unknown:
            return (np.arange(len(done)) >= len(done) - 2).astype(float)
        expected = share * done[-1]
        return np.exp(-0.5 * ((done - expected) / (_SHARE_DOUBT * expected + _LETTERS_DOUBT)) ** 2)

    def _go_forward(self) -> float:
        """Takes the chances by the sound up to each block; gives how likely all of it is."""
        row, score = self._row, 0.0
        came = np.zeros(len(row.letters))
        came[:2] = 1.0, math.exp(row.skipped[0])
        for block, likely in enumerate(self._likely):
            here = came * likely
            total = float(here.sum())
            score += math.log(total)
            self._chances[block] = here = np.maximum(here / total, _WEIGHTS.least_chance)
            came = here * row.stays
            came[1:] += here[:-1] * row.steps
            came[2:] += here[:-2] * row.jumps
        return score + math.log(float(self._chances[-1] @ self._at_last))

    def _weigh_by_what_follows(self) -> None:
        """Weighs the chances by the sound behind each block."""
        row, behind = self._row, self._at_last
        for block in range(len(self._likely) - 1, -1, -1):
            behind = np.maximum(behind / behind.max(), _WEIGHTS.least_chance)
            self._chances[block] *= behind
            own = behind * self._likely[block]
            behind = own * row.stays
            behind[:-1] += own[1:] * row.steps
            behind[:-2] += own[2:] * row.jumps
        self._chances /= self._chances.sum(1, keepdims=True)
