"""The web application that Twilio and the page talk to."""

from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.typedefs import Handler

from twilio_frames import __version__
from twilio_frames.server import dialing, page, stream, webhooks
from twilio_frames.server.incoming import LARGEST_BODY, problem
from twilio_frames.server.settings import ServerSettings
from twilio_frames.server.state import STATE, make_state
from twilio_frames.server.switchboard import Bot
from twilio_frames.server.trust import is_local

__all__ = ["create_app"]


def create_app(bot: Bot, settings: ServerSettings | None = None) -> web.Application:
    """Make the application that answers calls with a bot.

    ======  =================  ==================================================
    GET     ``/``              the page: a number field and a call button
    POST    ``/call``          place a call: ``{"to": "+1..."}``
    GET     ``/calls/{sid}``   how a call stands
    POST    ``/twiml``         the voice webhook: set it at your Twilio number
    GET     ``/stream``        the WebSocket Twilio connects the call's audio to
    POST    ``/after-stream``  what Twilio asks when a stream has ended
    POST    ``/status``        call and stream status callbacks
    GET     ``/healthz``       whether calls are taken, and how many are up
    ======  =================  ==================================================

    Args:
        bot: A coroutine function that carries one call; it is called once per call.
        settings: Account, addresses and limits; None for those of the environment.

    Raises:
        ConfigurationError: The settings cannot work.
    """
    state = make_state(bot, settings or ServerSettings.from_environment())
    app = web.Application(middlewares=[_strangers_stay_out], client_max_size=LARGEST_BODY)
    app[STATE] = state
    app.router.add_get("/", page.page)
    app.router.add_post("/call", dialing.place_call)
    app.router.add_get("/calls/{sid}", dialing.call_state)
    app.router.add_post("/twiml", webhooks.twiml)
    app.router.add_get("/stream", stream.stream, allow_head=False)
    app.router.add_post("/after-stream", webhooks.after_stream)
    app.router.add_post("/status", webhooks.status)
    app.router.add_get("/healthz", healthz)
    app.on_shutdown.append(_end_calls)
    app.cleanup_ctx.append(_close_rest)
    return app


async def healthz(request: web.Request) -> web.Response:
    """``GET /healthz``: 200 while calls are taken, 503 when the server is about to stop."""
    switchboard = request.app[STATE].switchboard
    draining = switchboard.draining
    return web.json_response(
        {
            "status": "draining" if draining else "ok",
            "calls": len(switchboard),
            "version": __version__,
        },
        status=503 if draining else 200,
    )


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


async def _end_calls(app: web.Application) -> None:
    await app[STATE].switchboard.cancel()


async def _close_rest(app: web.Application) -> AsyncIterator[None]:
    yield
    if rest := app[STATE].rest:
        await rest.close()
