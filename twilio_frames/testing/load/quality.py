"""What a call must be like to count as good, and what falls short of it. Pure."""

from dataclasses import dataclass

from twilio_frames.testing.lines.timekeeping import LATE_P99
from twilio_frames.testing.load.figures import LoadResult


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityLimits:
    """What a load must keep to. A figure that nothing is known of keeps to its limit.

    Parameters:
        first_audio: Seconds that 95 % of the bot's first sounds may take.
        times_slower: How many times longer they may take than in a reference run of few calls.
        barge_in: Seconds that the bot may speak on, in 95 % of the cases; None for no limit.
        gaps_per_minute: Gaps in each minute of the bot's speech.
        failed: Calls that may fail.
        unanswered: The share of the callers' phrases that may go without an answer.
        lateness: Seconds that the simulator itself may be late with 99 % of its turns. If it was
            later, nothing is known about the bot.
    """

    first_audio: float = 2.0
    times_slower: float = 2.0
    barge_in: float | None = None
    gaps_per_minute: float = 1.0
    failed: int = 0
    unanswered: float = 0.02
    lateness: float = LATE_P99

    def trusts(self, result: LoadResult) -> bool:
        """Whether the simulator kept time well enough for the figures to be the bot's."""
        return result.was_tried and result.timekeeping.kept(self.lateness)

    def shortfalls(self, result: LoadResult, reference: LoadResult | None = None) -> list[str]:
        """Where the bot did not keep to the limits, in words; nothing if it did.

        Args:
            result: What came of the load.
            reference: What came of a load of few calls, for :attr:`times_slower`.
        """
        figures = result.figures
        if not result.was_tried:
            return [f"calls that were up: expected {result.calls}, got none"]
        found = [
            _over("calls that failed", result.failed, self.failed, ""),
            _over("first audio p95", figures.first_audio.p95, self.first_audio, " s"),
            _over("gaps per minute", figures.gaps_per_minute, self.gaps_per_minute, ""),
        ]
        if reference is not None:
            limit = self.times_slower * reference.figures.first_audio.p95
            name = f"first audio p95 (of {reference.calls} calls times {self.times_slower:g})"
            found.append(_over(name, figures.first_audio.p95, limit, " s"))
        if self.barge_in is not None:
            found.append(_over("barge-in p95", figures.barge_in.p95, self.barge_in, " s"))
        asked = figures.unanswered + figures.first_audio.count
        share = figures.unanswered / asked if asked else 0.0
        found.append(_over("share unanswered", share, self.unanswered, ""))
        return [text for text in found if text]


def _over(name: str, value: float, limit: float, unit: str) -> str:
    """A shortfall in words; empty if there is none, as of a figure that is NaN."""
    if not value > limit:
        return ""
    return f"{name}: expected at most {limit:.3g}{unit}, got {value:.3g}{unit}"
