"""What is known about a call from its beginning: who calls whom, how it stands, who is told. Pure.

Source: https://www.twilio.com/docs/voice/api/call-resource
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

CALLER_NUMBER = "+12125550100"
BOT_NUMBER = "+12125550199"


class CallEnd(Enum):
    """Why a call is over."""

    CALLER_HUNG_UP = "caller hung up"
    BOT_HUNG_UP = "bot hung up"
    """The instructions ran out, said so, or the REST API ended the call."""
    REJECTED = "rejected"
    LINE_LOST = "line lost"
    """The connection to the bot broke, and nothing was to be done after it."""
    FAILED = "failed"
    """An error of Twilio's: see the call's alerts."""
    TIME_LIMIT = "time limit"


class CallStatus(Enum):
    """Twilio's ``CallStatus``."""

    QUEUED = "queued"
    INITIATED = "initiated"
    RINGING = "ringing"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    CANCELED = "canceled"
    FAILED = "failed"


SIP_CODES = {
    CallStatus.COMPLETED: "200",
    CallStatus.BUSY: "486",
    CallStatus.NO_ANSWER: "487",
    CallStatus.CANCELED: "487",
    CallStatus.FAILED: "404",
}
"""``SipResponseCode`` of the last status callback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusCallback:
    """Where a call's progress is to be told, and which of it.

    Parameters:
        events: Of ``initiated``, ``ringing``, ``answered``, ``completed``.
    """

    url: str
    events: Sequence[str] = ("completed",)
    method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Who calls whom.

    Parameters:
        direction: ``inbound``, ``outbound-api`` for calls that the REST API made, or
            ``outbound-dial`` for those of ``<Dial>``.
        forwarded_from: The number that was called first, if the call was forwarded.
        caller_name: The caller's name, if Twilio looks it up.
        verstat: What STIR/SHAKEN says of the caller's number; empty for nothing.
        sip_headers: The ``X-`` headers of a call over SIP.
    """

    from_number: str = field(default=CALLER_NUMBER, repr=False)
    to_number: str = field(default=BOT_NUMBER, repr=False)
    direction: str = "inbound"
    forwarded_from: str = field(default="", repr=False)
    caller_name: str = field(default="", repr=False)
    verstat: str = "TN-Validation-Passed-A"
    sip_headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    def parameters(self) -> dict[str, str]:
        """What a webhook says about them; Twilio adds to it without notice."""
        said = {
            "From": self.from_number,
            "Caller": self.from_number,
            "To": self.to_number,
            "Called": self.to_number,
            "Direction": self.direction,
            "ApiVersion": "2010-04-01",
        }
        for side in ("From", "Caller", "To", "Called"):
            said |= {f"{side}{place}": "" for place in ("City", "State", "Zip")}
            said[f"{side}Country"] = "US"
        if self.direction == "inbound":
            told_if_known = {
                "StirVerstat": self.verstat,
                "ForwardedFrom": self.forwarded_from,
                "CallerName": self.caller_name,
            }
            said |= {"CallToken": "simulated"}
            said |= {name: value for name, value in told_if_known.items() if value}
            said |= {f"SipHeader_{name}": value for name, value in self.sip_headers.items()}
        return said


def final_status(end: CallEnd, *, is_answered: bool) -> CallStatus:
    """The status of a call that is over."""
    if is_answered:
        return CallStatus.COMPLETED
    if end is CallEnd.REJECTED:
        return CallStatus.BUSY
    return CallStatus.FAILED if end is CallEnd.FAILED else CallStatus.NO_ANSWER


def whole_number(value: str, default: int) -> int:
    """A whole number as Twilio reads it in attributes, forms and fragments.

    Args:
        value: What was given; what is no number counts as not given.
        default: What it is then.
    """
    # A longer one means for ever in any case.
    return int(value[:9]) if value.isdecimal() else default


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something Twilio complains about, as its Debugger would show it.

    Source: https://www.twilio.com/docs/api/errors

    Parameters:
        code: Twilio's number for it.
        text: What was expected, what happened, and where.
        is_error: False for a warning, with which the call goes on unhurt.
        call_sid: The call it is about, in :attr:`SimulatedTwilio.alerts`.
    """

    code: int
    text: str
    is_error: bool = True
    call_sid: str = ""

    def __str__(self) -> str:
        return f"{'error' if self.is_error else 'warning'} {self.code}: {self.text}"
