"""Ports between the parts of a phone line, each of which can go wrong, and what that means."""

import asyncio
import contextlib
import math
import time
from dataclasses import dataclass, field
from typing import Self

REFUSED, SLOW, HANG, GARBAGE, DIES = FAULTS = ("refused", "slow", "hang", "garbage", "dies")
SLOW_SECS = 1.5
"""How much later all comes that comes from what is slow."""
CHECK_SECS = 2.0
"""After how long whoever looks after a door knows that nothing comes through."""
_GARBAGE = b"\x00\xff\x00 no answer\r\n\r\n"


@dataclass(eq=False)
class Way:
    """One connection through a door.

    Parameters:
        head: How it began.
        ends: Both ends of it.
        fault: What is wrong with it.
    """

    head: bytes
    ends: list[asyncio.StreamWriter] = field(default_factory=list)
    fault: str = ""

    def break_off(self) -> None:
        """Breaks it, without a goodbye."""
        for end in self.ends:
            end.transport.abort()

    async def carry(self, back: asyncio.StreamReader, reader: asyncio.StreamReader) -> None:
        """Passes on what comes, both ways, as well as the fault lets it."""
        here, there = self.ends
        await asyncio.gather(self._pass(reader, there), self._pass(back, here, comes_back=True))

    async def _pass(
        self, reader: asyncio.StreamReader, to: asyncio.StreamWriter, *, comes_back: bool = False
    ) -> None:
        loop = asyncio.get_running_loop()
        while (piece := await reader.read(1 << 16)) or self.fault != HANG:
            if self.fault == HANG:
                continue
            if comes_back and self.fault == DIES:
                return self.break_off()
            if comes_back and piece and self.fault == GARBAGE:
                self.fault, piece = "", _GARBAGE + piece
            late = SLOW_SECS if comes_back and self.fault == SLOW else 0.0
            if not piece:
                loop.call_later(late, to.close)
                return await asyncio.sleep(2 * SLOW_SECS)
            loop.call_later(late, to.write, piece)
        # Nobody learns of its end, either.
        return await asyncio.Event().wait() and None


class Door:
    """A port that leads to the first of some places that is well, and can go wrong.

    Args:
        places: Their addresses; may be added to.
    """

    def __init__(self, *places: "str | Door"):
        self.places = list(places)
        self._ways: set[Way] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._fault, self._only, self._next = "", b"", ""
        self._wrong_since = math.inf

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._come, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def seems_well(self) -> bool:
        """Whether whoever looks now and then takes it for well."""
        return time.monotonic() - self._wrong_since < CHECK_SECS

    @property
    def is_shut(self) -> bool:
        """Whether nothing comes through, whatever it is."""
        return self._fault in (REFUSED, HANG)

    def go_wrong(self, fault: str, only: bytes = b"", *, is_one: bool = False) -> None:
        """Has a fault begin.

        Args:
            fault: Which.
            only: How the connections begin that it befalls.
            is_one: Whether a connection that hangs is one, and others are well.
        """
        ways = [way for way in self._ways if way.head.startswith(only)]
        for way in ways:
            way.fault = fault
            if fault in (REFUSED, DIES):
                way.break_off()
        is_once = fault in (GARBAGE, DIES) or (is_one and fault == HANG)
        self._only, self._fault = only, "" if is_once else fault
        self._next = fault if is_once and not ways else ""
        if fault in (REFUSED, HANG) and not only:
            self._wrong_since = time.monotonic()
        if fault == REFUSED and not only:
            self._server.close()

    async def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        way = Way(await reader.read(1 << 16), [writer])
        try:
            await self._lead(way, reader)
        except OSError:
            return
        finally:
            self._tasks.discard(task)
            self._ways.discard(way)
            way.break_off()

    async def _lead(self, way: Way, reader: asyncio.StreamReader) -> None:
        if way.head.startswith(self._only):
            way.fault, self._next = self._next or self._fault, ""
        if way.fault == REFUSED or (opened := await self._opened()) is None:
            return
        back, there = opened
        way.ends.append(there)
        self._ways.add(way)
        if way.fault != HANG:
            there.write(way.head)
        await way.carry(back, reader)

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for place in self.places:
            if isinstance(place, Door) and not place.seems_well:
                continue
            url = place.url if isinstance(place, Door) else place
            with contextlib.suppress(ConnectionRefusedError):
                return await asyncio.open_connection(*url.removeprefix("http://").split(":"))
        return None
