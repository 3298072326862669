"""What a realtime session wants done: by its model, its pipeline, and whoever watches."""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from pipecat.frames.frames import Frame
from pipecat.metrics.metrics import LLMTokenUsage
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.openai.realtime import events
from pipecat.utils.errors import ErrorCategory

from twilio_frames.services.realtime.history_replay import HistoryReplay


@dataclass(frozen=True, slots=True)
class Send:
    """Tells the model."""

    event: events.ClientEvent


@dataclass(frozen=True, slots=True)
class Configure:
    """Tells the model the session's settings, with the context's instructions and tools."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Tells the model what was said before.

    Parameters:
        past: That.
        is_first: Whether it goes behind what the session holds already, rather than before it.
    """

    past: HistoryReplay
    is_first: bool = False


@dataclass(frozen=True, slots=True)
class Push:
    """Pushes a frame."""

    frame: Frame
    direction: FrameDirection = FrameDirection.DOWNSTREAM


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Pushes a frame both ways."""

    kind: type[Frame]
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """Calls a function."""

    tool_call_id: str
    name: str
    arguments: Any


@dataclass(frozen=True, slots=True)
class Notify:
    """Tells one of the service's events."""

    event: str
    item_id: str
    item: Any = None


@dataclass(frozen=True, slots=True)
class Report:
    """Reports an error, once for each cause."""

    text: str
    category: ErrorCategory


@dataclass(frozen=True, slots=True)
class CountTokens:
    """Counts what an answer has cost."""

    tokens: LLMTokenUsage

    @classmethod
    def of(cls, usage: Any) -> "CountTokens":
        """What the model tells of it."""
        heard, said = usage.input_token_details, usage.output_token_details
        cached = heard.cached_tokens_details if heard else None
        return cls(
            LLMTokenUsage(
                prompt_tokens=usage.input_tokens or 0,
                completion_tokens=usage.output_tokens or 0,
                total_tokens=usage.total_tokens or 0,
                cache_read_input_tokens=heard.cached_tokens if heard else None,
                input_audio_tokens=heard.audio_tokens if heard else None,
                output_audio_tokens=said.audio_tokens if said else None,
                cache_read_input_audio_tokens=cached.audio_tokens if cached else None,
            )
        )


class Do(Enum):
    """What takes no more than its name."""

    BREAK_OFF = auto()
    PLAY_FILLER = auto()
    APOLOGIZE = auto()
    NOTE_SUCCESS = auto()
    METER_ASKED = auto()
    METER_FIRST_BYTE = auto()
    METER_DONE = auto()
    METER_NOTHING = auto()


Order = Send | Configure | Replay | Push | Broadcast | Call | Notify | Report | CountTokens | Do


class CancelEvent(events.ResponseCancelEvent):
    """Pipecat's, with the response that is meant."""

    response_id: str | None = None
