"""Recordings said over whole calls: simulated Twilio, server, transport, VAD, recogniser."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from pipecat.frames.frames import Frame, TranscriptionFrame, VADUserStoppedSpeakingFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from twilio_frames.audio import encode_mulaw
from twilio_frames.call import Call
from twilio_frames.examples.coffee_shop.hearing import coffee_shop_stt
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.server import Server, ServerSettings, create_app
from twilio_frames.testing import SimulatedTwilio

_TOKEN = "t" * 32
_UNTIL_RECOGNISED = 4.0

Listen = Callable[[bytes], Awaitable[list[str]]]


class _Ear(FrameProcessor):
    """Keeps the text of each utterance."""

    def __init__(self, texts: list[str]):
        super().__init__()
        self._texts = texts
        self.open = 0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame):
            self._texts.append(frame.text)
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            self.open += 1
        await self.push_frame(frame, direction)


@asynccontextmanager
async def through_calls() -> AsyncIterator[Listen]:
    """A way to have recordings understood: one call to the pipeline for each."""
    ears: asyncio.Queue[tuple[_Ear, list[str]]] = asyncio.Queue()
    calling = asyncio.Lock()

    async def bot(call: Call) -> None:
        texts: list[str] = []
        ear = _Ear(texts)
        stt = await coffee_shop_stt()
        pipeline = Pipeline([call.transport.input(), PhoneVAD(), stt, ear, call.transport.output()])
        ears.put_nowait((ear, texts))
        await call.run(pipeline)

    settings = ServerSettings(auth_token=_TOKEN)
    async with (
        Server(create_app(bot, settings)) as server,
        SimulatedTwilio(auth_token=_TOKEN) as twilio,
    ):

        async def listen(pcm: bytes) -> list[str]:
            # One call at a time is set up, so that each knows its own ear.
            await calling.acquire()
            try:
                ringing = twilio.call(f"{server.url}/twiml")
                caller = await ringing.__aenter__()
                ear, texts = await ears.get()
            finally:
                calling.release()
            try:
                await caller.wait(0.5)
                await caller.say(encode_mulaw(pcm))
                for _ in range(round(_UNTIL_RECOGNISED / 0.25)):
                    await caller.wait(0.25)
                    if ear.open and len(texts) >= ear.open:
                        await caller.wait(0.5)
                        break
                return list(texts)
            finally:
                await ringing.__aexit__(None, None, None)

        yield listen
