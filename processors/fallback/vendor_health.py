"""How well each vendor does its part, known to the whole process.

A vendor that fails is left alone for a while, by all calls that have another, so that the next
caller does not wait for it too. When the while is over, one call tries it with real work: if it
does it, it is well again; if not, it is left alone for twice as long. A call that has no other
vendor works with it all the same; what comes of that counts too.
"""

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

from loguru import logger
from pipecat.frames.frames import ErrorFrame
from pipecat.utils.errors import ErrorCategory

from twilio_frames.frames import FailureKind, VendorRole

__all__ = ["VENDORS", "FailureKind", "VendorHealth", "VendorList", "VendorRole", "VendorState"]

_TRIAL_SECS = 60.0
_REFUSED_SECS = 300.0


class VendorState(StrEnum):
    """Whether a vendor is given work."""

    WELL = "well"
    """It is."""
    DOWN = "down"
    """It failed, and is left alone for a while by calls that have another."""
    ON_TRIAL = "on trial"
    """One call tries whether it is well again."""


def kind_of(error: ErrorFrame) -> FailureKind:
    """What kind of failure an error of a service tells of."""
    match getattr(error, "category", None):
        case (
            ErrorCategory.AUTHENTICATION
            | ErrorCategory.AUTHORIZATION
            | ErrorCategory.INVALID_REQUEST
        ):
            return FailureKind.REFUSED
        case ErrorCategory.RATE_LIMIT | ErrorCategory.QUOTA:
            return FailureKind.BUSY
        case ErrorCategory.CONNECTIVITY:
            return FailureKind.CONNECTION
        case ErrorCategory.SERVER:
            return FailureKind.SERVER
        case _:
            return FailureKind.LATE if _is_late(error) else FailureKind.OTHER


def _is_late(error: ErrorFrame) -> bool:
    return isinstance(error.exception, TimeoutError)


class VendorFollower(Protocol):
    """Is told what becomes of the work that vendors are given."""

    def succeeded(self, vendor: "VendorHealth") -> None:
        """It did its part."""
        ...

    def first_byte(self, vendor: "VendorHealth", seconds: float) -> None:
        """The first of it took so long."""
        ...

    def failed(self, vendor: "VendorHealth", kind: FailureKind) -> None:
        """It did not."""
        ...


