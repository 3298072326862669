"""The caller's audio as vendors get it from a phone line: mu-law, 8000 bytes a second."""

from collections.abc import MutableMapping
from typing import Any

from pipecat.frames.frames import InputAudioRawFrame

from twilio_frames.audio import SAMPLE_RATE, Resampler, encode_mulaw
from twilio_frames.errors import ConfigurationError
from twilio_frames.frames import MulawInputFrame

__all__ = ["LineAudio", "keep_phone_format"]


class LineAudio:
    """Takes mu-law from the frames of one call, whatever transport they are from."""

    def __init__(self) -> None:
        self._resampler: Resampler | None = None

    def mulaw_of(self, frame: InputAudioRawFrame) -> bytes:
        """A frame's audio: the bytes that Twilio sent where there are any, else made of its PCM."""
        if isinstance(frame, MulawInputFrame) and frame.mulaw:
            return frame.mulaw
        pcm = frame.audio
        if frame.sample_rate != SAMPLE_RATE:
            if self._resampler is None or self._resampler.input_rate != frame.sample_rate:
                self._resampler = Resampler(frame.sample_rate, SAMPLE_RATE)
            pcm = self._resampler.resample(pcm)
        return encode_mulaw(pcm[: len(pcm) & ~1])


def keep_phone_format(options: MutableMapping[str, Any], *, instead: str, **ours: Any) -> None:
    """Sets the audio format of a phone line among a service's options; 8 kHz always.

    Args:
        options: The options.
        instead: Pipecat's service that takes other formats.
        **ours: What else the format is, ``encoding`` say.

    Raises:
        ConfigurationError: If another one stands there.
    """
    for name, value in {"sample_rate": SAMPLE_RATE, **ours}.items():
        if options.get(name) not in (value, None):
            raise ConfigurationError(
                f"expected {name}={value!r}, got {options[name]!r}: leave it out, or use Pipecat's "
                f"{instead}"
            )
        options[name] = value
