"""The WebSocket of whoever listens in on a call, whispers, ends it or puts it through."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType, web

from twilio_frames.call import Call
from twilio_frames.call.overhearing import Overhearer
from twilio_frames.call.transfers import TransferResult
from twilio_frames.errors import TwilioFramesError
from twilio_frames.rest.numbers import normalise_number
from twilio_frames.server.addresses import is_same_origin
from twilio_frames.server.dialing.placing import check_key, check_proof, known
from twilio_frames.server.incoming import own_url, problem
from twilio_frames.server.state import STATE, ServerState

__all__ = ["listen", "ticket"]


@dataclass(frozen=True, slots=True)
class _Limits:
    """How much of this server those who listen in may take."""

    # On one call; each costs a copy of its audio.
    listeners: int = 8
    # Whoever takes nothing for so long is let go.
    send_secs: float = 5.0
    # That are carried out at one time.
    orders: int = 8
    order_bytes: int = 8 * 1024
    whisper_characters: int = 2000


_LIMITS = _Limits()


async def ticket(request: web.Request) -> web.Response:
    """``POST /calls/{sid}/listen``: a ticket to listen by, good once and for half a minute.

    It is for browsers, which can show no key when they open a WebSocket.
    """
    _check_origin(request)
    check_key(request, {})
    return web.json_response({"ticket": request.app[STATE].tickets.issue(known(request).call_sid)})


def _check_origin(request: web.Request) -> None:
    if not is_same_origin(request, own_url(request)):
        raise problem(web.HTTPForbidden, "expected a request from this server's own page")


def _check_ticket(request: web.Request, shown: str) -> None:
    tickets, sid = request.app[STATE].tickets, known(request).call_sid
    check_proof(request, "a ticket", lambda: tickets.redeem(shown, sid))


async def listen(request: web.Request) -> web.StreamResponse:
    """``GET /calls/{sid}/listen``: both sides live, for those who may place a call.

    What is sent and taken stands in ``docs/listening-in.md``.
    """
    state = request.app[STATE]
    _check_origin(request)
    if (shown := request.query.get("ticket")) is not None:
        _check_ticket(request, shown)
    else:
        check_key(request, {})
    record = known(request)
    if (call := record.call) is None:
        raise problem(web.HTTPConflict, "expected a call whose stream is up, got one that is not")
    if record.listeners >= _LIMITS.listeners:
        raise problem(
            web.HTTPTooManyRequests,
            f"expected fewer than {_LIMITS.listeners} who listen in, got as many: try again later",
        )
    websocket = web.WebSocketResponse(
        timeout=_LIMITS.send_secs, heartbeat=20.0, max_msg_size=_LIMITS.order_bytes
    )
    if not websocket.can_prepare(request):
        raise problem(web.HTTPUpgradeRequired, "expected the upgrade to a WebSocket")
    record.listeners += 1
    try:
        await websocket.prepare(request)
        await _Listening(state, call, websocket).run()
    finally:
        record.listeners -= 1
    return websocket


class _Listening:
    """One who listens in."""

    def __init__(self, state: ServerState, call: Call, websocket: web.WebSocketResponse):
        self._state = state
        self._call = call
        self._websocket = websocket
        self._words = state.settings.log_words
        self._orders: set[asyncio.Task[None]] = set()
        self._sending = asyncio.Lock()

    async def run(self) -> None:
        """Tells what is heard, and does what is asked, until either side has gone."""
        overhearer = Overhearer(words=self._words)
        try:
            async with self._call.overheard_by(overhearer):
                await self._tell(
                    {"event": "start", "call_sid": self._call.call_sid, "words": self._words}
                )
                telling = asyncio.create_task(self._tell_all(overhearer))
                taking = asyncio.create_task(self._take_orders())
                await asyncio.wait({telling, taking}, return_when=asyncio.FIRST_COMPLETED)
                for task in (telling, taking):
                    task.cancel()
                await asyncio.wait({telling, taking})
        except (TwilioFramesError, ConnectionError, TimeoutError):
            # The call has ended, or whoever listens has gone: there is nobody to tell.
            pass
        finally:
            if self._orders:
                await asyncio.wait(self._orders, timeout=_LIMITS.send_secs)
            await self._websocket.close()

    async def _tell_all(self, overhearer: Overhearer) -> None:
        while (heard := await overhearer.next()) is not None:
            await self._tell(heard)
        reason = self._call.end_reason
        await self._tell({"event": "end", "reason": reason.value if reason else None})

    async def _tell(self, told: bytes | dict[str, Any]) -> None:
        async with self._sending, asyncio.timeout(_LIMITS.send_secs):
            if isinstance(told, bytes):
                await self._websocket.send_bytes(told)
            else:
                await self._websocket.send_str(json.dumps(told))

    async def _take_orders(self) -> None:
        async for message in self._websocket:
            if message.type is not WSMsgType.TEXT:
                continue
            order = _read(message.data)
            if len(self._orders) >= _LIMITS.orders:
                await self._tell({"event": "refused", "do": None, "why": "too much at one time"})
                continue
            # A take-over takes as long as somebody's telephone rings; others are done meanwhile.
            task = asyncio.create_task(self._carry_out(order))
            self._orders.add(task)
            task.add_done_callback(self._orders.discard)

    async def _carry_out(self, order: dict[str, Any]) -> None:
        name = order.get("do")
        deeds: dict[Any, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]] = {
            "whisper": self._whisper,
            "hang_up": self._hang_up,
            "take_over": self._take_over,
            "transfer": self._transfer,
        }
        deed = deeds.get(name) if isinstance(name, str) else None
        try:
            if deed is None:
                raise _RefusedError(f"expected one of {', '.join(deeds)} to do, got something else")
            told = {"event": "done", "do": name} | await deed(order)
        except (_RefusedError, TwilioFramesError) as error:
            told = {"event": "refused", "do": name if deed else None, "why": str(error)}
        try:
            await self._tell(told)
        except (ConnectionError, TimeoutError):
            # Done all the same.
            return

    async def _whisper(self, order: dict[str, Any]) -> dict[str, Any]:
        text = order.get("text")
        if not isinstance(text, str) or not 0 < len(text.strip()) <= _LIMITS.whisper_characters:
            raise _RefusedError(
                f"expected a text of up to {_LIMITS.whisper_characters} characters to whisper"
            )
        await self._call.whisper(text.strip())
        return {}

    async def _hang_up(self, order: dict[str, Any]) -> dict[str, Any]:
        if self._state.rest is not None:
            await self._state.rest.hang_up(self._call.call_sid)
        else:
            await self._call.hang_up()
        return {}

    async def _take_over(self, order: dict[str, Any]) -> dict[str, Any]:
        return _outcome(await self._call.take_over(self._allowed(order.get("to"))))

    async def _transfer(self, order: dict[str, Any]) -> dict[str, Any]:
        return _outcome(await self._call.transfer(self._allowed(order.get("to"))))

    def _allowed(self, to: object) -> str:
        """A number that this server may call."""
        number = normalise_number(to) if isinstance(to, str) else None
        if number is None:
            raise _RefusedError(
                "expected a phone number with its country code, such as +14155550100"
            )
        if not self._state.destinations.allow(number):
            raise _RefusedError(
                "expected an ordinary number of a country that this server may call, got another: "
                "name how it begins in TWILIO_FRAMES_DIAL_PREFIXES, such as +1,+44"
            )
        return number


def _outcome(result: TransferResult) -> dict[str, Any]:
    return {"outcome": result.outcome.value, "caller_is_back": result.is_back}


class _RefusedError(Exception):
    """What was asked is not done, for a reason that may be told."""


def _read(text: str) -> dict[str, Any]:
    try:
        order = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return order if isinstance(order, dict) else {}
