"""Twilio's REST API for calls: create, fetch and update, with Twilio's errors.

Source: https://www.twilio.com/docs/voice/api/call-resource
"""

import base64
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from urllib.parse import parse_qs

from aiohttp import web

from twilio_frames.testing.call import CallStatus, Numbers, SimulatedCall, StatusCallback
from twilio_frames.testing.exchange import Exchange
from twilio_frames.testing.log import CallLog
from twilio_frames.testing.program import CallEnd, Document, Fetch, Instructions
from twilio_frames.testing.ringing import RingingCall

Form = dict[str, list[str]]
Route = Callable[[web.Request], Awaitable[web.StreamResponse]]

RING_SECONDS = 60.0
"""How long a call rings unless its creator says otherwise."""

MAX_TWIML = 4000
"""Characters of TwiML that a created call may be given."""

_ANSWERING_BUFFER = 5.0
_ADDRESS = re.compile(r"\+?[0-9][0-9().\- ]{3,19}|(client|sip|whatsapp):.+", re.DOTALL)
_CALL = "/2010-04-01/Accounts/{account}/Calls/{sid}.json"
_CALLS = "/2010-04-01/Accounts/{account}/Calls.json"


class RestApi:
    """The REST API of one account, as an aiohttp application.

    Args:
        exchange: Holds the calls.
        api_keys: Secrets of API keys by their sids, accepted beside the auth token.
        ring: Takes a call that has been created; False if nobody could be told of it.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        api_keys: Mapping[str, str],
        ring: Callable[[RingingCall], bool],
    ):
        self._exchange = exchange
        self._secrets = {exchange.account_sid: exchange.auth_token} | dict(api_keys)
        self._ring = ring
        self._ringing: dict[str, RingingCall] = {}

    def application(self) -> web.Application:
        """The application to serve."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_post(_CALLS, self._create)
        app.router.add_get(_CALL, self._fetch)
        app.router.add_post(_CALL, self._update)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Route) -> web.StreamResponse:
        if not self._is_authorized(request.headers.get("Authorization", "")):
            return _error(401, 20003, "Authenticate")
        account = request.match_info.get("account", self._exchange.account_sid)
        if account != self._exchange.account_sid:
            return _missing(request)
        try:
            return await handler(request)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
            return _missing(request)

    def _is_authorized(self, header: str) -> bool:
        scheme, _, encoded = header.partition(" ")
        try:
            name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            return False
        expected = self._secrets.get(name)
        if scheme.lower() != "basic" or expected is None:
            return False
        return hmac.compare_digest(secret.encode(), expected.encode())

    async def _create(self, request: web.Request) -> web.Response:
        form = await _read(request)
        instructions = _instructions(form)
        refusal = _refusal(form, instructions)
        if refusal is not None or instructions is None:
            return refusal or _error(400, 21205, "Url parameter is required.")
        call = SimulatedCall(
            self._exchange,
            numbers=Numbers(
                from_number=_one(form, "From"), to_number=_one(form, "To"), direction="outbound-api"
            ),
            log=CallLog(),
            callback=_status_callback(form),
        )
        self._exchange.calls[call.sid] = call
        answer = web.json_response(_resource(call), status=201)
        call.tell("initiated")
        call.ring()
        ringing = RingingCall(
            call,
            instructions,
            seconds=_seconds(form) + _ANSWERING_BUFFER,
            send_digits=_one(form, "SendDigits"),
        )
        if not self._ring(ringing):
            ringing.cancel()
            return _error(429, 20429, "Too Many Requests")
        self._ringing[call.sid] = ringing
        return answer

    async def _fetch(self, request: web.Request) -> web.Response:
        call = self._exchange.calls.get(request.match_info["sid"])
        return _missing(request) if call is None else web.json_response(_resource(call))

    async def _update(self, request: web.Request) -> web.Response:
        call = self._exchange.calls.get(request.match_info["sid"])
        if call is None:
            return _missing(request)
        form = await _read(request)
        if call.end is not None:
            return _error(400, 21220, "Call is not in-progress. Cannot redirect.")
        status = _one(form, "Status")
        if status:
            return self._end(call, status)
        instructions = _instructions(form)
        if instructions is None or (_one(form, "Url") and _one(form, "Twiml")):
            return _error(400, 20001, "Either Url or Twiml is required, and not both.")
        if not call.is_answered:
            return _error(400, 21220, "Call is not in-progress. Cannot redirect.")
        call.order(instructions)
        return web.json_response(_resource(call))

    def _end(self, call: SimulatedCall, status: str) -> web.Response:
        if status not in (CallStatus.COMPLETED.value, CallStatus.CANCELED.value):
            return _error(400, 20001, "Status must be completed or canceled.")
        if not call.is_answered and call.sid in self._ringing:
            self._ringing.pop(call.sid).cancel()
        elif status == CallStatus.CANCELED.value:
            return _error(400, 21220, "Call is in-progress. Cannot be canceled.")
        call.order(CallEnd.BOT_HUNG_UP)
        return web.json_response(_resource(call) | {"status": status})


