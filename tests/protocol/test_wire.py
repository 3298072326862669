import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.pair import START, started_pair
from twilio_frames.errors import LocalProtocolError
from twilio_frames.protocol import (
    MAX_MESSAGE,
    Clear,
    Connected,
    Dtmf,
    Mark,
    Media,
    Message,
    Role,
    SendMark,
    SendMedia,
    Start,
    Stop,
    Unknown,
    Violation,
    ViolationKind,
    decode,
    encode,
)

TWILIO_MESSAGES: list[Message] = [
    Connected(),
    Start(stream_sid="MZ1", sequence_number=1),
    Media(payload=b"\x01\x02", timestamp=99, chunk=1, sequence_number=2, stream_sid="MZ1"),
    Dtmf(digit="5", sequence_number=3, stream_sid="MZ1"),
    Mark(name="a", sequence_number=4, stream_sid="MZ1"),
    Stop(call_sid="CA1", account_sid="AC1", sequence_number=5, stream_sid="MZ1"),
]
BOT_MESSAGES: list[Message] = [
    SendMedia(payload=b"\x01\x02", stream_sid="MZ1"),
    SendMark(name="a", stream_sid="MZ1"),
    Clear(stream_sid="MZ1"),
]
DOCUMENTED = {
    Connected: {"event", "protocol", "version"},
    Start: {"event", "sequenceNumber", "start", "streamSid"},
    Media: {"event", "sequenceNumber", "media", "streamSid"},
    Dtmf: {"event", "sequenceNumber", "dtmf", "streamSid"},
    Mark: {"event", "sequenceNumber", "mark", "streamSid"},
    Stop: {"event", "sequenceNumber", "stop", "streamSid"},
    SendMedia: {"event", "media", "streamSid"},
    SendMark: {"event", "mark", "streamSid"},
    Clear: {"event", "streamSid"},
}


def sent_by_twilio(**message: object) -> object:
    return decode(json.dumps(message), Role.TWILIO)


@pytest.mark.parametrize("message", TWILIO_MESSAGES + BOT_MESSAGES, ids=lambda m: type(m).__name__)
def test_only_documented_fields_are_written(message: Message):
    assert set(json.loads(encode(message))) == DOCUMENTED[type(message)]


@pytest.mark.parametrize("message", TWILIO_MESSAGES, ids=lambda m: type(m).__name__)
def test_twilios_messages_survive_the_wire(message: Message):
    assert decode(encode(message), Role.TWILIO) == message


@pytest.mark.parametrize("message", BOT_MESSAGES, ids=lambda m: type(m).__name__)
def test_bots_messages_survive_the_wire(message: Message):
    assert decode(encode(message), Role.BOT) == message


def test_numbers_are_written_as_twilio_does():
    media = json.loads(encode(TWILIO_MESSAGES[2]))
    start = json.loads(encode(TWILIO_MESSAGES[1]))

    assert media["sequenceNumber"] == "2"
    assert media["media"] == {
        "track": "inbound", "chunk": "1", "timestamp": "99", "payload": "AQI=",
    }  # fmt: skip
    assert start["start"]["mediaFormat"] == {
        "encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1,
    }  # fmt: skip


def test_numbers_are_never_left_out():
    with pytest.raises(LocalProtocolError, match="number as sequence_number, got none"):
        encode(Mark(name="a", stream_sid="MZ1"))


@pytest.mark.parametrize("number", ["7", 7, 7.0])
def test_numbers_are_read_from_anything(number: object):
    message = sent_by_twilio(
        event="media",
        sequenceNumber=number,
        media={"track": "inbound", "chunk": number, "timestamp": number, "payload": "AQI="},
        streamSid="MZ1",
    )

    assert message == Media(
        payload=b"\x01\x02", timestamp=7, chunk=7, sequence_number=7, stream_sid="MZ1"
    )


def test_unknown_fields_are_passed_over():
    message = sent_by_twilio(event="mark", mark={"name": "a", "x": 1}, streamSid="MZ1", new=[{}])

    assert message == Mark(name="a", stream_sid="MZ1")


