"""What every call of one simulated Twilio shares: the account, the HTTP client, the webhooks."""

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp

from twilio_frames.testing.webhooks import Webhooks

if TYPE_CHECKING:
    from twilio_frames.testing.call import SimulatedCall

DEFAULT_ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
DEFAULT_AUTH_TOKEN = "simulated-auth-token"  # noqa: S105  # opens nothing but a simulation
CALLER_NUMBER = "+12125550100"
BOT_NUMBER = "+12125550199"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """The part of Twilio that is not one call.

    Parameters:
        session: Sends only the headers it is told to.
        calls: Every call there was, by its sid.
        random: Source of sids and of first timestamps; seeded, so that a run can be repeated.
    """

    account_sid: str
    auth_token: str = field(repr=False)
    session: aiohttp.ClientSession
    webhooks: Webhooks
    random: random.Random
    calls: "dict[str, SimulatedCall]" = field(default_factory=dict, repr=False)

    def new_sid(self, kind: str) -> str:
        """A sid that has not been used, such as ``CA...`` for the kind ``CA``."""
        return f"{kind}{self.random.getrandbits(128):032x}"
