"""One detour as far as it has come: what Twilio is still to do, and what it said of the rest."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from twilio_frames.errors import DetourError, RestError
from twilio_frames.frames import DetourFrame
from twilio_frames.twiml import (
    Dial,
    OtherTwiml,
    Pause,
    Play,
    PlayDigits,
    Redirect,
    Verb,
    respond,
    tells_result,
)

__all__ = ["LONG_SECS", "DetourResult", "Legs", "Plan", "longest_of"]

_SHORT_SECS = 120.0
"""How long verbs may take that end by themselves, with all that Twilio takes for them."""
LONG_SECS = 4 * 3600.0
"""And those in which people talk: Twilio's longest ``<Dial>``, if nothing else is said."""


class DetourResult(NamedTuple):
    """What came of a detour.

    Parameters:
        results: What Twilio said of each verb that tells, in order, by Twilio's own names.
        away_secs: How long the call was away.
    """

    results: tuple[Mapping[str, str], ...]
    away_secs: float

    def get(self, name: str) -> str | None:
        """The last value of a name, ``DialCallStatus`` say; None if Twilio has told none."""
        return next((one[name] for one in reversed(self.results) if name in one), None)

    def __repr__(self) -> str:
        """Names what was told, and not what: it may be keys, or a number."""
        told = [", ".join(one) for one in self.results]
        return f"DetourResult(results={told}, away_secs={self.away_secs})"


@dataclass(slots=True, kw_only=True)
class Legs:
    """Those whom a detour calls.

    Parameters:
        whisper: What whoever answers hears before they are connected.
        on_answered: Called when somebody has answered.
    """

    whisper: tuple[Verb, ...] = ()
    on_answered: Callable[[], Awaitable[None]] | None = None


@dataclass(slots=True, kw_only=True)
class Plan:
    """One detour, as far as it has come."""

    frame: DetourFrame
    call_sid: str
    legs: Legs = field(default_factory=Legs)
    number: int = 0
    left: list[Verb] = field(default_factory=list[Verb])
    results: dict[int, Mapping[str, str]] = field(default_factory=dict[int, Mapping[str, str]])
    documents: list[str] = field(default_factory=list[str])
    error: DetourError | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Future[DetourResult] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def is_endless(self) -> bool:
        """Whether Twilio would do it for as long as the call lasts."""
        return any(isinstance(verb, Play) and verb.loop == 0 for verb in self.frame.verbs)

    def finish(self, result: DetourResult) -> None:
        """The call is back."""
        if not self.done.done():
            self.done.set_result(result)

    def fail(self, error: DetourError | RestError) -> None:
        """Nothing comes of it, or nothing more."""
        if not self.done.done():
            self.done.set_exception(error)
            # Nobody need wait for it: a frame's detour has no caller.
            self.done.exception()

    def document(self, index: int, base_url: str) -> str | None:
        """One of the documents that Twilio is given, in order; None behind the last.

        An answer that was slow is asked for again, and is the same then.
        """
        if index == len(self.documents) and self.left:
            self.documents.append(self._next_document(base_url))
        return self.documents[index] if index < len(self.documents) else None

    def _next_document(self, base_url: str) -> str:
        """What Twilio does next, to the first verb that tells what came of it."""
        back_url = self.back_url(base_url, len(self.documents) + 1)
        taken: list[Verb] = []
        while self.left:
            verb = self.left.pop(0)
            taken.append(self._with_legs(verb, base_url) if isinstance(verb, Dial) else verb)
            if tells_result(verb):
                return respond(*taken, action=back_url)
        return respond(*taken, Redirect(url=back_url))

    def _with_legs(self, dial: Dial, base_url: str) -> Dial:
        if self.legs.whisper:
            dial = replace(dial, whisper_url=self.url(base_url, "whisper"))
        if self.legs.on_answered is not None:
            dial = replace(dial, answered_url=self.url(base_url, "leg"))
        return dial

    def back_url(self, base_url: str, done: int) -> str:
        """Where Twilio comes when it is done with so many documents."""
        return f"{self.url(base_url, 'back')}&done={done}"

    def last_url(self, base_url: str) -> str:
        """Where Twilio comes when it is done with all it was given."""
        return self.back_url(base_url, len(self.documents))

    def url(self, base_url: str, path: str) -> str:
        """A webhook that belongs to this detour."""
        return f"{base_url}/{path}?call={self.call_sid}&detour={self.number}"


def longest_of(verbs: tuple[Verb, ...]) -> float:
    """How long a detour may take, by what is done in it."""
    longest = 0.0
    for verb in verbs:
        match verb:
            case Dial(time_limit_secs=limit, ring_secs=ring):
                calls = max(1, len(verb.targets)) if verb.is_sequential else 1
                longest += (limit or LONG_SECS) + ring * calls + _SHORT_SECS
            case OtherTwiml():
                longest += LONG_SECS
            case Pause(seconds=seconds):
                longest += seconds
            case PlayDigits(digits=digits):
                longest += len(digits)
            case _:
                pass
    return longest + _SHORT_SECS
