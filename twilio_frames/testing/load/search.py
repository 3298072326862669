"""The largest number of calls that holds its quality: doubled till it breaks, then closed in on."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from twilio_frames.testing.load.figures import LoadResult, QualityLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One load of a search.

    Parameters:
        result: What came of it.
        shortfalls: Where the bot fell short, in words.
        is_trusted: Whether the simulator kept time well enough to say so.
    """

    result: LoadResult
    shortfalls: tuple[str, ...] = ()
    is_trusted: bool = True

    @property
    def holds(self) -> bool:
        """Whether it held quality, and that is known."""
        return not self.shortfalls and self.is_trusted

    def to_dict(self) -> dict[str, object]:
        """The step for a JSON file."""
        return {
            **self.result.to_dict(),
            "shortfalls": list(self.shortfalls),
            "is_trusted": self.is_trusted,
            "holds": self.holds,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """What a search found.

    Parameters:
        largest: The largest number of calls that held; 0 if not even the first did.
        broke_at: The smallest larger number that did not; None if all held.
        steps: All loads, in order.
    """

    largest: int
    broke_at: int | None
    steps: tuple[Step, ...]

    @property
    def was_tried(self) -> bool:
        """Whether any call of any load was up."""
        return any(step.result.was_tried for step in self.steps)

    @property
    def is_bot_at_fault(self) -> bool:
        """Whether it was the bot that broke, rather than the simulator that could not keep time."""
        broken = self.breaking_step
        return broken is not None and broken.is_trusted

    @property
    def breaking_step(self) -> Step | None:
        """The load that did not hold, closest above the largest that did."""
        steps = [step for step in self.steps if step.result.calls == self.broke_at]
        return steps[-1] if steps else None

    def to_dict(self) -> dict[str, object]:
        """The result for a JSON file."""
        return {
            "largest": self.largest,
            "broke_at": self.broke_at,
            "is_bot_at_fault": self.is_bot_at_fault,
            "steps": [step.to_dict() for step in self.steps],
        }


async def search_largest(
    load: Callable[[int], Awaitable[LoadResult]],
    limits: QualityLimits,
    *,
    first: int = 4,
    most: int = 512,
    exactness: float = 0.1,
    reference: LoadResult | None = None,
    on_step: Callable[[Step], None] = lambda step: None,
) -> SearchResult:
    """Looks for the largest number of calls that keeps to the limits.

    Args:
        load: Makes so many calls, and gives what came of them; see :func:`run_load`.
        limits: What is asked of the bot.
        first: How many calls the first load has.
        most: How many are tried at most.
        exactness: The share of the result by which it may be too small.
        reference: What came of few calls, for :attr:`QualityLimits.times_slower`; None for the
            first load.
        on_step: Is told after each load.
    """
    steps: list[Step] = []

    async def holds(calls: int) -> bool:
        result = await load(calls)
        compared = reference or (steps[0].result if steps else None)
        step = Step(
            result=result,
            shortfalls=tuple(limits.shortfalls(result, compared)),
            is_trusted=limits.trusts(result),
        )
        steps.append(step)
        on_step(step)
        return step.holds

    good, bad, calls = 0, None, min(first, most)
    while bad is None and good < most:
        if await holds(calls):
            good, calls = calls, min(2 * calls, most)
        else:
            bad = calls
    # Where nobody can be reached, fewer callers reach nobody either.
    while steps[-1].result.was_tried and bad is not None and bad - good > max(1, exactness * good):
        middle = (good + bad) // 2
        if await holds(middle):
            good = middle
        else:
            bad = middle
    return SearchResult(largest=good, broke_at=bad, steps=tuple(steps))
