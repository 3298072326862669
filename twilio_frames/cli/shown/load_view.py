"""What ``twilio-frames load`` shows while calls are up, and what it says when they are over."""

import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from twilio_frames.cli.shown.console import Console
from twilio_frames.testing.load import LoadResult, QualityLimits
from twilio_frames.testing.load.figures import LoadFigures, LoadProgress, Spread, rounded
from twilio_frames.testing.load.search import SearchResult, Step

_BAR = 30


class LoadView:
    """The live view: redrawn in place on a terminal, a line now and then elsewhere.

    Args:
        console: Where it goes.
    """

    def __init__(self, console: Console):
        self._console = console
        self._url = ""
        self._last: LoadProgress | None = None
        self._shown_at: tuple[str, float] = ("", 0.0)
        self._height = 0

    @contextmanager
    def of(self, url: str) -> Iterator[None]:
        """Shows the load of a URL meanwhile."""
        self._url, self._last = url, None
        try:
            yield
        finally:
            self._wipe()

    @property
    def last(self) -> dict[str, object] | None:
        """How the load stood that was shown last, for a JSON file; None if none was."""
        progress = self._last
        if progress is None:
            return None
        return {
            "url": self._url,
            "stage": progress.stage,
            "seconds": rounded(progress.seconds),
            "up": progress.up,
            "calls": progress.calls,
            "failed": progress.failed,
            **progress.figures.to_dict(),
            "timekeeping": progress.timekeeping.to_dict(),
        }

    def show(self, progress: LoadProgress) -> None:
        """Shows how the load stands."""
        self._last = progress
        if self._console.is_terminal:
            self._redraw(progress)
            return
        stage, seconds = self._shown_at
        if progress.stage != stage or progress.seconds - seconds >= 5.0:
            self._shown_at = (progress.stage, progress.seconds)
            self._console.say(_one_line(progress))

    def _redraw(self, progress: LoadProgress) -> None:
        lines = _screen(self._url, progress)
        # A line that is broken in two could not be taken back.
        width = shutil.get_terminal_size().columns - 1
        self._wipe()
        for line in lines:
            self._console.say(line[:width])
        self._height = len(lines)

    def _wipe(self) -> None:
        self._console.wipe(self._height)
        self._height = 0


def _screen(url: str, progress: LoadProgress) -> list[str]:
    figures, time = progress.figures, progress.timekeeping
    whole = progress.of_secs or math.inf
    done = round(_BAR * min(1.0, progress.seconds / whole))
    bar = "#" * done + "." * (_BAR - done)
    failed = f", {progress.failed} failed" if progress.failed else ""
    return [
        f"{url}",
        f"{progress.stage:<10} [{bar}] {progress.seconds:.0f} of {whole:.0f} s",
        f"  calls up      {progress.up} of {progress.calls}{failed}",
        f"  first audio   {_spread(figures.first_audio)}",
        f"  barge-in      {_spread(figures.barge_in)}",
        f"  gaps          {_gaps(figures)}",
        f"  simulator     p99 {1000 * time.p99:.1f} ms late, worst {1000 * time.worst:.0f} ms",
    ]


def _one_line(progress: LoadProgress) -> str:
    figures = progress.figures
    failed = f", {progress.failed} failed" if progress.failed else ""
    return (
        f"{progress.stage} {progress.seconds:.0f} s: {progress.up} of {progress.calls} up{failed}; "
        f"first audio {_spread(figures.first_audio)}; barge-in {_spread(figures.barge_in)}; "
        f"gaps {_gaps(figures)}; simulator p99 {1000 * progress.timekeeping.p99:.1f} ms late"
    )


def show_result(console: Console, result: LoadResult, limits: QualityLimits) -> None:
    """Says what came of a load, and whether it was good."""
    figures, time = result.figures, result.timekeeping
    shortfalls = limits.shortfalls(result)
    console.say()
    console.say(f"{result.url}: {result.calls} calls for {result.seconds:.0f} s")
    console.fact("calls", f"{result.up} up at once; {result.made} made, {result.failed} failed")
    for reason, count in result.failures.items():
        console.fact(f"failed {count} times", reason, "bad")
    if not result.was_tried:
        console.fact("could not be tried", "no call was up", "bad")
        return
    console.fact("call set up in", _spread(result.setup))
    console.fact("first audio after", _spread(figures.first_audio))
    console.fact("bot silent after talk-over", _spread(figures.barge_in))
    console.fact("gaps over 60 ms", _gaps(figures))
    console.fact("not answered / talked over", f"{figures.unanswered} / {figures.talked_over}")
    if figures.violations:
        console.fact("messages against the rules", str(figures.violations), "bad")
    if figures.lost_frames:
        console.fact("callers' audio not read", f"{figures.lost_frames / 50:.1f} s", "bad")
    console.fact(
        "the simulator itself",
        f"p50 {1000 * time.p50:.1f}, p99 {1000 * time.p99:.1f}, worst {1000 * time.worst:.0f} ms "
        f"late; {_share(result.driver_cpu)} of a core",
    )
    for text in shortfalls:
        console.fact("fell short", text, "bad")
    if not limits.trusts(result):
        console.fact("times", time.warning, "bad")
    elif not shortfalls:
        console.fact("quality", "held", "good")


def show_step(console: Console, step: Step) -> None:
    """Says in a line how one load of a search went."""
    result, time = step.result, step.result.timekeeping
    is_late = result.was_tried and not step.is_trusted
    reasons = [*step.shortfalls, *result.failures, *([time.warning] if is_late else [])]
    verdict = "held" if step.holds else "; ".join(reasons)
    figures = result.figures
    console.say(
        f"{result.calls:>5} calls  first audio p95 {_seconds(figures.first_audio.p95)}, "
        f"gaps {_gaps(figures)}, simulator p99 {1000 * time.p99:.1f} ms: {verdict}",
        None if step.holds else "bad",
    )


def show_verdict(console: Console, url: str, found: SearchResult) -> None:
    """Says how many calls the bot bears."""
    console.say()
    if not found.was_tried:
        console.fact("could not be tried", f"no call was up ({url})", "bad")
        return
    console.fact("largest number that held", f"{found.largest} calls", "good")
    if found.broke_at is None:
        console.fact("broke at", f"none that was tried ({url})")
    elif found.is_bot_at_fault:
        console.fact("broke at", f"{found.broke_at} calls", "bad")
    else:
        console.fact(
            "stopped at",
            f"{found.broke_at} calls: the simulator did not keep time, the bot may bear more",
            "bad",
        )


def _spread(spread: Spread) -> str:
    if not spread.count:
        return "none yet"
    return (
        f"p50 {_seconds(spread.p50)}, p95 {_seconds(spread.p95)}, p99 {_seconds(spread.p99)} "
        f"({spread.count})"
    )


def _gaps(figures: LoadFigures) -> str:
    if math.isnan(figures.gaps_per_minute):
        return "none (the bot was not heard)"
    worst = f", worst {1000 * figures.gaps.worst:.0f} ms" if figures.gaps.count else ""
    return f"{figures.gaps.count} ({figures.gaps_per_minute:.2f} a minute{worst})"


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.0f} %"


def _seconds(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f} s"
