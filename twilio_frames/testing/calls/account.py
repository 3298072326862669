"""What the simulated account may do, and how promptly Twilio serves it. Pure.

Sources: https://help.twilio.com/articles/223180028 (rates and concurrency),
https://www.twilio.com/docs/api/errors
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from twilio_frames.errors.settings import check_settings

_TEXTS = {
    10004: "Call concurrency limit exceeded",
    13227: "Geographic permission needed to call this number",
    20429: "Too Many Requests",
    21210: "The source phone number provided is not yet verified for your account.",
    21214: "The phone number provided cannot be reached",
    21215: "Account not authorized to call this number.",
    21216: "Account not allowed to call this number.",
    21219: "The number is unverified. Trial accounts may only make calls to verified numbers.",
    32017: "The call was blocked by the carrier",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StartDelays:
    """How long Twilio takes over the beginning of a stream. By default it takes no time.

    Parameters:
        connect: Seconds from the TwiML to the WebSocket's upgrade.
        first_media: Seconds from the upgrade to the first audio, at least. Twilio's first
            timestamp of 99 to 171 ms takes as long anyway.
    """

    connect: float = 0.0
    first_media: float = 0.0

    def __post_init__(self) -> None:
        check_settings(self)

    @classmethod
    def measured(cls) -> "StartDelays":
        """As on live calls: 365 ms to the connection, and 200 ms more to the first audio."""
        return cls(connect=0.365, first_media=0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackDisorder:
    """How badly status callbacks arrive. By default once each, in order.

    Twilio's words: "no guarantee they will arrive in the same order".

    Parameters:
        swapped: Share of the callbacks that arrive behind the one after them.
        repeated: Share that arrive twice.
    """

    swapped: float = 0.0
    repeated: float = 0.0

    def __post_init__(self) -> None:
        check_settings(self, at_most={"swapped": 1, "repeated": 1})


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRules:
    """What the account may do. By default everything, at once.

    Parameters:
        calls_per_second: So many calls made by the REST API are begun in a second, the others
            wait in a queue; Twilio's default is 1. None for no limit.
        concurrent_calls: Calls the account may have at a time (error 10004).
        concurrent_requests: REST requests it may have at a time (HTTP 429, error 20429).
        request_secs: How long each REST request takes.
        own_numbers: Numbers that may be called from (error 21210); None for any.
        verified_numbers: The only numbers that a trial account may call (error 21219); None for
            an account that is no trial.
        refused_numbers: Error codes by the numbers that are refused with them, such as 21215 for
            a country that is not permitted.
        answers_lost: Share of requests for a call, a recording, or other instructions for a call,
            that are answered with HTTP 500 although they are carried out.
        requests_lost: Share of requests for a call that are answered so, and no call is made.
        status: ``active``, ``suspended`` or ``closed``.
        kind: ``Full`` or ``Trial``.
        voice_webhooks: What each number's calls ask, as ``POST`` or ``GET`` and a URL.
        payment_result: What comes of each ``<Pay>``, in Twilio's words; ``success``, say.
    """

    calls_per_second: float | None = None
    concurrent_calls: int | None = None
    concurrent_requests: int | None = None
    request_secs: float = 0.0
    own_numbers: Set[str] | None = field(default=None, repr=False)
    verified_numbers: Set[str] | None = field(default=None, repr=False)
    refused_numbers: Mapping[str, int] = field(default_factory=dict, repr=False)
    answers_lost: float = 0.0
    requests_lost: float = 0.0
    status: str = "active"
    kind: str = "Full"
    voice_webhooks: Mapping[str, tuple[str, str]] = field(default_factory=dict, repr=False)
    payment_result: str = "payment-connector-error"

    def __post_init__(self) -> None:
        check_settings(
            self,
            above_zero=("calls_per_second",),
            at_most={"answers_lost": 1, "requests_lost": 1},
        )

    def refusal(self, *, to_number: str, from_number: str, calls: int) -> int | None:
        """The error code a new call is refused with, if it is.

        Args:
            to_number: Who is to be called.
            from_number: The number it is to come from.
            calls: How many calls the account has.
        """
        if to_number in self.refused_numbers:
            return self.refused_numbers[to_number]
        if self.own_numbers is not None and from_number not in self.own_numbers:
            return 21210
        if self.verified_numbers is not None and to_number not in self.verified_numbers:
            return 21219
        if self.concurrent_calls is not None and calls >= self.concurrent_calls:
            return 10004
        return None


def error_text(code: int) -> str:
    """What Twilio says with an error code."""
    return _TEXTS.get(code, f"Error {code}")
