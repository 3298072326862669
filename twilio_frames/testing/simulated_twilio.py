"""A Twilio on this machine: it rings bots, and bots ring its callers."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Self

from aiohttp import web

from twilio_frames.errors import CallFailedError, ConfigurationError
from twilio_frames.testing.callers.caller import Caller
from twilio_frames.testing.callers.parties import Party, PartyScript
from twilio_frames.testing.calls.account import AccountRules, CallbackDisorder, StartDelays
from twilio_frames.testing.calls.facts import Alert, Numbers, StatusCallback
from twilio_frames.testing.calls.instructions import Fetch, Instructions
from twilio_frames.testing.calls.ringing import CallerOptions, RingingCall, on_the_line
from twilio_frames.testing.calls.signing import Signing
from twilio_frames.testing.calls.switch import Switch
from twilio_frames.testing.calls.webhooks import Webhooks, client_session
from twilio_frames.testing.exchange import (
    DEFAULT_ACCOUNT_SID,
    DEFAULT_AUTH_TOKEN,
    Exchange,
)
from twilio_frames.testing.flow.program import follow
from twilio_frames.testing.rest.api import RestApi
from twilio_frames.testing.streams.upgrade import ringable_scheme
from twilio_frames.testing.verbs import ConnectStream


class SimulatedTwilio:
    """Twilio's part of a phone call, by Twilio's documented rules, on this machine.

    ::

        async with SimulatedTwilio(auth_token="...") as twilio:
            async with twilio.call("http://127.0.0.1:8080/twiml") as caller:
                await caller.wait_for_bot()
                await caller.say("A large latte, please.")
                await caller.wait_for_bot()
            print(caller.result.answer_times)

    Others answer the numbers that a bot calls, over the REST API or with ``<Dial>``::

        voicemail = twilio.answer_with("+12125550123", Voicemail(greeting="Leave a message."))
        sdk = Client(twilio.account_sid, twilio.auth_token)  # the official one
        sdk.api.base_url = twilio.rest_url
        sdk.calls.create(to="+12125550123", ..., machine_detection="DetectMessageEnd")
        print((await voicemail.wait_for_result()).heard_spans)

    What it keeps of Twilio's documentation, and what not, stands in ``docs/conformance.md``.

    Args:
        auth_token: Signs webhooks and upgrades, and opens the REST API; the bot's server must have
            the same.
        account_sid: The account it plays.
        api_keys: Secrets of API keys by their sids, for the REST API.
        seed: Makes sids and first timestamps the same each time.
        webhook_secs: How long a web server may take to answer; Twilio gives it 15.
        rest_port: Port of the REST API; 0 takes a free one.
        rules: What the account may do: how many calls a second and at a time, to whom.
        delays: How long Twilio takes over the beginning of a stream.
        disorder: How many status callbacks come out of order, or twice.
        signing: How requests are signed, if not plainly with the auth token.
    """

    def __init__(
        self,
        *,
        auth_token: str = DEFAULT_AUTH_TOKEN,
        account_sid: str = DEFAULT_ACCOUNT_SID,
        api_keys: Mapping[str, str] | None = None,
        seed: int | None = None,
        webhook_secs: float = 15.0,
        rest_port: int = 0,
        rules: AccountRules | None = None,
        delays: StartDelays | None = None,
        disorder: CallbackDisorder | None = None,
        signing: Signing | None = None,
    ):
        self.auth_token = auth_token
        self.account_sid = account_sid
        self.rest_url = ""
        self._api_keys = dict(api_keys or {})
        self._random = random.Random(seed)  # noqa: S311  # names things, protects nothing
        self._webhook_secs = webhook_secs
        self._rest_port = rest_port
        self._rules = rules or AccountRules()
        self._delays = delays or StartDelays()
        self._disorder = disorder or CallbackDisorder()
        self._signing = replace(signing or Signing(auth_token=auth_token), auth_token=auth_token)
        self._parties: dict[str, Party] = {}
        self._alerts: list[Alert] = []
        self._ringing: asyncio.Queue[RingingCall] = asyncio.Queue(1000)
        self._switch: Switch | None = None
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(client_session())
            exchange = Exchange(
                account_sid=self.account_sid,
                signing=self._signing,
                session=session,
                webhooks=Webhooks(session, self._signing, seconds=self._webhook_secs),
                random=self._random,
                rules=self._rules,
                delays=self._delays,
                disorder=self._disorder,
                alerts=self._alerts,
            )
            self._switch = Switch(exchange=exchange, follow=follow, ring=self._ring)
            await self._serve_rest(self._switch, stack)
            self._opened = stack.pop_all()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        switch, self._switch = self._switch, None
        while not self._ringing.empty():
            self._ringing.get_nowait()
        for party in self._parties.values():
            await party.close()
        for call in list(switch.calls.values()) if switch else ():
            await call.abandon()
        await self._opened.aclose()
        errors = [error for party in self._parties.values() for error in party.errors]
        if errors and kind is None:
            raise errors[0]

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
        call = self._require_switch().new_call(numbers or Numbers(), callback=status_callback)
        call.ring()
        async with on_the_line(call, instructions, options or CallerOptions()) as caller:
            yield caller

    @property
    def alerts(self) -> list[Alert]:
        """All errors and warnings of all calls so far, as Twilio's Debugger lists them.

        It has one that no call's result has: 31921, which Twilio gives whenever a server closes a
        stream's socket, also where a bot means to.
        """
        live = self._switch.calls.values() if self._switch else ()
        return self._alerts + [
            replace(alert, call_sid=call.sid)
            for call in live
            if call.stream is not None
            for alert in call.stream.alerts
        ]

    def answer_with(
        self,
        number: str,
        script: PartyScript | None,
        *,
        options: CallerOptions | None = None,
        rings_for: float = 0.0,
    ) -> Party:
        """Has somebody answer a number, whoever calls it: a ``<Dial>``, or the REST API.

        Args:
            number: The number, or the name of a client.
            script: What is done on each call, such as a :class:`Voicemail`; None to be busy.
            options: How the party sounds, and what is kept of the calls.
            rings_for: Seconds until it picks up.
        """
        party = self._parties[number] = Party(script, options=options, rings_for=rings_for)
        return party

    async def wait_for_call(self, *, seconds: float = 10.0) -> RingingCall:
        """Waits until somebody is called for whom :meth:`answer_with` has no script.

        Bots call over the REST API at :attr:`rest_url`, or with ``<Dial>``.

        Raises:
            CallFailedError: If nobody is in time.
        """
        self._require_switch()
        try:
            async with asyncio.timeout(seconds):
                while not (ringing := await self._ringing.get()).is_ringing:
                    pass
                return ringing
        except TimeoutError:
            raise CallFailedError(
                f"expected a call within {seconds:g} s, got none: does the bot ask the REST API "
                f"at {self.rest_url}?"
            ) from None

    def _require_switch(self) -> Switch:
        if self._switch is None:
            raise ConfigurationError(
                "expected a running SimulatedTwilio, got one that is not: use `async with`"
            )
        return self._switch

    async def _serve_rest(self, switch: Switch, stack: AsyncExitStack) -> None:
        api = RestApi(switch, api_keys=self._api_keys)
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
        switch.exchange.addresses.append(self.rest_url)

    def _ring(self, ringing: RingingCall) -> bool:
        party = self._parties.get(ringing.to_number)
        if party is not None:
            party.take(ringing)
            return True
        if self._ringing.full():
            return False
        self._ringing.put_nowait(ringing)
        return True


def _instructions(url: str, parameters: Mapping[str, str] | None) -> Instructions:
    if ringable_scheme(url) in ("http", "https"):
        return Fetch(url=url)
    return ConnectStream(url=url, parameters=dict(parameters or {}))
