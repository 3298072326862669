"""What Cartesia takes of a request, and what it says of one it does not take. Pure.

https://docs.cartesia.ai/api-reference/tts/websocket and
https://docs.cartesia.ai/use-the-api/api-errors
"""

import json
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

ENCODINGS = ("pcm_f32le", "pcm_s16le", "pcm_mulaw", "pcm_alaw")
SAMPLE_RATES = (8000, 16000, 22050, 24000, 44100, 48000)
LONGEST_DELAY_MS = 5000

_TITLES = {
    400: ("invalid_request", "Invalid request"),
    401: ("unauthorized", "Unauthorized"),
    402: ("quota_exceeded", "Credits used up"),
    403: ("forbidden", "Forbidden"),
    404: ("not_found", "Not found"),
    429: ("concurrency_limited", "Too many concurrent requests"),
}
_MAY_CHANGE = {"transcript", "continue", "flush", "duration"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """Why a request is not taken.

    Parameters:
        message: What is wrong.
        status: As of HTTP.
        code: For programs; the usual one of the status if empty.
    """

    message: str
    status: int = 400
    code: str = ""

    def body(self) -> dict[str, Any]:
        """What is answered over HTTP, and most of what is over a WebSocket."""
        code, title = _TITLES.get(self.status, ("internal_error", "Internal error"))
        return {
            "error_code": self.code or code,
            "title": title,
            "message": self.message,
            "request_id": str(uuid.uuid4()),
        }

    def event(self, context_id: str | None) -> dict[str, Any]:
        """What is answered over a WebSocket."""
        context = {} if context_id is None else {"context_id": context_id}
        event = {"type": "error", "done": True, "status_code": self.status}
        return {**event, **self.body(), **context}


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A transcript to be spoken.

    Parameters:
        context_id: The context it goes on with.
        transcript: What is to be said next; may be empty.
        goes_on: Whether more is to follow.
        flushes: Whether what is buffered is to be said now.
        encoding: Of the audio.
        sample_rate: Of the audio.
        with_timestamps: Whether to tell when each word begins and ends.
        delay_ms: How long text may be buffered.
        fixed: What must stay the same in all requests of a context.
    """

    context_id: str
    transcript: str
    goes_on: bool = False
    flushes: bool = False
    encoding: str = "pcm_mulaw"
    sample_rate: int = 8000
    with_timestamps: bool = False
    delay_ms: int = 3000
    fixed: str = ""

    @property
    def says_something(self) -> bool:
        """Whether there is a letter or digit in it."""
        return any(map(str.isalnum, self.transcript))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """A context of which no more is wanted."""

    context_id: str


def read_message(
    data: str, voices: Collection[str] | None
) -> tuple[Generation | Cancellation | Complaint, str | None]:
    """What a client asks for over a WebSocket, and the context it names.

    Args:
        data: The message.
        voices: The voices there are; None if any will do.
    """
    try:
        message = json.loads(data)
    except ValueError:
        return Complaint(message="expected a JSON object"), None
    if not isinstance(message, dict):
        return Complaint(message="expected a JSON object"), None
    context_id = message.get("context_id")
    if not isinstance(context_id, str) or not context_id:
        return Complaint(message="context_id is required"), None
    if message.get("cancel"):
        return Cancellation(context_id=context_id), context_id
    return read_generation(message, voices, containers=("raw",)), context_id


def read_generation(
    message: Mapping[str, Any], voices: Collection[str] | None, containers: Collection[str]
) -> Generation | Complaint:
    """What a request asks to be spoken.

    Args:
        message: The request.
        voices: The voices there are; None if any will do.
        containers: Those that the endpoint knows.
    """
    output = message.get("output_format")
    complaint = (
        _complaint_about_speech(message, voices)
        or _complaint_about_output(output, containers)
        or _complaint_about_delay(message.get("max_buffer_delay_ms"))
    )
    if complaint is not None or not isinstance(output, Mapping):
        return complaint or Complaint(message="output_format is required")
    delay = message.get("max_buffer_delay_ms")
    return Generation(
        context_id=message.get("context_id", ""),
        transcript=message["transcript"],
        goes_on=bool(message.get("continue")),
        flushes=bool(message.get("flush")),
        encoding=output["encoding"],
        sample_rate=output["sample_rate"],
        with_timestamps=bool(message.get("add_timestamps")),
        delay_ms=3000 if delay is None else delay,
        fixed=json.dumps(
            {name: value for name, value in message.items() if name not in _MAY_CHANGE},
            sort_keys=True,
        ),
    )


def _complaint_about_speech(
    message: Mapping[str, Any], voices: Collection[str] | None
) -> Complaint | None:
    for name in ("model_id", "transcript"):
        if not isinstance(message.get(name), str):
            return Complaint(message=f"{name} is required")
    if not message["model_id"].startswith("sonic"):
        return Complaint(message="unknown model", status=404, code="model_not_found")
    voice = message.get("voice")
    if not isinstance(voice, Mapping) or voice.get("mode") != "id":
        return Complaint(message="voice must have mode `id`")
    name = voice.get("id")
    if not isinstance(name, str) or not name:
        return Complaint(message="voice.id is required")
    if voices is not None and name not in voices:
        return Complaint(message="unknown voice", status=404, code="voice_not_found")
    return None


def _complaint_about_output(output: object, containers: Collection[str]) -> Complaint | None:
    if not isinstance(output, Mapping):
        return Complaint(message="output_format is required")
    if output.get("container") not in containers:
        return Complaint(message=f"output_format.container must be one of {list(containers)}")
    if output.get("encoding") not in ENCODINGS:
        return Complaint(message=f"output_format.encoding must be one of {list(ENCODINGS)}")
    if output.get("sample_rate") not in SAMPLE_RATES:
        return Complaint(message=f"output_format.sample_rate must be one of {list(SAMPLE_RATES)}")
    return None


def _complaint_about_delay(delay: object) -> Complaint | None:
    if delay is None or (isinstance(delay, int) and 0 <= delay <= LONGEST_DELAY_MS):
        return None
    return Complaint(message=f"max_buffer_delay_ms must be from 0 to {LONGEST_DELAY_MS}")
