"""What a simulated Realtime model remembers of a conversation. Pure."""

import base64
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from twilio_frames.testing.vendors.realtime.formats import AudioFormat
from twilio_frames.testing.vendors.realtime.replies import SpokenReply

_CONTENT_OF = {
    "user": ("input_text", "input_audio", "input_image"),
    "system": ("input_text",),
    "assistant": ("output_text",),
}


class RequestRefusedError(Exception):
    """What a client asked for is answered with an ``error`` event.

    Args:
        code: OpenAI's name of the error.
        message: What OpenAI says about it.
        param: The parameter that is wrong.
    """

    def __init__(self, code: str, message: str, param: str | None = None):
        super().__init__(message)
        self.code = code
        self.param = param


@dataclass(slots=True, kw_only=True)
class RememberedItem:
    """One item of the conversation, as the model has it.

    Parameters:
        id: Its name.
        kind: ``message``, ``function_call`` or ``function_call_output``.
        role: Of a message: ``user``, ``assistant`` or ``system``.
        status: ``in_progress``, ``completed`` or ``incomplete``.
        text: A message's text, or a function call's arguments or result; None for audio.
        audio: A message's audio, in the session's format.
        audio_ms: How long that is.
        spoken: What the model says in it.
        truncated_ms: Where a ``conversation.item.truncate`` ended it; None if none did.
        name: Of a function call.
        call_id: Of a function call and its result.
    """

    id: str
    kind: str = "message"
    role: str = ""
    status: str = "completed"
    text: str | None = field(default=None, repr=False)
    audio: bytes = field(default=b"", repr=False)
    audio_ms: int = 0
    spoken: SpokenReply | None = field(default=None, repr=False)
    truncated_ms: int | None = None
    name: str = ""
    call_id: str = ""

    @property
    def words(self) -> list[str]:
        """What the model believes was said in it: of its own speech, what was left of it."""
        if self.spoken is None:
            return (self.text or "").split()
        # The protocol counts whole milliseconds.
        return self.spoken.said_before(self.audio_ms * 8 + 7)

    def to_event(self) -> dict[str, object]:
        """The item as the protocol shows it."""
        shown: dict[str, object] = {
            "id": self.id,
            "object": "realtime.item",
            "type": self.kind,
            "status": self.status,
        }
        match self.kind:
            case "message":
                shown |= {"role": self.role, "content": self._content()}
            case "function_call":
                shown |= {"name": self.name, "call_id": self.call_id, "arguments": self.text or ""}
            case _:
                shown |= {"call_id": self.call_id, "output": self.text or ""}
        return shown

    def _content(self) -> list[dict[str, object]]:
        if self.spoken is not None:
            return [{"type": "output_audio", "transcript": " ".join(self.words)}]
        if self.text is None:
            return [{"type": "input_audio", "transcript": None}]
        kind = "output_text" if self.role == "assistant" else "input_text"
        return [{"type": kind, "text": self.text}]


