"""Listening, and stopping without cutting anybody off."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Self

from aiohttp import web
from aiohttp.http import HttpProcessingError
from loguru import logger

from twilio_frames.errors import ConfigurationError
from twilio_frames.fleet.workers import tell_ready, when_left_alone
from twilio_frames.hosts import is_this_machine
from twilio_frames.server.app import create_app
from twilio_frames.server.calls.preparing import Prepare
from twilio_frames.server.calls.switchboard import Bot, Switchboard, describe
from twilio_frames.server.calls.warm_up import WarmUp
from twilio_frames.server.connections import Listener, listening_sockets
from twilio_frames.server.fleet.winding_down import can_hand_over, wind_down
from twilio_frames.server.loop_blocks import told_of_blocks
from twilio_frames.server.refusals import Refusals
from twilio_frames.server.settings import ServerSettings
from twilio_frames.server.state import STATE

__all__ = [
    "HttpLog",
    "Server",
    "check_address",
    "local_url",
    "open_sockets",
    "serve",
    "welcome",
]

_LAST_WORDS_SECS = 2.0


class HttpLog(logging.Logger):
    """Takes what aiohttp has to tell of requests.

    Args:
        refusals: Counts and tells of them.
    """

    def __init__(self, refusals: Refusals):
        super().__init__("twilio_frames.server.http", logging.WARNING)
        self._refusals = refusals

    def handle(self, record: logging.LogRecord) -> None:
        """Counts one; without the text, which may hold anything that was sent."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            self._refusals.note(
                "a request that is no HTTP, or has too long a header",
                "Twilio sends none such: nothing need be done",
            )
        elif isinstance(error, Exception):
            self._refusals.note_failure(describe(error))
        else:
            self._refusals.note_failure(str(record.msg))


class Server:
    """An application that listens, as an async context manager.

    ::

        async with Server(create_app(bot, settings), port=0) as server:
            print(server.url)

    Leaving it ends the calls that are up at once; ``drain()`` before lets them finish.

    Args:
        app: What ``create_app()`` made.
        host: The address to listen on.
        port: The port to listen on; 0 for any that is free.
        sockets: What is listened on, opened before; None to open it here.

    Raises:
        ConfigurationError: An address others can reach, without an auth token; or, on entering,
            one that cannot be listened on.
    """

    _SHUTDOWN_SECS = 3.0
    """How long requests that are being answered may take when the server ends."""

    def __init__(
        self,
        app: web.Application,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        sockets: Sequence[socket.socket] | None = None,
    ):
        check_address(app[STATE].settings, host)
        self._app = app
        self._host = host
        self._port = port
        self._sockets = sockets
        self._runner: web.AppRunner | None = None
        self._listener: Listener | None = None

    async def __aenter__(self) -> Self:
        state = self._app[STATE]
        state.is_served_here = True
        runner = web.AppRunner(
            self._app,
            handle_signals=False,
            access_log=None,
            shutdown_timeout=self._SHUTDOWN_SECS,
            logger=HttpLog(state.refusals),
            keepalive_timeout=state.settings.keep_alive_secs,
        )
        await runner.setup()
        assert runner.server is not None  # noqa: S101 - setup() made it
        listener = Listener(runner.server, state.connections, state.refusals)
        try:
            sockets = self._sockets or await open_sockets(self._host, self._port)
        except ConfigurationError:
            await runner.cleanup()
            raise
        listener.start(sockets)
        self._runner, self._listener = runner, listener
        self._port = listener.port
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._app[STATE].switchboard.cancel()
        if self._listener:
            self._listener.close()
        if self._runner:
            await self._runner.cleanup()
        self._app[STATE].connections.close()
        self._runner, self._listener = None, None

    @property
    def port(self) -> int:
        """The port that is listened on, the chosen one if it was 0."""
        return self._port

    @property
    def url(self) -> str:
        """Where this machine reaches the server, without a slash at the end."""
        return local_url(self._host, self._port)

    @property
    def page_url(self) -> str:
        """The page's address, with the dial key if one is needed."""
        return page_url(self.url, self._app[STATE].dial_key)

    @property
    def switchboard(self) -> Switchboard:
        """The calls that are up."""
        return self._app[STATE].switchboard

    @property
    def console_url(self) -> str:
        """The console's address, with the dial key if one is needed."""
        return page_url(self.url, self._app[STATE].dial_key, "console")

    def shows_campaign(self, name: str) -> Callable[[Any], None]:
        """Have the console show how far a campaign is.

        ::

            Campaign(contacts, line, policy, state=state, tell=server.shows_campaign("calls.csv"))

        Args:
            name: What it is called there.

        Returns:
            What is to be called with its progress, whenever that changes.
        """
        campaigns = self._app[STATE].campaigns

        def tell(progress: Any) -> None:
            campaigns[name] = {each.name: getattr(progress, each.name) for each in fields(progress)}

        return tell

    async def drain(self, seconds: float | None = None) -> int:
        """Take no new calls, let those that are up end, and return how many did not.

        Args:
            seconds: How long they may go on, None for what the settings say.
        """
        allowed = self._app[STATE].settings.drain_secs if seconds is None else seconds
        state = self._app[STATE]
        if self._sockets is not None and self._listener is not None and can_hand_over(state):
            # Whoever shares the port takes what comes; what is for this one is passed on to it.
            self._listener.close()
        return await wind_down(state, allowed)


