"""Which number is to be called when. Pure: it is told the time, and what came of each call.

Theory of operation
-------------------
A plan is made of the contacts, the policy, and the attempts so far; whoever has these makes the
same plan again. So what a killed campaign must have kept is its attempts and nothing else. An
attempt stands in the plan from before Twilio is asked until its outcome is known, and its number is
not due meanwhile: two calls of one number cannot come about, whatever becomes of the first one.

The numbers wait in a heap by when they are due. The hour of the day is looked at when one is taken
out, since pace and lines may have kept it waiting for long.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from twilio_frames.campaign.hours import zones_of
from twilio_frames.campaign.policy import CampaignPolicy, Outcome

__all__ = ["Attempt", "Contact", "Finished", "Place", "Plan", "Progress", "Step", "Wait"]


@dataclass(frozen=True, slots=True)
class _Holds:
    """How placing slows down when the account, or Twilio, is full; seconds."""

    # Nothing is placed for so long when the account has as many calls as it may.
    crowded: float = 5.0
    # Then one call more is tried.
    more_after: float = 60.0
    longest: float = 60.0


_HOLDS = _Holds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Somebody to be called.

    Parameters:
        number: In E.164 form, or what stands in its place.
        parameters: What the bot finds in ``call.parameters``.
        zone: The time zone, if it is known better than by the number.
    """

    number: str = field(repr=False)
    parameters: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    zone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call of a number, from before it is asked for.

    Parameters:
        key: Which it is of all attempts.
        number: Whom it calls.
        asked_at: When Twilio was asked for it, seconds since 1970 by Twilio's clock.
        call_sid: The call; None as long as Twilio has not told it.
        ended_at: When it was over.
        outcome: What came of it, None before its end.
        code: Twilio's error code, if it refused.
        seconds: How long it was up.
        answered_by: The verdict of machine detection.
    """

    key: int
    number: str = field(repr=False)
    asked_at: float
    call_sid: str | None = None
    ended_at: float | None = None
    outcome: Outcome | None = None
    code: int | None = None
    seconds: int | None = None
    answered_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """This contact is to be called now."""

    contact: Contact


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing is to be done until then, or until a call ends.

    Parameters:
        until: Seconds since 1970; None: until a call ends.
    """

    until: float | None


@dataclass(frozen=True, slots=True)
class Finished:
    """Every number has its outcome."""


