"""Makes speech for the telephone of the library's samples: levelled, trimmed, timed. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from twilio_frames.audio.voices import LEVEL_FRAME_SECS, frame_levels, levelled
from twilio_frames.local.espeak import Mark
from twilio_frames.local.speech import Speech, Word


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is kept of the library's silence, in seconds."""

    before_secs: float = 0.02
    """Ahead of the first loud frame."""
    after_secs: float = 0.05
    """Behind the last."""


_KEPT = _Kept()


def fitted(
    text: str, pcm: bytes, marks: Sequence[Mark], *, sample_rate: int, gain: float, pause: float
) -> Speech:
    """Speech for the telephone out of what the library gave.

    Args:
        text: What was spoken.
        pcm: The library's samples.
        marks: Where the library's words begin, in the text and in the samples.
        sample_rate: Hz.
        gain: Factor on every sample; peaks are bent to stay under -6 dBFS.
        pause: Seconds of silence to add at the end.

    Returns:
        Empty speech if nothing in the text makes a sound.
    """
    samples = np.frombuffer(pcm, dtype=np.int16)
    frame = round(sample_rate * LEVEL_FRAME_SECS)
    levels = frame_levels(samples, frame)
    loud = np.flatnonzero(levels > max(0.005 * levels.max(initial=0.0), 20.0)) * frame
    tokens = list(re.finditer(r"\S+", text))
    if not len(loud) or not marks or not tokens:
        return Speech(pcm=b"", sample_rate=sample_rate)
    begin = max(int(loud[0]) - round(_KEPT.before_secs * sample_rate), 0)
    end = min(int(loud[-1]) + frame + round(_KEPT.after_secs * sample_rate), len(samples))
    starts = [min(max(start, begin), end) for start in _starts(tokens, marks, end)]
    ends = [_sound_end(loud + frame, start, limit) for start, limit in pairwise([*starts, end])]
    words = tuple(
        Word(
            text=token.group(),
            start=(start - begin) / sample_rate,
            end=(stop - begin) / sample_rate,
        )
        for token, start, stop in zip(tokens, starts, ends, strict=True)
    )
    kept = levelled(samples[begin:end], gain).tobytes() + bytes(2 * round(pause * sample_rate))
    return Speech(pcm=kept, sample_rate=sample_rate, words=words)


def _starts(tokens: Sequence[re.Match[str]], marks: Sequence[Mark], end: int) -> list[int]:
    """The first sample of each token.

    The library may run words into one ("of the") or read one as many ("$5.50"): tokens without a
    mark of their own share the time of the marked one before them by their length.
    """
    marked: dict[int, int] = {0: marks[0].sample}
    index = 0
    for mark in marks:
        while index + 1 < len(tokens) and mark.character >= tokens[index + 1].start():
            index += 1
        marked.setdefault(index, mark.sample)
    starts: list[int] = []
    for first, after in pairwise([*marked, len(tokens)]):
        since, until = marked[first], marked.get(after, end)
        letters = [len(re.findall(r"\w", token.group())) for token in tokens[first:after]]
        for index in range(len(letters)):
            share = sum(letters[:index]) / (sum(letters) or 1)
            starts.append(since + round((until - since) * share))
    return starts


def _sound_end(loud_ends: npt.NDArray[np.intp], start: int, limit: int) -> int:
    """Where the last sound between a word's start and the next word's ends."""
    within = loud_ends[(loud_ends > start) & (loud_ends <= limit)]
    return int(within[-1]) if len(within) else limit
