"""What came of a load, in figures. Pure. Times are seconds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from twilio_frames.testing.lines.timekeeping import Timekeeping


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
        of_seconds: How long it takes; None if that is not known.
        up: Calls that are connected.
        calls: Calls that there should be.
        failed: Calls that failed so far.
        figures: What the callers noticed so far.
        timekeeping: How well the simulator has kept time so far.
    """

    stage: str
    seconds: float
    of_seconds: float | None
    up: int
    calls: int
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