class VendorHealth:
    """One vendor in one role.

    Args:
        name: The vendor, as it is shown.
        role: What it does.
        retry_secs: How long it is left alone after a failure; twice as long after each next one.
        longest_retry_secs: How long at most.
        clock: Seconds that only grow.
        follower: Gives who is told, if anybody is.
    """

    def __init__(
        self,
        name: str,
        role: VendorRole,
        *,
        retry_secs: float = 30.0,
        longest_retry_secs: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
        follower: Callable[[], VendorFollower | None] = lambda: None,
    ):
        self.name = name
        self.role = role
        self.successes = 0
        self.failures: Counter[FailureKind] = Counter()
        """How often it failed, by kind."""
        self.last_failure: FailureKind | None = None
        self.last_failure_at: datetime | None = None
        self.switched_to = 0
        """How often it took over."""
        self.switched_from = 0
        """How often another took over from it."""
        self._first_bytes: deque[float] = deque(maxlen=200)
        self._retry_secs = retry_secs
        self._longest_retry_secs = longest_retry_secs
        self._clock = clock
        self._follower = follower
        self._wait_secs = 0.0
        self._retry_at = 0.0
        self._state = VendorState.WELL
        self._tried_by: object | None = None

    @property
    def state(self) -> VendorState:
        """Whether it is given work."""
        return self._state

    @property
    def retry_in(self) -> float:
        """Seconds until it is tried again; 0 if it may be."""
        if self._state is VendorState.WELL:
            return 0.0
        return max(0.0, self._retry_at - self._clock())

    def may_work(self, who: object) -> bool:
        """Whether work may be given to it.

        Args:
            who: Who asks; a vendor on trial is for the one who tries it.
        """
        return not self.retry_in or (self._state is VendorState.ON_TRIAL and self._tried_by is who)

    def begin(self, who: object) -> None:
        """Notes that it is given work; if it was down, this is its trial.

        Args:
            who: Who gives it.
        """
        if self._state is VendorState.WELL or not self.may_work(who):
            return
        # A call that ends before the trial does leaves it to the next.
        self._tried_by, self._retry_at = who, self._clock() + _TRIAL_SECS
        self._become(VendorState.ON_TRIAL, "is tried again")

    def succeeded(self, seconds: float | None = None) -> None:
        """Notes that it did its part.

        Args:
            seconds: Until the first of it came; None where that is not known.
        """
        self.successes += 1
        if (follower := self._follower()) is not None:
            follower.succeeded(self)
        if seconds is not None:
            self.note_first_byte(seconds)
        self._wait_secs, self._tried_by = 0.0, None
        self._become(VendorState.WELL, "does its part again")

    def note_first_byte(self, seconds: float) -> None:
        """Notes how long the first of its work took, where that is known later than it came."""
        self._first_bytes.append(seconds)
        if (follower := self._follower()) is not None:
            follower.first_byte(self, seconds)

    def failed(self, kind: FailureKind) -> None:
        """Notes that it did not.

        Args:
            kind: In what way.
        """
        self.failures[kind] += 1
        if (follower := self._follower()) is not None:
            follower.failed(self, kind)
        self.last_failure, self.last_failure_at = kind, datetime.now(UTC)
        first = _REFUSED_SECS if kind is FailureKind.REFUSED else self._retry_secs
        longest = max(first, self._longest_retry_secs)
        if self._state is not VendorState.DOWN:
            self._wait_secs = min(max(first, 2 * self._wait_secs), longest)
        self._tried_by, self._retry_at = None, self._clock() + self._wait_secs
        self._become(
            VendorState.DOWN,
            f"fails ({kind}): fallbacks leave it alone for {self._wait_secs:.0f} s",
        )

    def first_byte(self, share: float) -> float | None:
        """Seconds until the first of its work came, for a share of the latest cases.

        Args:
            share: 0.5 for the median, 0.95 for what 95 of 100 stay below.

        Returns:
            None before the first case.
        """
        ordered = sorted(self._first_bytes)
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None

    def _become(self, state: VendorState, what: str) -> None:
        if state is not self._state:
            self._state = state
            level = "WARNING" if state is VendorState.DOWN else "INFO"
            logger.log(level, f"{self.name} ({self.role}) {what}")

    def as_json(self) -> dict[str, Any]:
        """All of it, without a word that was said or a key."""
        return {
            "vendor": self.name,
            "role": self.role.value,
            "state": self._state.value,
            "retry_in": round(self.retry_in, 1),
            "successes": self.successes,
            "failures": {kind.value: times for kind, times in self.failures.items()},
            "first_byte_p50": _rounded(self.first_byte(0.5)),
            "first_byte_p95": _rounded(self.first_byte(0.95)),
            "last_failure": self.last_failure and self.last_failure.value,
            "last_failure_at": self.last_failure_at
            and self.last_failure_at.isoformat(timespec="seconds"),
            "switched_to": self.switched_to,
            "switched_from": self.switched_from,
        }


class VendorList:
    """The vendors a process works with.

    Args:
        retry_secs: How long a vendor is left alone after a failure.
        longest_retry_secs: How long at most, after one failure upon the other.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        *,
        retry_secs: float = 30.0,
        longest_retry_secs: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.follower: VendorFollower | None = None
        """Who is told what becomes of their work."""
        self._settings = {
            "retry_secs": retry_secs,
            "longest_retry_secs": longest_retry_secs,
            "clock": clock,
            "follower": lambda: self.follower,
        }
        self._vendors: dict[tuple[VendorRole, str], VendorHealth] = {}

    def __iter__(self) -> Iterator[VendorHealth]:
        return iter(tuple(self._vendors.values()))

    def __len__(self) -> int:
        return len(self._vendors)

    def of(self, role: VendorRole, name: str) -> VendorHealth:
        """A vendor's health; a vendor that nobody asked for before is well."""
        if (role, name) not in self._vendors:
            self._vendors[role, name] = VendorHealth(name, role, **self._settings)
        return self._vendors[role, name]

    def as_json(self) -> list[dict[str, Any]]:
        """All of them."""
        return [vendor.as_json() for vendor in self]


VENDORS = VendorList()
"""The vendors of this process."""


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
