"""The bot's audio as the line takes it: mu-law, 8000 Hz, filtered and as loud as it should be."""

from pipecat.audio.filters.base_audio_filter import BaseAudioFilter
from pipecat.audio.utils import scale_audio
from pipecat.frames.frames import (
    FilterControlFrame,
    OutputAudioRawFrame,
    VolumeFrame,
    VolumeGainFrame,
)

from twilio_frames.audio import SAMPLE_RATE, Resampler, decode_mulaw, encode_mulaw
from twilio_frames.frames import MulawOutputFrame


class LineSound:
    """Turns audio of any rate into what is sent; mu-law goes through as it is where it can.

    Args:
        audio_filter: Pipecat's output filter, started for 8000 Hz; None for none.
        volume: A factor on the samples.
    """

    def __init__(self, audio_filter: BaseAudioFilter | None = None, volume: float = 1.0):
        self._filter = audio_filter
        self._volume = volume
        self._gain = 1.0
        self._resampler = Resampler(SAMPLE_RATE, SAMPLE_RATE)

    async def control(self, frame: VolumeFrame | VolumeGainFrame | FilterControlFrame) -> None:
        """Changes the volume or the filter, for the audio behind the frame."""
        match frame:
            case VolumeFrame():
                self._volume = frame.volume
            case VolumeGainFrame():
                self._gain = frame.gain
            case FilterControlFrame() if self._filter is not None:
                await self._filter.process_frame(frame)
            case _:
                pass

    async def mulaw_of(self, frame: OutputAudioRawFrame) -> bytes:
        """A frame's audio for the line; what the resampler keeps back comes with the next."""
        if isinstance(frame, MulawOutputFrame) and frame.mulaw:
            is_plain = self._filter is None and self._volume * self._gain == 1.0
            return frame.mulaw if is_plain else await self._worked_on(decode_mulaw(frame.mulaw))
        if frame.sample_rate != self._resampler.input_rate:
            self._resampler = Resampler(frame.sample_rate, SAMPLE_RATE)
        return await self._worked_on(self._resampler.resample(frame.audio))

    async def flush(self) -> bytes:
        """The end of an utterance."""
        return await self._worked_on(self._resampler.flush())

    def reset(self) -> None:
        """Forgets what the resampler keeps back."""
        self._resampler.reset()

    async def _worked_on(self, pcm: bytes) -> bytes:
        if self._filter is not None and pcm:
            pcm = await self._filter.filter(pcm)
        volume = self._volume * self._gain
        return encode_mulaw(pcm if volume == 1.0 else scale_audio(pcm, volume))
