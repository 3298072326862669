"""What went wrong on a call, in plain words, worst first."""

from collections.abc import Iterator, Sequence

from twilio_frames.report.answers import Answer, Part
from twilio_frames.report.faults import faults
from twilio_frames.report.finding import Finding, Severity, places, times
from twilio_frames.report.lines import Kind, number, text
from twilio_frames.report.story import Ending, Span, Story

SLOW_ANSWER = 1.5
"""Seconds from which on a caller notices that the answer is slow."""

DEAD_AIR = 4.0
"""Seconds of silence from which on a caller asks whether somebody is there."""


_ADVICE = {
    Part.END_OF_TURN: "Waiting to be sure that the caller had finished took most of it: a shorter "
    "`stop_secs` of the VAD or `pause_secs` of the turn answers sooner.",
    Part.STT: "Speech recognition took most of it.",
    Part.LLM: "The language model took most of it.",
    Part.FUNCTIONS: "A function call took most of it: say something before it, or make it faster.",
    Part.TTS: "Speech synthesis took most of it.",
    Part.PIPELINE: "This process took most of it, between the services: look for work that blocks "
    "the event loop, or for too many calls on one core.",
    Part.LINE: "The line took most of it: the server is far from Twilio, or its network is slow.",
}


def findings(story: Story, answers: Sequence[Answer]) -> list[Finding]:
    """What went wrong, worst first; empty if nothing did."""
    found = [
        *_ending(story),
        *_dead_air(story, answers),
        *_slow_answers(answers),
        *_no_answers(story, answers),
        *_false_alarms(story),
        *_late_words(story),
        *_cuts(story),
        *_not_understood(story),
        *faults(story),
    ]
    ranks = list(Severity)
    return sorted(found, key=lambda each: (ranks.index(each.severity), -each.cost, each.at or 0.0))


def _ending(story: Story) -> Iterator[Finding]:
    line = story.log.first(Kind.ENDED)
    reason, detail = text(line, "reason"), text(line, "detail")
    titles = {
        "line lost": "The line was lost: the caller was cut off without a goodbye",
        "error": "The call ended by an error",
        "time limit": "The call was ended because it was as long as calls may be",
    }
    if reason in titles:
        why = f"{detail[:1].upper()}{detail[1:]}." if detail else ""
        yield Finding(
            severity=Severity.BAD, cost=1000.0, at=line["t"], title=titles[reason], detail=why
        )


def _dead_air(story: Story, answers: Sequence[Answer]) -> Iterator[Finding]:
    """Silences, but for those before an answer: how long that took is told by itself."""
    waits = [(each.began_at, each.heard_at) for each in answers if each.heard_at is not None]
    bots: list[Span] = []
    callers: list[Span] = []
    for quiet, is_callers in _silences(story):
        is_wait = any(began - 0.5 < quiet.begin < heard for began, heard in waits)
        if quiet.seconds >= DEAD_AIR and not is_wait:
            (callers if is_callers else bots).append(quiet)
    if bots:
        yield _silence(bots, Severity.BAD, 100.0, "Dead air: nobody was heard for")
    if callers:
        title = "The caller did not answer, and the bot did not ask again, for"
        yield _silence(callers, Severity.WARNING, 0.0, title)


def _silence(quiet: Sequence[Span], severity: Severity, cost: float, title: str) -> Finding:
    longest = max(quiet, key=lambda span: span.seconds)
    return Finding(
        severity=severity,
        cost=cost + sum(span.seconds for span in quiet),
        at=longest.begin,
        title=f"{title} {longest.seconds:.1f} s",
        detail=f"Silences of {DEAD_AIR:g} s or more {places([span.begin for span in quiet])}.",
    )


def _silences(story: Story) -> Iterator[tuple[Span, bool]]:
    """Stretches in which neither was heard, and whether it was the caller's turn to speak."""
    # What is heard where the call is elsewhere is not known here.
    heard = [(span, True) for span in (*story.heard, *(each.span for each in story.away))]
    sounds = sorted([*heard, *((each.span, False) for each in story.utterances)])
    quiet_from, was_bot = number(story.log.first(Kind.CALL), "t"), False
    for sound, is_bot in sounds:
        if sound.begin > quiet_from:
            yield Span(quiet_from, sound.begin), was_bot and not is_bot
        if sound.end > quiet_from:
            quiet_from, was_bot = sound.end, is_bot


