"""A register that is slow, hangs, or refuses, as one on the other side of a network may."""

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from tests.soak.processes import SoakLoop
from twilio_frames.fleet.memory import MemoryRegister
from twilio_frames.fleet.register import Register, RegisterError
from twilio_frames.fleet.sqlite import SqliteRegister

__all__ = ["FaultyRegister", "open_register"]

_STEPS = frozenset(name for name in vars(Register) if not name.startswith("_")) - {"close"}
_USUAL_SECS = 0.002
_SLOW_SECS = 1.2
"""At most: longer than anybody waits."""


class FaultyRegister:
    """Carries each step out in a process of its own, whoever has given up or died meanwhile.

    Args:
        open_one: Opens what keeps it all.
        loop: Where.
        choose: Says how long each step takes.
    """

    def __init__(self, open_one: Callable[[], Register], loop: SoakLoop, choose: random.Random):
        self._open = open_one
        self._register = open_one()
        self._process = loop.new_process("register")
        self._choose = choose
        self._is_there = asyncio.Event()
        self._is_there.set()
        self.mood = ""
        """What is wrong: ``slow``, ``hangs``, ``refuses``, ``late``; empty for nothing.

        One that ``forgets`` refuses, and comes back without anything.
        """

    def be(self, mood: str) -> None:
        """From now on something is wrong with it, or nothing is."""
        if self.mood == "forgets":
            self.let_go()
            self._register = self._open()
        self.mood = mood
        if mood == "hangs":
            self._is_there.clear()
        else:
            self._is_there.set()

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        if name not in _STEPS:
            raise AttributeError(name)

        async def asked(*args: Any, **more: Any) -> Any:
            if self.mood in ("refuses", "forgets"):
                raise RegisterError("refused")
            loop = asyncio.get_running_loop()
            answer: asyncio.Future[Any] = loop.create_future()
            delays = self._delays()
            self._process.start(self._carry_out(name, args, more, answer, delays))
            return await answer

        return asked

    def _delays(self) -> tuple[float, float]:
        there = back = self._choose.uniform(0.1, 1.0) * _USUAL_SECS
        if self.mood == "slow":
            there, back = (self._choose.uniform(0.0, _SLOW_SECS / 2) for _ in range(2))
        if self.mood == "late":
            back = _SLOW_SECS
        return there, back

    async def _carry_out(
        self,
        name: str,
        args: tuple[Any, ...],
        more: dict[str, Any],
        answer: "asyncio.Future[Any]",
        delays: tuple[float, float],
    ) -> None:
        there, back = delays
        await asyncio.sleep(there)
        await self._is_there.wait()
        try:
            value = await getattr(self._register, name)(*args, **more)
            await asyncio.sleep(back)
            if not answer.done():
                answer.set_result(value)
        except RegisterError as error:
            if not answer.done():
                answer.set_exception(error)

    def held(self) -> dict[str, int]:
        """How much it holds, of each kind."""
        return held_by(self._register)

    async def close(self) -> None:
        """It goes on for the others."""

    def let_go(self) -> None:
        """Closes what it has open."""
        if isinstance(register := self._register, SqliteRegister):
            for opened in (register._reading, register._opened):  # type: ignore[reportPrivateUsage]
                if opened is not None:
                    opened.close()


class _AtOnce(Executor):
    """Does what is to be done here and now, so that each run takes the same course."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


def open_register(kind: str, folder: Path) -> Register:
    """A register of a kind: ``memory`` or ``sqlite``."""
    if kind == "memory":
        return MemoryRegister()
    for file in folder.glob("register.db*"):
        file.unlink()
    register = SqliteRegister(folder / "register.db")
    register._thread = register._reader = _AtOnce()  # type: ignore[reportPrivateUsage]
    return register


def held_by(register: Register) -> dict[str, int]:
    """How much a register holds, of each kind."""
    if isinstance(register, MemoryRegister):
        return {
            "workers": len(register._leases),  # type: ignore[reportPrivateUsage]
            "tickets": len(register._tickets),  # type: ignore[reportPrivateUsage]
            "calls": len(register._calls),  # type: ignore[reportPrivateUsage]
        }
    assert isinstance(register, SqliteRegister)
    with contextlib.closing(register._connect()) as db:  # type: ignore[reportPrivateUsage]
        return {table: _count(db, table) for table in ("workers", "tickets", "calls", "notes")}


def _count(db: sqlite3.Connection, table: str) -> int:
    return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
