"""A log of the simulated Twilio, told in the words of a call log.

It knows what went over the line and who was heard when, but not what the bot thought. Its times
count from the first ring; those of a call log, and of the recording, from the answer.
"""

from collections.abc import Iterator, Sequence

from twilio_frames.report.lines import FORMAT, VERSION, Kind, Line, number

_SOURCES = ("call", "to_bot", "from_bot", "to_fork")
CLOSED_BY_BOT = 31921
"""What Twilio's Debugger lists whenever a bot closes its stream, also where it means to."""


def is_simulated(line: Line) -> bool:
    """Whether a line is one of the simulated Twilio's log."""
    return line.get("source") in _SOURCES and "event" in line and "kind" not in line


def told_as_call_log(entries: Sequence[Line]) -> list[Line]:
    """The lines of a call log that tell the same."""
    answered = next((_time(each) for each in entries if each["event"] == "answered"), 0.0)
    ended = max((_time(each) - answered for each in entries), default=0.0)
    lines: list[Line] = [{"t": 0.0, "kind": Kind.LOG, "format": FORMAT, "version": VERSION}]
    spoken = [each for each in entries if each["event"] == "bot_spoke"]
    call_sid = next((each["call_sid"] for each in entries if "call_sid" in each), "")
    for entry in entries:
        at = _time(entry) - answered
        lines += (line | {"t": line.get("t", at)} for line in _lines(entry, at, spoken, call_sid))
    return [*lines, {"t": ended, "kind": Kind.CLOSED, "line_ended": ended}]


def _lines(entry: Line, at: float, spoken: Sequence[Line], call_sid: object) -> Iterator[Line]:
    match entry["source"], entry["event"]:
        case "to_bot", "start":
            yield {"kind": Kind.CALL, "call_sid": call_sid, "stream_sid": entry.get("stream_sid")}
        case "to_bot", "dtmf":
            yield {"kind": Kind.DIGIT}
        case "to_bot", "mark":
            # It comes back as it is reached, or as a `clear` throws it away.
            yield {"kind": Kind.MARK_REACHED, "mark": entry.get("name"), "flushed": False}
        case "from_bot", "clear":
            ends = [number(each, "ended_at") for each in spoken if _is_cut(each, at)]
            yield from ({"t": min(at, end), "kind": Kind.INTERRUPTED} for end in ends[-1:])
        case "call", "bot_spoke":
            begin, end = number(entry, "began_at"), number(entry, "ended_at")
            yield {"t": begin, "kind": Kind.BOT_STARTED}
            yield {"kind": Kind.HEARD, "begin": begin, "end": end}
            yield {"t": end, "kind": Kind.BOT_STOPPED}
        case "call", "caller_spoke":
            yield from _said(entry)
        case "call", "alert" if entry.get("code") != CLOSED_BY_BOT:
            yield {"kind": Kind.ERROR, "processor": f"Twilio {entry.get('code')}"}
        case "call", "ended":
            yield {
                "kind": Kind.ENDED,
                "reason": entry.get("reason"),
                "seconds": entry.get("seconds"),
            }
        case _:
            pass


def _said(entry: Line) -> Iterator[Line]:
    begin, end = number(entry, "began_at"), number(entry, "ended_at")
    words = str(entry.get("words", ""))
    for kind in (Kind.VAD_STARTED, Kind.TURN_STARTED):
        yield {"t": begin, "kind": kind}
    yield {"t": end, "kind": Kind.VAD_STOPPED}
    yield {"t": end, "kind": Kind.TRANSCRIPT, "words": len(words.split()), "text": words}
    yield {"t": end, "kind": Kind.TURN_STOPPED}


def _is_cut(spoken: Line, at: float) -> bool:
    begin, end = number(spoken, "began_at"), number(spoken, "ended_at")
    return begin < at < end + 0.3


def _time(entry: Line) -> float:
    return number(entry, "time")
