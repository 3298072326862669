"""What Twilio knows an account by."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from twilio_frames.errors import ConfigurationError

__all__ = ["Credentials"]


def mistake_in_account(sid: str) -> str | None:
    """What is wrong with an account's sid."""
    if sid.startswith("AC"):
        return None
    got = "the sid of an API key, for TWILIO_API_KEY" if sid.startswith("SK") else "another"
    return f"expected TWILIO_ACCOUNT_SID to begin with AC, got {got}: see the Twilio console"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What Twilio knows an account by: a sid, and an auth token or an API key.

    Parameters:
        account_sid: The account (``AC...``).
        auth_token: The account's auth token.
        api_key: An API key (``SK...``), preferred over the auth token.
        api_secret: The API key's secret.
        region: A region such as ``ie1``; needs an edge.
        edge: An edge such as ``dublin``.

    Raises:
        ConfigurationError: Neither a token nor a whole API key, or a region without an edge.
    """

    account_sid: str
    auth_token: str | None = field(default=None, repr=False)
    api_key: str | None = None
    api_secret: str | None = field(default=None, repr=False)
    region: str | None = None
    edge: str | None = None

    def __post_init__(self):
        if mistake := mistake_in_account(self.account_sid):
            raise ConfigurationError(mistake)
        if bool(self.api_key) != bool(self.api_secret):
            raise ConfigurationError(
                "expected both TWILIO_API_KEY and TWILIO_API_SECRET, got one: set the other, "
                "or neither and use TWILIO_AUTH_TOKEN"
            )
        if not self.api_key and not self.auth_token:
            raise ConfigurationError(
                "expected TWILIO_AUTH_TOKEN, or TWILIO_API_KEY and TWILIO_API_SECRET, got none "
                "with TWILIO_ACCOUNT_SID: take them from the Twilio console"
            )
        if self.region and not self.edge:
            raise ConfigurationError(
                "expected TWILIO_EDGE beside TWILIO_REGION, got the region alone: "
                "set the edge nearest to it, such as dublin for ie1 or sydney for au1"
            )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self | None:
        """Read the ``TWILIO_...`` variables; None when no account is named there."""
        environment = os.environ if environment is None else environment
        if not (account_sid := environment.get("TWILIO_ACCOUNT_SID")):
            return None
        return cls(
            account_sid=account_sid,
            auth_token=environment.get("TWILIO_AUTH_TOKEN") or None,
            api_key=environment.get("TWILIO_API_KEY") or None,
            api_secret=environment.get("TWILIO_API_SECRET") or None,
            region=environment.get("TWILIO_REGION") or None,
            edge=environment.get("TWILIO_EDGE") or None,
        )
