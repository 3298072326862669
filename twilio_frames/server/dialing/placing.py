"""Calls that are placed by a page or by a program, and watched."""

import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from twilio_frames.errors import ConfigurationError, RestError
from twilio_frames.rest import CallOptions, TwilioRest
from twilio_frames.rest.numbers import normalise_number
from twilio_frames.server.addresses import is_local, is_reachable, is_same_origin
from twilio_frames.server.calls.records import CallRecord, StreamPhase
from twilio_frames.server.dialing.relaying import relayed
from twilio_frames.server.incoming import (
    own_url,
    problem,
    read_body,
    read_form,
    source,
    too_many,
)
from twilio_frames.server.state import STATE, ServerState

__all__ = [
    "call_state",
    "check_key",
    "check_proof",
    "hang_up",
    "known",
    "needs_key",
    "place",
    "place_call",
]


def needs_key(request: web.Request) -> bool:
    """Tell whether this sender has to show the dial key."""
    return request.app[STATE].settings.is_public or not is_local(request)


async def place_call(request: web.Request) -> web.Response:
    """``POST /call``: dial ``to``, and answer with the call's sid or Twilio's reason against it.

    All else that it may be told is a :class:`~twilio_frames.rest.CallOptions`. Calls cost money, so
    not everybody may place them: this machine may, if the settings do not say that the server is
    reached from elsewhere; everybody else shows the dial key. A web page of another origin may not
    at all, whoever opens it.
    """
    state = request.app[STATE]
    if not is_same_origin(request, own_url(request)):
        raise problem(web.HTTPForbidden, "expected a request from this server's own page")
    if needs_key(request):
        # Before 64 kB are read.
        _check_patience(request, "the dial key")
    fields = await _read_fields(request)
    check_key(request, fields)
    to = normalise_number(fields["to"]) if isinstance(fields.get("to"), str) else None
    if to is None:
        raise problem(
            web.HTTPBadRequest,
            "expected a phone number with its country code, such as +14155550100",
        )
    try:
        # The call has its line here, from now on.
        base = state.fleet.named(own_url(request))
        options = _options(state, base, fields)
        webhook = options.webhook(base + "/twiml")
    except ConfigurationError as error:
        raise problem(web.HTTPBadRequest, str(error)) from error
    return web.json_response({"call_sid": await _dial(state, to, webhook, options)}, status=201)


def _options(state: ServerState, base: str, fields: dict[str, Any]) -> CallOptions:
    """What is asked for; how the call goes is told to this server, which passes it on."""
    given = {name: value for name, value in fields.items() if name not in ("to", "key")}
    defaults: dict[str, Any] = {}
    if given.get("async_detection") in (True, "true"):
        defaults["detection_callback"] = base + "/amd"
    options, status = CallOptions.read(given, **defaults), base + "/status"
    if (told := options.status_callback) is not None:
        anywhere = state.settings.api_url is not None
        status = relayed(status, told, options.status_events, anywhere=anywhere)
    return replace(options, status_callback=status, status_events=None)


async def _dial(state: ServerState, to: str, webhook: str, options: CallOptions) -> str:
    """Have Twilio call, if this server may."""
    if await state.is_full():
        raise problem(web.HTTPServiceUnavailable, "all lines are busy: try again later")
    rest, caller = _ready(state, webhook, options)
    _check_destination(state, to)
    if wait := state.outgoing.wait_secs:
        raise too_many(
            "expected fewer calls in a minute: try again later, or raise "
            "TWILIO_FRAMES_DIALS_PER_MINUTE",
            wait,
        )
    try:
        return await place(state, rest, to, caller, webhook, options)
    except RestError as error:
        raise _pass_on(error) from error


async def place(
    state: ServerState, rest: TwilioRest, to: str, caller: str, webhook: str, options: CallOptions
) -> str:
    """Have Twilio call, and give the call's sid; it holds a line from before it is asked for.

    Raises:
        RestError: Twilio refused, or did not answer.
    """
    state.outgoing.ask()
    try:
        call_sid = await rest.dial(to, caller, url=webhook, options=options.arguments())
    except BaseException:
        state.outgoing.refused()
        raise
    record = state.records.open(call_sid)
    record.direction, record.from_number, record.to_number = "outbound-api", caller, to
    is_past = record.is_over or record.phase is not StreamPhase.NONE
    state.outgoing.placed(call_sid, has_line=is_past)
    return call_sid


async def call_state(request: web.Request) -> web.Response:
    """``GET /calls/{sid}``: how a call stands, for those who may place one."""
    check_key(request, {})
    return web.json_response(dict(known(request).as_json()))


