"""How many files and calls of this package lie on the way of a voice, in either direction.

    python bench/walks.py [--list]

Two walks through a whole pipeline on a line of this process:

- *in*: one of Twilio's ``media`` messages, from the socket to the speech recogniser, where none is
  kept back for the next;
- *out*: one piece of a voice, from the TTS service to the socket, and from there, as its mark comes
  back, to the assistant's memory: a word with its time, and its audio, 60 ms.

Counted by ``sys.setprofile``: each call of a function of this package between the first step and
the last, and the files that these functions stand in. Methods and properties count as functions,
comprehensions and lambdas do not; a coroutine counts once however often it goes on. What else the
event loop does meanwhile counts too, so each walk is taken many times, and the median is told, of
all calls and of different functions among them; ``--list`` shows one such walk, file by file, in
the order in which it goes.
"""

import argparse
import asyncio
import base64
import itertools
import json
import statistics
import sys
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from loguru import logger
from pipecat.frames.frames import Frame, TTSStartedFrame, TTSTextFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import STTService
from pipecat.workers.runner import WorkerRunner

import twilio_frames
from twilio_frames.frames import MulawOutputFrame
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.processors.words import HeardTextFrame
from twilio_frames.transport import TwilioTransport

TIMES = 40
PIECE_SECS = 0.02
WORD_SECS = 0.06
HERE = Path(twilio_frames.__file__).parent
ROOMS = (f"{HERE.resolve()}/", f"{HERE.parent.resolve()}/processors/")


@dataclass
class Walk:
    """The calls of one walk."""

    calls: list[CodeType] = field(default_factory=list)

    def files(self) -> dict[str, list[str]]:
        """The functions that were called, by file."""
        files: dict[str, list[str]] = {}
        for code in self.calls:
            name = code.co_filename.replace(f"{HERE.parent}/", "")
            files.setdefault(name, []).append(code.co_qualname)
        return files

    def rooms(self) -> int:
        """How often it goes from one folder to another."""
        folders = [Path(code.co_filename).parent for code in self.calls]
        return sum(one != other for one, other in itertools.pairwise(folders))


