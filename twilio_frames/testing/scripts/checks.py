"""Checks: what was expected of a call, and what it got. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from twilio_frames.report.simulated import CLOSED_BY_BOT
from twilio_frames.testing.calls.facts import Alert
from twilio_frames.testing.logs.log import CALL, LogEntry
from twilio_frames.testing.results.result import BOT, CallResult
from twilio_frames.testing.scripts.script import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was expected.

    Parameters:
        expected: What.
        got: What came instead, or what exactly came.
        passed: Whether it is what was expected.
        where: File and line, or the turn's number.
    """

    expected: str
    got: str
    passed: bool
    where: str = ""

    def __str__(self) -> str:
        place = f" at {self.where}" if self.where else ""
        return f"expected {self.expected}, got {self.got}{place}"

    def to_dict(self) -> dict[str, object]:
        """The check for a JSON file."""
        return {
            "expected": self.expected,
            "got": self.got,
            "passed": self.passed,
            "where": self.where,
        }


def judge(result: CallResult, limits: Limits, entries: Iterable[LogEntry] = ()) -> list[Check]:
    """Judges a whole call.

    Args:
        result: What came of it.
        limits: What it is judged by.
        entries: Its log, for the call's flow.
    """
    checks = [
        *_checks_of_times(result, limits),
        *_checks_of_alerts(result, limits),
        *_checks_of_end(result, limits),
    ]
    if limits.flow:
        events = [entry.event for entry in entries if entry.source == CALL]
        checks.append(_check_of_flow(limits.flow, events, limits.where))
    return checks


def _checks_of_times(result: CallResult, limits: Limits) -> Iterator[Check]:
    first = () if result.first_audio is None else (result.first_audio,)
    gaps = [gap.seconds for gap in result.gaps]
    silences = [air.seconds for air in result.dead_air]
    measured: list[tuple[str, float | None, Sequence[float], str]] = [
        ("the bot's first sound within {}", limits.first_audio, first, "none"),
        ("each answer within {}", limits.answer, result.answer_times, "none"),
        ("silence within {} of talking over", limits.interruption, result.silence_times, "none"),
        ("no gap in speech over {}", limits.gap, gaps, "none"),
        ("no dead air over {}", limits.dead_air, silences, "none"),
        ("a call of at most {}", limits.call, [result.seconds], ""),
        ("at most {} cut off at the end", limits.cut_off, [result.cut_off_secs], ""),
    ]
    for expected, limit, values, nothing in measured:
        if limit is not None:
            yield Check(
                expected=expected.format(_milliseconds(limit)),
                got=_milliseconds(max(values)) if values else nothing,
                passed=all(value <= limit for value in values),
                where=limits.where,
            )
    yield from _checks_of_answers(result, limits)


def _checks_of_answers(result: CallResult, limits: Limits) -> Iterator[Check]:
    """What has no time at all was not within any."""
    if limits.first_audio is not None and result.first_audio is None:
        yield Check(expected="to hear the bot", got="nothing", passed=False, where=limits.where)
    if limits.answer is not None and (count := _unanswered(result)):
        got = f"{count} without one"
        yield Check(expected="an answer to each turn", got=got, passed=False, where=limits.where)


def _unanswered(result: CallResult) -> int:
    """How many of the caller's turns were not answered, though the call went on.

    The last may be a goodbye. What is said before the bot has spoken for the first time counts.
    """
    turns = [turn for turn in result.turns if turn.speaker != BOT]
    return sum(turn.answered_after is None for turn in turns[:-1])


def _checks_of_alerts(result: CallResult, limits: Limits) -> Iterator[Check]:
    errors = [alert for alert in result.errors if alert.code != CLOSED_BY_BOT]
    for name, limit, alerts in (
        ("warnings", limits.warnings, list(result.warnings)),
        ("errors", limits.errors, errors),
    ):
        if limit is not None:
            yield Check(
                expected=f"at most {limit} {name} of Twilio's",
                got=_listed(alerts),
                passed=len(alerts) <= limit,
                where=limits.where,
            )


def _checks_of_end(result: CallResult, limits: Limits) -> Iterator[Check]:
    if limits.end is not None:
        got = result.end.value if result.end else "a call that goes on"
        yield Check(
            expected=f"the end {limits.end!r}",
            got=repr(got),
            passed=got == limits.end,
            where=limits.where,
        )


def _check_of_flow(wanted: Sequence[str], events: Sequence[str], where: str) -> Check:
    left = iter(events)
    passed = all(event in left for event in wanted)
    got = ", ".join(events) or "nothing"
    return Check(expected=f"the flow {', '.join(wanted)}", got=got, passed=passed, where=where)


def _listed(alerts: Sequence[Alert]) -> str:
    return "; ".join(str(alert) for alert in alerts) or "none"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
