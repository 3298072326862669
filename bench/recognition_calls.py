"""Recordings said over whole calls: simulated Twilio, server, transport, VAD, recogniser."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pipecat.frames.frames import (
    Frame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from twilio_frames.audio import encode_mulaw
from twilio_frames.call import Call
from twilio_frames.frames import NoWordsFrame
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.server import Server, ServerSettings, create_app
from twilio_frames.testing import SimulatedTwilio

_TOKEN = "t" * 32
_UNTIL_RECOGNISED = 20.0
_STEP = 0.25


@dataclass
class Heard:
    """What came of one recording.

    Args:
        texts: What each utterance was taken for.
        cpu_secs: What each utterance cost, from its end to its words.
        speech_secs: How long the utterances were.
    """

    texts: list[str] = field(default_factory=list)
    cpu_secs: list[float] = field(default_factory=list)
    speech_secs: float = 0.0


Listen = Callable[[bytes], Awaitable[Heard]]


class _Ends(FrameProcessor):
    """Stands ahead of a recogniser, and notes when utterances begin and end."""

    def __init__(self, heard: Heard):
        super().__init__()
        self._heard = heard
        self._began = 0.0
        self.open: list[float] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, VADUserStartedSpeakingFrame):
            self._began = time.monotonic() - frame.start_secs
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            self._heard.speech_secs += time.monotonic() - self._began
            self.open.append(time.process_time())
        await self.push_frame(frame, direction)


class _Ear(FrameProcessor):
    """Stands behind a recogniser, and keeps the text of each utterance."""

    def __init__(self, heard: Heard, ends: _Ends):
        super().__init__()
        self._heard = heard
        self._ends = ends

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame):
            self._heard.texts.append(frame.text)
        if isinstance(frame, TranscriptionFrame | NoWordsFrame) and self._ends.open:
            self._heard.cpu_secs.append(time.process_time() - self._ends.open.pop(0))
        await self.push_frame(frame, direction)


@asynccontextmanager
async def through_calls(make_stt: Callable[[], Any]) -> AsyncIterator[Listen]:
    """A way to have recordings understood: one call to the pipeline for each.

    Args:
        make_stt: Gives a recogniser for a call, or a coroutine that does.
    """
    ears: asyncio.Queue[tuple[Heard, _Ends]] = asyncio.Queue()

    async def made() -> Any:
        stt = make_stt()
        return await stt if inspect.isawaitable(stt) else stt

    # What it lacks is said before there are calls, and what all calls share is loaded.
    await made()

    async def bot(call: Call) -> None:
        stt = await made()
        heard = Heard()
        ends = _Ends(heard)
        parts = [PhoneVAD(), ends, stt, _Ear(heard, ends)]
        ears.put_nowait((heard, ends))
        await call.run(Pipeline([call.transport.input(), *parts, call.transport.output()]))

    settings = ServerSettings(auth_token=_TOKEN)
    async with (
        Server(create_app(bot, settings)) as server,
        SimulatedTwilio(auth_token=_TOKEN) as twilio,
    ):

        async def listen(pcm: bytes) -> Heard:
            async with twilio.call(f"{server.url}/twiml") as caller:
                async with asyncio.timeout(_UNTIL_RECOGNISED):
                    heard, ends = await ears.get()
                await caller.wait(0.5)
                await caller.say(encode_mulaw(pcm))
                await caller.wait(1.5)  # until the VAD is sure
                for _ in range(round(_UNTIL_RECOGNISED / _STEP)):
                    if not ends.open:
                        break
                    await caller.wait(_STEP)
                await caller.wait(0.5)
            return heard

        yield listen
