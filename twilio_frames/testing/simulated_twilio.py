"""A Twilio on this machine: it rings bots, and bots ring its callers."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from twilio_frames.errors import CallFailedError, ConfigurationError
from twilio_frames.testing.call import Numbers, SimulatedCall, StatusCallback
from twilio_frames.testing.caller import Caller
from twilio_frames.testing.exchange import (
    DEFAULT_ACCOUNT_SID,
    DEFAULT_AUTH_TOKEN,
    Exchange,
)
from twilio_frames.testing.log import CallLog
from twilio_frames.testing.program import Fetch, Instructions
from twilio_frames.testing.rest_api import RestApi
from twilio_frames.testing.ringing import CallerOptions, RingingCall, on_the_line
from twilio_frames.testing.verbs import ConnectStream
from twilio_frames.testing.webhooks import Webhooks

_MAX_RINGING = 1000


class SimulatedTwilio:
    """Twilio's part of a phone call, by Twilio's documented rules, on this machine.

    ::

        async with SimulatedTwilio(auth_token="...") as twilio:
            async with twilio.call("http://127.0.0.1:8080/twiml") as caller:
                await caller.wait_for_bot()
                await caller.say("A large latte, please.")
                await caller.wait_for_bot()
            print(caller.result.answer_times)

    Args:
        auth_token: Signs webhooks and upgrades, and opens the REST API; the bot's server must have
            the same.
        account_sid: The account it plays.
        api_keys: Secrets of API keys by their sids, for the REST API.
        seed: Makes sids and first timestamps the same each time.
        webhook_seconds: How long a web server may take to answer; Twilio gives it 15.
        rest_port: Port of the REST API; 0 takes a free one.
    """

    def __init__(
        self,
        *,
        auth_token: str = DEFAULT_AUTH_TOKEN,
        account_sid: str = DEFAULT_ACCOUNT_SID,
        api_keys: Mapping[str, str] | None = None,
        seed: int | None = None,
        webhook_seconds: float = 15.0,
        rest_port: int = 0,
    ):
        self.auth_token = auth_token
        self.account_sid = account_sid
        self.rest_url = ""
        self._api_keys = dict(api_keys or {})
        self._random = random.Random(seed)  # noqa: S311  # names things, protects nothing
        self._webhook_seconds = webhook_seconds
        self._rest_port = rest_port
        self._ringing: asyncio.Queue[RingingCall] = asyncio.Queue(_MAX_RINGING)
        self._exchange: Exchange | None = None
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(_client_session())
            self._exchange = Exchange(
                account_sid=self.account_sid,
                auth_token=self.auth_token,
                session=session,
                webhooks=Webhooks(session, self.auth_token, seconds=self._webhook_seconds),
                random=self._random,
            )
            await self._serve_rest(self._exchange, stack)
            self._opened = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        exchange, self._exchange = self._exchange, None
        while not self._ringing.empty():
            self._ringing.get_nowait()
        for call in list(exchange.calls.values()) if exchange else ():
            await call.abandon()
        await self._opened.aclose()

    @asynccontextmanager
    async def call(
        self,
        url: str,
        *,
        parameters: Mapping[str, str] | None = None,
        numbers: Numbers | None = None,
        status_callback: StatusCallback | None = None,
        options: CallerOptions | None = None,
    ) -> AsyncIterator[Caller]:
        """Rings a bot; gives the caller once the bot is connected. Leaving it hangs up.

        Args:
            url: The bot's TwiML webhook (``http://``, ``https://``), or its stream (``ws://``,
                ``wss://``) which is then opened without any TwiML.
            parameters: Custom parameters of a stream that is opened without TwiML.
            numbers: Who calls whom.
            status_callback: Where the call's progress is told.
            options: How the caller sounds, and what is kept of the call.

        Raises:
            CallFailedError: If no call comes about; it says what Twilio would.
            ConfigurationError: If the URL has another scheme.
        """
        instructions = _instructions(url, parameters)
        exchange = self._require_exchange()
        call = SimulatedCall(
            exchange, numbers=numbers or Numbers(), log=CallLog(), callback=status_callback
        )
        exchange.calls[call.sid] = call
        call.ring()
        async with on_the_line(call, instructions, options or CallerOptions()) as caller:
            yield caller

    async def wait_for_call(self, *, seconds: float = 10.0) -> RingingCall:
        """Waits until a bot calls somebody over the REST API at :attr:`rest_url`.

        Raises:
            CallFailedError: If none does so in time.
        """
        self._require_exchange()
        try:
            async with asyncio.timeout(seconds):
                return await self._ringing.get()
        except TimeoutError:
            raise CallFailedError(
                f"expected a call over the REST API within {seconds:g} s, got none at "
                f"{self.rest_url}"
            ) from None

    def _require_exchange(self) -> Exchange:
        if self._exchange is None:
            raise ConfigurationError(
                "expected a running SimulatedTwilio, got one that is not: use `async with`"
            )
        return self._exchange

    async def _serve_rest(self, exchange: Exchange, stack: AsyncExitStack) -> None:
        api = RestApi(exchange, api_keys=self._api_keys, ring=self._ring)
        runner = web.AppRunner(api.application(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, "127.0.0.1", self._rest_port).start()
        except OSError as error:
            raise ConfigurationError(
                f"expected the free port {self._rest_port} for the REST API, got "
                f"{error.strerror}: choose another"
            ) from error
        self.rest_url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    def _ring(self, ringing: RingingCall) -> bool:
        if self._ringing.full():
            return False
        self._ringing.put_nowait(ringing)
        return True


def _client_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        # What aiohttp would add by itself, and Twilio does not send.
        skip_auto_headers=["Accept", "Accept-Encoding", "User-Agent"],
        connector=aiohttp.TCPConnector(limit=0),
        # One call must not bring another's cookies.
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
    )


def _instructions(url: str, parameters: Mapping[str, str] | None) -> Instructions:
    scheme = urlsplit(url).scheme
    if scheme in ("http", "https"):
        return Fetch(url=url)
    if scheme in ("ws", "wss"):
        return ConnectStream(url=url, parameters=dict(parameters or {}))
    raise ConfigurationError(
        f"expected an http, https, ws or wss URL, got {scheme or 'no'} scheme: "
        "pass the bot's TwiML webhook or its stream"
    )
