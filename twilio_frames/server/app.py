"""The web application that Twilio and the page talk to."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler
from loguru import logger

from twilio_frames.processors.warming import warm_up as processors_warm_up
from twilio_frames.server.addresses import is_local
from twilio_frames.server.calls.preparing import Prepare
from twilio_frames.server.calls.switchboard import Bot
from twilio_frames.server.calls.warm_up import OwnWarmUp, WarmUp
from twilio_frames.server.dialing.consulting import place_consult
from twilio_frames.server.fleet.joining import member
from twilio_frames.server.fleet.winding_down import wind_down
from twilio_frames.server.incoming import LARGEST_BODY, problem
from twilio_frames.server.loop_blocks import served_elsewhere
from twilio_frames.server.metrics import measured
from twilio_frames.server.routes import add_routes, tells_twilio_why
from twilio_frames.server.settings import ServerSettings
from twilio_frames.server.state import IS_DOOR, STATE, ServerState, make_state
from twilio_frames.server.webhooks.callbacks import take_note

__all__ = ["create_app"]


def create_app(
    bot: Bot,
    settings: ServerSettings | None = None,
    *,
    warm_up: WarmUp | None = None,
    prepare: Prepare | None = None,
) -> web.Application:
    """Make the application that answers calls with a bot.

    ======  ========================  ==================================================
    GET     ``/``                     the page: a number field and a call button
    POST    ``/call``                 place a call: ``{"to": "+1..."}``
    GET     ``/calls``                the calls that are remembered
    GET     ``/calls/{sid}``          how a call stands; ``DELETE`` ends it
    GET     ``/console``              the console: a page for whoever looks after the calls
    GET     ``/calls/{sid}/listen``   the WebSocket of whoever listens in; ``POST``: a ticket
    GET     ``/calls/{sid}/report``   a call's report, of its log; ``POST``: an address of it
    POST    ``/twiml``                the voice webhook: set it at your Twilio number
    GET     ``/stream``               the WebSocket Twilio connects the call's audio to
    POST    ``/after-stream``         what Twilio asks when a stream has ended
    POST    ``/back``                 what Twilio tells when a call is back from a detour
    POST    ``/fallback``             what Twilio asks when it could not do what it was told
    POST    ``/consult``              what Twilio asks and tells of somebody who is asked first
    POST    ``/room``                 who comes into the room where caller and they meet
    GET     ``/room-audio``           what is said in it, for a bot that stays as a silent listener
    POST    ``/status``               call and stream status callbacks
    GET     ``/fleet``                how many calls all workers have, for what adds workers
    GET     ``/healthz``              that the server lives, how many calls are up; how vendors do
    GET     ``/readyz``               whether new calls are taken
    GET     ``/metrics``              what is measured, for Prometheus
    ======  ========================  ==================================================

    Twilio may ask its webhooks by GET as well, and whatever a gateway leaves in front of the path.
    To have all this under a path of an application of your own, ``add_subapp("/phone", app)``.

    Args:
        bot: A coroutine function that carries one call; it is called once per call.
        settings: Account, addresses and limits; None for those of the environment.
        warm_up: Awaited before calls are taken: a greeting is recorded here. What takes longer
            than ``settings.warm_up_secs`` goes on beside the calls. None for the bot's own
            ``warm_up``, if it has one.
        prepare: Awaited for each call from its webhook on, while its stream is still to come; what
            it gives is ``await call.prepared()``. If the stream never comes, it is cancelled, or
            what it gave closed (``aclose()``). None for the bot's own ``prepare``.

    Raises:
        ConfigurationError: The settings cannot work.
    """
    prepare = prepare or getattr(bot, "prepare", None)
    state = make_state(bot, settings or ServerSettings.from_environment(), prepare)
    state.consults.place = partial(place_consult, state)
    state.fleet.take_note = partial(take_note, state)
    return _served(state, warm_up or getattr(bot, "warm_up", None))


def _served(state: ServerState, warm_up: WarmUp | None) -> web.Application:
    app = _routed(state)
    app.cleanup_ctx.append(measured)
    if warm_up is not None:
        own = OwnWarmUp(warm_up, patience=state.settings.warm_up_secs)
        app.cleanup_ctx.append(partial(_warm_up_own, own=own))
    app.cleanup_ctx.append(_warm_up)
    app.on_shutdown.append(_end_calls)
    app.cleanup_ctx.append(_close_clients)
    # Others lead calls to a worker as soon as it is one of them: so it is warm by then.
    app.cleanup_ctx.append(partial(member, make_door=partial(_routed, state, is_door=True)))
    app.cleanup_ctx.append(served_elsewhere)
    return app


def _routed(state: ServerState, *, is_door: bool = False) -> web.Application:
    app = web.Application(
        middlewares=[_keeps_connection, tells_twilio_why, _strangers_stay_out],
        client_max_size=LARGEST_BODY,
    )
    app[STATE], app[IS_DOOR] = state, is_door
    add_routes(app, state.settings.public_url)
    return app


@web.middleware
async def _keeps_connection(request: web.Request, handler: Handler) -> web.StreamResponse:
    with request.app[STATE].connections.busy(request.protocol):
        return await handler(request)


@web.middleware
async def _strangers_stay_out(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Without an auth token nothing tells Twilio from anybody: serve this machine only."""
    state = request.app[STATE]
    if state.validator is None and not is_local(request):
        state.refusals.note(
            "a request from elsewhere", "without TWILIO_AUTH_TOKEN only this machine is served"
        )
        raise problem(
            web.HTTPForbidden,
            "expected a request from the machine the server runs on: "
            "to be reached from elsewhere, it needs TWILIO_AUTH_TOKEN",
        )
    return await handler(request)


async def _warm_up_own(app: web.Application, *, own: OwnWarmUp) -> AsyncIterator[None]:
    try:
        await own.begin()
        yield
    finally:
        await own.close()


async def _warm_up(app: web.Application) -> AsyncIterator[None]:
    if app[STATE].settings.warm:
        try:
            async with asyncio.timeout(60.0):
                await processors_warm_up()
        except TimeoutError:
            logger.warning(
                "warming up took over 60 s and was given up: calls are taken, "
                "the first ones may begin slowly"
            )
    yield


async def _end_calls(app: web.Application) -> None:
    # Where nobody has let them end before: under gunicorn, or web.run_app().
    state = app[STATE]
    if len(state.switchboard):
        await wind_down(state, state.settings.drain_secs)
    await state.switchboard.cancel()
    await app[STATE].preparations.close()


async def _close_clients(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[STATE].relay.close()
    if rest := app[STATE].rest:
        await rest.close()
