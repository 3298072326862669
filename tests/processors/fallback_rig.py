"""Vendors that do as they are told, and a pipeline around a fallback."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import numpy as np
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InterimTranscriptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSTextFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import STTService
from pipecat.utils.errors import ErrorCategory
from pipecat.workers.runner import WorkerRunner

from tests.transport.bots import Tap, tone
from twilio_frames.frames import VendorSwitchedFrame
from twilio_frames.processors.fallback.vendor_health import VendorList
from twilio_frames.processors.llm import PythonLLMService
from twilio_frames.processors.tts import PythonTTSService, SpeechChunk, SpokenWord

HANG = "HANG"
"""In a script: nothing more comes."""


class Clock:
    """A clock that the test moves."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def vendors(clock: Callable[[], float] | None = None) -> VendorList:
    return VendorList(clock=clock or Clock())


class ScriptedLLM(PythonLLMService):
    """Gives its scripts, one a reply: pieces of text, HANG, or an exception."""

    def __init__(self, *scripts: Sequence[str | Exception], apology: str = "First's apology."):
        super().__init__(apology=apology)
        self.scripts = list(scripts)
        self.asked: list[LLMContext] = []
        self.has_come = asyncio.Event()

    async def respond(self, context: LLMContext) -> AsyncIterator[str]:
        self.asked.append(context)
        for piece in self.scripts.pop(0) if self.scripts else ["Fine."]:
            if isinstance(piece, Exception):
                raise piece
            if piece == HANG:
                self.has_come.set()
                await asyncio.Event().wait()
            yield piece


class ScriptedTTS(PythonTTSService):
    """Speaks 0.4 s a word, in tones of its own; a word of its script breaks it off there."""

    def __init__(self, *, fails_at: Mapping[str, str | Exception] | None = None, **kwargs):
        super().__init__(**kwargs)
        self.fails_at: Mapping[str, str | Exception] = fails_at or {}
        self.texts: list[str] = []

    @property
    def voice(self) -> str | None:
        return str(self._settings.voice)

    async def synthesise(self, text: str) -> AsyncIterator[SpeechChunk]:
        self.texts.append(text)
        for word in text.split():
            match self.fails_at.get(word):
                case None:
                    pcm = tone(0.4, rate=8000)
                    yield SpeechChunk(pcm=pcm, sample_rate=8000, words=(SpokenWord(text=word),))
                case Exception() as error:
                    raise error
                case _:
                    await asyncio.Event().wait()


class TimedTTS(ScriptedTTS):
    gives_word_times = True


class ScriptedSTT(STTService):
    """A streaming recogniser that counts the audio it gets, and says so at the end of speech."""

    def __init__(self, name: str, *, is_deaf: bool = False):
        super().__init__(
            ttfs_p99_latency=0.1, name=name, settings=STTSettings(model=None, language=None)
        )
        self.is_deaf = is_deaf
        self.heard: list[int] = []

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        self.heard.append(int(np.frombuffer(audio, dtype=np.int16)[0]))
        yield None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, VADUserStoppedSpeakingFrame) and not self.is_deaf:
            await self.hear("final")

    async def hear(self, text: str) -> None:
        await self.push_frame(TranscriptionFrame(f"{self.name} {text}", "", "", finalized=True))

    async def half_hear(self, text: str) -> None:
        await self.push_frame(InterimTranscriptionFrame(text, "", ""))

    async def break_down(self, category: ErrorCategory = ErrorCategory.CONNECTIVITY) -> None:
        await self.push_error("expected words, got nothing", category=category)


_Kind = TypeVar("_Kind", bound=Frame)


def passed(tap: Tap, kind: type[_Kind]) -> list[_Kind]:
    """The frames of a kind that a tap has seen."""
    return [frame for frame, _ in tap.seen if isinstance(frame, kind)]


class Rig:
    """A fallback in a pipeline, with taps on either side."""

    def __init__(self, fallback):
        self.before, self.after = Tap(), Tap()
        self.fallback = fallback
        self.worker = PipelineWorker(
            Pipeline([self.before, fallback, self.after]),
            params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
            enable_rtvi=False,
        )

    async def give(self, *frames: Frame) -> None:
        await self.worker.queue_frames(frames)

    def passed(self, kind: type[_Kind]) -> list[_Kind]:
        return passed(self.after, kind)

    @property
    def errors(self) -> list[ErrorFrame]:
        return passed(self.before, ErrorFrame)

    @property
    def switches(self) -> list[tuple[str, str]]:
        frames = self.passed(VendorSwitchedFrame)
        return [(frame.vendor, frame.successor) for frame in frames]

    async def switched(self) -> None:
        await self.after.wait_for(VendorSwitchedFrame)

    def said(self) -> str:
        return "".join(frame.text for frame in self.passed(LLMTextFrame))

    def words(self) -> list[str]:
        frames = self.passed(TTSTextFrame)
        return [word for frame in frames for word in frame.text.split()]

    def transcripts(self) -> list[str]:
        return [frame.text for frame in self.passed(TranscriptionFrame)]

    async def replied(self, times: int = 1) -> None:
        await self.after.wait_for(LLMFullResponseEndFrame, count=times)


@asynccontextmanager
async def running(fallback) -> AsyncIterator[Rig]:
    rig = Rig(fallback)
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(rig.worker)
    task = asyncio.create_task(runner.run())
    try:
        async with asyncio.timeout(15):
            yield rig
    finally:
        await rig.worker.cancel()
        await task


def asked(text: str = "hello") -> LLMContextFrame:
    return LLMContextFrame(LLMContext([{"role": "user", "content": text}]))


def began() -> Frame:
    return VADUserStartedSpeakingFrame()


def ended() -> Frame:
    return VADUserStoppedSpeakingFrame()
