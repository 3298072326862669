"""What a scripted OpenAI says, in the pieces in which OpenAI sends it.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from twilio_frames.testing.vendors.function_call import FunctionCall

MODEL_SNAPSHOT = "-2025-04-14"
"""What OpenAI adds to the name of a model that was asked for without a date."""

_TOKEN = re.compile(r"\s*\S{1,8}|\s+$")
_ARGUMENTS_PIECE = 6


Message = Mapping[str, Any]
"""A message of a request, as it came."""

Reply = str | FunctionCall | Sequence[str | FunctionCall] | Callable[[Sequence[Message]], Any]
"""A text, a function call, several of them in one answer, or a function of the messages that gives
one of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer, ready to be sent.

    Parameters:
        id: The answer's name, ``chatcmpl-…``.
        created: Seconds since 1970.
        model: The model that answers.
        parts: What it says and calls, in order.
        prompt_tokens: How long the request was.
    """

    id: str
    created: int
    model: str
    parts: Sequence[str | FunctionCall] = field(repr=False)
    prompt_tokens: int

    @property
    def text(self) -> str:
        """What it says."""
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def calls(self) -> list[FunctionCall]:
        """What it calls."""
        return [part for part in self.parts if isinstance(part, FunctionCall)]

    @property
    def finish_reason(self) -> str:
        """Why it ended."""
        return "tool_calls" if self.calls else "stop"

    def chunks(self, *, with_usage: bool) -> Iterator[dict[str, Any]]:
        """What is streamed: the role, the text by tokens, the calls in pieces, why it ended.

        Args:
            with_usage: Whether a last chunk says how many tokens it took.
        """
        usage: dict[str, Any] = {"usage": None} if with_usage else {}
        for delta in self._deltas():
            yield self._chunk([_choice(delta, None)]) | usage
        yield self._chunk([_choice({}, self.finish_reason)]) | usage
        if with_usage:
            yield self._chunk([]) | {"usage": self._usage()}

    def whole(self) -> dict[str, Any]:
        """What is sent to who did not ask for a stream."""
        message: dict[str, Any] = {
            "role": "assistant",
            "content": self.text or None,
            "refusal": None,
            "annotations": [],
        }
        if self.calls:
            message["tool_calls"] = [
                self._call(number, call.name, call.written) for number, call in self._numbered()
            ]
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": self.finish_reason,
        }
        return self._envelope("chat.completion", [choice]) | {"usage": self._usage()}

    def _deltas(self) -> Iterator[dict[str, Any]]:
        yield {"role": "assistant", "content": "" if self.text else None, "refusal": None}
        for token in tokens(self.text):
            yield {"content": token}
        for number, call in self._numbered():
            yield {"tool_calls": [{"index": number} | self._call(number, call.name, "")]}
            for piece in _pieces(call.written):
                yield {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}

    def _numbered(self) -> Iterator[tuple[int, FunctionCall]]:
        return enumerate(self.calls)

    def _call(self, number: int, name: str, arguments: str) -> dict[str, Any]:
        function = {"name": name, "arguments": arguments}
        return {"id": f"call_{self.id[-8:]}{number}", "type": "function", "function": function}

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return self._envelope("chat.completion.chunk", choices)

    def _envelope(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "service_tier": "default",
            "system_fingerprint": "fp_0000000000",
            "choices": choices,
        }

    def _usage(self) -> dict[str, Any]:
        written = "".join(call.name + call.written for call in self.calls)
        completion = len(tokens(self.text)) + len(_pieces(written))
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        }


def tokens(text: str) -> list[str]:
    """A text in pieces of about a word, each with the space before it."""
    return _TOKEN.findall(text)


def parts_of(reply: Reply, messages: Sequence[Message]) -> list[str | FunctionCall]:
    """What a reply comes to for these messages."""
    if callable(reply):
        return parts_of(reply(messages), messages)
    if isinstance(reply, str | FunctionCall):
        return [reply]
    return list(reply)


def _pieces(text: str) -> list[str]:
    return [text[at : at + _ARGUMENTS_PIECE] for at in range(0, len(text), _ARGUMENTS_PIECE)]


def _choice(delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
