"""Which worker a call goes to. Pure.

The better of two that are picked at random is nearly as good as the best of all, and unlike the
best, of which all hear at once, it is not run over before it has said that it is full.
"""

import random
from collections.abc import Iterable, Iterator

from twilio_frames.fleet.register import Lease

__all__ = ["by_choice", "has_room", "load_of"]

_USUAL_LAG_SECS = 0.1
"""A loop that is so late now and then, at its start say, is no busier for it."""
_FULL_LAG_SECS = 0.3
"""One that is so late is full: at a lead of 0.4 s, two such in a row are heard."""
_BEGINNING = 3
"""A call that begins takes as long, in that second, as so many that are up: of many that come at
once, all workers get some, be one of them idle."""


def load_of(lease: Lease) -> float:
    """How busy a worker is, from 0 to 1 for full."""
    late = (lease.lag_secs - _USUAL_LAG_SECS) / (_FULL_LAG_SECS - _USUAL_LAG_SECS)
    return max((lease.calls + _BEGINNING * lease.beginning) / max(1, lease.most_calls), late)


def has_room(lease: Lease, most_lag_secs: float | None = None) -> bool:
    """Whether a worker takes another call."""
    is_late = most_lag_secs is not None and lease.lag_secs > most_lag_secs
    return not lease.is_draining and lease.calls < lease.most_calls and not is_late


def by_choice(
    leases: Iterable[Lease],
    *,
    most_lag_secs: float | None = None,
    choose: random.Random | None = None,
) -> Iterator[Lease]:
    """The workers that take another call, each the better of two of those that are left.

    Args:
        leases: All workers.
        most_lag_secs: How late a loop may be.
        choose: Picks two.
    """
    left = [lease for lease in leases if has_room(lease, most_lag_secs)]
    choose = choose or random.Random()  # noqa: S311 - nobody gains by foreseeing it
    while left:
        two = choose.sample(left, min(2, len(left)))
        better = min(two, key=load_of)
        left.remove(better)
        yield better