def _slow_answers(answers: Sequence[Answer]) -> Iterator[Finding]:
    slow = [each for each in answers if (each.seconds or 0.0) > SLOW_ANSWER]
    by_part: dict[Part | None, list[Answer]] = {}
    for answer in slow:
        by_part.setdefault(answer.slowest, []).append(answer)
    for part, mine in by_part.items():
        worst = max(mine, key=lambda answer: answer.seconds or 0.0)
        seconds = worst.seconds or 0.0
        share = worst.parts[part] if part else 0.0
        what = "the greeting" if worst.is_greeting else "an answer"
        title = (
            f"The caller waited {seconds:.1f} s for {what}, {share:.1f} s of it for: {part}"
            if len(mine) == 1
            else f"{len(mine)} answers were slow, the slowest {seconds:.1f} s, "
            f"most of it for: {part}"
        )
        yield Finding(
            severity=Severity.BAD if seconds > 2 * SLOW_ANSWER else Severity.WARNING,
            cost=sum((answer.seconds or 0.0) - SLOW_ANSWER for answer in mine),
            at=worst.began_at,
            title=title,
            detail=f"{_ADVICE[part] if part else ''} {_places_of(mine)}".strip(),
        )


def _places_of(answers: Sequence[Answer]) -> str:
    return f"Slow {places([answer.began_at for answer in answers])}."


def _no_answers(story: Story, answers: Sequence[Answer]) -> Iterator[Finding]:
    silent = [
        answer.began_at
        for answer in answers
        if answer.heard_at is None and _is_left_waiting(story, answer.began_at)
    ]
    if silent:
        yield Finding(
            severity=Severity.BAD,
            cost=50.0 * len(silent),
            at=silent[0],
            title=times(len(silent), "The caller got no answer"),
            detail=f"Nothing was heard of the bot after the turn {places(silent)}.",
        )


def _is_left_waiting(story: Story, since: float) -> bool:
    """Whether a caller who has stopped to speak hears nothing for long."""
    # A caller who speaks on before the answer comes is no fault of the bot; nor is one who speaks
    # over its last words, which it has said by the time that it has understood.
    begins = [turn.begin for turn in story.turns if turn.begin > since]
    until = min(begins, default=story.seconds)
    is_heard = any(span.end > since and span.begin < until for span in story.heard)
    return until - since > DEAD_AIR and not is_heard


def _false_alarms(story: Story) -> Iterator[Finding]:
    alarms = [hold.span for hold in story.holds if hold.ending is Ending.RESUMED]
    if alarms:
        total = sum(span.seconds for span in alarms)
        longest = max(span.seconds for span in alarms)
        yield Finding(
            # From here on a caller wonders.
            severity=Severity.WARNING if longest > 1.5 else Severity.NOTE,
            cost=total,
            at=alarms[0].begin,
            title=times(
                len(alarms),
                "A false alarm: the bot fell silent, and said on",
                "False alarms: the bot fell silent, and said on",
            ),
            detail="A sound of the caller that was no interruption "
            f"{places([span.begin for span in alarms])}; {total:.1f} s of silence in all.",
        )


def _late_words(story: Story) -> Iterator[Finding]:
    late = [hold.span for hold in story.holds if hold.ending is Ending.LATE]
    if late:
        yield Finding(
            severity=Severity.WARNING,
            cost=sum(span.seconds for span in late),
            at=late[0].begin,
            title=times(len(late), "The bot said on over a caller whose words came late"),
            detail="It fell silent for them, but speech recognition took too long: "
            f"{places([span.begin for span in late])}.",
        )


def _cuts(story: Story) -> Iterator[Finding]:
    cut = [reply for reply in story.replies if reply.was_cut]
    if cut:
        words = sum(reply.words - reply.words_heard for reply in cut)
        ends = [reply.heard[-1].ended_at if reply.heard else reply.made_at for reply in cut]
        yield Finding(
            severity=Severity.NOTE,
            cost=float(words),
            at=ends[0],
            title=f"The caller interrupted {times(len(cut), 'the bot', 'the bot')}: "
            f"{words} {'word' if words == 1 else 'words'} never heard",
            detail=f"Interrupted {places(ends)}. The assistant's memory holds what was heard.",
        )


def _not_understood(story: Story) -> Iterator[Finding]:
    lost = [
        each.span for each in story.utterances if each.words is None and each.span.seconds > 0.5
    ]
    if lost:
        yield Finding(
            severity=Severity.WARNING,
            cost=sum(span.seconds for span in lost),
            at=lost[0].begin,
            title=times(len(lost), "The caller spoke, and no words came of it"),
            detail=f"{lost[0].seconds:.1f} s of speech without a transcript "
            f"{places([span.begin for span in lost])}: noise, or the recogniser missed it.",
        )