async def hang_up(request: web.Request) -> web.Response:
    """``DELETE /calls/{sid}``: end a call at once, for those who may place one."""
    if not is_same_origin(request, own_url(request)):
        raise problem(web.HTTPForbidden, "expected a request from this server's own page")
    check_key(request, {})
    state, record = request.app[STATE], known(request)
    try:
        if state.rest is not None:
            await state.rest.hang_up(record.call_sid)
        elif record.call is not None:
            await record.call.hang_up()
        elif not record.is_over:
            raise problem(
                web.HTTPServiceUnavailable,
                "expected a Twilio account to end a call whose stream is not up, got none: set "
                "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN",
            )
    except RestError as error:
        raise _pass_on(error) from error
    return web.json_response(dict(record.as_json()))


def known(request: web.Request) -> CallRecord:
    """The call that a request names; 404 if there is none."""
    record = request.app[STATE].records.get(request.match_info["sid"])
    if record is None:
        raise problem(web.HTTPNotFound, "expected a call this server knows, got another")
    return record


async def _read_fields(request: web.Request) -> dict[str, Any]:
    if request.content_type != "application/json":
        return dict(await read_form(request))
    try:
        fields = json.loads(await read_body(request))
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise problem(web.HTTPBadRequest, 'expected JSON such as {"to": "+14155550100"}')
    return fields


def check_key(request: web.Request, fields: dict[str, Any]) -> None:
    """Refuse whoever has to show the dial key and does not, or guesses it."""
    if not needs_key(request):
        return
    expected = request.app[STATE].dial_key
    if expected is None:
        raise problem(
            web.HTTPForbidden,
            "expected a request from the machine the server runs on: "
            "to place calls from elsewhere, set TWILIO_FRAMES_DIAL_KEY",
        )
    scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
    given = shown.strip() if scheme.lower() == "bearer" else str(fields.get("key", ""))

    def is_right() -> bool:
        return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))

    check_proof(request, "the dial key", is_right)


def check_proof(request: web.Request, what: str, is_right: Callable[[], bool]) -> None:
    """Refuse whoever shows something wrong; whoever does so often is to wait.

    Args:
        request: Theirs.
        what: What they are to show.
        is_right: Looks at it.
    """
    _check_patience(request, what)
    state, whose = request.app[STATE], source(request)
    if not is_right():
        state.wrong_keys.note(whose)
        state.refusals.note(f"a request without {what}", "see the server's console")
        raise problem(web.HTTPUnauthorized, f"expected {what}, got none or another")
    state.wrong_keys.forgive(whose)


def _check_patience(request: web.Request, what: str) -> None:
    if wait := request.app[STATE].wrong_keys.wait_secs(source(request)):
        raise too_many(f"expected {what}, got too many wrong ones: try again later", wait)


def _check_destination(state: ServerState, to: str) -> None:
    if state.destinations.allow(to):
        return
    advice = (
        "expected an ordinary number of a country that this server may call, got another: name "
        "how it begins in TWILIO_FRAMES_DIAL_PREFIXES, such as +1,+44"
    )
    state.refusals.note("a call to a number that may not be called", advice)
    raise problem(web.HTTPForbidden, advice)


def _ready(state: ServerState, webhook: str, options: CallOptions) -> tuple[TwilioRest, str]:
    """What dialling takes; 503 with what is missing."""
    settings = state.settings
    caller = options.caller_id or settings.phone_number
    if state.rest is None or not caller:
        raise problem(
            web.HTTPServiceUnavailable,
            "expected a Twilio account to call from, got none: set TWILIO_ACCOUNT_SID, "
            "TWILIO_AUTH_TOKEN and TWILIO_PHONE_NUMBER",
        )
    if settings.api_url is None and not is_reachable(urlsplit(webhook).hostname or ""):
        raise problem(
            web.HTTPServiceUnavailable,
            "expected an address at which Twilio reaches this server, got one of this machine or "
            "its own network: set TWILIO_FRAMES_PUBLIC_URL to that of your domain or tunnel",
        )
    return state.rest, caller


def _pass_on(error: RestError) -> web.HTTPException:
    """Twilio's refusal as our answer; its 401 and 5xx are no fault of who asked us."""
    kinds = {400: web.HTTPBadRequest, 403: web.HTTPForbidden, 404: web.HTTPNotFound}
    kind: type[web.HTTPException] = kinds.get(error.status or 0, web.HTTPBadGateway)
    if error.status is None:
        kind = web.HTTPGatewayTimeout
    if error.status == 429:
        kind = web.HTTPTooManyRequests
    return problem(kind, str(error), code=error.code, status=error.status)
