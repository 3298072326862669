"""A bot in this process: for virtual time, which other processes do not share."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from truth_bots import OurBot, serving_ours
from truth_desk import Desk

_ANSWERING = 30.0


class LocalBot:
    """Takes orders as ``RemoteBot`` does. This package's bot alone.

    Args:
        auth_token: What the simulated Twilio signs by.
    """

    def __init__(self, auth_token: str) -> None:
        self._auth_token = auth_token
        self._desk = Desk()
        self._stack = AsyncExitStack()
        self._orders: set[asyncio.Task[Any]] = set()
        self.url = ""
        """Where the bot's stream is."""

    async def __aenter__(self) -> "LocalBot":
        serving = serving_ours(OurBot(self._desk), self._auth_token)
        self.url = await self._stack.enter_async_context(serving)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def do(self, what: str, **fields: object) -> Any:
        """Gives an order and waits for its answer."""
        async with asyncio.timeout(_ANSWERING):
            return await getattr(self._desk, what)(**fields)

    def order(self, what: str, **fields: object) -> None:
        """Gives an order whose answer nobody waits for."""
        task = asyncio.ensure_future(self.do(what, **fields))
        self._orders.add(task)
        task.add_done_callback(self._orders.discard)
