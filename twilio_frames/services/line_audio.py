"""The caller's audio as vendors get it from a phone line: mu-law, 8000 bytes a second."""

from pipecat.frames.frames import InputAudioRawFrame

from twilio_frames.audio import SAMPLE_RATE, Resampler, encode_mulaw
from twilio_frames.frames import MulawInputFrame

__all__ = ["LineAudio"]


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
