"""A Realtime session's settings: what OpenAI takes, and what it refuses. Pure."""

from collections.abc import Mapping
from typing import Any

from twilio_frames.testing.vendors.realtime.formats import PCM_RATE, AudioFormat
from twilio_frames.testing.vendors.realtime.memory import RequestRefusedError

_FORMATS = ("audio/pcm", "audio/pcmu")
_KNOWN: Mapping[str, frozenset[str]] = {
    "session": frozenset(
        [
            "type",
            "object",
            "id",
            "model",
            "output_modalities",
            "instructions",
            "audio",
            "tools",
            "tool_choice",
            "expires_at",
            "max_output_tokens",
            "tracing",
            "prompt",
            "include",
            "reasoning",
            "truncation",
            "parallel_tool_calls",
        ]
    ),
    "session.audio": frozenset({"input", "output"}),
    "session.audio.input": frozenset(
        {"format", "transcription", "noise_reduction", "turn_detection"}
    ),
    "session.audio.output": frozenset({"format", "voice", "speed"}),
}
_TURN_DETECTION: Mapping[str, frozenset[str]] = {
    "server_vad": frozenset(
        [
            "type",
            "threshold",
            "prefix_padding_ms",
            "silence_duration_ms",
            "create_response",
            "interrupt_response",
            "idle_timeout_ms",
        ]
    ),
    "semantic_vad": frozenset({"type", "eagerness", "create_response", "interrupt_response"}),
}


class SessionSettings:
    """The settings of one session, as they stand.

    See https://platform.openai.com/docs/api-reference/realtime-client-events/session/update.

    Args:
        session_id: The session's name.
        model: The model of the address.
    """

    def __init__(self, session_id: str, model: str):
        self.values: dict[str, Any] = {
            "type": "realtime",
            "object": "realtime.session",
            "id": session_id,
            "model": model,
            "output_modalities": ["audio"],
            "instructions": "",
            "tools": [],
            "tool_choice": "auto",
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": PCM_RATE},
                    "transcription": None,
                    "noise_reduction": None,
                    "turn_detection": {
                        "type": "server_vad",
                        "threshold": 0.5,
                        "prefix_padding_ms": 300,
                        "silence_duration_ms": 500,
                        "create_response": True,
                        "interrupt_response": True,
                    },
                },
                "output": {"format": {"type": "audio/pcm", "rate": PCM_RATE}, "voice": "marin"},
            },
        }

    @property
    def input_format(self) -> AudioFormat:
        """How the caller's audio is encoded."""
        return AudioFormat(name=self.values["audio"]["input"]["format"]["type"])

    @property
    def output_format(self) -> AudioFormat:
        """How the model's audio is encoded."""
        return AudioFormat(name=self.values["audio"]["output"]["format"]["type"])

    @property
    def turn_detection(self) -> dict[str, Any] | None:
        """How the server detects turns; None if the client does."""
        return self.values["audio"]["input"]["turn_detection"]

    @property
    def transcribes(self) -> bool:
        """Whether the caller's words are written down."""
        return bool(self.values["audio"]["input"]["transcription"])

    def update(self, session: dict[str, Any]) -> None:
        """Takes a client's settings; what it does not mention stays.

        Raises:
            RequestRefusedError: If OpenAI would not take them.
        """
        if session.get("type") != "realtime":
            raise RequestRefusedError(
                "missing_required_parameter",
                "Missing required parameter: 'session.type'.",
                "session.type",
            )
        _require_known(session)
        model = session.get("model")
        if model is not None and model != self.values["model"]:
            raise RequestRefusedError(
                "invalid_value", "The model cannot be changed in a session.", "session.model"
            )
        if session.get("output_modalities") not in (None, ["audio"], ["text"]):
            raise RequestRefusedError(
                "invalid_value",
                "Invalid modalities. Supported combinations are: ['text'] and ['audio'].",
                "session.output_modalities",
            )
        audio = session.get("audio") or {}
        for side in ("input", "output"):
            _require_format((audio.get(side) or {}).get("format"), f"session.audio.{side}.format")
        self.values = _merged(self.values, session)


def _require_known(session: dict[str, Any]) -> None:
    found: Any = session
    for path, known in _KNOWN.items():
        found = session
        for name in path.split(".")[1:]:
            found = (found or {}).get(name)
        for name in set(found or ()) - known:
            raise RequestRefusedError(
                "unknown_parameter", f"Unknown parameter: '{path}.{name}'.", f"{path}.{name}"
            )
    detection = ((session.get("audio") or {}).get("input") or {}).get("turn_detection")
    if detection is None:
        return
    path = "session.audio.input.turn_detection"
    kind = detection.get("type") if isinstance(detection, dict) else None
    known = _TURN_DETECTION.get(str(kind))
    if known is None or set(detection) - known:
        raise RequestRefusedError("invalid_value", f"Invalid value at '{path}'.", path)


def _require_format(format: dict[str, Any] | None, path: str) -> None:
    if format is None:
        return
    name = format.get("type") if isinstance(format, dict) else format
    if name not in _FORMATS:
        raise RequestRefusedError(
            "invalid_value",
            f"Invalid value: '{name}'. Supported values are: 'audio/pcm' and 'audio/pcmu'.",
            f"{path}.type",
        )
    if format.get("rate", PCM_RATE) != PCM_RATE or (name != "audio/pcm" and "rate" in format):
        raise RequestRefusedError(
            "invalid_value", f"Invalid rate; expected {PCM_RATE} for 'audio/pcm'.", f"{path}.rate"
        )


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict) and "type" not in new:
        return old | {name: _merged(old.get(name), value) for name, value in new.items()}
    if isinstance(old, dict) and isinstance(new, dict) and "object" in old:
        return old | {name: _merged(old.get(name), value) for name, value in new.items()}
    return new
