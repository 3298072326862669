"""What the callers of a load say: said once, encoded once, shared by all calls."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.testing.callers.voice import FRAME_BYTES, Utterance, Voice
from twilio_frames.testing.load.messages import encoded_frame
from twilio_frames.testing.speech import Speech, to_utterance

DEFAULT_WORDS = (
    "Hello, could you help me with something, please?",
    "What can you do for me?",
    "Could you say that again, please?",
    "Yes, that would be fine.",
    "I am not quite sure about that.",
    "How long is it going to take?",
)

_VOICES = ("en-us+f2", "en-us+m3", "en-us+f4", "en-us+m1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """Something to say.

    Parameters:
        frames: Each 20 ms of it, encoded for a media message.
        sound_begins: Seconds into it at which its first sound is.
        sound_ends: Where its last sound ends.
    """

    frames: tuple[bytes, ...] = field(repr=False)
    sound_begins: float
    sound_ends: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseSet:
    """All that the callers can say, and the quiet in between.

    Parameters:
        phrases: At least one.
        quiet: Frames of background noise to go round in.
    """

    phrases: tuple[Phrase, ...]
    quiet: tuple[bytes, ...] = field(repr=False)


async def prepare(
    speech: Sequence[Speech] = DEFAULT_WORDS, *, noise_level: float | None = -55.0, seed: int = 0
) -> PhraseSet:
    """Has everything spoken that is to be said, each in a voice drawn for it.

    Args:
        speech: Words, paths of WAV files, or mu-law audio.
        noise_level: Background noise in dB of full scale; None for digital silence.
        seed: Draws voices and noise.

    Raises:
        ConfigurationError: If a file cannot be read.
        MissingExtraError: If words are given and the ``local`` extra is not installed.
    """
    source = random.Random(seed)  # noqa: S311  # protects nothing
    phrases = [
        _phrase(await to_utterance(item, voice=source.choice(_VOICES)), noise_level, seed + number)
        for number, item in enumerate(speech)
    ]
    background = Voice(noise_level=noise_level, seed=seed)
    quiet = [encoded_frame(background.next_frame()) for _ in range(5 * SAMPLE_RATE // FRAME_BYTES)]
    return PhraseSet(phrases=tuple(phrases), quiet=tuple(quiet))


def _phrase(utterance: Utterance, noise_level: float | None, seed: int) -> Phrase:
    voice = Voice(noise_level=noise_level, seed=seed)
    voice.say(utterance)
    count = -(-len(utterance.mulaw) // FRAME_BYTES)
    frames = tuple(encoded_frame(voice.next_frame()) for _ in range(count))
    return Phrase(
        frames=frames,
        sound_begins=utterance.speech_began_at or 0.0,
        sound_ends=utterance.speech_ended_at or len(utterance.mulaw) / SAMPLE_RATE,
    )
