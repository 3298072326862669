"""What becomes of a caller whom a recogniser cannot hear."""

import asyncio
import time
from typing import Any

from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    StartFrame,
    TTSSpeakFrame,
    UserAudioRawFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.stt_service import STTService
from pipecat.utils.errors import ErrorCategory

from twilio_frames.frames import VendorRole
from twilio_frames.pipecat_internals import set_speaker
from twilio_frames.processors.fallback.vendor_watch import WatchedVendor
from twilio_frames.processors.replies.apology import Apology
from twilio_frames.services.line_audio import LineAudio

__all__ = ["OutageAnnouncer"]

_MOST_APOLOGIES = 3
_FAILOVER_SECS = 0.1


class OutageAnnouncer(WatchedVendor, STTService):
    """A base of recognisers that tell when they cannot hear: the pipeline, then the caller.

    The caller is told a moment later than the pipeline, and only if audio still comes: a
    ``ServiceSwitcher`` may have gone over to another service, and then nothing is amiss. Who speaks
    nonetheless is told again, three times in all for each time of deafness.

    Args:
        apology: What the caller is told; empty to stay silent.
        **kwargs: Passed to Pipecat's service.
    """

    vendor_role = VendorRole.STT
    hears_line_audio: bool = True
    """Whether it takes the line's own audio from a frame, whatever rate its PCM has."""

    def __init__(self, *, apology: str, **kwargs: Any):
        super().__init__(**kwargs)
        self._apology = Apology(apology, times=_MOST_APOLOGIES)
        self._apologises_at: float | None = None
        self.is_out = False
        self._has_started = asyncio.Event()
        self._line_audio = LineAudio()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Apologises to a caller who has spoken and was not heard."""
        await super().process_frame(frame, direction)
        match frame:
            case StartFrame():
                self._has_started.set()
            case VADUserStoppedSpeakingFrame() if self.is_out and self._apologises_at is None:
                await self._apologise()
            case _:
                pass

    async def process_audio_frame(
        self, frame: InputAudioRawFrame, direction: FrameDirection
    ) -> None:
        """Has the frame's mu-law heard, unless the service is muted or not usable."""
        if self._apologises_at is not None and time.monotonic() >= self._apologises_at:
            # The caller is still brought here: no other service has taken over.
            self._apologises_at = None
            await self._apologise()
        if self.is_muted or not self.is_usable:
            return
        set_speaker(self, frame.user_id if isinstance(frame, UserAudioRawFrame) else "")
        await self.process_generator(self.run_stt(self._line_audio.mulaw_of(frame)))

    async def enter_outage(
        self,
        message: str,
        *,
        category: ErrorCategory,
        error: Exception | None = None,
    ) -> None:
        """Reports that the caller cannot be heard; apologises if no other service takes over.

        The service is not usable from here on.

        Args:
            message: What happened, and what to do.
            category: Pipecat's word for it.
            error: What it came from.
        """
        await self._has_started.wait()
        self.is_out = True
        self._apology.begin_anew()
        await self.push_error(
            message, exception=error, category=category, force_treat_as_permanent=True
        )
        self._apologises_at = time.monotonic() + _FAILOVER_SECS

    async def leave_outage(self) -> None:
        """Notes that the caller can be heard; the service is usable again."""
        self.forget_outage()
        await self.set_usable(True)

    def forget_outage(self) -> None:
        """Notes that nothing is known against the caller's being heard."""
        self.is_out = False
        self._apologises_at = None

    async def _apologise(self) -> None:
        if apology := self._apology.take():
            await self.push_frame(TTSSpeakFrame(apology))
