"""A Twilio on this machine: it rings bots, and bots ring its callers."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import aiohttp

from twilio_frames.errors import CallFailedError, ConfigurationError
from twilio_frames.testing.call import (
    DEFAULT_SECONDS,
    Numbers,
    SimulatedCall,
    StatusCallback,
)
from twilio_frames.testing.caller import Caller
from twilio_frames.testing.ear import Ear
from twilio_frames.testing.exchange import (
    DEFAULT_ACCOUNT_SID,
    DEFAULT_AUTH_TOKEN,
    Exchange,
)
from twilio_frames.testing.log import CallLog
from twilio_frames.testing.program import CallEnd, Fetch, Instructions
from twilio_frames.testing.recording import Recording
from twilio_frames.testing.speech import CALLER_VOICE
from twilio_frames.testing.verbs import ConnectStream
from twilio_frames.testing.voice import Voice
from twilio_frames.testing.webhooks import Webhooks


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerOptions:
    """How a caller sounds, and what is kept of the call.

    Parameters:
        record: File for a stereo WAV of the call as heard: caller left, bot right.
        log: File for every message and event, as JSON lines.
        noise_level: Background noise, dB of full scale (-60 is a quiet room); None for digital
            silence.
        seed: Makes the noise the same each time.
        voice: The voice in which text is said, an espeak-ng name.
        keep_audio: Whether the result holds what was heard.
        seconds: How long the call may last at most.
    """

    record: Path | None = None
    log: Path | None = None
    noise_level: float | None = None
    seed: int = 0
    voice: str = CALLER_VOICE
    keep_audio: bool = True
    seconds: float = DEFAULT_SECONDS


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
        auth_token: Signs webhooks and upgrades; the bot's server must have the same.
        account_sid: The account it plays.
        seed: Makes sids and first timestamps the same each time.
        webhook_seconds: How long a web server may take to answer; Twilio gives it 15.
    """

    def __init__(
        self,
        *,
        auth_token: str = DEFAULT_AUTH_TOKEN,
        account_sid: str = DEFAULT_ACCOUNT_SID,
        seed: int | None = None,
        webhook_seconds: float = 15.0,
    ):
        self.auth_token = auth_token
        self.account_sid = account_sid
        self._random = random.Random(seed)  # noqa: S311  # names things, protects nothing
        self._webhook_seconds = webhook_seconds
        self._exchange: Exchange | None = None

    async def __aenter__(self) -> Self:
        session = aiohttp.ClientSession(
            # What aiohttp would add by itself, and Twilio does not send.
            skip_auto_headers=["Accept", "Accept-Encoding", "User-Agent"],
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
        )
        self._exchange = Exchange(
            account_sid=self.account_sid,
            auth_token=self.auth_token,
            session=session,
            webhooks=Webhooks(session, self.auth_token, seconds=self._webhook_seconds),
            random=self._random,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._exchange is not None:
            await self._exchange.session.close()
            self._exchange = None

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
        options = options or CallerOptions()
        call = SimulatedCall(
            self._require_exchange(),
            numbers=numbers or Numbers(),
            log=CallLog(options.log),
            callback=status_callback,
        )
        call.ring()
        async with _on_the_line(call, instructions, options) as caller:
            yield caller

    def _require_exchange(self) -> Exchange:
        if self._exchange is None:
            raise ConfigurationError(
                "expected a running SimulatedTwilio, got one that is not: use `async with`"
            )
        return self._exchange


@asynccontextmanager
async def _on_the_line(
    call: SimulatedCall, instructions: Instructions, options: CallerOptions
) -> AsyncIterator[Caller]:
    recording = Recording(options.record) if options.record else None
    call.equip(
        Voice(noise_level=options.noise_level, seed=options.seed),
        Ear(keep_audio=options.keep_audio),
        recording,
    )
    caller = Caller(call, recording=options.record, voice=options.voice)
    call.begin(instructions, seconds=options.seconds)
    try:
        await call.ready.wait()
        _require_connection(call)
        yield caller
    finally:
        call.order(CallEnd.CALLER_HUNG_UP)
        await call.finish()


def _require_connection(call: SimulatedCall) -> None:
    errors = [alert for alert in call.alerts if alert.is_error]
    if errors and not call.streams:
        raise CallFailedError("; ".join(str(alert) for alert in errors))


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
