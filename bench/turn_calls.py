"""Calls in virtual time for ``turn_ends.py``: a recorded caller, and a bot that answers."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    Frame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMTextFrame,
    StartFrame,
    TranscriptionFrame,
    UserStoppedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import STTService
from pipecat.workers.runner import WorkerRunner
from turn_recordings import Turn

from twilio_frames.audio import SAMPLE_RATE, encode_mulaw
from twilio_frames.call import phone_worker
from twilio_frames.frames import MulawInputFrame
from twilio_frames.processors.llm import PythonLLMService

RECOGNISER_SECS = 0.15
"""How far the recogniser is behind, and how long it takes for its last words."""
FIRST_WORD_SECS = 0.4
"""How long the LLM takes to its first word."""
_FIRST_AUDIO_SECS = 0.15
_REPLY_SECS = 1.0
_PATIENCE_SECS = 5.0
_FRAME_SECS = 0.02
_FRAME_BYTES = 320


@dataclass
class Heard:
    """What came of the turns of one setting; seconds.

    Parameters:
        turns: How many there were.
        cut: In how many the bot took a pause for the end.
        pauses: How many pauses of 0.2 s and more they had.
        false_ends: How many of the pauses were taken for the end.
        delays: From each true end to the turn's end.
        replies: From each true end to the LLM's first word that is let through.
        unended: How many turns did not end.
        started: How many replies were asked of the LLM.
        cpu_secs: What it all cost.
        audio_secs: How long the calls were.
    """

    turns: int = 0
    cut: int = 0
    pauses: int = 0
    false_ends: int = 0
    delays: list[float] = field(default_factory=list)
    replies: list[float] = field(default_factory=list)
    unended: int = 0
    started: int = 0
    cpu_secs: float = 0.0
    audio_secs: float = 0.0


class Line:
    """Where the call is: the turn that is spoken, and what the bot did in it."""

    def __init__(self):
        self.turn: Turn | None = None
        self.began_at = 0.0
        self.ends: list[float] = []
        self.first_words: list[float] = []
        self.bot_is_silent = asyncio.Event()
        self.bot_is_silent.set()

    def words_by(self, secs: float) -> int:
        """How many of the turn's words have been spoken by then."""
        if self.turn is None:
            return 0
        spoken = sum(max(0.0, min(b, secs) - a) for a, b in self.turn.spoken)
        share = spoken / sum(b - a for a, b in self.turn.spoken)
        return round(len(self.turn.words) * min(1.0, share))


class Recogniser(STTService):
    """Streams the words as they are spoken; the last ones come when the VAD has heard the end."""

    def __init__(self, line: Line, **kwargs: Any):
        settings = STTSettings(model=None, language=None)
        super().__init__(settings=settings, ttfs_p99_latency=0.35, **kwargs)
        self._line = line
        self._turn: Turn | None = None
        self._given = 0
        self._told = 0

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Makes nothing of the audio itself."""
        yield None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Begins with the call, and gives the last words at the end of speech."""
        await super().process_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self.create_task(self._stream(), "stream")
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            self.create_task(self._finish(), "finish")

    def _new_words(self) -> str:
        if self._turn is not self._line.turn:
            self._turn, self._given, self._told = self._line.turn, 0, 0
        by = time.monotonic() - self._line.began_at - RECOGNISER_SECS
        self._told = max(self._told, self._line.words_by(by))
        return " ".join(self._turn.words[self._given : self._told]) if self._turn else ""

    async def _stream(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            told = self._told
            words = self._new_words()
            if self._told != told and words:
                await self.push_frame(InterimTranscriptionFrame(words, "", ""))

    async def _finish(self) -> None:
        await asyncio.sleep(RECOGNISER_SECS)
        if words := self._new_words():
            self._given = self._told
            await self.push_frame(TranscriptionFrame(words, "", "", finalized=True))


class Responder(PythonLLMService):
    """Says the same to everything, after a while."""

    async def respond(self, context: LLMContext) -> AsyncIterator[str]:
        """Two pieces of text."""
        heard.started += 1
        await asyncio.sleep(FIRST_WORD_SECS)
        yield "Right you are. "
        yield "What else?"


class Mouth(FrameProcessor):
    """Stands in for TTS and line, and notes what the caller would notice."""

    def __init__(self, line: Line):
        super().__init__()
        self._line = line
        self._speaking: asyncio.Task[None] | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Notes the end of a turn and the first words of a reply, and speaks them."""
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        match frame:
            case UserStoppedSpeakingFrame():
                self._line.ends.append(time.monotonic())
            case LLMTextFrame() if self._speaking is None:
                self._line.first_words.append(time.monotonic())
                self._line.bot_is_silent.clear()
                self._speaking = self.create_task(self._speak(), "speak")
            case InterruptionFrame() if self._speaking is not None:
                await self.cancel_task(self._speaking)
                await self._fall_silent()
            case _:
                pass

    async def _speak(self) -> None:
        await asyncio.sleep(_FIRST_AUDIO_SECS)
        await self.broadcast_frame(BotStartedSpeakingFrame)
        await asyncio.sleep(_REPLY_SECS)
        await self._fall_silent()

    async def _fall_silent(self) -> None:
        self._speaking = None
        await self.broadcast_frame(BotStoppedSpeakingFrame)
        self._line.bot_is_silent.set()


heard = Heard()
"""What the setting that is being measured came to."""


async def call(line: Line, pipeline: Pipeline, turns: Sequence[Turn]) -> None:
    """Makes one call, and adds what came of it to ``heard``."""
    worker = phone_worker(pipeline)
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    noise = np.random.default_rng(4).normal(0, 30, 8 * SAMPLE_RATE).astype(np.int16).tobytes()

    async def send(pcm: bytes) -> None:
        for begin in range(0, len(pcm) - _FRAME_BYTES + 1, _FRAME_BYTES):
            piece = pcm[begin : begin + _FRAME_BYTES]
            frame = MulawInputFrame(piece, SAMPLE_RATE, 1, mulaw=encode_mulaw(piece))
            await worker.queue_frame(frame)
            await asyncio.sleep(_FRAME_SECS)
            heard.audio_secs += _FRAME_SECS

    await send(noise[: SAMPLE_RATE * 2])
    for turn in turns:
        line.turn, line.began_at = turn, time.monotonic()
        line.ends.clear()
        line.first_words.clear()
        await send(turn.pcm)
        true_end = line.began_at + turn.end
        while time.monotonic() < true_end + _PATIENCE_SECS:
            await send(noise[: 10 * _FRAME_BYTES])
            if any(at > true_end for at in line.first_words) and line.bot_is_silent.is_set():
                break
        await send(noise[: SAMPLE_RATE * 2])
        _note(line, turn, true_end)
    await worker.queue_frame(EndFrame())
    await running


def _note(line: Line, turn: Turn, true_end: float) -> None:
    # A window of the VAD is the best that the true end is known by.
    false_ends = [at for at in line.ends if at < true_end - 0.05]
    ends = [at for at in line.ends if at >= true_end - 0.05]
    replies = [at for at in line.first_words if at >= true_end - 0.05]
    heard.turns += 1
    heard.cut += bool(false_ends)
    heard.pauses += len(turn.pauses)
    heard.false_ends += len(false_ends)
    heard.unended += not ends
    heard.delays += [ends[0] - true_end] if ends else []
    heard.replies += [replies[0] - true_end] if replies else []
