"""The softphone: its page, who may use it, and the bot that it rings.

Theory of operation
-------------------
The page is one of the bot's own server. It rings the bot over a simulated Twilio, which has an
account of its own: so the same bot is served once more, on this machine alone, by a server that
knows that account. Nothing a call from the page does, a transfer say, reaches the real Twilio.

Who may place calls may use it: whoever is on this machine, or shows the dial key. They get a ticket
for one call, good for half a minute, which opens the WebSocket.
"""

import asyncio
import secrets
import tempfile
import time
from collections import OrderedDict
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import WSCloseCode, web

from twilio_frames.call import Call
from twilio_frames.calllog import CallLog
from twilio_frames.errors import ConfigurationError
from twilio_frames.private_files import make_private_folder
from twilio_frames.report import page as report_page
from twilio_frames.report import read_report
from twilio_frames.server import Bot, ServerSettings
from twilio_frames.server.addresses import is_same_origin
from twilio_frames.server.calls.tokens import StreamTokens
from twilio_frames.server.dialing.placing import check_key, needs_key
from twilio_frames.server.fleet.settings import FleetSettings
from twilio_frames.server.incoming import own_url, problem
from twilio_frames.server.page_parts import REPORT_HEADERS, SOFTPHONE, PageParts
from twilio_frames.server.routes import bases
from twilio_frames.server.state import STATE
from twilio_frames.testing.serving import serving
from twilio_frames.testing.simulated_twilio import SimulatedTwilio
from twilio_frames.testing.softphone.browser_call import LONGEST_MESSAGE, BrowserCall, CallWatch
from twilio_frames.transport import CallRecorder

_MOST_CALLS = 4
"""At one time: each is a call of the bot's, and nobody speaks on more."""
_MOST_KEPT = 20
"""Calls whose reports can be had."""
_WIND_UP_SECS = 5.0
"""How long a call's pipeline may still tell its log something, once the line has ended."""
_WRITTEN_SECS = 20.0
"""How long a page waits for a call's report."""
_PROTOCOL = "twilio-frames-softphone"


