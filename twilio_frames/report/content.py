"""A report's content, as values that JSON can hold: what the page draws from."""

import base64
from datetime import UTC, datetime
from statistics import median
from typing import Any

from twilio_frames.report.answers import Answer
from twilio_frames.report.finding import Finding, Severity
from twilio_frames.report.lines import Kind, number, text
from twilio_frames.report.replies import Reply
from twilio_frames.report.report import Report
from twilio_frames.report.story import Ending, Span, Story
from twilio_frames.report.waves import Peaks


def content(report: Report) -> dict[str, Any]:
    """What the page needs of a report, but for the audio."""
    story = report.story
    return {
        "title": story.title,
        "began": text(story.log.first(Kind.LOG), "began"),
        "seconds": _rounded(report.seconds),
        "ended": text(story.log.first(Kind.ENDED), "reason"),
        "knowsEar": story.knows_ear,
        "tiles": tiles(report),
        "findings": [_finding(each) for each in report.findings],
        "peaks": [_peaks(each) for each in report.peaks.zooms()],
        "utterances": [
            [*_span(each.span), each.text or _count(each.words), each.was_backchannel]
            for each in story.utterances
        ],
        "replies": [_reply(each) for each in story.replies],
        "sent": [_span(each) for each in story.sent],
        "heard": [_span(each) for each in story.heard],
        "flushed": [_span(each) for each in story.flushed],
        "away": [[*_span(each.span), each.label] for each in story.away],
        "holds": [[*_span(each.span), each.ending.value] for each in story.holds],
        "answers": [_answer(each) for each in report.answers],
        "events": events(story),
    }


def subtitle(report: Report) -> str:
    """When the call was, and how it ended, as far as the log tells."""
    log = report.story.log
    try:
        began = datetime.fromisoformat(text(log.first(Kind.LOG), "began"))
        when = f"{began.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError):
        when = ""
    return " · ".join(filter(None, (when, text(log.first(Kind.ENDED), "reason"))))


def tiles(report: Report) -> list[tuple[str, str, str]]:
    """The figures on top: name, value, and what to add in small print."""
    story = report.story
    waits = [each.seconds for each in report.answers if each.seconds and not each.is_greeting]
    answer = f"{median(waits):.2f} s" if waits else "none"
    slowest = f"slowest {max(waits):.2f} s" if waits else ""
    minutes, seconds = divmod(round(report.seconds), 60)
    length = f"{minutes}:{seconds:02d}" if minutes else f"{report.seconds:.1f} s"
    alarms = sum(hold.ending is Ending.RESUMED for hold in story.holds)
    trips = [number(line, "round_trip") for line in story.log.of(Kind.LINE)]
    trip = f"{round(max(trips) * 1000)} ms" if any(trips) else "unknown"
    turns = sum(not each.is_greeting for each in report.answers)
    faults = [each for each in report.findings if each.severity is not Severity.NOTE]
    bad = sum(each.severity is Severity.BAD for each in faults)
    return [
        ("Length", length, f"{turns} {'turn' if turns == 1 else 'turns'}"),
        ("What went wrong", str(len(faults)) if faults else "nothing", f"{bad} bad" if bad else ""),
        ("Answer, typical", answer, slowest),
        ("Interruptions", str(len(story.interruptions)), f"{alarms} false alarms"),
        ("Line, there and back", trip, "at its slowest" if any(trips) else ""),
    ]


def events(story: Story) -> list[list[Any]]:
    """Moments on the call: when, what sort, and in words."""
    log = story.log
    found: list[list[Any]] = [
        [at, "interruption", "the caller interrupted"] for at in story.interruptions
    ]
    found += [[each.span.begin, "hold", f"held: {each.ending.value}"] for each in story.holds]
    found += [
        [each.span.begin, "function", f"{each.name}() {each.span.seconds:.2f} s"]
        for each in story.functions
    ]
    found += [[each.span.begin, "away", each.label] for each in story.away]
    for line in log.of(Kind.MARK_REACHED):
        if not text(line, "mark").startswith("heard:"):
            was = "flushed" if line.get("flushed") is True else "reached"
            found.append([line["t"], "mark", f"mark {text(line, 'mark')} {was}"])
    for line in log.of(Kind.DIGIT):
        found.append([line["t"], "digit", f"key {text(line, 'digit') or 'pressed'}"])
    for line in log.of(Kind.UNDERRUN):
        found.append([line["t"], "trouble", f"a hole of {number(line, 'seconds'):.2f} s"])
    for line in log.of(Kind.STALLED):
        found.append([line["t"], "trouble", f"stood still for {number(line, 'seconds'):.2f} s"])
    for line in log.of(Kind.GAP):
        found.append([line["t"], "trouble", f"{number(line, 'seconds'):.2f} s of caller missing"])
    for line in log.of(Kind.VIOLATION):
        found.append([line["t"], "trouble", f"malformed message: {text(line, 'rule')}"])
    for line in log.of(Kind.ERROR):
        found.append([line["t"], "trouble", f"error: {text(line, 'processor')}"])
    for line in log.of(Kind.SWITCHED):
        found.append([line["t"], "trouble", f"{text(line, 'successor')} takes over"])
    return [[_rounded(at), sort, words] for at, sort, words in sorted(found, key=_first)]


def _first(event: list[Any]) -> float:
    return event[0]


def _rounded(seconds: float) -> float:
    return round(seconds, 3)


def _span(span: Span) -> list[float]:
    return [_rounded(span.begin), _rounded(span.end)]


def _count(words: int | None) -> str:
    if words is None:
        return ""
    return "1 word" if words == 1 else f"{words} words"


def _finding(finding: Finding) -> dict[str, Any]:
    at = None if finding.at is None else _rounded(finding.at)
    return {
        "severity": finding.severity.value,
        "at": at,
        "title": finding.title,
        "detail": finding.detail,
    }


def _peaks(peaks: Peaks) -> dict[str, Any]:
    sides = (base64.b64encode(side.tobytes()).decode() for side in (peaks.caller, peaks.bot))
    caller, bot = sides
    return {"step": peaks.step, "caller": caller, "bot": bot}


def _reply(reply: Reply) -> dict[str, Any]:
    return {
        "at": _rounded(reply.made_at),
        "text": reply.text or _count(reply.words),
        "heard": [[_rounded(word.ended_at), word.text] for word in reply.heard],
        "unheard": reply.unheard,
        "cut": reply.was_cut,
        "known": reply.is_known and bool(reply.text),
    }


def _answer(answer: Answer) -> dict[str, Any]:
    heard = None if answer.heard_at is None else _rounded(answer.heard_at)
    return {
        "from": _rounded(answer.began_at),
        "heard": heard,
        "greeting": answer.is_greeting,
        "parts": [[part.value, _rounded(secs)] for part, secs in answer.parts.items()],
    }
