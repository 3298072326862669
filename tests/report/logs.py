"""Call logs made by hand."""

import json
from collections.abc import Iterable
from typing import Any

from twilio_frames.report.lines import FORMAT, VERSION
from twilio_frames.report.reading import LoggedCall, parse_log
from twilio_frames.report.report import Report, make_report

HEADER: dict[str, Any] = {"t": 0, "kind": "log", "format": FORMAT, "version": VERSION}


def line(t: float, kind: str, **fields: Any) -> dict[str, Any]:
    return {"t": t, "kind": kind, **fields}


def texts(lines: Iterable[dict[str, Any]]) -> list[str]:
    return [json.dumps(each) for each in lines]


def log_of(*lines: dict[str, Any]) -> LoggedCall:
    return parse_log(texts([HEADER, line(0.5, "call", call_sid="CA1"), *lines]))


def report_of(*lines: dict[str, Any]) -> Report:
    return make_report(log_of(*lines))


def turn(begin: float, end: float, words: str = "hello there") -> list[dict[str, Any]]:
    """The caller speaks, is understood 0.2 s after the VAD's 0.6 s, and has had the turn then."""
    return [
        line(begin + 0.16, "vad_started", after=0.16),
        line(begin + 0.17, "turn_started"),
        line(end + 0.6, "vad_stopped", after=0.6),
        line(end + 0.8, "transcript", words=len(words.split()), text=words),
        line(end + 0.8, "turn_stopped"),
    ]


def reply(
    at: float, text: str, *, llm: float = 0.0, context: int = 0, heard: int | None = None
) -> list[dict[str, Any]]:
    """The bot is asked, thinks, speaks half a second a word, and is heard so many words."""
    words = text.split()
    heard = len(words) if heard is None else heard
    begin = at + llm + 0.15
    lines = [
        line(at, "llm_started"),
        line(at + llm, "llm_stopped", pieces=1),
        line(at + llm, "said", context=context, words=len(words), text=text),
        line(at + llm + 0.1, "tts_audio", context=context),
        line(begin, "bot_started"),
        line(begin + 9, "sent", begin=begin - 0.02, end=begin + heard / 2),
        line(begin + 9, "heard", begin=begin, end=begin + heard / 2),
    ]
    lines += [
        line(begin + (number + 1) / 2, "word", context=context, words=1, text=word)
        for number, word in enumerate(words[:heard])
    ]
    return [*lines, line(begin + heard / 2 + 0.1, "bot_stopped")]


def closed(t: float, **fields: Any) -> dict[str, Any]:
    return line(t, "closed", line_ended=t, dropped=0, violations={}, **fields)
