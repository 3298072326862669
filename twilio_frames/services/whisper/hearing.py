"""How an utterance of a telephone call is put to a Whisper model, and what of its guess is taken.

Whisper was made for half a minute of anything. Left to itself with one short utterance it costs as
much as 30 s, repeats itself where the sound ends with the words, and makes sentences of coughs.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr

from twilio_frames.errors import ConfigurationError
from twilio_frames.services.whisper.features import SAMPLE_RATE, Floats, log_mel
from twilio_frames.services.whisper.model import Guess, WhisperModel

__all__ = ["hear", "prompt_tokens", "without_repeats"]


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What an utterance is put to the model with."""

    least_window_secs: float = 10.0
    """With less, and less silence behind the words, it begins to repeat itself."""
    silence_secs: float = 2.0
    longest_window_secs: float = 30.0
    """What the model was made for."""
    tokens_per_sec: float = 8.0
    """The fastest speakers have 5 words a second, of 1.3 tokens each."""
    more_tokens: int = 8
    """Of an utterance however short: a number, a name in pieces."""
    prompt_tokens: int = 200
    """Whisper's own limit is 223, with the tokens that say what to do."""
    repeated_times: int = 4
    """How often in a row a phrase may stand: people do say "no, no, no"."""


_BOUNDS = _Bounds()
_FULL_SCALE = np.float32(1 / 32768)
_SAYABLE = re.compile(r"[^\W_]")


def hear(
    model: WhisperModel, pcm: bytes, sample_rate: int, *, prompt: Sequence[int], least_score: float
) -> str | None:
    """The words of one utterance, or None where there are none.

    Args:
        model: Who is asked; this blocks until it has answered.
        pcm: The utterance, signed 16-bit mono samples.
        sample_rate: Hz.
        prompt: See :func:`prompt_tokens`.
        least_score: Below, the guess is not taken.
    """
    samples = _samples(pcm, sample_rate)
    secs = len(samples) / SAMPLE_RATE
    window = max(_BOUNDS.least_window_secs, math.ceil(secs + _BOUNDS.silence_secs))
    window = min(window, _BOUNDS.longest_window_secs)
    features = log_mel(samples, secs=window, bands=model.bands)
    most_tokens = _BOUNDS.more_tokens + math.ceil(secs * _BOUNDS.tokens_per_sec)
    return _taken(model.guess(features, prompt, most_tokens), least_score)


def prompt_tokens(
    model: WhisperModel, *, language: str = "en", vocabulary: Sequence[str] = ()
) -> list[int]:
    """What the model is told ahead of the words: words to expect, the language, the task.

    Args:
        model: Whose tokens.
        language: As Whisper names it: ``en``.
        vocabulary: Words and phrases; those that are too many, some 150 words, are left out.

    Raises:
        ConfigurationError: If the model does not know the language.
    """
    tongue = f"<|{language}|>"
    if model.token(tongue) is None or (language != "en" and not model.is_multilingual):
        raise ConfigurationError(
            f"expected a language that the Whisper model knows, got {language!r}: "
            "take a model without '.en' in its name, or another language"
        )
    names = ["<|startoftranscript|>", "<|notimestamps|>"]
    if model.is_multilingual:
        names[1:1] = [tongue, "<|transcribe|>"]
    begin = [number for name in names if (number := model.token(name)) is not None]
    before = model.token("<|startofprev|>")
    if not vocabulary or before is None:
        return begin
    expected = model.tokens_of(f" {', '.join(vocabulary)}.")
    return [before, *expected[: _BOUNDS.prompt_tokens], *begin]


def without_repeats(text: str) -> str:
    """A text with what a model repeats endlessly left there once."""
    words = text.split()
    for length in range(1, len(words) // _BOUNDS.repeated_times + 1):
        first = 0
        while first + length * _BOUNDS.repeated_times < len(words):
            times = _times(words, first, length)
            if times > _BOUNDS.repeated_times:
                del words[first + length : first + length * times]
            first += 1
    return " ".join(words)


def _times(words: Sequence[str], first: int, length: int) -> int:
    """How often in a row the words there stand."""
    phrase = [_bare(word) for word in words[first : first + length]]
    times = 1
    while [_bare(w) for w in words[first + times * length :][:length]] == phrase:
        times += 1
    return times


def _bare(word: str) -> str:
    return re.sub(r"\W", "", word).lower()


def _taken(guess: Guess, least_score: float) -> str | None:
    if guess.score < least_score or not _SAYABLE.search(guess.text):
        return None
    return without_repeats(guess.text)


def _samples(pcm: bytes, sample_rate: int) -> Floats:
    samples = np.frombuffer(pcm, np.int16, count=len(pcm) // 2).astype(np.float32) * _FULL_SCALE
    if sample_rate == SAMPLE_RATE or not len(samples):
        return samples
    return np.asarray(soxr.resample(samples, sample_rate, SAMPLE_RATE), np.float32)
