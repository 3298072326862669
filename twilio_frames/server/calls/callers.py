"""Who may call: lists of callers, how often each may, and what the others hear."""

import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from twilio_frames.call.caller import Withheld
from twilio_frames.errors import ConfigurationError
from twilio_frames.errors.settings import check_settings
from twilio_frames.rest.numbers import normalise_number
from twilio_frames.twiml import Hangup, Reject, Say, Verb

__all__ = ["CallerGate", "CallerRules"]

_HOUR_SECS = 3600.0
_MOST_CALLERS = 10_000
"""Callers whose calls are counted; the one that has not called for longest is forgotten."""
_PREFIX = re.compile(r"\+\d{1,14}\*")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerRules:
    """Who may call, and how often; the others are not connected to the bot.

    A caller in the lists is a number (``+14155550100``), how numbers begin (``+1900*``), a SIP
    address (``sip:bob@example.com``), a client (``client:bob``), or why there is no number:
    ``anonymous``, ``restricted``, ``blocked``, ``unknown``, ``unavailable``.

    Parameters:
        blocked: Who may not call.
        allowed: Who may, and nobody else; None for everybody.
        at_once: How many calls of one caller may be up at one time; None for any number. Callers
            without a number are not told apart, and not counted.
        per_hour: How many a caller may make in any hour; likewise.
        answer: What the others get: ``busy``, ``rejected`` (both cost nothing), or a text that is
            said to them, for which the call is answered.
    """

    blocked: tuple[str, ...] = field(default=(), repr=False)
    allowed: tuple[str, ...] | None = field(default=None, repr=False)
    at_once: int | None = None
    per_hour: int | None = None
    answer: str = "busy"

    def __post_init__(self):
        check_settings(self, at_least={"at_once": 1, "per_hour": 1})
        for name in ("blocked", "allowed"):
            for number, entry in enumerate(getattr(self, name) or ()):
                if _normal(entry) is None:
                    raise ConfigurationError(
                        f"expected callers such as +14155550100, +1900*, sip:bob@example.com or "
                        f"anonymous in {name}, got something else at place {number}"
                    )
        if not self.answer.strip():
            raise ConfigurationError("expected busy, rejected or a text as the answer, got none")

    def refusal(self) -> tuple[Verb, ...]:
        """What a caller gets who may not call."""
        match self.answer:
            case "busy":
                return (Reject(reason="busy"),)
            case "rejected":
                return (Reject(reason="rejected"),)
            case text:
                return (Say(text=text), Hangup())


def _normal(caller: str) -> str | None:
    """A caller as callers are compared; None if it is none."""
    text = caller.strip().lower()
    if _PREFIX.fullmatch(text):
        return text
    if (withheld := Withheld.of(text)) is not None:
        return withheld.value
    if text.startswith(("sip:", "sips:", "client:")):
        # Port and parameters of a SIP address tell by which way a call came.
        return re.sub(r"(?<=.):\d+$", "", re.split(r"[;?]", text, maxsplit=1)[0])
    return normalise_number(text)


@dataclass(slots=True)
class _Caller:
    """When a caller's calls began, by their sids, the oldest first."""

    calls: dict[str, float] = field(default_factory=dict[str, float])


class CallerGate:
    """Lets callers in, and remembers that it did.

    Args:
        rules: Who may call.
        is_up: Whether a call that was let in so long ago, in seconds, is still up.
        clock: Seconds, never running backwards.
    """

    def __init__(
        self,
        rules: CallerRules,
        is_up: Callable[[str, float], bool],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._rules = rules
        self._blocked = _Listed(rules.blocked)
        self._allowed = None if rules.allowed is None else _Listed(rules.allowed)
        self._is_up = is_up
        self._clock = clock
        self._callers: OrderedDict[str, _Caller] = OrderedDict()

    def refuses(self, call_sid: str, number: str) -> str | None:
        """Why a call is not let in; None if it is, which is remembered.

        Args:
            call_sid: The call. One that was let in is so again, if Twilio asks twice.
            number: Who calls, as Twilio says.
        """
        caller = _normal(number) or number.strip().lower()
        if caller in self._blocked:
            return "a caller who is blocked"
        if self._allowed is not None and caller not in self._allowed:
            return "a caller who is not among those allowed"
        if caller in set(Withheld) or (self._rules.at_once, self._rules.per_hour) == (None, None):
            return None
        calls = self._calls_of(caller)
        if call_sid in calls:
            return None
        now = self._clock()
        if _reaches(
            sum(self._is_up(sid, now - at) for sid, at in calls.items()), self._rules.at_once
        ):
            return "a caller who has as many calls as they may"
        if _reaches(len(calls), self._rules.per_hour):
            return "a caller who has called as often as they may"
        calls[call_sid] = now
        return None

    def _calls_of(self, caller: str) -> dict[str, float]:
        """A caller's calls of the last hour, and those that are up."""
        known = self._callers.setdefault(caller, _Caller())
        self._callers.move_to_end(caller)
        if len(self._callers) > _MOST_CALLERS:
            self._callers.popitem(last=False)
        now = self._clock()
        known.calls = {
            sid: at
            for sid, at in known.calls.items()
            if now - at < _HOUR_SECS or self._is_up(sid, now - at)
        }
        return known.calls


class _Listed:
    """Callers of a list, by themselves or by how they begin."""

    def __init__(self, entries: tuple[str, ...]):
        normal = [one for one in map(_normal, entries) if one is not None]
        self._whole = {one for one in normal if not one.endswith("*")}
        self._prefixes = tuple(one[:-1] for one in normal if one.endswith("*"))

    def __contains__(self, caller: str) -> bool:
        return caller in self._whole or caller.startswith(self._prefixes)


def _reaches(count: int, most: int | None) -> bool:
    return most is not None and count >= most
