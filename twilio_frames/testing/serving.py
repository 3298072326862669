"""An address for a bot that is to be rung: on a free port of this machine, while it is needed."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from enum import Enum
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from aiohttp import web

from twilio_frames.errors import ConfigurationError, brought_by

if TYPE_CHECKING:
    from twilio_frames.server import ServerSettings
    from twilio_frames.testing.simulated_twilio import SimulatedTwilio

_SHUTDOWN_SECS = 2.0

_imported = dict[str, ModuleType]()

OnError = Callable[[BaseException], None]


@asynccontextmanager
async def serving(
    bot: Any,
    twilio: "SimulatedTwilio",
    *,
    settings: "ServerSettings | None" = None,
    on_error: OnError = lambda error: None,
) -> AsyncIterator[str]:
    """Serves a bot or a web application; gives its address, without a slash at the end.

    Args:
        bot: A bot, an aiohttp application, an ASGI application, or an address, which is given back.
        twilio: Who will ring it.
        settings: Of the server for a bot; account, token and REST address are the Twilio's own.
        on_error: Called with what an application raises in a handler.

    Raises:
        ConfigurationError: If it is none of these.
        MissingExtraError: If an ASGI application is to be served, and uvicorn is not installed.
    """
    match kind_of(bot):
        case Kind.URL:
            yield bot.rstrip("/")
        case Kind.AIOHTTP:
            async with _serving_aiohttp(bot, on_error) as url:
                yield url
        case Kind.ASGI:
            async with _serving_asgi(bot, on_error) as url:
                yield url
        case Kind.BOT:
            async with _serving_bot(bot, twilio, settings) as url:
                yield url
        case Kind.FACTORY | Kind.OTHER:
            raise ConfigurationError(
                "expected a URL, a bot (`async def bot(call)`) or a web application (aiohttp or "
                f"ASGI), got {type(bot).__name__}: pass one of these"
            )


class Kind(Enum):
    """What can be rung, and what can become it."""

    URL = "an address"
    AIOHTTP = "an aiohttp application"
    ASGI = "an ASGI application"
    BOT = "a coroutine function that takes a call"
    FACTORY = "a function that makes one of these"
    OTHER = "something else"


def kind_of(bot: Any) -> Kind:
    """What somebody wants to ring."""
    if isinstance(bot, str):
        return Kind.URL
    if isinstance(bot, web.Application):
        return Kind.AIOHTTP
    match _parameters_of(bot):
        case 3:
            return Kind.ASGI
        case 1 if _is_coroutine_function(bot):
            return Kind.BOT
        case 1:
            return Kind.FACTORY
        case _:
            return Kind.OTHER


def _is_coroutine_function(bot: Any) -> bool:
    return inspect.iscoroutinefunction(bot) or inspect.iscoroutinefunction(type(bot).__call__)


def _parameters_of(bot: Any) -> int:
    """How many arguments it must be called with; 0 if it cannot be called."""
    if not callable(bot):
        return 0
    return sum(
        parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        for parameter in inspect.signature(bot).parameters.values()
    )


async def import_beside(name: str) -> ModuleType:
    """Imports a module off the event loop.

    The first time it may take tenths of a second, in which calls elsewhere would be late.
    """
    if name not in _imported:
        _imported[name] = await asyncio.to_thread(import_module, name)
    return _imported[name]


@asynccontextmanager
async def _serving_bot(
    bot: Any,
    twilio: "SimulatedTwilio",
    settings: "ServerSettings | None",
) -> AsyncIterator[str]:
    await import_beside("twilio_frames.server")
    from twilio_frames.server import Server, ServerSettings, create_app

    own = replace(
        settings or ServerSettings(),
        account_sid=twilio.account_sid,
        auth_token=twilio.auth_token,
        api_url=twilio.rest_url,
    )
    hooks = {name: getattr(bot, name, None) for name in ("warm_up", "prepare")}
    async with Server(create_app(bot, own, **hooks)) as server:
        yield server.url
        # Whoever rang is done; bots whose line has just ended are not.
        await server.drain(5.0)


@asynccontextmanager
async def _serving_aiohttp(app: web.Application, on_error: OnError) -> AsyncIterator[str]:
    runner = web.AppRunner(
        app,
        handle_signals=False,
        access_log=None,
        shutdown_timeout=_SHUTDOWN_SECS,
        logger=_error_logger(on_error),
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _error_logger(on_error: OnError) -> logging.Logger:
    """A logger like aiohttp's own, which tells what a handler raised."""
    logger = logging.Logger("aiohttp.server", logging.getLogger("aiohttp.server").level)
    logger.parent = logging.getLogger("aiohttp.server")

    def look(record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[1] is not None:
            on_error(record.exc_info[1])
        return True

    logger.addFilter(look)
    return logger


def _telling(app: Any, on_error: OnError) -> Any:
    """An ASGI application that tells what it raises."""

    async def told(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(
                scope, _until_closed(receive) if scope["type"] == "lifespan" else receive, send
            )
        except Exception as error:
            on_error(error)
            raise
        except BaseException as error:
            # uvicorn would log it as a failure of the application, or end the event loop.
            task = asyncio.current_task()
            if not (isinstance(error, asyncio.CancelledError) and task and task.cancelling()):
                on_error(error)

    return told


def _until_closed(receive: Any) -> Any:
    """What a lifespan receives: its end, too, where the event loop closes around it."""

    async def received() -> Any:
        try:
            return await receive()
        except asyncio.CancelledError:
            return {"type": "lifespan.shutdown"}

    return received


@asynccontextmanager
async def _serving_asgi(app: Any, on_error: OnError) -> AsyncIterator[str]:
    with brought_by("test"):
        import uvicorn
    config = uvicorn.Config(
        _telling(app, on_error),
        interface="asgi3",
        port=0,
        log_level="error",
        ws="websockets-sansio",
        timeout_graceful_shutdown=round(_SHUTDOWN_SECS),
    )
    server = uvicorn.Server(config)
    # Its own start would take over the signals of the test's process.
    running = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10.0):
            while not server.started and not running.done():  # noqa: ASYNC110  # nothing to await
                await asyncio.sleep(0.01)
        if running.done():
            raise ConfigurationError(
                "expected an ASGI application that starts, got one that does not: see its log"
            )
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await asyncio.gather(running, return_exceptions=True)
        # An event loop that closes has cancelled what would have closed them.
        for listening in server.servers if server.started else ():
            listening.close()
