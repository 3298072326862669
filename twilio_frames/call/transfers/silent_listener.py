"""A bot that has put its caller through stays as a silent listener: it hears both, and remembers.

Twilio sends both sides of the caller's call on a one-way stream, which can carry no word back. Each
side has a recogniser of its own, in a pipeline of its own: the bot's is away meanwhile, and none of
this is a turn in it.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from hmac import compare_digest
from xml.sax.saxutils import quoteattr

from pipecat.frames.frames import EndFrame, TranscriptionFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameProcessor

from twilio_frames.audio import MULAW_SILENCE, SAMPLE_RATE, decode_mulaw
from twilio_frames.frames import MulawInputFrame
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.protocol import INBOUND, OUTBOUND, Media
from twilio_frames.running import PipelineRun
from twilio_frames.twiml import OtherTwiml
from twilio_frames.worker import phone_worker

__all__ = ["SilentListener"]

_SILENCE = bytes([MULAW_SILENCE]) * SAMPLE_RATE
"""Behind the end, for a recogniser that waits for the end of what is being said."""

Tell = Callable[[str, str], Awaitable[None]]
"""Told who (``caller`` or ``person``) has said what."""


class SilentListener:
    """Hears both sides of a call on a one-way stream.

    Args:
        stt: Makes a recogniser; for the caller first, then for the person.
        tell: Told of who said what.
    """

    def __init__(self, stt: Callable[[], FrameProcessor], tell: Tell):
        self._stt = stt
        self._tell = tell
        self._ticket = secrets.token_urlsafe(32)
        self.over = asyncio.Event()
        """Set when the two have parted; Twilio's stream would go on to the end of the call."""

    def admits(self, ticket: str) -> bool:
        """Whether a stream is the one that was asked for; once."""
        is_it = compare_digest(self._ticket.encode(), ticket.encode("utf-8", "surrogatepass"))
        if is_it:
            self._ticket = secrets.token_urlsafe(32)
        return is_it

    def asked_for(self, url: str, consult_id: str) -> OtherTwiml:
        """The verb that has Twilio open the stream."""
        parameters = "".join(
            f"<Parameter name={quoteattr(name)} value={quoteattr(value)}/>"
            for name, value in {"consult": consult_id, "ticket": self._ticket}.items()
        )
        stream = f'<Stream url={quoteattr(url)} track="both_tracks">{parameters}</Stream>'
        return OtherTwiml(xml=f"<Start>{stream}</Start>")

    async def listen(self, heard: AsyncIterator[Media]) -> None:
        """Listens until the stream ends, or they have parted."""
        names = {INBOUND: "caller", OUTBOUND: "person"}
        sides = {track: _Side(self._stt(), name, self._tell) for track, name in names.items()}
        hearing = asyncio.create_task(_hear(heard, sides))
        parting = asyncio.create_task(self.over.wait())
        try:
            await asyncio.wait({hearing, parting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hearing.cancel()
            parting.cancel()
            await asyncio.gather(*(side.end() for side in sides.values()))


async def _hear(heard: AsyncIterator[Media], sides: "dict[str, _Side]") -> None:
    async for media in heard:
        if side := sides.get(media.track):
            await side.hear(media.payload)


class _Side(BaseObserver):
    """One of the two, as a recogniser hears them."""

    def __init__(self, stt: FrameProcessor, who: str, tell: Tell):
        super().__init__(observe_every_push=False)
        self._who = who
        self._tell = tell
        self._worker = phone_worker(Pipeline([PhoneVAD(), stt]), observers=[self])
        self._run = PipelineRun(self._worker, f"the {who}, heard by a silent listener")
        self._running = asyncio.create_task(self._run.run(lambda: None), name="silent-listener")

    async def hear(self, mulaw: bytes) -> None:
        pcm = decode_mulaw(mulaw)
        frame = MulawInputFrame(audio=pcm, sample_rate=SAMPLE_RATE, num_channels=1, mulaw=mulaw)
        await self._worker.queue_frame(frame)

    async def end(self) -> None:
        """Hears the last words, in bounded time."""
        await self.hear(_SILENCE)
        await self._worker.queue_frame(EndFrame())
        # The recognisers may take a moment over the last words.
        await asyncio.wait({self._running}, timeout=5.0)
        if not self._running.done():
            await self._run.stop("the conversation is over")

    async def on_push_frame(self, data: FramePushed) -> None:
        if isinstance(data.frame, TranscriptionFrame):
            await self._tell(self._who, data.frame.text)
