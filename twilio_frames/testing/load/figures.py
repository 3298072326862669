"""What came of a load, in figures, and whether that is good enough. Pure. Times are seconds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from twilio_frames.errors.settings import check_settings
from twilio_frames.testing.lines.timekeeping import LATE_P99, Timekeeping


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How values are spread.

    Parameters:
        count: How many there are.
        p50: Half of them are no greater; NaN of none.
        p95: So are 95 % of them.
        p99: So are 99 % of them.
        worst: The greatest.
    """

    count: int
    p50: float
    p95: float
    p99: float
    worst: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of some values."""
        ordered = sorted(values)
        return cls(
            count=len(ordered),
            p50=_percentile(ordered, 0.5),
            p95=_percentile(ordered, 0.95),
            p99=_percentile(ordered, 0.99),
            worst=ordered[-1] if ordered else math.nan,
        )

    def to_dict(self) -> dict[str, object]:
        """The spread for a JSON file; null where there is none."""
        return {
            "count": self.count,
            "p50": rounded(self.p50),
            "p95": rounded(self.p95),
            "p99": rounded(self.p99),
            "worst": rounded(self.worst),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFigures:
    """What the callers noticed, once all of them were up.

    Parameters:
        first_audio: From the end of each of the callers' phrases to the bot's first sound.
        barge_in: From the first sound of each talking over to the bot's last.
        gaps: Holes of more than 60 ms in the bot's speech, since its audio came too late.
        bot_minutes: How long the bot was heard, over all calls.
        unanswered: Phrases that the bot did not answer while the caller was patient.
        talked_over: Phrases in which the bot began to speak before they ended.
        violations: Messages of the bot that broke a rule of Media Streams.
        lost_frames: Of 20 ms of the callers' audio: what the bot did not read in time.
    """

    first_audio: Spread
    barge_in: Spread
    gaps: Spread
    bot_minutes: float
    unanswered: int
    talked_over: int
    violations: int
    lost_frames: int

    @property
    def gaps_per_minute(self) -> float:
        """Gaps in each minute that the bot was heard; NaN if it never was."""
        return self.gaps.count / self.bot_minutes if self.bot_minutes else math.nan

    def to_dict(self) -> dict[str, object]:
        """The figures for a JSON file."""
        return {
            "first_audio": self.first_audio.to_dict(),
            "barge_in": self.barge_in.to_dict(),
            "gaps": self.gaps.to_dict(),
            "gaps_per_minute": rounded(self.gaps_per_minute),
            "bot_minutes": rounded(self.bot_minutes),
            "unanswered": self.unanswered,
            "talked_over": self.talked_over,
            "violations": self.violations,
            "lost_frames": self.lost_frames,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadProgress:
    """How a load stands.

    Parameters:
        stage: ``calling``, ``settling`` or ``measuring``.
        seconds: Since this stage began.
        of_secs: How long it takes; None if that is not known.
        up: Calls that are connected.
        calls: Calls that there should be.
        made: Calls that were made so far.
        failed: Calls that failed so far.
        figures: What the callers noticed so far.
        timekeeping: How well the simulator has kept time so far.
    """

    stage: str
    seconds: float
    of_secs: float | None
    up: int
    calls: int
    made: int
    failed: int
    figures: LoadFigures
    timekeeping: Timekeeping


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What came of a load.

    Parameters:
        url: What was rung.
        calls: How many calls there were to be at once.
        seconds: How long was measured, once all of them were up.
        up: How many were up then.
        made: How many calls were made in all: who is hung up on calls again.
        failed: How many of those failed.
        failures: Why, in words, and how often.
        setup: From the first request of a call to its stream's ``start``.
        figures: What the callers noticed.
        timekeeping: How well the simulator kept time.
        driver_cpu: The share of one core that the simulator used; NaN if hardly any time was
            measured.
    """

    url: str
    calls: int
    seconds: float
    up: int
    made: int
    failed: int
    failures: Mapping[str, int] = field(repr=False)
    setup: Spread
    figures: LoadFigures
    timekeeping: Timekeeping
    driver_cpu: float

    @property
    def was_tried(self) -> bool:
        """Whether any call was up, so that there is something to be known."""
        return self.up > 0

    @property
    def is_trustworthy(self) -> bool:
        """Whether the simulator kept time well enough for the figures to be the bot's."""
        return self.was_tried and self.timekeeping.is_trustworthy

    def to_dict(self) -> dict[str, object]:
        """The result for a JSON file."""
        return {
            "url": self.url,
            "calls": self.calls,
            "seconds": rounded(self.seconds),
            "up": self.up,
            "made": self.made,
            "failed": self.failed,
            "failures": dict(self.failures),
            "setup": self.setup.to_dict(),
            **self.figures.to_dict(),
            "timekeeping": self.timekeeping.to_dict(),
            "was_tried": self.was_tried,
            "is_trustworthy": self.is_trustworthy,
            "driver_cpu": rounded(self.driver_cpu),
        }


def rounded(value: float) -> float | None:
    """A figure for a JSON file, which knows no NaN."""
    return None if math.isnan(value) else round(value, 4)


def _percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of the values that this share of them does not exceed."""
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


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

    def __post_init__(self) -> None:
        check_settings(self)

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
