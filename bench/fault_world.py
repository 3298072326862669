"""A phone line of this process whose every part can go wrong: what ``faults.py`` tries bots on.

Two workers with one register stand behind a proxy; a simulated Twilio rings them, with its REST
API; Deepgram, OpenAI and Cartesia are the local servers of :mod:`twilio_frames.testing.vendors`.
Between any two of them is a :class:`fault_doors.Door`.
"""

import asyncio
import contextlib
import fcntl
import itertools
import os
import resource
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from fault_doors import DIES, GARBAGE, HANG, REFUSED, SLOW, SLOW_SECS, Door
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext

from twilio_frames.call import Call
from twilio_frames.fleet.register import RegisterError
from twilio_frames.fleet.sqlite import SqliteRegister
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.server import FleetSettings, Server, ServerSettings, create_app
from twilio_frames.server.state import STATE, ServerState
from twilio_frames.services.cartesia import PhoneCartesiaTTSService
from twilio_frames.services.deepgram import PhoneDeepgramSTTService
from twilio_frames.services.openai import PhoneOpenAILLMService
from twilio_frames.testing import SimulatedTwilio
from twilio_frames.testing.known_speech import said, sound
from twilio_frames.testing.vendors import (
    CartesiaServer,
    DeepgramServer,
    FunctionCall,
    OpenAIServer,
    WordSounds,
)

NEARLY_SECS = 0.2
"""The same of a register, which is asked no longer than half a second."""
BLOCKED_SECS = 0.3
"""How long an event loop is blocked that is slow, each second."""
STALL_SECS = 5.0
"""How long an event loop stands still that hangs."""
_DAY_SECS = 86400.0
_PIPE_BYTES = 4096

GREETING = "Balo deti fumo gana kilo mano."
ANSWER = "Pesu rita sobe tuva zafe lido. Vuro meba nopi dagu felo gita."
GOODBYE = "Kuma lape misu."
QUESTION, LAST_WORDS = "A large latte, please.", "That is all, goodbye."
FILLER, NO_MIND, NO_EARS, NO_VOICE, AGAIN = (
    *("Zoni bepa.", "Wudu mika leto.", "Tiba roge duni.", "Sako vibe melu.", "Hemo gasi pudo."),
)

WORKER: ContextVar[int | None] = ContextVar("WORKER", default=None)
"""Which worker does something, for the log lines of one that is dead."""


class SharedRegister:
    """A worker's way to the register of all, which can go wrong."""

    def __init__(self, path: Path):
        self._register = SqliteRegister(path, patience_secs=0.05)
        self.fault = ""

    def __getattr__(self, name: str) -> Any:
        async def ask(*told: Any, **more: Any) -> Any:
            if self.fault == REFUSED:
                raise RegisterError("refused")
            if self.fault == HANG:
                await asyncio.Event().wait()
            await asyncio.sleep(NEARLY_SECS if self.fault == SLOW else 0)
            return await getattr(self._register, name)(*told, **more)

        return ask

    async def renew(self, lease: Any, *told: Any) -> Any:
        """As on a machine of its own, to which no socket can be handed."""
        return await self.__getattr__("renew")(replace(lease, handover=""), *told)


@dataclass(kw_only=True)
class Worker:
    """One process's part, and the way to it."""

    state: ServerState
    door: Door
    register: SharedRegister


def _think(messages: Sequence[Any]) -> Any:
    words = [str(one["content"]) for one in messages if one["role"] == "user"]
    if words and "goodbye" in words[-1].lower():
        return FunctionCall(name="end_call", arguments={"goodbye": GOODBYE})
    return ANSWER


