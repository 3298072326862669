"""Functions that a realtime model has called, and what came of them. No I/O."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from loguru import logger
from pipecat.frames.frames import FunctionCallCancelFrame, FunctionCallResultFrame
from pipecat.processors.aggregators import async_tool_messages
from pipecat.services.openai.realtime import events

from twilio_frames.services.realtime.history_replay import message_item
from twilio_frames.services.realtime.orders import Call


class FunctionResults:
    """Which calls the session waits for, and which results it has."""

    def __init__(self) -> None:
        self.await_response = False
        """Whether something was told that no response has taken in yet."""
        self._announced: dict[str, str] = {}
        self._open: set[str] = set()
        self._told: set[str] = set()

    def announced(self, item: events.ConversationItem) -> None:
        """The model is about to call a function."""
        self._announced[item.call_id or ""] = item.name or ""

    def called(self, call_id: str, arguments: str) -> Call | None:
        """The model has called it; None where that makes no sense."""
        name = self._announced.pop(call_id, None)
        try:
            values = json.loads(arguments)
        except ValueError:
            # Not the arguments, which may hold what was said.
            values = None
        if name is None or values is None:
            logger.warning("expected a call of a function with arguments in JSON, got another one")
            return None
        self._open.add(call_id)
        return Call(call_id, name, values)

    def session_lost(self) -> None:
        """The session is gone: the next one knows no calls."""
        self._announced.clear()
        self._open.clear()
        self._told.clear()

    def came(self, frame: FunctionCallResultFrame) -> events.ConversationItem:
        """The item that tells a result as it comes."""
        is_told = frame.result is not None
        result = json.dumps(frame.result, ensure_ascii=False) if is_told else "COMPLETED"
        is_final = frame.properties.is_final if frame.properties else True
        self._told.add(frame.tool_call_id)
        self.await_response = True
        if is_final and frame.tool_call_id in self._open:
            return self._output(frame.tool_call_id, result)
        # The API takes one output for each call, and none of a session before.
        build = (
            async_tool_messages.build_final_result_message
            if is_final
            else async_tool_messages.build_intermediate_result_message
        )
        message: Any = build(frame.tool_call_id, result)
        return message_item(message.get("content", ""))

    def cancelled(self, frame: FunctionCallCancelFrame) -> events.ConversationItem | None:
        """The item that settles a call that was called off; None if the session has none."""
        if frame.tool_call_id not in self._open:
            return None
        self._told.add(frame.tool_call_id)
        return self._output(frame.tool_call_id, "CANCELLED")

    def take_as_told(self, messages: Sequence[Any]) -> None:
        """The session is told of these by the messages that it is told."""
        self._told.update(call_id for call_id, _ in _results(messages))

    def untold(self, messages: Sequence[Any]) -> Iterator[events.ConversationItem]:
        """The items of results that came into a context some other way."""
        for call_id, result in _results(messages):
            if call_id not in self._told:
                self._told.add(call_id)
                self.await_response = True
                yield self._output(call_id, result)

    def _output(self, call_id: str, result: str | None) -> events.ConversationItem:
        self._open.discard(call_id)
        return events.ConversationItem(type="function_call_output", call_id=call_id, output=result)


def _results(messages: Sequence[Any]) -> Iterator[tuple[str, str | None]]:
    for message in messages:
        if not isinstance(message, dict):
            continue
        payload = async_tool_messages.parse_message(message)  # pyright: ignore[reportArgumentType]
        if payload is not None:
            if payload.kind == "final":
                yield payload.tool_call_id, payload.result
        elif (call_id := message.get("tool_call_id")) and message.get("content") != "IN_PROGRESS":
            yield call_id, message.get("content")
