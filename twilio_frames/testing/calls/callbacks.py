"""Status callbacks: one after another or, if so set, out of order and twice."""

import asyncio
import random
from dataclasses import dataclass, field

from twilio_frames.testing.calls.account import CallbackDisorder
from twilio_frames.testing.calls.facts import Alert
from twilio_frames.testing.calls.webhooks import Webhooks
from twilio_frames.testing.logs.log import CallLog


@dataclass(frozen=True, slots=True, kw_only=True)
class _Callback:
    name: str
    url: str
    parameters: dict[str, str] = field(repr=False)
    method: str


class Callbacks:
    """The status callbacks of one call.

    Args:
        webhooks: Sends them.
        log: Takes down what became of each.
        disorder: How many are swapped with the next one, or sent again.
        seed: Draws which.
    """

    def __init__(
        self,
        webhooks: Webhooks,
        log: CallLog,
        *,
        disorder: CallbackDisorder | None = None,
        seed: int = 0,
    ):
        self._webhooks = webhooks
        self._log = log
        self._disorder = disorder or CallbackDisorder()
        self._random = random.Random(seed)  # noqa: S311  # protects nothing
        self._waiting: asyncio.Queue[_Callback | None] = asyncio.Queue(1000)
        self._task = asyncio.create_task(self._send_all())

    def post(self, name: str, url: str, parameters: dict[str, str], method: str = "POST") -> None:
        """Has a callback sent soon; one too many is dropped, as Twilio promises none."""
        if not self._waiting.full():
            callback = _Callback(name=name, url=url, parameters=parameters, method=method)
            self._waiting.put_nowait(callback)

    async def close(self) -> None:
        """Waits for what is to be sent, for a bounded time."""
        if self._task.done():
            return
        try:
            async with asyncio.timeout(5.0):
                await self._waiting.put(None)
                await asyncio.shield(self._task)
        except TimeoutError:
            self._task.cancel()

    async def _send_all(self) -> None:
        held_back: _Callback | None = None
        while (callback := await self._waiting.get()) is not None:
            if held_back is None and self._random.random() < self._disorder.swapped:
                held_back = callback
                continue
            await self._send(callback)
            if held_back is not None:
                await self._send(held_back)
                held_back = None
        if held_back is not None:
            await self._send(held_back)

    async def _send(self, callback: _Callback) -> None:
        times = 2 if self._random.random() < self._disorder.repeated else 1
        for _ in range(times):
            reply = await self._webhooks.request(
                callback.url, callback.parameters, method=callback.method
            )
            failure = str(reply) if isinstance(reply, Alert) else None
            self._log.note("callback", name=callback.name, failure=failure)