class World:
    """All of it; an async context manager.

    Args:
        sounds: Knows what the caller says.
        folder: Where the register and the call logs are.
    """

    def __init__(self, sounds: WordSounds, folder: Path):
        self._sounds = sounds
        self.logs, self._file = folder / "logs", folder / "register.db"
        self._opened = AsyncExitStack()
        self.workers: list[Worker] = []
        self.dead: set[int] = set()
        self.contexts: list[LLMContext] = []
        self.calls: list[Call] = []
        self.asking: list[asyncio.Task[object]] = []
        self._pipe, self._disk = -1, ""

    async def __aenter__(self) -> Self:
        enter = self._opened.enter_async_context
        self.twilio = await enter(SimulatedTwilio(seed=1))
        self.deepgram = await enter(DeepgramServer(hears=self._sounds.hear))
        self.openai = await enter(OpenAIServer(itertools.repeat(_think), first_token_secs=0.2))
        self.cartesia = await enter(CartesiaServer())
        self.stt = await enter(Door(self.deepgram.url))
        self.llm = await enter(Door(self.openai.url))
        self.tts = await enter(Door(self.cartesia.url))
        self.rest = await enter(Door(self.twilio.rest_url))
        self.front = await enter(Door())
        for number in range(2):
            self.workers.append(await self._work(number))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self.asking:
            task.cancel()
        await self._opened.aclose()

    async def _work(self, number: int) -> Worker:
        door = await self._opened.enter_async_context(Door())
        register: Any = SharedRegister(self._file)
        settings = ServerSettings(
            account_sid=self.twilio.account_sid,
            auth_token=self.twilio.auth_token,
            phone_number="+12125550199",
            api_url=self.rest.url,
            public_url=self.front.url,
            call_logs=self.logs,
            warm=False,
            fleet=FleetSettings(register=register, worker_url=door.url),
        )
        app = create_app(self._answer, settings)
        before = WORKER.set(number)
        server = await self._opened.enter_async_context(Server(app))
        WORKER.reset(before)
        door.places.append(server.url)
        self.front.places.append(door)
        return Worker(state=app[STATE], door=door, register=register)

    @property
    def living(self) -> list[Worker]:
        """The workers that are not dead."""
        return [one for number, one in enumerate(self.workers) if number not in self.dead]

    @property
    def carrier(self) -> Worker:
        """The worker that has the call, or is to get it."""
        return next((one for one in self.workers if len(one.state.switchboard)), self.workers[0])

    async def _answer(self, call: Call) -> None:
        self.calls.append(call)
        self.contexts.append(context := LLMContext(tools=[call.end_call]))
        if self._disk in (SLOW, HANG):
            self._make_pipe(self.logs / f"{call.call_sid}-{call.stream_sid}.jsonl")
        memory = PhoneContextAggregator(context)
        pipeline = Pipeline([
            call.transport.input(), PhoneVAD(),
            PhoneDeepgramSTTService(api_key="key-of-stt", base_url=self.stt.url, apology=NO_EARS),
            memory.user(),
            PhoneOpenAILLMService(
                api_key="key-of-llm", base_url=f"{self.llm.url}/v1",
                apology=NO_MIND, fillers=[FILLER],
            ),
            PhoneCartesiaTTSService(
                api_key="key-of-tts", url=self.tts.url.replace("http", "ws") + "/tts/websocket",
                settings=PhoneCartesiaTTSService.Settings(voice="someone"),
                apology_audio=sound(said(NO_VOICE)),
            ),
            call.transport.output(), memory.assistant(),
        ])  # fmt: skip
        await call.run(pipeline, greeting=GREETING, ask_again=AGAIN)

    # What goes wrong, part by part.

    def break_register(self, fault: str) -> None:
        """All workers' register."""
        with contextlib.closing(sqlite3.connect(self._file, isolation_level=None)) as file:
            if fault == GARBAGE:
                file.executescript(
                    "UPDATE workers SET lease = x'7b'; UPDATE tickets SET kind = 'none';"
                    "UPDATE calls SET snapshot = x'7b', progress = x'7b';"
                )
            if fault == DIES:
                # It is back at once, and has forgotten all.
                file.executescript("DELETE FROM workers; DELETE FROM tickets; DELETE FROM calls;")
        for worker in self.workers:
            worker.register.fault = fault

    def break_worker(self, fault: str) -> None:
        """The process that carries the call; one that is frozen or dead does nothing any more."""
        worker = self.carrier
        worker.door.go_wrong(REFUSED if fault == DIES else fault)
        if fault in (HANG, DIES):
            worker.register.fault, worker.state.rest = HANG, None
        if fault == DIES:
            self.dead.add(self.workers.index(worker))
            self.asking.append(asyncio.ensure_future(worker.state.switchboard.cancel()))

    def break_rest(self, fault: str) -> None:
        """Twilio's REST API, which is asked to record the call at that moment."""
        self.rest.go_wrong(fault)
        for call in self.calls[-1:]:
            self.asking.append(asyncio.ensure_future(call.recording.start()))

    def break_disk(self, fault: str) -> None:
        """The disk of the call logs, and of the register where it is full."""
        if fault == REFUSED:
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
            self._opened.callback(resource.setrlimit, resource.RLIMIT_FSIZE, (hard, hard))
        elif fault == DIES:
            shutil.rmtree(self.logs, ignore_errors=True)
        elif fault == SLOW:
            self._drain_slowly()
        elif self._pipe >= 0:
            asyncio.get_running_loop().remove_reader(self._pipe)

    def expect_disk(self, fault: str, *, at_once: bool) -> None:
        """Says before the call what the disk is to be like; one that is slow is a pipe."""
        self._disk = fault
        self._is_disk_sound = not at_once

    def _make_pipe(self, path: Path) -> None:
        if self._pipe >= 0:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(path)
        self._pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._opened.callback(os.close, self._pipe)
        self._opened.push_async_callback(self._drain_rest)
        loop = asyncio.get_running_loop()
        if self._is_disk_sound:
            loop.add_reader(self._pipe, os.read, self._pipe, _PIPE_BYTES)
            self._opened.callback(loop.remove_reader, self._pipe)
        elif self._disk == SLOW:
            self._drain_slowly()

    async def _drain_rest(self) -> None:
        """Lets the thread go that all logs share."""
        for _ in range(100):
            with contextlib.suppress(BlockingIOError):
                os.read(self._pipe, _PIPE_BYTES)
            await asyncio.sleep(0.05)

    def _drain_slowly(self) -> None:
        loop = asyncio.get_running_loop()
        if self._pipe < 0:
            return
        loop.remove_reader(self._pipe)

        def drain() -> None:
            with contextlib.suppress(OSError):
                os.read(self._pipe, _PIPE_BYTES)
            self.asking.append(asyncio.ensure_future(again()))

        async def again() -> None:
            await asyncio.sleep(SLOW_SECS)
            drain()

        drain()

    def break_clock(self, fault: str) -> None:
        """The machine's clock, by which neither audio nor time-outs go."""
        true, began = time.time, time.time()
        wrong: dict[str, Callable[[], float]] = {
            SLOW: lambda: began + (true() - began) / 2,
            HANG: lambda: began,
            GARBAGE: lambda: true() + _DAY_SECS,
            DIES: lambda: true() - began,
        }
        time.time = wrong[fault]
        self._opened.callback(setattr, time, "time", true)

    def break_loop(self, fault: str) -> None:
        """The event loop: it stands still, now and then or for long, or callbacks raise."""
        loop = asyncio.get_running_loop()

        async def now_and_then() -> None:
            while True:
                await asyncio.sleep(1.0)
                loop.call_soon(time.sleep if fault == SLOW else _raise, BLOCKED_SECS)

        if fault == HANG:
            loop.call_soon(time.sleep, STALL_SECS)
        else:
            self.asking.append(asyncio.ensure_future(now_and_then()))


def _raise(_: float) -> None:
    raise ValueError("a callback of somebody's")


@contextmanager
def quiet_callbacks() -> Iterator[None]:
    """Has callbacks that raise on purpose fill nobody's screen."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    try:
        yield
    finally:
        loop.set_exception_handler(None)
