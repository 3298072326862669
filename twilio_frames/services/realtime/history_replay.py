"""What a session of a realtime model is told of what was said before it. No I/O."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipecat.services.openai.realtime import events

from twilio_frames.services.realtime.speech import SpokenItem

_WENT_ON = (
    "The telephone connection broke while you were saying this. Go on from there, without "
    "greeting again."
)


@dataclass(slots=True)
class HistoryReplay:
    """What was said before a session, with what of it may yet turn out not to have been heard.

    Parameters:
        written: The context's messages, and the caller's words that are not among them yet.
        lost: What the model said in sessions that are gone, and is not in the context yet.
        goes_on: Whether the model is to go on with the last of it.
        item_ids: The items of the session that tell all this.
    """

    written: list[Any] = field(repr=False)
    lost: list[SpokenItem] = field(repr=False)
    goes_on: bool
    item_ids: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls, messages: Sequence[Any], unheard: Sequence[SpokenItem], words: str, *, is_owed: bool
    ) -> "HistoryReplay":
        """The past at a moment.

        Args:
            messages: The context's.
            unheard: What has not been heard to its end yet as far as is known.
            words: The caller's latest.
            is_owed: Whether the model owes an answer.
        """
        said = _behind_last(messages, "user", said_by="assistant")
        lost = [item for item in unheard if item.is_lost and not _is_in(item.text, said)]
        written = list(messages)
        if lost and words and not is_written(words, messages):
            written.append({"role": "user", "content": words})
        goes_on = is_owed and bool(lost) and lost[-1].is_broken_off
        return cls(written, lost, goes_on)

    @property
    def messages(self) -> list[Any]:
        """The messages, with what was heard as far as is known."""
        heard = [item.heard_text for item in self.lost]
        said = [{"role": "assistant", "content": text} for text in heard if text]
        is_cut = any(item.heard_ms is not None for item in self.lost)
        note = [{"role": "developer", "content": _WENT_ON}] if self.goes_on and not is_cut else []
        return [*self.written, *said, *note]


def is_written(words: str, messages: Sequence[Any]) -> bool:
    """Whether words of the caller's stand in a context behind what the bot said last."""
    return _is_in(words, _behind_last(messages, "assistant", said_by="user"))


def _behind_last(messages: Sequence[Any], role: str, *, said_by: str) -> str:
    texts: list[str] = []
    for message in reversed(messages):
        content = message.get("content") if isinstance(message, dict) else None
        if not content:
            continue
        if message.get("role") == role:
            break
        if message.get("role") == said_by and isinstance(content, str):
            texts.insert(0, content)
    return " ".join(texts)


def _is_in(words: str, text: str) -> bool:
    return f" {' '.join(words.split())} " in f" {' '.join(text.split())} "


def message_item(text: str, role: Any = "system") -> events.ConversationItem:
    """An item that says something to the model in words."""
    content = [events.ItemContent(type="input_text", text=text)]
    return events.ConversationItem(type="message", role=role, content=content)


def items_of(messages: Sequence[Any]) -> Iterator[events.ConversationItem]:
    """The items that tell messages which are put behind all others."""
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(content, str):
            parts = (part.get("text") for part in content or () if isinstance(part, dict))
            content = "\n".join(part for part in parts if part)
        if content:
            is_bots = message.get("role") == "assistant"
            yield message_item(content, "assistant" if is_bots else "system")