Step: TypeAlias = Place | Wait | Finished


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a campaign is.

    Parameters:
        contacts: How many there are.
        outcomes: How many have which final outcome.
        up: Calls that ring or are up.
        waiting: Contacts that are still to be called, or again.
        calls: Calls placed so far.
        next_at: When the next is to be called, seconds since 1970; None where one could be at once,
            or nobody is.
        seconds_left: An estimate; None as long as there is nothing to go by.
    """

    contacts: int
    outcomes: Mapping[Outcome, int]
    up: int
    waiting: int
    calls: int
    next_at: float | None
    seconds_left: float | None


class Plan:
    """The numbers, each with what came of it, and which is next.

    Args:
        contacts: Whom to call; of several with one number, the first.
        policy: How fast, when, how often.
        barred: Why some numbers are not called.
        attempts: What was done before, in its order.
    """

    def __init__(
        self,
        contacts: Iterable[Contact],
        policy: CampaignPolicy,
        *,
        barred: Mapping[str, Outcome] | None = None,
        attempts: Iterable[Attempt] = (),
    ):
        self._policy = policy
        self._barred = dict(barred or {})
        self._contacts: dict[str, Contact] = {}
        for contact in contacts:
            self._contacts.setdefault(contact.number, contact)
        self._zones: dict[str, Sequence[str]] = {}
        self._attempts: dict[str, list[Attempt]] = {}
        self._open: dict[str, Attempt] = {}
        self._final: dict[str, Outcome] = {}
        self._next_at = float("-inf")
        self._holds = 0
        self._fewer: tuple[int, float] | None = None
        self._call_secs: list[float] = []
        for attempt in attempts:
            self._take(attempt)
        self._order = {number: place for place, number in enumerate(self._contacts)}
        self._due: list[tuple[float, int, str]] = []
        for number in self._contacts:
            if number not in self._open:
                self._settle(number)

    @property
    def contacts(self) -> Sequence[Contact]:
        """Whom it calls, each number once."""
        return list(self._contacts.values())

    @property
    def open_attempts(self) -> Sequence[Attempt]:
        """Those whose outcome is not known yet."""
        return list(self._open.values())

    def attempts(self, number: str) -> Sequence[Attempt]:
        """What was done about a number, in its order."""
        return self._attempts.get(number, [])

    def final(self, number: str) -> Outcome | None:
        """What came of a number in the end; None as long as it may be called again."""
        return self._final.get(number)

    def next(self, now: float) -> Step:
        """What is to be done at a moment."""
        if not self._due:
            return Wait(until=None) if self._open else Finished()
        if len(self._open) >= self._lines(now):
            return Wait(until=None)
        if self._next_at > now:
            return Wait(until=self._next_at)
        while self._due and (first := self._due[0])[0] <= now:
            heapq.heappop(self._due)
            opened = self._open_hour(first[2], now)
            if opened is None:
                self._final[first[2]] = Outcome.NO_HOURS
            elif opened > now:
                heapq.heappush(self._due, (opened, *first[1:]))
            else:
                # It stays due until somebody says that it was asked for.
                heapq.heappush(self._due, first)
                return Place(contact=self._contacts[first[2]])
        if self._due:
            return Wait(until=self._due[0][0])
        return Wait(until=None) if self._open else Finished()

    def asked(self, attempt: Attempt) -> None:
        """A call is about to be asked for."""
        self._leave_line(attempt.number)
        self._take(attempt)

    def ended(self, attempt: Attempt) -> None:
        """An attempt has come to its outcome."""
        self._open.pop(attempt.number, None)
        made = self._attempts.setdefault(attempt.number, [])
        made[:] = [each for each in made if each.key != attempt.key]
        self._take(attempt)
        self._holds = 0
        if attempt.number in self._contacts:
            self._settle(attempt.number)

    def not_made(self, attempt: Attempt, now: float, *, is_crowded: bool = False) -> None:
        """No call came of an attempt, which therefore counts for nothing.

        Args:
            attempt: What is forgotten.
            now: Nothing else is tried for a moment.
            is_crowded: Whether the account has as many calls as it may.
        """
        self._open.pop(attempt.number, None)
        made = self._attempts.get(attempt.number, [])
        made[:] = [each for each in made if each.key != attempt.key]
        if is_crowded:
            self._fewer = (max(1, len(self._open)), now)
            hold = _HOLDS.crowded
        else:
            hold = min(2.0**self._holds, _HOLDS.longest)
            self._holds += 1
        self._next_at = max(self._next_at, now + hold)
        if attempt.number in self._contacts:
            self._settle(attempt.number)

    def bar(self, number: str, outcome: Outcome) -> None:
        """A number is not called any more, whatever the policy says."""
        self._barred[number] = outcome
        if number in self._contacts and number not in self._open:
            self._leave_line(number)
            self._settle(number)

    def may_ring(self, number: str, now: float) -> bool:
        """Whether it is a calling hour where a contact is; of other numbers nobody knows."""
        if number not in self._contacts:
            return True
        opened = self._open_hour(number, now)
        return opened is not None and opened <= now

    def progress(self, now: float) -> Progress:
        """How far it is."""
        up = sum(number in self._contacts for number in self._open)
        calls = sum(len(self._attempts.get(number, ())) for number in self._contacts)
        waiting = len(self._contacts) - len(self._final) - up
        return Progress(
            contacts=len(self._contacts),
            outcomes=Counter(self._final.values()),
            up=len(self._open),
            waiting=waiting,
            calls=calls,
            next_at=self._due[0][0] if self._due and self._due[0][0] > now else None,
            seconds_left=self._seconds_left(now, waiting, calls),
        )

    def _seconds_left(self, now: float, waiting: int, calls: int) -> float | None:
        if not waiting and not self._open:
            return 0.0
        if not self._call_secs:
            return None
        call_secs = sum(self._call_secs) / len(self._call_secs)
        done = len(self._final)
        a_contact = max(1.0, calls / done) if done else 1.0
        rate = min(self._policy.calls_per_second, self._lines(now) / max(call_secs, 0.1))
        latest = max((due for due, _, _ in self._due), default=now) - now
        return max(waiting * a_contact / rate, latest) + call_secs

    def _leave_line(self, number: str) -> None:
        if self._due and self._due[0][2] == number:
            heapq.heappop(self._due)
            return
        self._due = [each for each in self._due if each[2] != number]
        heapq.heapify(self._due)

    def _lines(self, now: float) -> int:
        if self._fewer is None:
            return self._policy.at_once
        fewer, since = self._fewer
        return min(self._policy.at_once, fewer + int(max(now - since, 0) / _HOLDS.more_after))

    def _take(self, attempt: Attempt) -> None:
        """Takes an attempt as it stands."""
        self._attempts.setdefault(attempt.number, []).append(attempt)
        interval = 1 / self._policy.calls_per_second
        self._next_at = max(self._next_at, attempt.asked_at + interval)
        if attempt.outcome is None:
            self._open[attempt.number] = attempt
        elif attempt.ended_at is not None and attempt.call_sid is not None:
            self._call_secs = [*self._call_secs[-99:], attempt.ended_at - attempt.asked_at]

    def _settle(self, number: str) -> None:
        """Finds out when a number without an open attempt is due, if it is."""
        if number in self._barred:
            self._final[number] = self._barred[number]
            return
        made = self._attempts.get(number, [])
        due = float("-inf")
        if made:
            wait = self._policy.wait_after([each.outcome for each in made if each.outcome])
            if wait is None:
                self._final[number] = made[-1].outcome or Outcome.FAILED
                return
            due = (made[-1].ended_at or made[-1].asked_at) + wait
        heapq.heappush(self._due, (due, self._order[number], number))

    def _open_hour(self, number: str, now: float) -> float | None:
        if number not in self._zones:
            zone = self._contacts[number].zone
            self._zones[number] = (zone,) if zone else zones_of(number)
        return self._policy.hours.next_open(self._zones[number], now)
