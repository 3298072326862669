"""What the calls of a load share: the account, the HTTP client, the clock, what can be said."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from twilio_frames.testing.calls.signing import Signing
from twilio_frames.testing.calls.webhooks import Webhooks
from twilio_frames.testing.exchange import BOT_NUMBER, CALLER_NUMBER
from twilio_frames.testing.load.phrases import PhraseSet
from twilio_frames.testing.load.talk import CallerBehaviour
from twilio_frames.testing.load.timer_wheel import TimerWheel


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What every call of one load needs.

    Parameters:
        url: What is rung: a TwiML webhook, or a stream.
        parameters: Custom parameters of a stream that is rung without TwiML.
    """

    url: str
    account_sid: str
    signing: Signing
    parameters: Mapping[str, str] = field(repr=False)
    repertoire: PhraseSet
    manners: CallerBehaviour
    wheel: TimerWheel
    webhooks: Webhooks

    def webhook_parameters(self, call_sid: str) -> dict[str, str]:
        """What the webhook that answers a call is told."""
        return {
            "CallSid": call_sid,
            "AccountSid": self.account_sid,
            "From": CALLER_NUMBER,
            "Caller": CALLER_NUMBER,
            "To": BOT_NUMBER,
            "Called": BOT_NUMBER,
            "CallStatus": "ringing",
            "Direction": "inbound",
            "ApiVersion": "2010-04-01",
        }


@asynccontextmanager
async def client_session() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that sends no header of its own, and no call another's cookies."""
    async with aiohttp.ClientSession(
        skip_auto_headers=["Accept", "Accept-Encoding", "User-Agent"],
        # Each request has a connection of its own, as Twilio's machines are many: behind a
        # balancer, the stream reaches another process than the webhook.
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
    ) as session:
        yield session