async def _read(request: web.Request) -> Form:
    return parse_qs(await request.text(), keep_blank_values=True)


def _one(form: Form, name: str) -> str:
    return form.get(name, [""])[0]


def _seconds(form: Form) -> float:
    timeout = _one(form, "Timeout")
    return float(timeout) if timeout.isdecimal() else RING_SECONDS


def _instructions(form: Form) -> Instructions | None:
    if _one(form, "Url"):
        return Fetch(url=_one(form, "Url"), method=_one(form, "Method") or "POST")
    return Document(twiml=_one(form, "Twiml")) if _one(form, "Twiml") else None


def _refusal(form: Form, instructions: Instructions | None) -> web.Response | None:
    to_number, from_number, url = _one(form, "To"), _one(form, "From"), _one(form, "Url")
    if not to_number:
        return _error(400, 21201, "No 'To' number is specified")
    if not _ADDRESS.fullmatch(to_number):
        return _error(400, 21211, f"The 'To' number {to_number} is not a valid phone number.")
    if not _ADDRESS.fullmatch(from_number):
        return _error(400, 21212, f"The 'From' number {from_number} is not a valid phone number.")
    if url and not url.startswith(("http://", "https://")):
        return _error(400, 21205, f"Url is not a valid URL: {url}")
    if isinstance(instructions, Document) and len(instructions.twiml) > MAX_TWIML:
        return _error(400, 20001, f"Twiml may have {MAX_TWIML} characters at most.")
    return None


def _status_callback(form: Form) -> StatusCallback | None:
    url = _one(form, "StatusCallback")
    if not url:
        return None
    named = [name for value in form.get("StatusCallbackEvent", []) for name in value.split()]
    method = _one(form, "StatusCallbackMethod") or "POST"
    return StatusCallback(url=url, events=tuple(named) or ("completed",), method=method)


def _resource(call: SimulatedCall) -> dict[str, object]:
    """The call as Twilio's JSON describes it."""
    account = call.exchange.account_sid
    is_over = call.end is not None
    return {
        "sid": call.sid,
        "account_sid": account,
        "api_version": "2010-04-01",
        "to": call.numbers.to_number,
        "from": call.numbers.from_number,
        "status": call.status.value,
        "direction": call.numbers.direction,
        "date_created": formatdate(call.created_at),
        "date_updated": formatdate(),
        "start_time": formatdate(call.created_at),
        "end_time": formatdate() if is_over else None,
        "duration": str(round(call.seconds)) if is_over else None,
        "answered_by": None,
        "parent_call_sid": None,
        "price": None,
        "price_unit": "USD",
        "queue_time": "0",
        "uri": f"/2010-04-01/Accounts/{account}/Calls/{call.sid}.json",
        "subresource_uris": {},
    }


def _missing(request: web.Request) -> web.Response:
    return _error(404, 20404, f"The requested resource {request.path} was not found")


def _error(status: int, code: int, message: str) -> web.Response:
    more = f"https://www.twilio.com/docs/errors/{code}"
    body = {"code": code, "message": message, "more_info": more, "status": status}
    return web.json_response(body, status=status)
