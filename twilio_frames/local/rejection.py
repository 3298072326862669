"""Tells speech of the grammar from any other speech.

A grammar makes a sentence of whatever it hears. How much that sentence is worth shows beside a
second decoder that knows no words, only the sounds of the language in any order: on speech of the
grammar the words fit about as well as the free sounds, on other speech far worse. ``confidence`` is
that difference for each hundredth of a second of the words, on a scale from 0 to 1.
"""

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from twilio_frames.local.decoder import Segment

__all__ = ["SOUNDS_GRAMMAR", "SOUND_PRONUNCIATIONS", "confidence"]

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

# Differences per frame, as natural logarithms in pocketsphinx's scale. Between these two the
# share of people's orders and of other speech changes places.
_EVEN = -0.00115
_STEEPNESS = 2500.0


def confidence(heard: Iterable[Segment], sounds: Iterable[Segment], first: int, last: int) -> float:
    """How much better the words explain a stretch of speech than free sounds do.

    Args:
        heard: What the grammar's decoder made of the utterance.
        sounds: What the decoder of ``SOUNDS_GRAMMAR`` made of it.
        first: First frame of the stretch.
        last: Its last frame.

    Returns:
        0.5 where a sentence of the grammar and other speech are equally likely.
    """
    # A frame belongs to the stretch if words are in it; pauses prove nothing.
    words = [segment for segment in heard if segment.is_word]
    spoken = np.zeros(last + 1, np.bool_)
    for word in words:
        spoken[max(word.start, first) : word.end + 1] = True
    if not spoken.any():
        return 0.0
    difference = _per_frame(words, last) - _per_frame(sounds, last)
    return _logistic(_STEEPNESS * (float(difference[spoken].mean()) - _EVEN))


def _per_frame(segments: Iterable[Segment], last: int) -> npt.NDArray[np.float64]:
    scores = np.zeros(last + 1)
    for segment in segments:
        scores[segment.start : segment.end + 1] = segment.score / (segment.end - segment.start + 1)
    return scores


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, value))))
