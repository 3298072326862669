"""A WebSocket that breaks, falls dumb, or is read slowly: what a bot's peer can do to it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import aiohttp

from twilio_frames.testing.lines.conditions import LineConditions
from twilio_frames.testing.lines.line import LineClock

_ENDS = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class WebSocket(Protocol):
    """What a media stream needs of its connection."""

    @property
    def close_code(self) -> int | None:
        """What the bot closed with; None or 1006 where it did not."""
        ...

    async def send_str(self, data: str) -> None:
        """Sends a text message."""
        ...

    async def close(self) -> bool:
        """Closes."""
        ...

    def __aiter__(self) -> AsyncIterator[aiohttp.WSMessage]: ...


def over(
    websocket: aiohttp.ClientWebSocketResponse, conditions: LineConditions, clock: LineClock
) -> WebSocket:
    """The connection as the line's conditions want it."""
    is_sound = conditions.lost_at is None and conditions.half_open_at is None
    if is_sound and conditions.reading_rate is None:
        return websocket
    return BrokenSocket(websocket, conditions, clock)


class BrokenSocket:
    """A WebSocket under bad conditions.

    Args:
        websocket: The sound one.
        conditions: What becomes of it.
        clock: The line's, which the conditions' times count on.
    """

    def __init__(
        self,
        websocket: aiohttp.ClientWebSocketResponse,
        conditions: LineConditions,
        clock: LineClock,
    ):
        self._websocket = websocket
        self._reading_rate = conditions.reading_rate
        self._gone = asyncio.Event()
        self._is_lost = False
        self._timers: list[asyncio.TimerHandle] = []
        self._set_timer(clock, conditions.lost_at, self._lose)
        self._set_timer(clock, conditions.half_open_at, self._gone.set)

    @property
    def close_code(self) -> int | None:
        """What the bot closed with; 1006 once the connection was lost."""
        if self._is_lost or self._gone.is_set():
            return aiohttp.WSCloseCode.ABNORMAL_CLOSURE
        return self._websocket.close_code

    async def send_str(self, data: str) -> None:
        """Sends a message, which may never arrive."""
        if not self._gone.is_set():
            await self._websocket.send_str(data)

    async def close(self) -> bool:
        """Closes, without a word if the peer is gone."""
        for timer in self._timers:
            timer.cancel()
        if self._gone.is_set():
            self._lose()
        return await self._websocket.close()

    async def __aiter__(self) -> AsyncIterator[aiohttp.WSMessage]:
        """What the bot sends, as far and as fast as it is read."""
        while True:
            message = await self._receive()
            if message.type in _ENDS:
                return
            if self._reading_rate is not None:
                # What is not read stays in the network, until the bot can send no more.
                await asyncio.sleep(len(message.data or "") / self._reading_rate)
            yield message

    async def _receive(self) -> aiohttp.WSMessage:
        """The next message; waits for ever once the peer is gone, and no ping is answered."""
        receiving = asyncio.create_task(self._websocket.receive())
        going = asyncio.create_task(self._gone.wait())
        try:
            await asyncio.wait({receiving, going}, return_when=asyncio.FIRST_COMPLETED)
            if self._gone.is_set():
                receiving.cancel()
                await asyncio.Event().wait()
            return receiving.result()
        finally:
            receiving.cancel()
            going.cancel()

    def _set_timer(self, clock: LineClock, at: float | None, act: Callable[[], object]) -> None:
        if at is not None:
            due = clock.time_of(0) + at
            self._timers.append(asyncio.get_running_loop().call_at(due, act))

    def _lose(self) -> None:
        """Breaks the connection under both ends."""
        self._is_lost = True
        connection = self._websocket.get_extra_info("socket")
        if connection is None:
            return
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            # It is broken already.
            return
