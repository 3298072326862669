"""STT, LLM and TTS that cost next to nothing, the same for every bot that is measured.

The transcript is there as soon as the VAD hears silence, a response is twelve words 10 ms apart,
and its speech is there at once: four seconds of a buzz without any pause, so that each quiet
moment within it is a gap. Keys the caller presses make them do what a measurement needs:
``5`` blocks the event loop for 200 ms, ``1`` has the bot say something.

They can be as far away as a vendor's are: ``BENCH_CONNECT_SECONDS`` is what STT and TTS take each
to connect, ``BENCH_SPEECH_SECONDS`` what the TTS takes to its first audio.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import fields
from typing import Any

import numpy as np
from aiohttp import web
from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    Frame,
    InputDTMFFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    StartFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings, ServiceSettings, STTSettings, TTSSettings
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService

ANSWER_SECS = 4.0
STALL_SECS = 0.2
CONNECT_SECS = float(os.environ.get("BENCH_CONNECT_SECONDS", "0"))
SPEECH_SECS = float(os.environ.get("BENCH_SPEECH_SECONDS", "0"))
STALL_KEY = "5"
SPEAK_KEY = "1"
GREETING = "Hello, how can I help?"

_WORDS = ("Sure, ", "that ", "is ", "on ", "its ", "way ", "and ", "will ", "arrive ", "there ")
_CHUNK_SAMPLES = 800


def note(event: str, **details: object) -> None:
    """Tells the process that measures; the time is the machine's monotonic clock."""
    sys.stdout.write(json.dumps({"event": event, "time": time.monotonic()} | details) + "\n")
    sys.stdout.flush()


async def serve(stream: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
    """Serves a bot's streams on a free port until it is killed, and tells where."""
    app = web.Application()
    app.router.add_get("/stream", stream)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    note("serving", url=f"ws://127.0.0.1:{runner.addresses[0][1]}/stream")
    await asyncio.Event().wait()


def _none_of(kind: type[ServiceSettings]) -> dict[str, Any]:
    """Pipecat asks for None in each setting that a service does not know."""
    return {f.name: None for f in fields(kind) if f.init and f.name != "extra"}


def _buzz() -> bytes:
    time_axis = np.arange(round(ANSWER_SECS * 8000)) / 8000
    return (9000 * np.sign(np.sin(2 * np.pi * 150 * time_axis))).astype(np.int16).tobytes()


_BUZZ = _buzz()


class Transcriber(STTService):
    """Knows what was said as soon as the VAD hears silence."""

    def __init__(self, **kwargs: Any):
        super().__init__(
            settings=STTSettings(**_none_of(STTSettings)), ttfs_p99_latency=0.0, **kwargs
        )

    async def start(self, frame: StartFrame) -> None:
        """Connects."""
        await super().start(frame)
        await asyncio.sleep(CONNECT_SECS)

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Makes nothing of the audio itself."""
        yield None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Takes the VAD's word for it, and obeys the keys."""
        await super().process_frame(frame, direction)
        if isinstance(frame, VADUserStoppedSpeakingFrame):
            words = TranscriptionFrame(
                text="When will it arrive?", user_id="", timestamp="", finalized=True
            )
            await self.push_frame(words)
        elif isinstance(frame, InputDTMFFrame):
            await self._obey(frame.button.value)

    async def _obey(self, key: str) -> None:
        if key == STALL_KEY:
            time.sleep(STALL_SECS)  # noqa: ASYNC251  # the stall that is to be measured
        elif key == SPEAK_KEY:
            await self.push_frame(TTSSpeakFrame("Hello."))


class Responder(LLMService):
    """Says the same to everything."""

    def __init__(self, **kwargs: Any):
        super().__init__(settings=LLMSettings(**_none_of(LLMSettings)), **kwargs)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Responds to a context frame."""
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(LLMFullResponseStartFrame())
        for word in (*_WORDS, "on ", "Friday."):
            await asyncio.sleep(0.01)
            await self.push_frame(LLMTextFrame(word))
        await self.push_frame(LLMFullResponseEndFrame())


class Speaker(TTSService):
    """Buzzes; notes when the pipeline says that the bot has stopped speaking.

    Args:
        call_sid: The call, for the note.
    """

    def __init__(self, call_sid: str, **kwargs: Any):
        settings = TTSSettings(**_none_of(TTSSettings))
        super().__init__(settings=settings, push_start_frame=True, push_stop_frames=True, **kwargs)
        self._call_sid = call_sid

    async def start(self, frame: StartFrame) -> None:
        """Connects."""
        await super().start(frame)
        await asyncio.sleep(CONNECT_SECS)

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Has all of the speech at once, in pieces of 100 ms."""
        await asyncio.sleep(SPEECH_SECS)
        for begin in range(0, len(_BUZZ), 2 * _CHUNK_SAMPLES):
            piece = _BUZZ[begin : begin + 2 * _CHUNK_SAMPLES]
            yield TTSAudioRawFrame(piece, 8000, 1, context_id=context_id)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Listens for the end of the bot's speech."""
        if isinstance(frame, BotStoppedSpeakingFrame):
            note("stopped", call_sid=self._call_sid)
        await super().process_frame(frame, direction)
