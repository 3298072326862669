"""A bot in a process of its own, as whoever gives it orders sees it."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

from twilio_frames.testing import SimulatedTwilio

_BOTS = Path(__file__).parent / "truth_bots.py"
_STARTING = 60.0
_ANSWERING = 30.0
_LONGEST_LINE = 1 << 20


class RemoteBot:
    """Starts ``truth_bots.py``, gives it orders, and ends it.

    Args:
        side: ``ours`` or ``stock``.
        twilio: The simulated Twilio whose REST API stock Pipecat hangs up by.
    """

    def __init__(self, side: str, twilio: SimulatedTwilio):
        self._arguments = (side, twilio.rest_url, twilio.account_sid, twilio.auth_token)
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._orders = 0
        self.url = ""
        """Where the bot's stream is."""

    async def __aenter__(self) -> "RemoteBot":
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-W", "ignore", str(_BOTS), *self._arguments),
            stdin=PIPE,
            stdout=PIPE,
            limit=_LONGEST_LINE,
        )
        async with asyncio.timeout(_STARTING):
            self.url = (await self._next_line())["url"]
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(5.0):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        if self._reader is not None:
            await self._reader

    async def do(self, what: str, **fields: object) -> Any:
        """Gives an order and waits for its answer."""
        return await self._answer_to(self._give(what, fields))

    def order(self, what: str, **fields: object) -> None:
        """Gives an order whose answer nobody waits for."""
        self._answers.pop(self._give(what, fields))

    def _give(self, what: str, fields: dict[str, object]) -> int:
        assert self._process is not None
        assert self._process.stdin is not None
        self._orders += 1
        order = {"id": self._orders, "do": what} | fields
        self._answers[self._orders] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        return self._orders

    async def _answer_to(self, number: int) -> Any:
        try:
            async with asyncio.timeout(_ANSWERING):
                return await self._answers[number]
        finally:
            self._answers.pop(number, None)

    async def _read(self) -> None:
        while line := await self._next_line():
            answer = self._answers.get(line["id"])
            if answer is not None and not answer.done():
                answer.set_result(line["result"])

    async def _next_line(self) -> dict[str, Any]:
        """The next line; empty at the end. Pipecat writes a banner, which is passed over."""
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            if line.startswith(b"{"):
                return json.loads(line)
        return {}
