"""Wrong arguments are told to the model in words that help it."""

import json

from openai.types.chat.chat_completion_chunk import ChoiceDelta

from twilio_frames.services.function_calls import mistake_in
from twilio_frames.services.openai.calls import CallPieces

SCHEMA = {
    "type": "object",
    "properties": {
        "drink": {"type": "string"},
        "shots": {"type": "integer", "minimum": 1},
        "milk": {"type": "object", "properties": {"kind": {"enum": ["oat", "soy"]}}},
    },
    "required": ["drink"],
    "additionalProperties": False,
}


def test_good_arguments_have_no_mistake():
    assert mistake_in({"drink": "latte", "shots": 2, "milk": {"kind": "oat"}}, SCHEMA) is None


def test_each_mistake_is_named():
    mistake = mistake_in({"shots": "two", "sugar": 1, "milk": {"kind": "rice"}}, SCHEMA)
    assert mistake is not None
    assert "'drink' is a required property." in mistake
    assert "('sugar' was unexpected)." in mistake
    assert "shots: 'two' is not of type 'integer'." in mistake
    assert "milk.kind: 'rice' is not one of ['oat', 'soy']." in mistake


def test_schema_that_is_none_checks_nothing():
    assert mistake_in({"drink": 1}, {"properties": {"drink": {"type": "text"}}}) is None
    assert mistake_in({"drink": 1}, {"$ref": "http://127.0.0.1:1/schema"}) is None


def calls_of(*deltas: list[dict]) -> tuple[list[tuple], list[str]]:
    pieces, unreadable = CallPieces(), []
    for tool_calls in deltas:
        pieces.take(ChoiceDelta.model_validate({"tool_calls": tool_calls}))
    found = []
    for delta in pieces.whole(unreadable.append):
        assert delta.tool_calls is not None
        (call,) = delta.tool_calls
        assert call.function is not None
        found.append((call.index, call.id, call.function.name, call.function.arguments))
    return found, unreadable


def piece(index: int, id: str | None = None, name: str | None = None, arguments: str = "") -> dict:
    return {"index": index, "id": id, "function": {"name": name, "arguments": arguments}}


def test_calls_are_put_together():
    found, unreadable = calls_of(
        [piece(0, "a", "order")],
        [piece(0, arguments='{"x"')],
        [piece(0, arguments=": 1}"), piece(1, "b", "pay", "{}")],
    )
    assert found == [(0, "a", "order", '{"x": 1}'), (1, "b", "pay", "{}")]
    assert unreadable == []


def test_calls_under_one_index_are_told_apart():
    found, _ = calls_of([piece(0, "a", "order", "{}")], [piece(0, "b", "pay", "{}")])
    assert [(index, id) for index, id, *_ in found] == [(0, "a"), (1, "b")]


def test_call_without_id_gets_one():
    ((_, id, name, arguments),), _ = calls_of([piece(0, None, "order", "")])
    assert id.startswith("call_")
    assert (name, arguments) == ("order", "{}")


def test_unreadable_arguments_are_noted():
    for text in ('{"x": ', "[1]", '"x"'):
        ((_, id, _, arguments),), unreadable = calls_of([piece(0, "a", "order", text)])
        assert json.loads(arguments) == {}
        assert unreadable == ["a"] == [id]
