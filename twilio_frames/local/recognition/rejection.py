"""Tells speech of the grammar from any other speech.

A grammar makes a sentence of whatever it hears. How much that sentence is worth shows beside a
second decoder that knows no words, only the sounds of the language in any order: on speech of the
grammar the words fit about as well as the free sounds, on other speech far worse. ``confidence`` is
that difference for each hundredth of a second of the words, on a scale from 0 to 1.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twilio_frames.local.recognition.cepstra import FRAMES_PER_SECOND
from twilio_frames.local.recognition.decoder import Segment

__all__ = ["SOUNDS_GRAMMAR", "SOUND_PRONUNCIATIONS", "confidence", "fit_per_frame"]

_PHONES = (
    *("AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY"),
    *("F", "G", "HH", "IH", "IY", "JH", "K", "L", "M", "N", "NG", "OW", "OY"),
    *("P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH"),
)

SOUND_PRONUNCIATIONS = {f"sound.{phone.lower()}": (phone,) for phone in _PHONES}
"""Each sound of English as a word of its own."""

SOUNDS_GRAMMAR = (
    f"#JSGF V1.0;\ngrammar sounds;\npublic <sounds> = ( {' | '.join(SOUND_PRONUNCIATIONS)} )*;\n"
)
"""Any sounds in any order."""


@dataclass(frozen=True, slots=True)
class _Scale:
    """How a difference becomes a confidence.

    Set on recordings of people's orders and of other speech; ``bench/recognition.py`` measures it.
    Differences are per frame, as natural logarithms in pocketsphinx's scale.
    """

    even: float = -0.00108
    """The difference at which speech of the grammar and other speech change places."""
    steepness: float = 2500.0
    """How fast confidence grows with it."""
    short_frames: float = 1.5 * FRAMES_PER_SECOND
    """The fewer frames, the more a difference varies, and the likelier a short answer is to be one.
    """
    allowance: float = 0.00075
    """What the shortest answers are given for that."""
    long_remainder: int = FRAMES_PER_SECOND // 4
    """Frames in a row that the grammar's decoder took for noise. It may be a breath; if longer, it
    is speech that the grammar has no words for."""
    remainder_cost: float = 0.002 / FRAMES_PER_SECOND
    """What each such frame takes off."""


_SCALE = _Scale()


def confidence(heard: Sequence[Segment], sounds: Sequence[Segment], frames: int) -> float:
    """How much better the words explain an utterance than free sounds do.

    Args:
        heard: What the grammar's decoder made of the utterance.
        sounds: What the decoder of ``SOUNDS_GRAMMAR`` made of it.
        frames: How long the utterance is.

    Returns:
        0 to 1; 0.5 where a sentence of the grammar and other speech are equally likely.
    """
    spoken = _where_words(heard, frames)
    if not spoken.any():
        return 0.0
    difference = fit_per_frame(heard, frames) - fit_per_frame(sounds, frames)
    better = float(difference[spoken].mean())
    better += _SCALE.allowance * max(0.0, 1 - float(spoken.sum()) / _SCALE.short_frames)
    better -= _SCALE.remainder_cost * _remainder(_where_words(sounds, frames) & ~spoken)
    return _logistic(_SCALE.steepness * (better - _SCALE.even))


def _where_words(segments: Iterable[Segment], frames: int) -> npt.NDArray[np.bool_]:
    covered = np.zeros(frames, np.bool_)
    for segment in segments:
        covered[segment.start : segment.end + 1] |= segment.is_word
    return covered


def fit_per_frame(segments: Iterable[Segment], frames: int) -> npt.NDArray[np.float64]:
    """How well each hundredth of a second fits, as a natural logarithm."""
    scores = np.zeros(frames)
    for segment in segments:
        scores[segment.start : segment.end + 1] = segment.score / (segment.end - segment.start + 1)
    return scores


def _remainder(unexplained: npt.NDArray[np.bool_]) -> int:
    """How many frames stand in long rows."""
    edges = np.flatnonzero(np.diff(unexplained, prepend=False, append=False))
    rows = edges[1::2] - edges[::2]
    return int(rows[rows >= _SCALE.long_remainder].sum())


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, value))))