def check_address(settings: ServerSettings, host: str) -> None:
    """Sees whether a server may listen on an address.

    Raises:
        ConfigurationError: Others can reach it, and there is no auth token.
    """
    if not settings.auth_token and not is_this_machine(host):
        raise ConfigurationError(
            f"expected TWILIO_AUTH_TOKEN for listening on {host!r}, got none: without it "
            "nobody can be told from Twilio, so set it, or listen on 127.0.0.1"
        )


def local_url(host: str, port: int) -> str:
    """Where this machine reaches a server, without a slash at the end."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"http://{host}:{port}"


def page_url(url: str, dial_key: str | None, page: str = "") -> str:
    """A page's address, with the dial key if one is needed."""
    return f"{url}/{page}#key={dial_key}" if dial_key else f"{url}/{page}"


async def open_sockets(host: str, port: int) -> list[socket.socket]:
    """Opens what a server listens on; several may share it.

    Raises:
        ConfigurationError: If the address cannot be listened on.
    """
    try:
        return await listening_sockets(host, port)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no such port (0 to 65535)"
        raise ConfigurationError(
            f"expected to listen on {host}:{port}, got {reason}: choose another port or address"
        ) from error


async def serve(
    bot: Bot,
    settings: ServerSettings | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    warm_up: WarmUp | None = None,
    prepare: Prepare | None = None,
    extend: Callable[[web.Application], object] | None = None,
    sockets: Sequence[socket.socket] | None = None,
    started: Callable[[Server], None] | None = None,
    announce: Callable[[str], None] = logger.info,
) -> None:
    """Serve a bot until SIGINT or SIGTERM.

    The first signal lets the calls that are up end, for a bounded time; new ones hear that it is
    busy. The second one ends them at once, and stays for a moment to answer Twilio's question what
    to say to whom was cut off; the third one does not. No call is hung up by REST: its TwiML goes
    on.

    Args:
        bot: A coroutine function that carries one call.
        settings: Account, addresses and limits; None for those of the environment.
        host: The address to listen on.
        port: The port to listen on; 0 for any that is free.
        warm_up: Awaited before calls are taken, see :func:`create_app`.
        prepare: Awaited for each call that is about to begin, see :func:`create_app`.
        extend: Called with the application before it listens, to give it more routes.
        sockets: What is listened on, opened before; None to open it here.
        started: Called with the server when it listens.
        announce: Called with each line that is worth the operator's attention.

    Raises:
        ConfigurationError: The settings cannot work, or the address cannot be listened on.
    """
    settings = settings or ServerSettings.from_environment()
    signals = _Signals()
    app = create_app(bot, settings, warm_up=warm_up, prepare=prepare)
    if extend is not None:
        extend(app)
    async with (
        Server(app, host=host, port=port, sockets=sockets) as server,
        told_of_blocks(settings.blocked_secs),
    ):
        with signals.caught():
            for line in welcome(settings, server.url, app[STATE].dial_key):
                announce(line)
            when_left_alone(signals.note)
            if started:
                started(server)
            tell_ready()
            await signals.first.wait()
            await _stop(server, settings, signals, announce)


def welcome(settings: ServerSettings, url: str, dial_key: str | None) -> list[str]:
    """What whoever starts a server wants to know.

    Args:
        settings: The server's.
        url: Where this machine reaches it.
        dial_key: What places calls from elsewhere; None if nothing does.
    """
    reached = settings.public_url.rstrip("/") if settings.public_url else url
    lines = [
        f"page: {page_url(url, dial_key)}",
        f"console: {page_url(url, dial_key, 'console')}",
        f"voice webhook: {reached}/twiml",
    ]
    if not settings.auth_token:
        lines.append(
            "TWILIO_AUTH_TOKEN is not set, so signatures cannot be checked: "
            "only this machine is served"
        )
    return lines


async def _stop(
    server: Server,
    settings: ServerSettings,
    signals: "_Signals",
    announce: Callable[[str], None],
) -> None:
    calls = len(server.switchboard)
    if calls:
        announce(
            f"no new calls; {calls} up, for {settings.drain_secs:g} s at most "
            "(again to end them at once)"
        )
    drained = asyncio.ensure_future(server.drain())
    impatient = asyncio.ensure_future(signals.second.wait())
    told = calls
    while not drained.done() and not impatient.done():
        await asyncio.wait({drained, impatient}, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
        if 0 < len(server.switchboard) < told:
            told = len(server.switchboard)
            announce(f"{told} left")
    drained.cancel()
    impatient.cancel()
    if left := len(server.switchboard):
        if not signals.second.is_set():
            announce(f"time is up: {left} ended")
        await server.switchboard.cancel()
        # Twilio asks what to do with the calls that were cut off: stay to answer.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECS):
                await signals.last.wait()


class _Signals:
    """The first, the second and the third order to stop."""

    def __init__(self):
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        self.last = asyncio.Event()

    @contextlib.contextmanager
    def caught(self):
        loop = asyncio.get_running_loop()
        caught: list[signal.Signals] = []
        for number in (signal.SIGINT, signal.SIGTERM):
            # Windows has no signals in its event loop: there, Ctrl-C ends everything at once.
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, self.note)
                caught.append(number)
        try:
            yield
        finally:
            for number in caught:
                loop.remove_signal_handler(number)

    def note(self) -> None:
        """Takes another order."""
        if self.second.is_set():
            self.last.set()
        (self.second if self.first.is_set() else self.first).set()