class Counter:
    """Counts the calls between a first step and a last."""

    def __init__(self) -> None:
        self.walks: list[Walk] = []
        self._walk: Walk | None = None
        self._seen: dict[int, FrameType] = {}
        self._ours: dict[CodeType, bool] = {}

    def begin(self) -> None:
        """The first step."""
        self._walk, self._seen = Walk(), {}
        sys.setprofile(self._called)

    def end(self) -> None:
        """The last step; nothing if no walk has begun."""
        sys.setprofile(None)
        if self._walk is not None:
            self.walks.append(self._walk)
        self._walk = None

    def _called(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "call" or self._walk is None or not self._is_ours(code):
            return
        if id(frame) not in self._seen:
            # Kept, so that no other frame gets its place in memory.
            self._seen[id(frame)] = frame
            self._walk.calls.append(code)

    def _is_ours(self, code: CodeType) -> bool:
        ours = self._ours.get(code)
        if ours is None:
            path = str(Path(code.co_filename).resolve())
            ours = self._ours[code] = path.startswith(ROOMS) and not code.co_name.startswith("<")
        return ours

    def median(self) -> Walk:
        """The walk of the median number of calls."""
        walks = sorted(self.walks, key=lambda walk: len(walk.calls))
        return walks[len(walks) // 2]


class Socket:
    """The other end: says what it is told to, and sends every mark back.

    A stand-in for Starlette's ``WebSocket``.
    """

    application_state = None

    def __init__(self) -> None:
        self._said: asyncio.Queue[str] = asyncio.Queue()
        self.on_read: Callable[[], None] = lambda: None
        self._reads = False

    def say(self, event: str, **content: object) -> None:
        """Sends a message to the bot."""
        self._said.put_nowait(json.dumps({"event": event, "streamSid": "MZ1", **content}))

    async def receive(self) -> dict[str, str]:
        """Starlette's."""
        text = await self._said.get()
        if '"media"' in text:
            self.on_read()
        return {"type": "websocket.receive", "text": text}

    async def send_text(self, text: str) -> None:
        """Starlette's."""
        message = json.loads(text)
        if message["event"] == "mark":
            self.say("mark", mark=message["mark"])

    async def close(self) -> None:
        """Starlette's."""
        self._said.put_nowait(json.dumps({"event": "stop", "streamSid": "MZ1"}))


class Recogniser(STTService):
    """Where the way in ends."""

    def __init__(self, reached: Callable[[], None]):
        settings = STTSettings(model=None, language=None)
        super().__init__(settings=settings, audio_passthrough=False, ttfs_p99_latency=0.0)
        self._reached = reached
        self.came = asyncio.Event()

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Notes that it is reached."""
        self._reached()
        self.came.set()
        yield None


class Until(FrameProcessor):
    """Where the way out ends: the memory's place."""

    def __init__(self, kind: type[Frame], reached: Callable[[], None]):
        super().__init__()
        self._kind = kind
        self._reached = reached
        self.came = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Notes that it is reached."""
        if isinstance(frame, self._kind):
            self._reached()
            self.came.set()
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


class Call:
    """One call whose other end is here."""

    def __init__(self) -> None:
        self.socket = Socket()
        self.inward, self.outward = Counter(), Counter()
        self.recogniser = Recogniser(self.inward.end)
        self.memory = Until(HeardTextFrame, self.outward.end)
        self.transport = TwilioTransport(self.socket)
        memory = PhoneContextAggregator(LLMContext())
        parts = [
            self.transport.input(),
            PhoneVAD(step_secs=0.0),
            self.recogniser,
            memory.user(),
            self.transport.output(),
            self.memory,
            memory.assistant(),
        ]
        rates = PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000)
        self.worker = PipelineWorker(Pipeline(parts), params=rates, enable_rtvi=False)

    async def hears(self) -> None:
        """Walks in, again and again."""
        self.socket.on_read = self.inward.begin
        audio = base64.b64encode(bytes([0xFF]) * int(8000 * PIECE_SECS)).decode()
        for number in range(TIMES):
            self.recogniser.came.clear()
            media = {"timestamp": str(number * 20), "payload": audio, "track": "inbound"}
            media["chunk"] = str(number + 1)
            self.socket.say("media", media=media, sequenceNumber=str(number + 2))
            await self.recogniser.came.wait()
            await asyncio.sleep(PIECE_SECS)
        self.socket.on_read = lambda: None

    async def speaks(self) -> None:
        """Walks out, again and again."""
        output = self.transport.output()
        audio = bytes([0x80, 0x00] * int(8000 * WORD_SECS / 2))
        begins_at = output.get_clock().get_time()

        def word(number: int) -> TTSTextFrame:
            frame = TTSTextFrame("word", "word", context_id="one")
            frame.pts = begins_at + round(number * WORD_SECS * 1e9)
            return frame

        await output.queue_frame(TTSStartedFrame(context_id="one"))
        await output.queue_frame(word(0))
        for number in range(TIMES):
            self.memory.came.clear()
            self.outward.begin()
            await output.queue_frame(MulawOutputFrame.of(audio, context_id="one"))
            # Where the next one begins, the one before it ends.
            await output.queue_frame(word(number + 1))
            await self.memory.came.wait()
            await asyncio.sleep(2 * WORD_SECS)


async def walk() -> Call:
    """Takes both walks."""
    call = Call()
    form = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    start = {"streamSid": "MZ1", "callSid": "CA1", "tracks": ["inbound"], "mediaFormat": form}
    call.socket.say("connected", protocol="Call", version="1.0.0")
    call.socket.say("start", start=start, sequenceNumber="1")
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(call.worker)
    running = asyncio.create_task(runner.run())
    async with asyncio.timeout(60):
        await call.hears()
        await call.speaks()
    await call.worker.cancel()
    await running
    return call


def main() -> None:
    """Prints the walks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--list", action="store_true", help="show the files and their functions")
    shown = parser.parse_args().list
    logger.remove()
    call = asyncio.run(walk())
    for name, counter in (("in", call.inward), ("out", call.outward)):
        found = counter.median()
        least = min(len(walk.calls) for walk in counter.walks)
        middle = statistics.median(len(walk.calls) for walk in counter.walks)
        print(
            f"{name}: {len(found.files())} files, {middle:g} calls (at least {least}) of "
            f"{len(set(found.calls))} functions, "
            f"{found.rooms()} changes of room, {len(counter.walks)} walks"
        )
        if shown:
            for file, functions in found.files().items():
                print(f"  {file}: {', '.join(functions)}")


if __name__ == "__main__":
    main()
