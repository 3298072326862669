"""What OpenAI would refuse of a chat request, and in which words it is refused.

https://platform.openai.com/docs/api-reference/chat/create
https://platform.openai.com/docs/guides/error-codes
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# fmt: off
PARAMETERS = frozenset(
    {
        "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
        "max_completion_tokens", "max_tokens", "messages", "metadata", "modalities", "model", "n",
        "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key",
        "prompt_cache_retention", "reasoning_effort", "response_format", "safety_identifier",
        "seed", "service_tier", "stop", "store", "stream", "stream_options", "temperature",
        "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity",
        "web_search_options",
    }
)
# fmt: on
"""What a request may hold."""

_ROLES = frozenset({"developer", "system", "user", "assistant", "tool", "function"})
_FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class BadChatRequestError(Exception):
    """What is wrong with a request.

    Args:
        message: In words.
        param: Which part of the request it is about, as OpenAI names it.
        code: OpenAI's code, None where it has none.
    """

    def __init__(self, message: str, param: str | None = None, code: str | None = None):
        super().__init__(message)
        self.param = param
        self.code = code


def error_body(
    message: str, kind: str, *, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """An error as OpenAI writes it."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def check_request(body: Mapping[str, Any]) -> None:
    """Goes through a request for a chat completion.

    Raises:
        BadChatRequestError: If OpenAI would refuse it.
    """
    for name in body:
        if name not in PARAMETERS:
            raise BadChatRequestError(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise BadChatRequestError("A model is needed.", "model", "missing_required_parameter")
    _check_numbers(body)
    if body.get("stream_options") is not None and not body.get("stream"):
        raise BadChatRequestError("Only streams have stream_options.", "stream_options")
    _check_tools(body)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadChatRequestError("Messages are needed.", "messages", "missing_required_parameter")
    for number, message in enumerate(messages):
        _check_message(message, f"messages.[{number}]")
    _check_answers(messages)


def _check_numbers(body: Mapping[str, Any]) -> None:
    for name, low, high in (
        ("temperature", 0, 2),
        ("top_p", 0, 1),
        ("frequency_penalty", -2, 2),
        ("presence_penalty", -2, 2),
    ):
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise BadChatRequestError(f"'{name}' is no number.", name, "invalid_type")
        if not low <= value <= high:
            raise BadChatRequestError(
                f"'{name}' is not within {low} and {high}.", name, "decimal_out_of_bounds"
            )


def _check_tools(body: Mapping[str, Any]) -> None:
    tools = body.get("tools")
    if tools is None:
        if body.get("tool_choice") not in (None, "none"):
            raise BadChatRequestError("A tool_choice needs tools.", "tool_choice")
        return
    if not isinstance(tools, list) or not tools:
        raise BadChatRequestError("'tools' is no list with tools.", "tools", "empty_array")
    for number, tool in enumerate(tools):
        where = f"tools[{number}]"
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or tool.get("type") != "function":
            raise BadChatRequestError("A tool that is no function.", where, "invalid_value")
        if not _FUNCTION_NAME.fullmatch(str(function.get("name"))):
            raise BadChatRequestError("No name for a function.", f"{where}.function.name")
        parameters = function.get("parameters", {})
        if not isinstance(parameters, dict) or parameters.get("type", "object") != "object":
            raise BadChatRequestError(
                "Parameters that are no object.", f"{where}.function.parameters"
            )


def _check_message(message: Any, where: str) -> None:
    role = message.get("role") if isinstance(message, dict) else None
    if role not in _ROLES:
        raise BadChatRequestError("No role that there is.", f"{where}.role", "invalid_value")
    content = message.get("content")
    calls = message.get("tool_calls")
    if calls is not None:
        _check_calls(role, calls, f"{where}.tool_calls")
    if content is None and not (role == "assistant" and calls):
        raise BadChatRequestError("A message needs content.", f"{where}.content", "invalid_type")
    parts = content if isinstance(content, list) else []
    if content is not None and not isinstance(content, str | list):
        raise BadChatRequestError("Content is text.", f"{where}.content", "invalid_type")
    if not all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in parts):
        raise BadChatRequestError("A part has a type.", f"{where}.content", "invalid_type")
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise BadChatRequestError(
            "A tool's message names its call.",
            f"{where}.tool_call_id",
            "missing_required_parameter",
        )


def _check_calls(role: str, calls: Any, where: str) -> None:
    if role != "assistant" or not isinstance(calls, list) or not calls:
        raise BadChatRequestError("Calls are the assistant's, in a list.", where, "invalid_value")
    for call in calls:
        function = call.get("function") if isinstance(call, dict) else None
        if not (
            isinstance(function, dict)
            and call.get("type") == "function"
            and isinstance(call.get("id"), str)
            and isinstance(function.get("name"), str)
            and isinstance(function.get("arguments"), str)
        ):
            raise BadChatRequestError("A call without its parts.", where, "invalid_value")


def _check_answers(messages: Sequence[Mapping[str, Any]]) -> None:
    """Each call is answered right behind it, and nothing else is."""
    waiting: set[str] = set()
    for number, message in enumerate(messages):
        where = f"messages.[{number}].role"
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                raise BadChatRequestError("A tool's message that answers no call.", where)
            waiting.discard(message["tool_call_id"])
            continue
        if waiting:
            raise BadChatRequestError(
                "Calls without an answer: " + ", ".join(sorted(waiting)), where
            )
        waiting = set(_call_ids(message))
    if waiting:
        raise BadChatRequestError(
            "Calls without an answer: " + ", ".join(sorted(waiting)), "messages"
        )


def _call_ids(message: Mapping[str, Any]) -> Iterator[str]:
    for call in message.get("tool_calls") or ():
        yield call["id"]
