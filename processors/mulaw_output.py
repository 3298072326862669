"""The bot's voice on the line: PCM to mu-law, paced, with a mark behind each message.

Theory of operation
-------------------
Twilio plays what it has at 8000 bytes a second. Sent exactly in time, every stall of the event
loop is a hole in the sentence; sent all at once, the caller hears on for seconds after an
interruption unless a ``clear`` arrives. So Twilio is kept a *lead* ahead
(``TwilioParams.lead_secs``): the moment at which the audio sent so far will have been played is
known, and the next message leaves one lead before it. The clock is absolute: after a stall the
following messages leave without a pause until the lead is whole again.

Behind each message goes a mark. Its echo says that the message has been played, so the end of an
utterance is when its last mark comes back, not when its last byte was sent. An interruption sends
``clear``, on which Twilio returns all marks at once; whoever waits for one then wakes up. Audio
that may not be interrupted is not cleared.
"""

import asyncio
import time
from typing import Protocol

from pipecat.frames.frames import (
    CancelFrame,
    ControlFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    OutputAudioRawFrame,
    OutputTransportReadyFrame,
    StartFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.transports.base_output import BaseOutputTransport

from twilio_frames.audio import SAMPLE_RATE, Resampler, encode_mulaw
from twilio_frames.frames import (
    CallEndReason,
    MarkSentFrame,
    SendMarkFrame,
)
from twilio_frames.processors.media_sender import install_sender
from twilio_frames.protocol import BotMessage, Clear, Playback, SendMark, SendMedia

AUTO_MARK = "heard:"
"""What the names of this output's own marks begin with; the number behind it is a position."""


class Line(Protocol):
    """The way to Twilio: what the output asks of whoever owns the socket."""

    playback: Playback

    @property
    def is_open(self) -> bool:
        """Whether messages can still be sent."""
        ...

    async def send(self, message: BotMessage) -> bool:
        """Sends a message in bounded time; False if the line is closed."""
        ...

    async def wait_until_heard(self, position: int, patience: float) -> bool:
        """Waits until a mark says that audio was played, or flushed, up to a position."""
        ...

    async def close(self, reason: CallEndReason, detail: str) -> None:
        """Closes the line in bounded time."""
        ...


class OutputTiming(Protocol):
    """The parameters the output reads; see :class:`twilio_frames.transport.TwilioParams`."""

    lead_secs: float
    playout_timeout_secs: float


class MulawOutput(BaseOutputTransport):
    """Speaks to the caller. The last thing of a phone bot's pipeline but the assistant's memory.

    Takes Pipecat's audio of any rate and :class:`twilio_frames.frames.MulawOutputFrame`. A
    :class:`twilio_frames.frames.SendMarkFrame` sets a mark behind the audio queued before it.

    Args:
        line: The way to Twilio.
        params: Pipecat's transport parameters, with ``lead_secs`` and ``playout_timeout_secs``.
    """

    def __init__(self, line: Line, params, **kwargs):
        super().__init__(params, **kwargs)
        self._line = line
        self._timing: OutputTiming = params
        self._resampler = Resampler(SAMPLE_RATE, SAMPLE_RATE)
        self._interrupted = asyncio.Event()
        self._marks_are_lost = False
        self._stale_below = 0
        self._protected_until = 0.0

    async def start(self, frame: StartFrame):
        """Makes ready to speak."""
        await super().start(frame)
        if self.sample_rate != SAMPLE_RATE:
            self._resampler = Resampler(self.sample_rate, SAMPLE_RATE)
        await install_sender(self, frame, self.wait_until_played)
        await self.push_frame(OutputTransportReadyFrame(), FrameDirection.UPSTREAM)

    async def stop(self, frame: EndFrame):
        """Says what is queued, waits until it has been heard, and closes the line."""
        await super().stop(frame)
        await self.wait_until_played()
        await self._line.close(CallEndReason.BOT_HUNG_UP, "pipeline ended")

    async def cancel(self, frame: CancelFrame):
        """Stops at once and closes the line; what Twilio still holds may be cut off."""
        await super().cancel(frame)
        await self._line.close(CallEndReason.BOT_HUNG_UP, "pipeline cancelled")

    async def cleanup(self):
        """Closes the line, if nothing has yet."""
        await super().cleanup()
        await self._line.close(CallEndReason.ERROR, "pipeline broke off")

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        """Pipecat's own, and an interruption empties Twilio's buffer too."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame):
            await self._clear()

    async def _clear(self) -> None:
        # What left the queue before it was emptied, and is not sent yet, is stale from here on.
        # Frames are numbered as they are made.
        self._stale_below = ControlFrame().id
        self._resampler.reset()
        self._interrupted.set()
        now = time.monotonic()
        if self._line.playback.is_playing(now) and now >= self._protected_until:
            await self._line.send(Clear())

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        """Sends audio and a mark, and returns when the next is due."""
        if frame.interruptible and frame.id < self._stale_below:
            return False
        self._interrupted.clear()
        mulaw = encode_mulaw(self._resampler.resample(frame.audio))
        if not mulaw:
            return True
        if not await self._line.send(SendMedia(payload=mulaw)):
            # A mixer never runs dry: without a pause it would keep the event loop busy for good.
            await asyncio.sleep(len(mulaw) / SAMPLE_RATE if self._params.audio_out_mixer else 0)
            return False
        if not frame.interruptible:
            self._protected_until = self._line.playback.ends_at
        await self._line.send(SendMark(name=f"{AUTO_MARK}{self._line.playback.sent}"))
        await self._pace()
        return True

    async def _pace(self) -> None:
        wait = self._line.playback.ends_at - self._timing.lead_secs - time.monotonic()
        if wait <= 0:
            return
        try:
            async with asyncio.timeout(wait):
                await self._interrupted.wait()
        except TimeoutError:
            return

    async def wait_until_played(self) -> None:
        """Returns when the audio sent so far has been heard, or thrown away by an interruption.

        Goes by the marks, and by the clock if they do not come back.
        """
        playback = self._line.playback
        remaining = max(0.0, playback.ends_at - time.monotonic())
        patience = 0.0 if self._marks_are_lost else self._timing.playout_timeout_secs
        heard = await self._line.wait_until_heard(playback.sent, remaining + patience)
        self._marks_are_lost = not heard and not playback.echoed

    async def write_transport_frame(self, frame: Frame):
        """Sets a mark where a frame in the audio queue asks for one."""
        if not isinstance(frame, SendMarkFrame):
            return
        if await self._line.send(SendMark(name=frame.mark)):
            await self.broadcast_frame(
                MarkSentFrame, mark=frame.mark, position=self._line.playback.sent
            )
