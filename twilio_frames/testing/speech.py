"""What a caller says, as telephone audio: from text, from a WAV file, or as it is."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from twilio_frames.audio import SAMPLE_RATE, Resampler, encode_mulaw, mulaw_of_wav, mulaw_silence
from twilio_frames.errors import ConfigurationError, brought_by
from twilio_frames.testing.callers.voice import Utterance

CALLER_VOICE = "en-us+f2"
CALLER_WORDS_PER_MINUTE = 150
TWILIO_VOICE = "en-us"

Speech = str | Path | bytes | Utterance
"""Words to be spoken, a WAV file, mu-law audio, or an utterance that has not been said yet."""


async def to_utterance(speech: Speech, *, voice: str = CALLER_VOICE) -> Utterance:
    """The audio of something that is to be said.

    Raises:
        ConfigurationError: If a file is no WAV file of 16-bit samples.
        MissingExtraError: If words are to be spoken and the ``local`` extra is not installed.
    """
    match speech:
        case Utterance():
            return speech
        case bytes():
            return Utterance(mulaw=speech, label=f"({len(speech) / SAMPLE_RATE:.1f} s of audio)")
        case Path():
            mulaw = await asyncio.to_thread(read_wav, speech)
            return Utterance(mulaw=mulaw, label=f"({speech.name})")
        case str():
            return Utterance(mulaw=await _spoken(speech, voice), label=speech)


async def to_one_utterance(
    parts: Sequence[Speech | float], *, voice: str = CALLER_VOICE
) -> Utterance:
    """The audio of several things that are said as one, with pauses of so many seconds.

    Raises:
        ConfigurationError: If a file is no WAV file of 16-bit samples.
        MissingExtraError: If words are to be spoken and the ``local`` extra is not installed.
    """
    sounds: list[bytes] = []
    labels: list[str] = []
    for part in parts:
        if isinstance(part, int | float):
            sounds.append(mulaw_silence(part))
        else:
            utterance = await to_utterance(part, voice=voice)
            sounds.append(utterance.mulaw)
            labels.append(utterance.label)
    return Utterance(mulaw=b"".join(sounds), label=" ".join(labels))


def read_wav(path: Path, *, channel: int | None = None) -> bytes:
    """A WAV file's sound as mu-law: any rate, 16-bit PCM or mu-law.

    Args:
        path: The file.
        channel: Which of its channels, the left one is 0; by default all are mixed into one.

    Raises:
        ConfigurationError: If it cannot be read, has other samples, or no sound in it.
    """
    try:
        mulaw = mulaw_of_wav(path.read_bytes(), channel=channel)
    except OSError as error:
        raise ConfigurationError(
            f"expected a WAV file at {path}, got {error.strerror}: check the path"
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"{error}; at {path}") from error
    if not mulaw:
        raise ConfigurationError(f"expected sound in the WAV file {path}, got none: record it anew")
    return mulaw


def to_mulaw(pcm: bytes, rate: int) -> bytes:
    """16-bit mono PCM of any rate as mu-law."""
    resampler = Resampler(rate, SAMPLE_RATE)
    return encode_mulaw(resampler.resample(pcm) + resampler.flush())


async def _spoken(text: str, voice: str) -> bytes:
    with brought_by("local"):
        from twilio_frames.local.synthesiser import Synthesiser
    spoken = await Synthesiser(voice, words_per_minute=CALLER_WORDS_PER_MINUTE).speak(text)
    return await asyncio.to_thread(to_mulaw, spoken.pcm, spoken.sample_rate)
