"""What every call of one simulated Twilio shares: the account, the HTTP client, the webhooks."""

import random
from dataclasses import dataclass, field

import aiohttp

from twilio_frames.testing.webhooks import Webhooks

DEFAULT_ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
DEFAULT_AUTH_TOKEN = "simulated-auth-token"  # noqa: S105  # opens nothing but a simulation
CALLER_NUMBER = "+12125550100"
BOT_NUMBER = "+12125550199"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """The part of Twilio that is not one call.

    Parameters:
        session: Sends only the headers it is told to.
        random: Source of sids and of first timestamps; seeded, so that a run can be repeated.
    """

    account_sid: str
    auth_token: str = field(repr=False)
    session: aiohttp.ClientSession
    webhooks: Webhooks
    random: random.Random

    def new_sid(self, kind: str) -> str:
        """A sid that has not been used, such as ``CA...`` for the kind ``CA``."""
        return f"{kind}{self.random.getrandbits(128):032x}"
