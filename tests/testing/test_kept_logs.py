"""Recorded streams in the forms in which logs keep them, and programs print them."""

import gzip
import json
from pprint import pformat

import pytest

from tests.testing.test_replay import AUDIO, messages
from twilio_frames.errors import ConfigurationError
from twilio_frames.testing.logs.capture import read_capture
from twilio_frames.testing.logs.printed_objects import (
    BrokenObjectError,
    UnfinishedObjectError,
    read_object,
)
from twilio_frames.testing.replay import read_replay

TIME = "2026-03-01T09:00:00.123456789Z"


def inspected(value: object, indent: int | None = None) -> str:
    """As Node's ``util.inspect()`` shows it: in a line, or with an entry on each."""
    if isinstance(value, list):
        return f"[ {', '.join(inspected(item) for item in value)} ]" if value else "[]"
    if not isinstance(value, dict):
        return f"'{value}'" if isinstance(value, str) else str(value)
    if not value:
        return "{}"
    inner = None if indent is None else indent + 2
    entries = [f"{name}: {inspected(item, inner)}" for name, item in value.items()]
    if indent is None:
        return "{ " + ", ".join(entries) + " }"
    space = " " * (indent + 2)
    return "{\n" + ",\n".join(space + entry for entry in entries) + "\n" + " " * indent + "}"


def docker(lines: list[str]) -> list[str]:
    return [json.dumps({"log": line + "\n", "stream": "stdout", "time": TIME}) for line in lines]


def indented(told: list[dict]) -> list[str]:
    return [line for one in told for line in json.dumps(one, indent=2).splitlines()]


def node(told: list[dict]) -> list[str]:
    return [line for one in told for line in f"Message: {inspected(one, 0)}".splitlines()]


def in_pieces(told: list[dict]) -> list[str]:
    """Old Node cuts long strings up."""
    text = "\n".join(node(told))
    for one in told:
        payload = one.get("media", {}).get("payload")
        if payload:
            text = text.replace(payload, f"{payload[:60]}' +\n     '{payload[60:]}")
    return text.splitlines()


FORMS = {
    "docker": lambda told: docker([json.dumps(one) for one in told]),
    "docker, indented": lambda told: docker(indented(told)),
    "docker, node": lambda told: docker(node(told)),
    "several lines": lambda told: ["Received: " + json.dumps(one, indent=4) for one in told],
    "node": lambda told: ["message " + inspected(one) for one in told],
    "node, several lines": node,
    "node, in pieces": in_pieces,
    "node, null prototype": lambda told: [
        "[Object: null prototype] " + inspected(one) for one in told
    ],
    "python, several lines": lambda told: [pformat(one) for one in told],
    "journal": lambda told: [f"Mar 01 09:00:00 host bot[711]: {line}" for line in indented(told)],
    "journal, json": lambda told: [
        json.dumps({"_PID": "1", "MESSAGE": json.dumps(one)}) for one in told
    ],
    "kubernetes": lambda told: [f"{TIME} stdout F {line}" for line in node(told)],
    "compose": lambda told: [f"bot-1  | {line}" for line in indented(told)],
    "heroku": lambda told: [f"{TIME} app[web.1]: {line}" for line in node(told)],
    "cloudwatch": lambda told: [
        json.dumps({"events": [{"timestamp": 1, "message": json.dumps(one)} for one in told]})
    ],
    "fields in front": lambda told: [f"{{'level': 'info'}} {json.dumps(one)}" for one in told],
    "colors": lambda told: [f"\x1b[32m{json.dumps(one)}\x1b[39m" for one in told],
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_in_which_logs_are_kept(tmp_path, form):
    path = tmp_path / "call.log"
    path.write_text("\n".join(FORMS[form](messages())))

    capture = read_capture(path)

    assert bytes(capture.audio) == AUDIO
    assert capture.parameters == {"table": "7"}
    assert not capture.malformed
    assert read_replay(path).seconds == capture.seconds


def packed(text: str) -> bytes:
    return gzip.compress(text.encode())


@pytest.mark.parametrize("encode", [packed, lambda text: text.encode("utf-16")])
def test_packed_and_encoded_files_are_read(tmp_path, encode):
    path = tmp_path / "call.log.gz"
    path.write_bytes(encode("\n".join(json.dumps(one) for one in messages())))

    assert read_replay(path).seconds == len(AUDIO) / 8000


def test_broken_archive_is_refused(tmp_path):
    path = tmp_path / "call.log.gz"
    path.write_bytes(packed("\n" * 1000)[:-9])

    with pytest.raises(ConfigurationError, match="broken file"):
        read_replay(path)


def test_what_logs_tell_of_direction_is_kept(tmp_path):
    path = tmp_path / "call.log"
    theirs, ours = messages(), messages()[2]
    told = [{"direction": "in", "message": json.dumps(one, indent=1)} for one in theirs]
    told.insert(5, {"direction": "out", "message": json.dumps(ours)})
    path.write_text("\n".join(json.dumps(one) for one in told))

    capture = read_capture(path)

    assert (bytes(capture.audio), capture.from_bot) == (AUDIO, 1)


@pytest.mark.parametrize("kept", [8, 60, 150])
def test_cut_off_message_swallows_none_behind_it(tmp_path, kept):
    path = tmp_path / "call.log"
    told = [inspected(one, 0) for one in messages()]
    told[5] = inspected(messages()[5])[:kept]
    path.write_text("\n".join(told))
    line = sum(one.count("\n") + 1 for one in told[:5]) + 1

    capture = read_capture(path)

    assert {each.line for each in capture.malformed} == {line}
    assert len(capture.audio) == len(AUDIO)
    assert capture.missing_secs == pytest.approx(0.02)


def test_nested_objects_that_node_left_out_are_named(tmp_path):
    path = tmp_path / "call.log"
    path.write_text("{ event: 'media', media: [Object], streamSid: 'MZ1' }")

    with pytest.raises(ConfigurationError, match="`media` object in the message, got none"):
        read_replay(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}", {}),
        ("{a: 1, 'b': -2.5, \"c\": `d`,}", {"a": 1, "b": -2.5, "c": "d"}),
        ("{'a': None, 'b': True}", {"a": None, "b": True}),
        ("{c: false, d: undefined}", {"c": False, "d": None}),
        (r"{'a': 'it\'s', b: '\x41é\n'}", {"a": "it's", "b": "A\u00e9\n"}),
        ("{'a': ('x',), c: 5n}", {"a": ["x"], "c": 5}),
        ("{b: [ 1, [Array], <Buffer 01> ]}", {"b": [1, None, None]}),
        ("{a: Start { b: 1 }, 7: b'c'}", {"a": {"b": 1}, "7": "c"}),
    ],
)  # fmt: skip
def test_objects_are_read_as_they_are_printed(text, value):
    assert read_object(f"{text} and more") == (value, len(text))


@pytest.mark.parametrize("text", ["{a: 1", "{a", "{", "{a: [1", "{a: 'b' +"])
def test_unfinished_object_is_told_from_a_broken_one(text):
    with pytest.raises(UnfinishedObjectError):
        read_object(text)


@pytest.mark.parametrize(
    "text", ["{a 1}", "{,}", "{a: 'b\nc'}", "{a: 1 b: 2}", "{a: }", "{a: [" * 40]
)
def test_broken_object_is_refused(text):
    with pytest.raises(BrokenObjectError) as raised:
        read_object(text)

    assert not isinstance(raised.value, UnfinishedObjectError)
