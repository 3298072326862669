"""What every call of one simulated Twilio shares: the account, the HTTP client, the webhooks."""

import random
from dataclasses import dataclass, field

import aiohttp

from twilio_frames.testing.calls.account import AccountRules, CallbackDisorder, StartDelays
from twilio_frames.testing.calls.facts import BOT_NUMBER, CALLER_NUMBER, Alert
from twilio_frames.testing.calls.queues import CallQueue
from twilio_frames.testing.calls.signing import Signing
from twilio_frames.testing.calls.webhooks import Webhooks
from twilio_frames.testing.lines.rooms import Conference

DEFAULT_ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
DEFAULT_AUTH_TOKEN = "simulated-auth-token"  # noqa: S105  # opens nothing but a simulation

__all__ = [
    "BOT_NUMBER",
    "CALLER_NUMBER",
    "DEFAULT_ACCOUNT_SID",
    "DEFAULT_AUTH_TOKEN",
    "Exchange",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """The part of Twilio that is not one call.

    Parameters:
        session: Sends only the headers it is told to.
        queues: Calls that ``<Enqueue>`` holds, by the queue's name.
        conferences: Those that go on, by their names.
        addresses: Where the REST API listens, once it does.
        alerts: All of Twilio's complaints, as its Debugger lists them.
        random: Source of sids and of first timestamps; seeded, so that a run can be repeated.
    """

    account_sid: str
    signing: Signing
    session: aiohttp.ClientSession
    webhooks: Webhooks
    random: random.Random
    rules: AccountRules = field(default_factory=AccountRules)
    delays: StartDelays = field(default_factory=StartDelays)
    disorder: CallbackDisorder = field(default_factory=CallbackDisorder)
    queues: dict[str, CallQueue] = field(default_factory=dict, repr=False)
    conferences: dict[str, Conference] = field(default_factory=dict, repr=False)
    addresses: list[str] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list, repr=False)

    def new_sid(self, kind: str) -> str:
        """A sid that has not been used, such as ``CA...`` for the kind ``CA``."""
        return f"{kind}{self.random.getrandbits(128):032x}"

    def recording_url(self, sid: str) -> str:
        """Where a recording can be fetched, behind which ``.wav`` may be written."""
        address = self.addresses[0] if self.addresses else ""
        return f"{address}/2010-04-01/Accounts/{self.account_sid}/Recordings/{sid}"

    def queue(self, name: str) -> CallQueue:
        """A queue, which comes about when it is first named."""
        if name not in self.queues:
            self.queues[name] = CallQueue(name, self.new_sid("QU"))
        return self.queues[name]