class Softphone:
    """A page on which somebody speaks to a bot, without a telephone.

    ::

        app = create_app(bot, settings)
        Softphone(bot).add_to(app)

    Args:
        bot: What answers the calls.
        prepare: As for ``create_app()``.
        name: What the page calls the bot.
        folder: Where log and recording of each call are kept; None for a folder that is gone, as
            they are, when the server ends.
        seconds: How long a call may last.
    """

    def __init__(
        self,
        bot: Bot,
        *,
        prepare: Any = None,
        name: str = "the bot",
        folder: Path | None = None,
        seconds: float = 3600.0,
    ):
        self._bot = bot
        self._settings = ServerSettings()
        self._prepare = prepare
        self._name = name
        self._folder = folder
        self._keeps = folder is not None
        self._seconds = seconds
        self._parts = PageParts("twilio_frames.testing.softphone")
        self._tickets = StreamTokens(lifetime=30.0, capacity=64, clock=lambda: time.monotonic())
        self._watches: OrderedDict[str, CallWatch] = OrderedDict()
        self._reports: dict[str, str] = {}
        self._live: set[web.WebSocketResponse] = set()
        self._writing: set[asyncio.Task[None]] = set()
        self._opening = asyncio.Lock()
        self._opened = AsyncExitStack()
        self._exchange: tuple[SimulatedTwilio, str] | None = None

    def add_to(self, app: web.Application) -> None:
        """Adds the page to an application that ``create_app()`` made.

        ======  =========================  =====================================================
        GET     ``/phone``                 the page
        GET     ``/phone/{name}``          its parts
        POST    ``/phone/ticket``          a ticket for one call, for those who may place calls
        GET     ``/phone/line``            the call's WebSocket
        GET     ``/phone/reports/{id}``    a call's report
        ======  =========================  =====================================================

        The bot is served with that application's settings; account, addresses and call logs are
        the softphone's own.
        """
        self._settings = app[STATE].settings
        for base in bases(self._settings.public_url):
            app.router.add_get(base + "/phone", self._page, name=None if base else SOFTPHONE)
            app.router.add_post(base + "/phone/ticket", self._ticket)
            app.router.add_get(base + "/phone/line", self._line)
            app.router.add_get(base + "/phone/reports/{id}", self._show_report)
            app.router.add_get(base + "/phone/{name}", self._part)
        app.on_shutdown.append(self._hang_up)
        app.on_cleanup.append(self._close)

    async def _page(self, request: web.Request) -> web.Response:
        key = "true" if needs_key(request) else "false"
        return self._parts.page("softphone.html", name=self._name, needs_key=key)

    async def _part(self, request: web.Request) -> web.Response:
        return self._parts.part(request.match_info["name"])

    async def _ticket(self, request: web.Request) -> web.Response:
        """``POST /phone/ticket``: lets somebody make one call, soon."""
        self._check_origin(request)
        check_key(request, {})
        if request.app[STATE].switchboard.draining:
            raise problem(
                web.HTTPServiceUnavailable, "expected a server that takes calls, got one that stops"
            )
        if len(self._live) >= _MOST_CALLS:
            raise problem(
                web.HTTPServiceUnavailable,
                f"expected fewer than {_MOST_CALLS} calls from this page, got as many: end one",
            )
        await self._open()
        ticket = self._tickets.issue(_PROTOCOL)
        return web.json_response({"ticket": ticket, "protocol": _PROTOCOL}, status=201)

    def _check_origin(self, request: web.Request) -> None:
        if not is_same_origin(request, own_url(request)):
            raise problem(web.HTTPForbidden, "expected a request from this server's own page")

    async def _line(self, request: web.Request) -> web.WebSocketResponse:
        """``GET /phone/line``: the call; its ticket is named as a second protocol."""
        self._check_origin(request)
        offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
        ticket = offered[-1].strip()
        if self._exchange is None or not self._tickets.redeem(ticket, _PROTOCOL):
            raise problem(
                web.HTTPForbidden, "expected a ticket for one call, got none or a used one"
            )
        websocket = web.WebSocketResponse(
            protocols=(_PROTOCOL,), compress=False, heartbeat=20.0, max_msg_size=LONGEST_MESSAGE
        )
        if not websocket.can_prepare(request) or len(self._live) >= _MOST_CALLS:
            raise problem(web.HTTPServiceUnavailable, "expected a WebSocket and a free line")
        self._live.add(websocket)
        try:
            await websocket.prepare(request)
            await self._carry(websocket, *self._exchange)
        finally:
            self._live.discard(websocket)
        return websocket

    async def _carry(
        self, websocket: web.WebSocketResponse, twilio: SimulatedTwilio, url: str
    ) -> None:
        call = BrowserCall(
            websocket,
            twilio,
            url,
            watch=self._watch,
            report=self._wait_for_report,
            seconds=self._seconds,
        )
        try:
            await call.run()
        finally:
            await websocket.close()

    async def _open(self) -> None:
        """Begins to serve the bot to the simulated Twilio, at the first call."""
        async with self._opening:
            if self._exchange is not None:
                return
            async with AsyncExitStack() as stack:
                if self._folder is not None:
                    await asyncio.to_thread(make_private_folder, self._folder)
                else:
                    made = tempfile.TemporaryDirectory(prefix="twilio-frames-softphone-")
                    self._folder = Path(stack.enter_context(made))
                stack.push_async_callback(self._end_writing)
                twilio = SimulatedTwilio(auth_token=secrets.token_urlsafe(24))
                await stack.enter_async_context(twilio)
                own = replace(
                    self._settings,
                    **dict.fromkeys(("api_key", "api_secret", "region", "edge", "public_url")),
                    fleet=FleetSettings(),
                    trust_proxies=False,
                    call_logs=None,
                    warm=False,
                )
                bot = self._watched_bot()
                url = await stack.enter_async_context(serving(bot, twilio, settings=own))
                self._exchange, self._opened = (twilio, url), stack.pop_all()

    def _watched_bot(self) -> Bot:
        async def watched(call: Call) -> None:
            folder, watch = self._folder, self._watch(call.call_sid)
            assert folder is not None  # noqa: S101 - _open() made it
            watch.opened_at = call.transport.opened_at
            log = call.keep_log(
                folder / f"{call.call_sid}.jsonl", words=True, digits=True, follow=watch.note
            )
            recorder = CallRecorder(folder / f"{call.call_sid}.wav")
            call.transport.add_tap(recorder)
            done = asyncio.Event()
            # Beside the bot: one that fails is apologised for at once.
            writing = asyncio.create_task(self._write_down(call, done, log, recorder))
            self._writing.add(writing)
            writing.add_done_callback(self._writing.discard)
            try:
                await self._bot(call)
            finally:
                done.set()

        if self._prepare is not None:
            watched.prepare = self._prepare  # pyright: ignore[reportFunctionMemberAccess]
        return watched

    async def _write_down(
        self, call: Call, done: asyncio.Event, log: CallLog, recorder: CallRecorder
    ) -> None:
        """Waits until a call is over and all of it is on disk."""
        try:
            await call.line_ended()
            # A pipeline that winds up still has something to tell.
            with suppress(TimeoutError):
                async with asyncio.timeout(_WIND_UP_SECS):
                    await done.wait()
        finally:
            log.close()
        await asyncio.gather(recorder.wait_until_written(), log.wait_until_written())
        self._watch(call.call_sid).written.set()

    async def _end_writing(self) -> None:
        """Gives calls that have just ended a moment."""
        if writing := set(self._writing):
            _, late = await asyncio.wait(writing, timeout=_WIND_UP_SECS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _watch(self, call_sid: str) -> CallWatch:
        if call_sid not in self._watches:
            self._watches[call_sid] = CallWatch()
            if len(self._watches) > _MOST_KEPT:
                self._forget(self._watches.popitem(last=False)[0])
        return self._watches[call_sid]

    def _forget(self, call_sid: str) -> None:
        self._reports = {id: sid for id, sid in self._reports.items() if sid != call_sid}
        if self._folder is not None and not self._keeps:
            for kind in ("jsonl", "wav"):
                (self._folder / f"{call_sid}.{kind}").unlink(missing_ok=True)

    async def _wait_for_report(self, call_sid: str) -> str | None:
        """Where the report of a call will be, once its log is whole; None if it is not in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_WRITTEN_SECS):
                await self._watch(call_sid).written.wait()
            name = secrets.token_urlsafe(16)
            self._reports[name] = call_sid
            return f"phone/reports/{name}"
        return None

    async def _show_report(self, request: web.Request) -> web.Response:
        call_sid = self._reports.get(request.match_info["id"])
        if call_sid is None or self._folder is None:
            raise problem(web.HTTPNotFound, "expected the report of one of the last calls")
        log, recording = (self._folder / f"{call_sid}.{kind}" for kind in ("jsonl", "wav"))
        try:
            text = await asyncio.to_thread(lambda: report_page(read_report(log, recording)))
        except ConfigurationError as error:
            raise problem(web.HTTPNotFound, str(error)) from error
        return web.Response(text=text, content_type="text/html", headers=REPORT_HEADERS)

    async def _hang_up(self, _: web.Application) -> None:
        for websocket in tuple(self._live):
            await websocket.close(code=WSCloseCode.GOING_AWAY, message=b"the server ends")

    async def _close(self, _: web.Application) -> None:
        self._exchange = None
        await self._opened.aclose()
