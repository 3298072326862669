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
from twilio_frames.services.whisper.model import WhisperModel

__all__ = ["Hearing", "hear", "prompt_tokens", "task_tokens", "without_repeats"]


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What an utterance is put to the model with, and what is taken of a guess."""

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
    telling_tokens: int = 7
    """With so many different ones a guess is judged by its score alone. Of numbers that are read
    out, the model holds that nobody spoke."""
    repeated_times: int = 4
    """How often in a row a short phrase may stand: people do say "no, no, no"."""
    long_phrase: int = 5
    """A phrase of so many words nobody says twice."""


_BOUNDS = _Bounds()
_FULL_SCALE = np.float32(1 / 32768)
_SAYABLE = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """How a model is asked.

    Args:
        language: As Whisper names it.
        vocabulary: Words and phrases to expect; those that are too many, some 150 words, are left
            out.
        least_score: What is less sure is no words.
    """

    language: str = "en"
    vocabulary: Sequence[str] = ()
    least_score: float = -1.15


def hear(model: WhisperModel, pcm: bytes, sample_rate: int, hearing: Hearing) -> str | None:
    """The words of one utterance, or None where there are none.

    Args:
        model: Who is asked; this blocks until it has answered.
        pcm: The utterance, signed 16-bit mono samples.
        sample_rate: Hz.
        hearing: What it is told.

    Raises:
        ConfigurationError: If the model does not know the language.
    """
    samples = _samples(pcm, sample_rate)
    secs = len(samples) / SAMPLE_RATE
    window = max(_BOUNDS.least_window_secs, math.ceil(secs + _BOUNDS.silence_secs))
    window = min(window, _BOUNDS.longest_window_secs)
    prompt = prompt_tokens(model, hearing)
    encoded = model.encode(log_mel(samples, secs=window, bands=model.bands))
    most_tokens = _BOUNDS.more_tokens + math.ceil(secs * _BOUNDS.tokens_per_sec)
    guess = model.guess(encoded, prompt, most_tokens)
    if len(guess.tokens) >= most_tokens:
        # It repeats itself, and is the surer the longer it does: that tells nothing.
        guess = model.guess(encoded, prompt, most_tokens, no_repeats=True)
    score = guess.score
    if len(set(guess.tokens)) < _BOUNDS.telling_tokens:
        score -= model.no_speech(encoded, task_tokens(model, hearing.language))
    if score < hearing.least_score or not _SAYABLE.search(guess.text):
        return None
    return without_repeats(guess.text)


def task_tokens(model: WhisperModel, language: str) -> list[int]:
    """What the model is told to do.

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
    return [number for name in names if (number := model.token(name)) is not None]


def prompt_tokens(model: WhisperModel, hearing: Hearing) -> list[int]:
    """All that the model is told ahead of the words: those to expect, and what to do."""
    task, before = task_tokens(model, hearing.language), model.token("<|startofprev|>")
    if not hearing.vocabulary or before is None:
        return task
    expected = model.tokens_of(f" {', '.join(hearing.vocabulary)}.")
    return [before, *expected[: _BOUNDS.prompt_tokens], *task]


def without_repeats(text: str) -> str:
    """A text with what a model repeats left there once."""
    words = text.split()
    for length in range(1, len(words) // 2 + 1):
        most = 1 if length >= _BOUNDS.long_phrase else _BOUNDS.repeated_times
        first = 0
        while first + length * most < len(words):
            times = _times(words, first, length)
            if times > most:
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


def _samples(pcm: bytes, sample_rate: int) -> Floats:
    samples = np.frombuffer(pcm, np.int16, count=len(pcm) // 2).astype(np.float32) * _FULL_SCALE
    if sample_rate == SAMPLE_RATE or not len(samples):
        return samples
    return np.asarray(soxr.resample(samples, sample_rate, SAMPLE_RATE), np.float32)