def test_unknown_events_are_no_violation():
    assert sent_by_twilio(event="quality", x=1) == Unknown(event="quality")
    assert sent_by_twilio(event="x" * 99) == Unknown(event="x" * 40)


@pytest.mark.parametrize("version", ["0.2.0", "1.0.0", 1])
def test_both_connected_versions_are_read(version: object):
    message = sent_by_twilio(event="connected", protocol="Call", version=version)

    assert message == Connected(version=str(version))


@pytest.mark.parametrize("parameters", [{}, {"customParameters": None}])
def test_custom_parameters_may_be_missing(parameters: dict):
    message = sent_by_twilio(event="start", start={"streamSid": "MZ1", **parameters})

    assert isinstance(message, Start)
    assert message.custom_parameters == {}


def test_start_takes_the_sid_from_either_place():
    inner = sent_by_twilio(event="start", start={"streamSid": "MZ1"})
    outer = sent_by_twilio(event="start", start={}, streamSid="MZ1")

    assert isinstance(inner, Start)
    assert inner == outer


MALFORMED = {
    "not json": ("{", ViolationKind.NOT_JSON),
    "lone surrogate": ("\ud800", ViolationKind.NOT_JSON),
    "deeply nested": ("[" * 100_000, ViolationKind.NOT_JSON),
    "array": ("[]", ViolationKind.NOT_AN_OBJECT),
    "null": ("null", ViolationKind.NOT_AN_OBJECT),
    "no event": ("{}", ViolationKind.INVALID_FIELD),
    "number as event": ('{"event":5}', ViolationKind.INVALID_FIELD),
    "media null": ('{"event":"media","media":null}', ViolationKind.INVALID_FIELD),
    "no media": ('{"event":"media"}', ViolationKind.INVALID_FIELD),
    "dtmf null": ('{"event":"dtmf","dtmf":null}', ViolationKind.INVALID_FIELD),
    "no such key": ('{"event":"dtmf","dtmf":{"digit":"77"}}', ViolationKind.INVALID_FIELD),
    "bad base64": ('{"event":"media","media":{"payload":"?"}}', ViolationKind.BAD_PAYLOAD),
    "integer payload": ('{"event":"media","media":{"payload":5}}', ViolationKind.INVALID_FIELD),
    "word as number": (
        '{"event":"media","media":{"payload":"","timestamp":"soon"}}',
        ViolationKind.INVALID_FIELD,
    ),
    "start without sid": ('{"event":"start","start":{}}', ViolationKind.INVALID_FIELD),
    "start with a line break in its sid": (
        '{"event":"start","start":{"streamSid":"MZ1\\nforged"}}',
        ViolationKind.INVALID_FIELD,
    ),
    "start with an escape in its call": (
        '{"event":"start","start":{"streamSid":"MZ1","callSid":"\\u001b[31m"}}',
        ViolationKind.INVALID_FIELD,
    ),
    "start with a sid beyond reason": (
        '{"event":"start","start":{"streamSid":"' + "M" * 5000 + '"}}',
        ViolationKind.INVALID_FIELD,
    ),
    "huge": ('"' + "x" * MAX_MESSAGE + '"', ViolationKind.TOO_LARGE),
    "binary": (b"{}", ViolationKind.BINARY),
}


