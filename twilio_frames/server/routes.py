"""Which path leads where, and what is said of requests of Twilio's that lead nowhere."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from twilio_frames import __version__
from twilio_frames.processors.fallback.vendor_health import VENDORS
from twilio_frames.server import stream, webhooks
from twilio_frames.server.addresses import is_local, is_twilios
from twilio_frames.server.calls import overhearing
from twilio_frames.server.console import history, news, pages
from twilio_frames.server.dialing import consulting
from twilio_frames.server.dialing import placing as dialing
from twilio_frames.server.fleet.handover import given_away, hand_over
from twilio_frames.server.fleet.joining import fleet_figures
from twilio_frames.server.fleet.leading import asked_of_owner, owner_elsewhere, taken_over
from twilio_frames.server.incoming import (
    TOLD,
    front,
    is_signed,
    own_url,
    problem,
    source,
    too_many,
)
from twilio_frames.server.metrics import metrics_text
from twilio_frames.server.refusals import shown
from twilio_frames.server.state import STATE
from twilio_frames.server.webhooks import callbacks
from twilio_frames.signature import SIGNATURE_HEADER

__all__ = ["add_routes", "bases", "tells_twilio_why"]

_Route = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ASKED_BY_TWILIO: dict[str, tuple[_Route, tuple[str, ...]]] = {
    "twiml": (webhooks.twiml, ("GET", "POST")),
    "after-stream": (webhooks.after_stream, ("GET", "POST")),
    "amd": (callbacks.amd, ("GET", "POST")),
    "back": (webhooks.back, ("GET", "POST")),
    "consult": (consulting.consult, ("GET", "POST")),
    "room": (consulting.room, ("GET", "POST")),
    "room-audio": (consulting.room_audio, ("GET",)),
    "whisper": (webhooks.whisper, ("GET", "POST")),
    "leg": (callbacks.leg, ("GET", "POST")),
    "recording": (callbacks.recording, ("GET", "POST")),
    "fallback": (webhooks.fallback, ("GET", "POST")),
    "status": (callbacks.status, ("GET", "POST")),
    "stream": (stream.stream, ("GET",)),
}
"""By their path's last name; before it may stand a gateway's or an outer application's."""

_STREAMS = frozenset({"stream", "room-audio"})
_ASKED_OF_OWNERS = frozenset(_ASKED_BY_TWILIO) - _STREAMS - {"twiml"}
"""What is about a call that some worker has."""

_ASKED_BY_OTHERS = {
    "": ("GET",),
    "call": ("POST",),
    "calls": ("GET",),
    "fleet": ("GET",),
    "healthz": ("GET",),
    "metrics": ("GET",),
    "readyz": ("GET",),
}


def add_routes(app: web.Application, public_url: str | None) -> None:
    """Adds all of an application's routes.

    Args:
        app: The application.
        public_url: Where it is reached; its path may be kept by the gateway that cuts it elsewhere.
    """
    for base in bases(public_url):
        app.router.add_get(base + "/", pages.front)
        app.router.add_post(base + "/call", dialing.place_call)
        app.router.add_get(base + "/console", pages.console)
        app.router.add_get(base + "/console/news", news.news)
        app.router.add_get(base + "/console/history", history.history)
        app.router.add_post(base + "/console/number", pages.number)
        app.router.add_get(base + "/console/{name}", pages.part)
        app.router.add_get(base + "/calls", news.call_list)
        app.router.add_get(base + "/calls/{sid}", _at_owner(dialing.call_state))
        app.router.add_get(base + "/calls/{sid}/listen", _at_owner(overhearing.listen))
        app.router.add_post(base + "/calls/{sid}/listen", _at_owner(overhearing.ticket))
        app.router.add_get(base + "/calls/{sid}/report", history.report)
        app.router.add_post(base + "/calls/{sid}/report", history.report_address)
        app.router.add_delete(base + "/calls/{sid}", _at_owner(dialing.hang_up))
        app.router.add_get(base + "/fleet", fleet)
        app.router.add_get(base + "/healthz", healthz)
        app.router.add_get(base + "/metrics", metrics_text)
        app.router.add_get(base + "/readyz", readyz)
    app.router.add_route("*", "/{path:.*}", _by_last_name)


