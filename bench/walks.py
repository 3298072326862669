"""How many files and calls of this package lie on the way of a voice, in either direction.

    python bench/walks.py [--list]

Three walks through a whole pipeline on a line of this process, in virtual time:

- *in*: one of Twilio's ``media`` messages, from the socket to the speech recogniser, where none is
  kept back for the next;
- *out*: one piece of a voice, in the middle of a sentence, from the TTS service to the socket, and
  from there, as its mark comes back, to the assistant's memory: a word with its time, and its
  audio, 60 ms. A piece is laid while others are sent and others are heard, so all is counted that
  happens from when one is laid until the next one is, which is each of these steps once;
- *begin*: the same where the bot begins to speak by it, from when it is laid until its word is in
  the memory: with a row of marks, and what all other processors make of that the bot speaks.

Counted by ``sys.setprofile``: each call of a function of this package between the first step and
the last, and the files that these functions stand in. Methods and properties count as functions,
comprehensions and lambdas do not; a coroutine counts once however often it goes on, and in the
middle of a sentence where it begins: what waits for the next mark began with the one before. What
else the event loop does meanwhile counts too, so each walk is taken many times, and the median is
told, of all calls and of different functions among them; ``--list`` shows one such walk, file by
file, in the order in which it goes.
"""

import argparse
import asyncio
import base64
import itertools
import json
import statistics
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from loguru import logger
from pipecat.frames.frames import Frame, TTSStartedFrame, TTSTextFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import STTService
from pipecat.workers.runner import WorkerRunner

import twilio_frames
from twilio_frames.frames import MulawOutputFrame
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.processors.words import HeardTextFrame
from twilio_frames.testing.virtual_time import VirtualEventLoop
from twilio_frames.transport import TwilioTransport

