"""What went wrong on this side of a call, and on the line."""

from collections import Counter
from collections.abc import Iterator

from twilio_frames.report.finding import Finding, Severity, places, times
from twilio_frames.report.lines import Kind, number, text
from twilio_frames.report.story import Story


def faults(story: Story) -> Iterator[Finding]:
    """What this process, its services and the line did wrong, in no order."""
    yield from _holes(story)
    yield from _stalls(story)
    yield from _caller_audio(story)
    yield from _messages(story)
    yield from _functions(story)
    yield from _errors(story)
    yield from _takeovers(story)
    yield from _log(story)


def _holes(story: Story) -> Iterator[Finding]:
    holes = [line for line in story.log.of(Kind.UNDERRUN) if number(line, "seconds") > 0.02]
    if holes:
        total = sum(number(line, "seconds") for line in holes)
        yield Finding(
            severity=Severity.BAD if total > 1 else Severity.WARNING,
            cost=total,
            at=holes[0]["t"],
            title=f"{times(len(holes), 'A hole', 'Holes')} in the bot's sentences, "
            f"{total:.1f} s in all",
            detail="The audio came too late: speech synthesis was slower than speech, or this "
            f"process stood still. {places([line['t'] for line in holes]).capitalize()}.",
        )


def _stalls(story: Story) -> Iterator[Finding]:
    stalls = [line for line in story.log.of(Kind.STALLED) if number(line, "seconds") > 0.2]
    if stalls:
        longest = max(stalls, key=lambda line: number(line, "seconds"))
        yield Finding(
            severity=Severity.WARNING,
            cost=sum(number(line, "seconds") for line in stalls),
            at=longest["t"],
            title=f"This process stood still for {number(longest, 'seconds'):.1f} s "
            f"({len(stalls)} {'time' if len(stalls) == 1 else 'times'} in all)",
            detail="Something blocked the event loop, and with it every call: find what does not "
            f"await. {places([line['t'] for line in stalls]).capitalize()}.",
        )


def _caller_audio(story: Story) -> Iterator[Finding]:
    gaps = [line for line in story.log.of(Kind.GAP) if number(line, "seconds") >= 0.1]
    stalled = [(line["t"], number(line, "seconds")) for line in story.log.of(Kind.STALLED)]
    waits = [
        line
        for line in story.log.of(Kind.LINE)
        if number(line, "longest_wait") > 0.3
        # A process that stood still did not read what had come.
        and not any(-0.5 < line["t"] - at < secs + 1.5 for at, secs in stalled)
    ]
    if gaps:
        total = sum(number(line, "seconds") for line in gaps)
        yield Finding(
            severity=Severity.WARNING,
            cost=total,
            at=gaps[0]["t"],
            title=f"The caller's audio did not come whole: {times(len(gaps), 'a gap', 'gaps')}, "
            f"{total:.1f} s",
            detail=f"Twilio's timestamps jump {places([line['t'] for line in gaps])}.",
        )
    if waits:
        longest = max(waits, key=lambda line: number(line, "longest_wait"))
        yield Finding(
            severity=Severity.WARNING,
            cost=number(longest, "longest_wait"),
            at=longest["t"],
            title=f"The network stalled: no audio came for {number(longest, 'longest_wait'):.1f} s",
            detail=f"50 messages a second are due. {places([line['t'] for line in waits])}.",
        )


def _messages(story: Story) -> Iterator[Finding]:
    rules = story.log.first(Kind.CLOSED).get("violations")
    if not isinstance(rules, dict) or not rules:
        rules = dict(Counter(text(line, "rule") for line in story.log.of(Kind.VIOLATION)))
    count = sum(value for value in rules.values() if isinstance(value, int))
    if count:
        kinds = ", ".join(f"{name} ({value})" for name, value in rules.items())
        seen = story.log.times(Kind.VIOLATION)
        yield Finding(
            severity=Severity.WARNING,
            cost=float(count),
            at=seen[0] if seen else None,
            title=f"{times(count, 'A malformed message', 'Malformed messages')} came, and "
            f"{'was' if count == 1 else 'were'} skipped",
            detail=f"By the rule that was broken: {kinds}.",
        )


def _functions(story: Story) -> Iterator[Finding]:
    for function in story.functions:
        if function.failed:
            yield Finding(
                severity=Severity.BAD,
                cost=function.span.seconds,
                at=function.span.end,
                title=f"The function {function.name} failed",
            )


def _errors(story: Story) -> Iterator[Finding]:
    by_source: dict[str, list[float]] = {}
    for line in story.log.of(Kind.ERROR):
        source = text(line, "processor") or "the pipeline"
        what = text(line, "exception") or text(line, "category") or "an error"
        by_source.setdefault(f"{source} reported {what}", []).append(line["t"])
    for title, seen in by_source.items():
        yield Finding(
            severity=Severity.BAD,
            cost=10.0 * len(seen),
            at=seen[0],
            title=times(len(seen), title),
            detail=f"{places(seen).capitalize()}.",
        )


def _takeovers(story: Story) -> Iterator[Finding]:
    for line in story.log.of(Kind.SWITCHED):
        if failure := text(line, "failure"):
            names = f"{text(line, 'successor')} took over from {text(line, 'vendor')}"
            yield Finding(
                severity=Severity.WARNING,
                cost=2.0,
                at=line["t"],
                title=f"{names} ({text(line, 'role')})",
                detail=f"What it was for: {failure}.",
            )


def _log(story: Story) -> Iterator[Finding]:
    closed = story.log.first(Kind.CLOSED)
    dropped = int(number(closed, "dropped"))
    if not closed:
        yield Finding(
            severity=Severity.NOTE,
            cost=1.0,
            at=None,
            title="The log ends in the middle: its process was stopped, or still runs",
        )
    unreadable = len(story.log.unreadable)
    if dropped or unreadable:
        yield Finding(
            severity=Severity.NOTE,
            cost=float(dropped + unreadable),
            at=None,
            title=f"The log is not whole: {dropped} lines dropped, {unreadable} unreadable",
        )