@pytest.mark.parametrize(("data", "kind"), MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_messages_are_values(data: str | bytes, kind: ViolationKind):
    pair = started_pair()

    (violation,) = pair.bot.receive(data)

    assert isinstance(violation, Violation)
    assert (violation.kind, violation.size) == (kind, len(data))
    assert "expected" in violation.detail.lower()
    assert pair.from_twilio(Mark(name="after"))[-1] == Mark(
        name="after", sequence_number=2, stream_sid="MZ1"
    )


def test_details_hold_no_content():
    secrets = [
        '{"event":"dtmf","dtmf":{"digit":"5551234"}}',
        '{"event":"media","media":{"payload":"5551234!"}}',
        '{"event":"media","media":{"payload":"","timestamp":"5551234x"}}',
        '{"event":"start","start":{"streamSid":"MZ1","5551234":1,"mediaFormat":"5551234"}}',
        '{"event":"mark","mark":{"5551234":1}}',
    ]

    for secret in secrets:
        violation = decode(secret, Role.TWILIO)
        assert isinstance(violation, Violation)
        assert "5551234" not in repr(violation)


def test_repr_holds_no_content():
    start = START

    assert "Jane" not in repr(start)
    assert "5" not in repr(Dtmf(digit="5"))
    assert "secret" not in repr(SendMedia(payload=b"secret"))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"event":"clear","streamSid":"MZ1","extra":1}', ViolationKind.INVALID_FIELD),
        ('{"event":"media","streamSid":"MZ1","media":{"payload":"","track":"x"}}',
         ViolationKind.INVALID_FIELD),
        ('{"event":"mark","streamSid":"MZ1","mark":{}}', ViolationKind.INVALID_FIELD),
        ('{"event":"clear"}', ViolationKind.INVALID_FIELD),
        ('{"event":"clear","stream_sid":"MZ1"}', ViolationKind.INVALID_FIELD),
        ('{"event":"stop","streamSid":"MZ1"}', ViolationKind.UNKNOWN_EVENT),
        ('{"event":"clear","streamSid":"MZ2"}', ViolationKind.WRONG_STREAM),
    ],
)  # fmt: skip
def test_twilio_reads_bots_strictly(text: str, kind: ViolationKind):
    (violation,) = started_pair().twilio.receive(text)

    assert isinstance(violation, Violation)
    assert violation.kind is kind
    assert kind.twilio_code == 31951
    assert ViolationKind.BINARY.twilio_code == 31950


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)
FIELDS = ["event", "media", "start", "mark", "dtmf", "stop", "streamSid", "sequenceNumber"]
NEARLY = st.fixed_dictionaries(
    {"event": st.sampled_from(["media", "start", "mark", "dtmf", "stop", "connected", "clear"])},
    optional={
        name: JSON
        | st.fixed_dictionaries(
            {},
            optional=dict.fromkeys(
                ["payload", "track", "timestamp", "chunk", "name", "digit", "streamSid"], JSON
            ),
        )
        for name in FIELDS[1:]
    },
)


@given(st.text() | JSON.map(json.dumps) | NEARLY.map(json.dumps) | st.binary(max_size=40))
def test_nothing_received_raises(data: str | bytes):
    pair = started_pair()

    assert pair.bot.receive(data)
    assert pair.twilio.receive(data)
    assert pair.bot.stream_sid == "MZ1"


@pytest.mark.parametrize(
    "number", ["1e308", "-1", "NaN", 1e308, -0.5, 10**400, 2**53 + 1, "9" * 5000]
)
@pytest.mark.parametrize("place", ["timestamp", "chunk", "sequenceNumber"])
def test_number_beyond_reason_is_a_violation(number: object, place: str):
    media: dict[str, object] = {"payload": "/w==", "timestamp": "1", "chunk": "1"}
    message: dict[str, object] = {"event": "media", "sequenceNumber": "2", "media": media}
    (message if place in message else media)[place] = number

    decoded = sent_by_twilio(**message)

    assert isinstance(decoded, Violation)
    assert decoded.kind is ViolationKind.INVALID_FIELD
    assert len(decoded.detail) < 100


def test_clock_may_count_from_1970():
    media = {"payload": "/w==", "timestamp": "1795996800000"}

    assert isinstance(sent_by_twilio(event="media", media=media), Media)


@pytest.mark.parametrize("sid", ["M" * 101, "MZ\n1", "MZ\x1b[2J"])
@pytest.mark.parametrize("name", ["streamSid", "callSid", "accountSid"])
def test_sid_that_is_none_is_a_violation(sid: str, name: str):
    decoded = sent_by_twilio(event="start", start={"streamSid": "MZ1", name: sid})

    assert isinstance(decoded, Violation)
    assert sid not in decoded.detail