def _at_owner(route: _Route) -> _Route:
    """Has what is asked about a call carried out by the worker that has it."""

    async def led(request: web.Request) -> web.StreamResponse:
        owner = await owner_elsewhere(request, request.match_info["sid"])
        if owner is None:
            return await route(request)
        if "Upgrade" in request.headers and await hand_over(request, owner.handover):
            return given_away()
        # There it comes from this machine, whoever has sent it.
        dialing.check_key(request, {})
        return await request.app[STATE].workers.pass_on(request, owner) or await route(request)

    return led


def bases(public_url: str | None) -> list[str]:
    """What may stand before an application's own paths: nothing, or the path of its address."""
    return list(dict.fromkeys(["", urlsplit(public_url or "").path.rstrip("/")]))


async def healthz(request: web.Request) -> web.Response:
    """``GET /healthz``: 200 as long as the server lives, be it about to stop.

    Who asks on this machine also sees how the vendors do; elsewhere nobody need know who they are.
    """
    switchboard = request.app[STATE].switchboard
    draining = switchboard.draining
    state = {
        "status": "draining" if draining else "ok",
        "calls": len(switchboard),
        "version": __version__,
    }
    if is_local(request):
        state["vendors"] = VENDORS.as_json()
    return web.json_response(state)


async def readyz(request: web.Request) -> web.Response:
    """``GET /readyz``: 200 while new calls are taken, 503 when the server is about to stop."""
    draining = request.app[STATE].switchboard.draining
    status = "draining" if draining else "ready"
    return web.json_response({"status": status}, status=503 if draining else 200)


async def fleet(request: web.Request) -> web.Response:
    """``GET /fleet``: how many calls all workers have, for what adds workers, or takes some away.

    It shows the dial key, as for ``/calls``. A register that cannot say how many there are is a
    503, not a 0: nothing is to be taken away for that.
    """
    dialing.check_key(request, {})
    figures = await fleet_figures(request.app[STATE])
    if figures is None:
        raise problem(
            web.HTTPServiceUnavailable,
            "expected a register that knows all workers, got one that is gone, or was just now: "
            "keep as many as there are",
        )
    return web.json_response(figures)


async def _by_last_name(request: web.Request) -> web.StreamResponse:
    """Carries out what Twilio asks, and lets those wait who are refused too often.

    What bears a signature is always looked at: it may be Twilio's, which behind a proxy has the
    same address as everybody.
    """
    state = request.app[STATE]
    if state.validator is None:
        return await _carried_out(request)
    whose = source(request)
    wait = state.strangers.wait_secs(whose)
    try:
        if wait and SIGNATURE_HEADER not in request.headers:
            raise too_many("expected Twilio's signature, got too many requests without", wait)
        return await _carried_out(request)
    except web.HTTPClientError as error:
        if not is_signed(request):
            state.strangers.note(whose)
            if wait:
                error.force_close()
        raise


async def _carried_out(request: web.Request) -> web.StreamResponse:
    """Carries out what Twilio asks, whatever stands before the path's last name."""
    name = request.path.rstrip("/").rpartition("/")[2]
    route, methods = _ASKED_BY_TWILIO.get(name, (None, ()))
    if route is None and request.path.strip("/") in _ASKED_BY_OTHERS:
        methods = _ASKED_BY_OTHERS[name]
    if methods and request.method not in methods:
        error = web.HTTPMethodNotAllowed(request.method, methods)
        error[TOLD] = _where_to_ask(request)
        raise error
    if route is None:
        raise problem(web.HTTPNotFound, _where_to_ask(request))
    if name in _STREAMS and await taken_over(request):
        return given_away()
    if name in _ASKED_OF_OWNERS and (answer := await asked_of_owner(request)) is not None:
        return answer
    return await route(request)


def _where_to_ask(request: web.Request) -> str:
    # Not all that stands before the last name is a gateway's: leave it out where that is not known.
    base = own_url(request).removesuffix(front(request))
    return f"the voice webhook is {shown(base + '/twiml')}: set it so at your Twilio number"


@web.middleware
async def tells_twilio_why(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Logs what is answered to Twilio with an error: its caller hears 'an application error'."""
    try:
        return await handler(request)
    except web.HTTPClientError as error:
        # A signature that is wrong is told of where it is looked at.
        if is_twilios(request.headers) and error.status != web.HTTPForbidden.status_code:
            request.app[STATE].refusals.note(
                f"a request that may be Twilio's, with {error.status}",
                error.get(TOLD, "see the address that Twilio was given"),
                came=f"{request.method} {shown(request.path)}",
            )
        raise
