"""What a bot knows of a call whose bot before is gone, and how it goes on with it. Pure.

It restores the memory as it was heard, and then says what is left of what was being said; or has
the model answer what nobody has answered; or, where words of the caller's may be lost, asks for
them.
"""

import json
from collections import UserDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipecat.frames.frames import Frame, LLMRunFrame, TTSSpeakFrame
from pipecat.pipeline.base_pipeline import BasePipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregator

from twilio_frames.processors.pipeline.gates import parts_in
from twilio_frames.processors.words.progress import behind_words

__all__ = ["VERSION", "CallState", "OpenFunction", "Resumed", "calls_in", "context_in", "role_of"]

VERSION = 1
"""Of what is kept; another one is not read."""
_UNKNOWN_RESULT = (
    "It is not known whether this was done: the program that did it is gone. "
    "Find out before you do it again."
)
_GO_ON = (
    "The line broke off in the middle of your last reply, of which the caller has heard only what "
    "stands above. Go on from there, and repeat nothing."
)


class CallState(UserDict[str, Any]):
    """What a bot wants kept with its call: JSON, by names. Set anew what changes inside."""

    def __init__(self, given: Mapping[str, Any] | None = None):
        self.changed: Callable[[], None] = lambda: None
        super().__init__(given or {})

    def __setitem__(self, key: str, value: Any) -> None:
        """Keeps a value.

        Raises:
            TypeError: It is none that JSON can hold.
        """
        json.dumps(value)
        super().__setitem__(key, value)
        self.changed()

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self.changed()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFunction:
    """A function of the model's that was running, and of which nobody knows what came.

    Parameters:
        name: The function.
        arguments: What it was given, as JSON.
        key: The same for whoever carries it out again: an idempotency key.
    """

    name: str
    arguments: str = field(repr=False)
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """What is known of a call whose bot before is gone.

    Parameters:
        parameters: The call's.
        state: What the bot had kept.
        messages: Its memory, as heard.
        heard: What was heard of what was being said.
        rest: What was not.
        is_generating: Whether more of it was to come.
        caller_spoke: Whether the caller was speaking, or had not been understood yet.
        is_planned: Whether the call was handed over on purpose, between two sentences.
        is_late: Whether more was said since, of which nothing is known, as nobody had heard of the
            bot's worker for some time.
        is_ending: Whether the bot was saying goodbye, and about to hang up.
        functions: What was running.
    """

    parameters: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    state: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    messages: tuple[Any, ...] = field(default=(), repr=False)
    heard: str = field(default="", repr=False)
    rest: str = field(default="", repr=False)
    is_generating: bool = False
    caller_spoke: bool = False
    is_planned: bool = False
    is_late: bool = False
    is_ending: bool = False
    functions: tuple[OpenFunction, ...] = ()

    @classmethod
    def read(
        cls,
        snapshot: bytes | None,
        progress: bytes,
        call_sid: str,
        ended: Mapping[str, float] | None = None,
    ) -> "Resumed | None":
        """What was kept of a call; None if nothing can be read.

        Args:
            snapshot: What its keeper wrote.
            progress: Likewise.
            call_sid: The call.
            ended: When its streams ended at Twilio, seconds since 1970, by their sids. What the
                bot had sent over the one that it wrote of was heard until then, whoever was there
                to see it; a later stream, whose bot died before it wrote, tells nothing of it.
        """
        try:
            kept = json.loads(snapshot or b"")
            told = json.loads(progress or b"{}")
            if kept["version"] != VERSION:
                return None
        except (ValueError, KeyError, TypeError):
            return None
        said, words = str(told.get("said", "")), int(told.get("heard", 0))
        ended_at = (ended or {}).get(str(told.get("stream")), 0.0)
        words += sum(count for heard_at, count in told.get("ahead", ()) if heard_at <= ended_at)
        rest, _ = behind_words(said, words)
        return cls(
            parameters=kept["parameters"],
            state=kept["state"],
            messages=tuple(kept["messages"]),
            heard=said[: len(said) - len(rest)].strip(),
            rest="" if told.get("cut") else rest.strip(),
            is_generating=bool(told.get("generating")) and not told.get("cut"),
            caller_spoke=bool(told.get("caller")),
            is_planned=bool(told.get("planned")),
            is_ending=bool(told.get("ending")) and not told.get("cut"),
            functions=tuple(_open_functions(kept["messages"], call_sid)),
        )

    @property
    def has_begun(self) -> bool:
        """Whether anything was heard of either side."""
        spoken = any(role_of(one) in ("user", "assistant") for one in self.messages)
        return bool(self.heard or spoken or self.caller_spoke or self.is_planned)

    def go_on(self, context: LLMContext | None, ask_again: str | None) -> list[Frame]:
        """Fills the memory of a pipeline that has one, and gives what it goes on with."""
        if context is not None:
            self.restore(context)
        return self.frames(ask_again, has_memory=context is not None)

    def restore(self, context: LLMContext) -> None:
        """Fills a memory with what was heard."""
        messages: list[Any] = [dict(one) for one in self.messages] or list(context.messages)
        for message in messages:
            if _is_open(message):
                message["content"] = _UNKNOWN_RESULT
        if self.heard:
            messages.append({"role": "assistant", "content": self.heard})
        if self.is_generating and self.heard:
            messages.append({"role": "developer", "content": _GO_ON})
        context.set_messages(messages)

    def frames(self, ask_again: str | None, *, has_memory: bool) -> list[Frame]:
        """What a pipeline goes on with.

        Args:
            ask_again: What is said where words of the caller's may be lost; None for nothing.
            has_memory: Whether the pipeline has a memory, from which a model answers.
        """
        if self.is_late and ask_again:
            rest = self.rest if not self.is_generating else ""
            return [TTSSpeakFrame(text) for text in (rest, ask_again) if text]
        if has_memory and self.is_generating:
            return [LLMRunFrame()]
        if self.rest or self.is_ending:
            return [TTSSpeakFrame(self.rest)] if self.rest else []
        is_due = has_memory and not self.heard and self.messages
        if is_due and role_of(self.messages[-1]) in ("user", "tool") and not self.caller_spoke:
            return [LLMRunFrame()]
        if ask_again and (self.caller_spoke or not self.is_planned):
            return [TTSSpeakFrame(ask_again)]
        return []


def role_of(message: Any) -> str:
    """Whose message it is; empty for one that is for a vendor alone."""
    return str(message.get("role", "")) if isinstance(message, Mapping) else ""


def _is_open(message: Any) -> bool:
    return role_of(message) == "tool" and message.get("content") == "IN_PROGRESS"


def _open_functions(messages: Sequence[Any], call_sid: str) -> list[OpenFunction]:
    open_ids = {one.get("tool_call_id") for one in messages if _is_open(one)}
    asked = [call for one in messages if role_of(one) == "assistant" for call in calls_in(one)]
    return [
        OpenFunction(
            name=call["function"]["name"],
            arguments=call["function"]["arguments"],
            key=f"{call_sid}:{call['id']}",
        )
        for call in asked
        if call.get("id") in open_ids
    ]


def calls_in(message: Any) -> list[Any]:
    """The functions that a message of the model's asks for."""
    return message.get("tool_calls") or [] if isinstance(message, Mapping) else []


def context_in(pipeline: BasePipeline) -> LLMContext | None:
    """The memory that a pipeline has, if it is one of Pipecat's."""
    for part in parts_in(pipeline):
        if isinstance(part, LLMContextAggregator):
            return part.context
    return None
