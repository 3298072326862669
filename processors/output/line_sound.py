"""The bot's audio as the line takes it: mu-law, 8000 Hz, filtered and as loud as it should be."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import numpy as np
from pipecat.audio.filters.base_audio_filter import BaseAudioFilter
from pipecat.frames import frames as pipecat_frames
from pipecat.frames.frames import FilterControlFrame, Frame, OutputAudioRawFrame

from twilio_frames.audio import SAMPLE_RATE, Resampler, decode_mulaw, encode_mulaw
from twilio_frames.frames import MulawOutputFrame
from twilio_frames.safe_logging import report_unforeseen

SOUND_CONTROLS: tuple[type[Frame], ...] = (
    FilterControlFrame,
    # Known to Pipecat since 1.13.
    *(
        getattr(pipecat_frames, name)
        for name in ("VolumeFrame", "VolumeGainFrame")
        if hasattr(pipecat_frames, name)
    ),
)
"""The frames that change how the audio behind them sounds."""


# Whoever hears nothing for a second hears a hole: what has been sent lasts less.
_FOREIGN_SECS = 1.0


async def sound_of(work: Awaitable[Any], whose: str) -> bytes | None:
    """The PCM that a filter or a mixer of somebody's own gives, whatever they do.

    Args:
        work: What it does.
        whose: What it is, for the log line.

    Returns:
        None where it failed, took too long, or gave no 16-bit PCM; that has been logged.
    """
    try:
        async with asyncio.timeout(_FOREIGN_SECS):
            pcm = bytes(memoryview(await work))
        if len(pcm) % 2:
            raise ValueError(f"expected whole 16-bit samples, got {len(pcm)} bytes")
    except (Exception, asyncio.CancelledError) as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        report_unforeseen(error, f"{whose}, which is left out from here on")
        return None
    return pcm


class LineFilter:
    """Pipecat's audio filter; one that fails is left out from there on, and the call goes on.

    Args:
        audio_filter: It, started; None for none.
    """

    def __init__(self, audio_filter: BaseAudioFilter | None):
        self._filter = audio_filter
        self.is_there = audio_filter is not None
        """Whether there is one that works."""

    async def filtered(self, pcm: bytes) -> bytes:
        """What becomes of audio; empty while the filter waits for more."""
        if self._filter is None or not pcm:
            return pcm
        filtered = await sound_of(self._filter.filter(pcm), "an audio filter")
        if filtered is None:
            self._filter, self.is_there = None, False
            return pcm
        return filtered

    async def control(self, frame: FilterControlFrame) -> None:
        """Has the filter do what a frame says."""
        if self._filter is not None:
            await self._filter.process_frame(frame)


class LineSound:
    """Turns audio of any rate into what is sent; mu-law goes through as it is where it can.

    Args:
        audio_filter: Pipecat's output filter, started for 8000 Hz; None for none.
        volume: A factor on the samples.
    """

    def __init__(self, audio_filter: BaseAudioFilter | None = None, volume: float = 1.0):
        self._filter = LineFilter(audio_filter)
        self._volume = volume
        self._gain = 1.0
        self._resampler = Resampler(SAMPLE_RATE, SAMPLE_RATE)
        self._beside = Resampler(SAMPLE_RATE, SAMPLE_RATE)
        self.is_plain = True
        """Whether mu-law goes through as it is."""
        self._stands()

    def _stands(self) -> None:
        self.is_plain = not self._filter.is_there and self._volume * self._gain == 1.0

    async def control(self, frame: Frame) -> None:
        """Changes the volume or the filter, for the audio behind one of ``SOUND_CONTROLS``."""
        if not isinstance(frame, FilterControlFrame):
            self._volume = getattr(frame, "volume", self._volume)
            self._gain = getattr(frame, "gain", self._gain)
            self._stands()
        else:
            await self._filter.control(frame)

    async def mulaw_of(self, frame: OutputAudioRawFrame) -> bytes:
        """A frame's audio for the line; what the resampler keeps back comes with the next."""
        if isinstance(frame, MulawOutputFrame) and frame.mulaw:
            if self.is_plain:
                return frame.mulaw
            return await self._worked_on(decode_mulaw(frame.mulaw))
        if frame.sample_rate != self._resampler.input_rate:
            self._resampler = Resampler(frame.sample_rate, SAMPLE_RATE)
        return await self._worked_on(self._resampler.resample(frame.audio))

    async def mulaw_beside(self, frame: OutputAudioRawFrame) -> bytes:
        """The same for sound that is no speech, and may come between the frames of speech."""
        if frame.sample_rate != self._beside.input_rate:
            self._beside = Resampler(frame.sample_rate, SAMPLE_RATE)
        return await self._worked_on(self._beside.resample(frame.audio))

    async def flush(self) -> bytes:
        """The end of an utterance."""
        return await self._worked_on(self._resampler.flush())

    def reset(self) -> None:
        """Forgets what the resampler keeps back."""
        self._resampler.reset()

    async def _worked_on(self, pcm: bytes) -> bytes:
        if self._filter.is_there:
            pcm = await self._filter.filtered(pcm)
            self._stands()
        volume = self._volume * self._gain
        if volume != 1.0:
            samples = volume * np.frombuffer(pcm, dtype=np.int16).astype(np.float32)
            pcm = samples.clip(-32768, 32767).astype(np.int16).tobytes()
        return encode_mulaw(pcm)
