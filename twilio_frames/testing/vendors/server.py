"""What the servers that stand in for vendors share: an address, faults, and who came."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web

from twilio_frames.testing.vendors.faults import Fault, Refusal


@dataclass(slots=True, kw_only=True)
class Visit:
    """One connection or request that reached a vendor's server.

    Parameters:
        at: When, seconds of ``time.monotonic()``.
        path: The path that was asked for.
        query: The query's parameters; of a parameter that comes twice, the last.
        key: The key that came with it, without its scheme; empty if none did.
        fault: What went wrong with it, None if nothing did.
    """

    at: float
    path: str
    query: dict[str, str]
    key: str = field(repr=False)
    fault: Fault | None


class VendorServer(ABC):
    """A server on a free port of this machine that a vendor's client takes for the vendor.

    An asynchronous context manager: it serves while it is entered. Connections that are open when
    it is left are broken off.

    Args:
        faults: What goes wrong, connection by connection (or request by request, over HTTP); None
            for one that goes well. When they are used up, all goes well.
            ``itertools.repeat(Refusal(status=401))`` refuses for ever.
    """

    def __init__(self, *, faults: Iterable[Fault | None] = ()):
        self._faults: Iterator[Fault | None] = iter(faults)
        self._runner: web.AppRunner | None = None
        self._open: list[web.Request] = []
        self._changed = asyncio.Condition()
        self.visits: list[Visit] = []
        """Who came, in order."""

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """What is served, and where."""

    @property
    def url(self) -> str:
        """The address, ``http://127.0.0.1:PORT``."""
        if self._runner is None:
            raise RuntimeError("expected the server to be entered with `async with`, it was not")
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    @property
    def ws_url(self) -> str:
        """The same for WebSockets, ``ws://127.0.0.1:PORT``."""
        return self.url.replace("http", "ws", 1)

    async def __aenter__(self) -> Self:
        """Begins to serve."""
        app = web.Application(middlewares=[self._meet])
        app.router.add_routes(self.routes())
        runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._runner = runner
        return self

    async def __aexit__(self, *_: object) -> None:
        """Breaks off what is open, and ends."""
        runner, self._runner = self._runner, None
        self.drop()
        if runner is not None:
            await runner.cleanup()

    def drop(self) -> None:
        """Breaks all connections that are open, without a goodbye."""
        for request in tuple(self._open):
            break_off(request)

    def go_wrong(self, *faults: Fault | None) -> None:
        """Has the next connections or requests meet these, in the place of what was to come."""
        self._faults = iter(faults)

    def can_go_wrong(self, request: web.Request) -> bool:
        """Whether a connection or request takes the next of the faults; else all goes well."""
        return True

    async def visited(self, times: int = 1) -> Visit:
        """Waits until so many connections or requests have come; gives the last of them.

        Raises:
            TimeoutError: If they have not within ten seconds.
        """
        await self.until(lambda: len(self.visits) >= times)
        return self.visits[times - 1]

    async def until(self, is_true: Callable[[], bool], *, seconds: float = 10.0) -> None:
        """Waits until something has come true of what came or was sent.

        Args:
            is_true: Looked at after each message.
            seconds: How long to wait for it.

        Raises:
            TimeoutError: If it has not come true in time.
        """
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(is_true)

    async def note_change(self) -> None:
        """Wakes those who wait in :meth:`until`; for what serves a connection."""
        async with self._changed:
            self._changed.notify_all()

    @web.middleware
    async def _meet(self, request: web.Request, handler) -> web.StreamResponse:
        fault = next(self._faults, None) if self.can_go_wrong(request) else None
        visit = Visit(
            at=time.monotonic(),
            path=request.path,
            query=dict(request.query),
            key=_key_of(request),
            fault=fault,
        )
        request[VISIT] = visit
        self.visits.append(visit)
        await self.note_change()
        if isinstance(fault, Refusal):
            return self.refuse(fault)
        self._open.append(request)
        try:
            return await handler(request)
        finally:
            self._open.remove(request)

    def refuse(self, refusal: Refusal) -> web.Response:
        """The HTTP answer of a refusal; vendors whose clients read its body make their own."""
        headers = {}
        if refusal.retry_after is not None:
            headers["Retry-After"] = f"{refusal.retry_after:g}"
        return web.json_response(
            {"error": {"message": "refused", "type": "refused", "code": refusal.status}},
            status=refusal.status,
            headers=headers,
        )


VISIT = web.RequestKey("VISIT", Visit)
"""Where a request keeps its visit, and with it its fault."""


def break_off(request: web.Request) -> None:
    """Breaks a request's connection, without a goodbye."""
    if request.transport is not None:
        request.transport.abort()


def _key_of(request: web.Request) -> str:
    for header in ("Authorization", "X-API-Key", "xi-api-key", "api-key"):
        if value := request.headers.get(header):
            return value.rpartition(" ")[2]
    return request.query.get("api_key", "")