class Conversation:
    """The items of one session, in order."""

    # No two sessions have a name in common.
    _numbers = itertools.count(1)

    def __init__(self) -> None:
        self.items: list[RememberedItem] = []

    def __iter__(self) -> Iterator[RememberedItem]:
        return iter(self.items)

    def new_id(self, prefix: str) -> str:
        """A name that is not taken."""
        return f"{prefix}_{next(self._numbers):04d}"

    @property
    def last_id(self) -> str | None:
        """The last item's name."""
        return self.items[-1].id if self.items else None

    def find(self, item_id: object, *, verb: str, param: str = "item_id") -> RememberedItem:
        """The item of a name.

        Raises:
            RequestRefusedError: If there is none.
        """
        for item in self.items:
            if item.id == item_id:
                return item
        raise RequestRefusedError(
            f"item_{verb}_invalid_item_id",
            f"Error: the item with id '{item_id}' does not exist.",
            param,
        )

    def create(self, shown: dict[str, object], previous_item_id: object = None) -> RememberedItem:
        """Takes an item that the client made.

        Args:
            shown: The item.
            previous_item_id: The item it stands behind, ``root`` to be the first; None to be the
                last.

        Raises:
            RequestRefusedError: If it is none that OpenAI takes.
        """
        kind = shown.get("type")
        item_id = shown.get("id") or self.new_id("item")
        if any(item.id == item_id for item in self.items):
            raise RequestRefusedError(
                "item_create_duplicate_item_id", f"Item '{item_id}' already exists.", "item.id"
            )
        item = RememberedItem(id=str(item_id), kind=str(kind))
        match kind:
            case "message":
                item.role, item.text = str(shown.get("role")), _text_of(shown)
            case "function_call":
                item.name, item.text = str(shown.get("name")), str(shown.get("arguments"))
                item.call_id = str(shown.get("call_id"))
            case "function_call_output":
                item.text, item.call_id = str(shown.get("output")), str(shown.get("call_id"))
                self._require_call(item.call_id)
            case _:
                raise RequestRefusedError("invalid_value", f"Invalid value: '{kind}'.", "item.type")
        self.items.insert(self._place_behind(previous_item_id), item)
        return item

    def _place_behind(self, item_id: object) -> int:
        if item_id is None:
            return len(self.items)
        if item_id == "root":
            return 0
        return self.items.index(self.find(item_id, verb="create", param="previous_item_id")) + 1

    def _require_call(self, call_id: str) -> None:
        calls = (item.call_id for item in self.items if item.kind == "function_call")
        if call_id not in calls:
            raise RequestRefusedError(
                "invalid_tool_call_id",
                f"Tool call ID '{call_id}' not found in conversation.",
                "item.call_id",
            )

    def truncate(self, item_id: object, audio_end_ms: object, format: AudioFormat) -> None:
        """Cuts what the model said to what was heard of it.

        Raises:
            RequestRefusedError: If there is no such audio, or less of it.
        """
        item = self.find(item_id, verb="truncate")
        if item.spoken is None or not item.audio:
            raise RequestRefusedError(
                "unsupported_content_type", "Only model output audio messages can be truncated"
            )
        if not isinstance(audio_end_ms, int) or audio_end_ms < 0:
            raise RequestRefusedError(
                "invalid_value", f"Invalid value: '{audio_end_ms}'.", "audio_end_ms"
            )
        if audio_end_ms > item.audio_ms:
            raise RequestRefusedError(
                "invalid_value",
                f"Audio content of {item.audio_ms}ms is already shorter than {audio_end_ms}ms",
                "audio_end_ms",
            )
        item.truncated_ms = item.audio_ms = audio_end_ms
        item.audio = item.audio[: audio_end_ms * format.bytes_a_millisecond]

    def delete(self, item_id: object) -> None:
        """Forgets an item.

        Raises:
            RequestRefusedError: If there is none of that name.
        """
        self.items.remove(self.find(item_id, verb="delete"))


def _text_of(shown: dict[str, object]) -> str:
    role, parts = shown.get("role"), shown.get("content")
    allowed = _CONTENT_OF.get(str(role))
    if allowed is None:
        raise RequestRefusedError("invalid_value", f"Invalid value: '{role}'.", "item.role")
    texts: list[str] = []
    for number, part in enumerate(parts if isinstance(parts, list) else []):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in allowed:
            raise RequestRefusedError(
                "invalid_value",
                f"Invalid value: '{kind}'. Value must be '{allowed[0]}'.",
                f"item.content[{number}].type",
            )
        texts.append(str(part.get("text") or part.get("transcript") or ""))
    return " ".join(texts)


def decode_audio(encoded: object) -> bytes:
    """The bytes of an ``input_audio_buffer.append``.

    Raises:
        RequestRefusedError: If they are not base64.
    """
    try:
        return base64.b64decode(str(encoded), validate=True)
    except ValueError:
        raise RequestRefusedError(
            "invalid_value",
            "Invalid 'audio'. Expected base64-encoded audio bytes but got an invalid value.",
            "audio",
        ) from None
