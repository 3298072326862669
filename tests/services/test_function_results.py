"""Functions that a realtime model has called, and what came of them."""

import pytest
from pipecat.frames.frames import (
    FunctionCallCancelFrame,
    FunctionCallResultFrame,
    FunctionCallResultProperties,
)
from pipecat.processors.aggregators import async_tool_messages
from pipecat.services.openai.realtime import events

from twilio_frames.services.realtime.function_results import FunctionResults


@pytest.fixture
def results() -> FunctionResults:
    """The model has called one function, ``c1``."""
    made = FunctionResults()
    announce(made, "c1")
    made.called("c1", "{}")
    return made


def announce(results: FunctionResults, call_id: str) -> None:
    results.announced(
        events.ConversationItem(type="function_call", call_id=call_id, name="look_up")
    )


def came(results: FunctionResults, call_id: str, *, is_final: bool = True) -> str:
    """The type of the item that a result is told by."""
    properties = FunctionCallResultProperties(is_final=is_final)
    frame = FunctionCallResultFrame(
        function_name="look_up",
        tool_call_id=call_id,
        arguments={},
        result={"price": 4},
        properties=properties,
    )
    return results.came(frame).type


def test_a_call_has_one_output_and_what_comes_besides_is_told_in_words(results: FunctionResults):
    assert came(results, "c1", is_final=False) == "message"
    assert came(results, "c1") == "function_call_output"
    assert came(results, "c1") == "message"


def test_a_result_for_a_session_before_is_told_in_words(results: FunctionResults):
    results.session_lost()

    assert came(results, "c1") == "message"
    assert results.await_response


def test_what_was_called_off_is_settled_once(results: FunctionResults):
    frame = FunctionCallCancelFrame(function_name="look_up", tool_call_id="c1")

    item = results.cancelled(frame)

    assert item is not None
    assert (item.type, item.output) == ("function_call_output", "CANCELLED")
    assert results.cancelled(frame) is None


@pytest.mark.parametrize("arguments", ["", "{", "1 2"])
def test_a_call_that_makes_no_sense_is_none(arguments: str):
    results = FunctionResults()
    announce(results, "c1")

    assert results.called("c1", arguments) is None
    assert results.called("c2", "{}") is None, "nobody announced it"


def test_a_result_that_only_the_context_has_is_told_once(results: FunctionResults):
    context = [
        "no message",
        {"role": "tool", "tool_call_id": "c1", "content": "4"},
        {"role": "tool", "tool_call_id": "c2", "content": "IN_PROGRESS"},
        async_tool_messages.build_started_message("c3"),
        async_tool_messages.build_final_result_message("c4", "5"),
    ]

    assert [item.call_id for item in results.untold(context)] == ["c1", "c4"]
    assert [*results.untold(context)] == []
    results.session_lost()
    results.take_as_told(context)
    assert [*results.untold(context)] == []