TIMES = 40
AHEAD = 10
PIECE_SECS = 0.02
WORD_SECS = 0.06
HERE = Path(twilio_frames.__file__).parent
ROOMS = (f"{HERE.resolve()}/", f"{HERE.parent.resolve()}/processors/")
TEST_ROOM = f"{HERE.resolve()}/testing/"


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
    """Counts the calls between a first step and a last.

    Args:
        takes_running: Whether coroutines count that had begun before the first step.
    """

    def __init__(self, *, takes_running: bool = True) -> None:
        self._takes_running = takes_running
        self.walks: list[Walk] = []
        self._walk: Walk | None = None
        self._seen: dict[int, FrameType] = {}
        self._ours: dict[CodeType, bool] = {}

    def begin(self) -> None:
        """The first step."""
        self._walk, self._seen = Walk(), {}
        sys.setprofile(self._called)

    def stop(self) -> None:
        """There is no more to be counted; what was begun last does not count."""
        sys.setprofile(None)
        self._walk = None

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
        # The instruction by which a function begins, or goes on, says which it is.
        if code.co_code[frame.f_lasti + 1] and not self._takes_running:
            return
        if id(frame) not in self._seen:
            # Kept, so that no other frame gets its place in memory.
            self._seen[id(frame)] = frame
            self._walk.calls.append(code)

    def _is_ours(self, code: CodeType) -> bool:
        ours = self._ours.get(code)
        if ours is None:
            path = str(Path(code.co_filename).resolve())
            is_here = path.startswith(ROOMS) and not path.startswith(TEST_ROOM)
            ours = self._ours[code] = is_here and not code.co_name.startswith("<")
        return ours

    def median(self) -> Walk:
        """The walk of the median number of calls."""
        walks = sorted(self.walks, key=lambda walk: len(walk.calls))
        return walks[len(walks) // 2]


class Socket:
    """The other end: says what it is told to, and sends every mark back when it is played.

    A stand-in for Starlette's ``WebSocket``.
    """

    application_state = None

    def __init__(self) -> None:
        self._said: asyncio.Queue[str] = asyncio.Queue()
        self._ends_at = 0.0
        self._number = 0
        self.on_read: Callable[[], None] = lambda: None
        self._reads = False

    def say(self, event: str, **content: object) -> None:
        """Sends a message to the bot, numbered as Twilio does."""
        message = {"event": event, "streamSid": "MZ1", **content}
        if event != "connected":
            self._number += 1
            message["sequenceNumber"] = str(self._number)
        self._said.put_nowait(json.dumps(message))

    async def receive(self) -> dict[str, str]:
        """Starlette's."""
        text = await self._said.get()
        if '"media"' in text:
            self.on_read()
        return {"type": "websocket.receive", "text": text}

    async def send_text(self, text: str) -> None:
        """Starlette's."""
        message, loop = json.loads(text), asyncio.get_running_loop()
        self._ends_at = max(self._ends_at, loop.time())
        if message["event"] == "media":
            self._ends_at += len(base64.b64decode(message["media"]["payload"])) / 8000
        elif message["event"] == "mark":
            loop.call_at(self._ends_at, partial(self.say, "mark", mark=message["mark"]))

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


class Memory:
    """Where the way out ends.

    Args:
        end: The assistant's end of the memory.
        reached: Called when a word comes.
    """

    def __init__(self, end: FrameProcessor, reached: Callable[[], None]):
        self._reached = reached
        self.came = asyncio.Event()
        end.add_event_handler("on_before_process_frame", self._takes)

    async def _takes(self, _: FrameProcessor, frame: Frame) -> None:
        if isinstance(frame, HeardTextFrame):
            self._reached()
            self.came.set()


class Call:
    """One call whose other end is here."""

    def __init__(self) -> None:
        self.socket = Socket()
        self.inward, self.beginning = Counter(), Counter()
        self.outward = Counter(takes_running=False)
        self.recogniser = Recogniser(self.inward.end)
        self.transport = TwilioTransport(self.socket)
        memory = PhoneContextAggregator(LLMContext())
        self.memory = Memory(memory.assistant(), self.beginning.end)
        parts = [
            self.transport.input(),
            PhoneVAD(step_secs=0.0),
            self.recogniser,
            memory.user(),
            self.transport.output(),
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
            self.socket.say("media", media=media)
            await self.recogniser.came.wait()
            await asyncio.sleep(PIECE_SECS)
        self.socket.on_read = lambda: None

    async def begins(self) -> None:
        """Walks out where the bot begins to speak, again and again."""
        say = await self._voice("begin")
        for number in range(TIMES):
            self.memory.came.clear()
            self.beginning.begin()
            await say(number)
            await self.memory.came.wait()
            await asyncio.sleep(2 * WORD_SECS)

    async def speaks(self) -> None:
        """Walks out in the middle of a sentence, again and again."""
        say = await self._voice("middle")
        for number in range(2 * AHEAD + TIMES):
            await say(number)
            if number >= AHEAD:
                await asyncio.sleep(WORD_SECS)
                self.outward.end()
            if number >= 2 * AHEAD:
                self.outward.begin()
        self.outward.stop()

    async def _voice(self, context_id: str) -> Callable[[int], Awaitable[None]]:
        output = self.transport.output()
        audio = bytes([0x80, 0x00] * int(8000 * WORD_SECS / 2))
        begins_at = output.get_clock().get_time()

        def word(number: int) -> TTSTextFrame:
            frame = TTSTextFrame("word", "word", context_id=context_id)
            frame.pts = begins_at + round(number * WORD_SECS * 1e9)
            return frame

        pieces = [MulawOutputFrame.of(audio, context_id=context_id) for _ in range(3 * TIMES)]

        async def say(number: int) -> None:
            await output.queue_frame(pieces[number])
            # Where the next one begins, the one before it ends.
            await output.queue_frame(word(number + 1))

        await output.queue_frame(TTSStartedFrame(context_id=context_id))
        await output.queue_frame(word(0))
        return say


async def walk() -> Call:
    """Takes both walks."""
    call = Call()
    form = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    start = {"streamSid": "MZ1", "callSid": "CA1", "tracks": ["inbound"], "mediaFormat": form}
    call.socket.say("connected", protocol="Call", version="1.0.0")
    call.socket.say("start", start=start)
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(call.worker)
    running = asyncio.create_task(runner.run())
    async with asyncio.timeout(60):
        await call.hears()
        await call.speaks()
        await asyncio.sleep(1.0)
        await call.begins()
    await call.worker.cancel()
    await running
    return call


def main() -> None:
    """Prints the walks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--list", action="store_true", help="show the files and their functions")
    shown = parser.parse_args().list
    logger.remove()
    with asyncio.Runner(loop_factory=VirtualEventLoop) as virtual:
        call = virtual.run(walk())
    walks = {"in": call.inward, "out": call.outward, "begin": call.beginning}
    for name, counter in walks.items():
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
