"""The form of a call log: what its lines are called. ``docs/call-log.md`` says what is in them.

A log is JSON Lines. Each line has ``t``, seconds since the stream's socket was taken over, and
``kind``. A reader skips kinds and fields it does not know. What changes the meaning of a line that
there is raises ``VERSION``; new kinds and fields do not.
"""

import math
from enum import StrEnum
from typing import Any, TypeGuard

Line = dict[str, Any]

FORMAT = "twilio-frames call log"
VERSION = 1

LEVEL_STEP = 0.1
"""Seconds between two levels in a ``levels`` line."""


class Kind(StrEnum):
    """What a line tells."""

    LOG = "log"
    CALL = "call"
    AWAY = "away"
    BACK = "back"
    LINE = "line"
    LEVELS = "levels"
    SENT = "sent"
    HEARD = "heard"
    CUT = "cut"
    MARK_SENT = "mark_sent"
    MARK_REACHED = "mark_reached"
    DIGIT = "digit"
    GAP = "gap"
    VIOLATION = "violation"
    UNDERRUN = "underrun"
    STALLED = "stalled"
    VAD_STARTED = "vad_started"
    VAD_STOPPED = "vad_stopped"
    TURN_STARTED = "turn_started"
    TURN_STOPPED = "turn_stopped"
    TRANSCRIPT = "transcript"
    BACKCHANNEL = "backchannel"
    LLM_STARTED = "llm_started"
    LLM_TEXT = "llm_text"
    LLM_STOPPED = "llm_stopped"
    FUNCTION_STARTED = "function_started"
    FUNCTION_ENDED = "function_ended"
    SAID = "said"
    TTS_STARTED = "tts_started"
    TTS_AUDIO = "tts_audio"
    TTS_STOPPED = "tts_stopped"
    BOT_STARTED = "bot_started"
    BOT_STOPPED = "bot_stopped"
    WORD = "word"
    HELD = "held"
    RESUMED = "resumed"
    INTERRUPTED = "interrupted"
    MEASURED = "measured"
    ERROR = "error"
    SWITCHED = "switched"
    ENDED = "ended"
    CLOSED = "closed"


LIVE_KINDS = frozenset({
    *(Kind.CALL, Kind.AWAY, Kind.BACK, Kind.CUT, Kind.DIGIT, Kind.GAP, Kind.UNDERRUN),
    *(Kind.STALLED, Kind.VAD_STARTED, Kind.VAD_STOPPED, Kind.TURN_STARTED, Kind.TURN_STOPPED),
    *(Kind.TRANSCRIPT, Kind.BACKCHANNEL, Kind.LLM_STARTED, Kind.LLM_STOPPED),
    *(Kind.FUNCTION_STARTED, Kind.FUNCTION_ENDED, Kind.SAID, Kind.WORD, Kind.BOT_STARTED),
    *(Kind.BOT_STOPPED, Kind.HELD, Kind.RESUMED, Kind.INTERRUPTED, Kind.ERROR, Kind.SWITCHED),
})  # fmt: skip
"""Lines of which whoever looks at a call as it goes is told."""


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a number; JSON lets some pass that it has no words for."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value)


def number(line: Line, field: str, otherwise: float = 0.0) -> float:
    """A field that should be a number."""
    value = line.get(field)
    return float(value) if is_number(value) else otherwise


def text(line: Line, field: str) -> str:
    """A field that should be a text."""
    value = line.get(field)
    return value if isinstance(value, str) else ""
