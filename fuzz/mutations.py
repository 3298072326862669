"""Messages that are nearly right: valid ones, spoilt in one of many ways, and some that are not."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

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
    encode,
)

SID = "MZ" + "0" * 32
_MESSAGES: dict[Role, list[Message]] = {
    Role.TWILIO: [
        Connected(),
        Start(stream_sid=SID, call_sid="CA1", custom_parameters={"a": "b"}, sequence_number=1),
        Media(payload=b"\xff" * 160, timestamp=99, chunk=1, sequence_number=2, stream_sid=SID),
        Dtmf(digit="5", sequence_number=3, stream_sid=SID),
        Mark(name="m", sequence_number=4, stream_sid=SID),
        Stop(sequence_number=5, stream_sid=SID),
    ],
    Role.BOT: [
        SendMedia(payload=b"\xff" * 160, stream_sid=SID),
        SendMark(name="m", stream_sid=SID),
        Clear(stream_sid=SID),
    ],
}
_ODD_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**30, -(10**30), 0.5, 1e308, -1e308,
    "", " ", "0", "-1", "1e9", "1.5", "NaN", "Infinity", "0x10", "\u0661", "%%%", "abc", "a" * 5000,
    "\x00", "\ud800", "é", "🙂", [], [[]], {}, {"": ""}, ["a", 1], {"payload": None},
    "media", "stop", "inbound", "outbound", "__class__", "$.media",
]  # fmt: skip
_ODD_TEXTS = [
    "", " ", "null", "true", "0", "-0", '""', "[]", "{}", "[{}]", "{", "}", '{"event":}', "NaN",
    "[" * 5000, '{"event":' * 3000, '{"event":"media"}', '{"event":"media","media":{}}',
    '{"event":"stop"}x', '\ufeff{"event":"stop"}', '{"event":"media","event":"clear"}',
    '{"event":["media"]}', '{"event":"MEDIA"}', '{"event":"\\ud800"}', "\x00" * 100,
]  # fmt: skip

Spoiler = Callable[[random.Random, str], str | bytes]


class Mutations:
    """An endless row of messages of one role.

    Args:
        sender: The role.
        seed: The same seed gives the same row.
    """

    def __init__(self, sender: Role, *, seed: int):
        self._random = random.Random(seed)
        self._texts = [encode(message) for message in _MESSAGES[sender]]

    def __iter__(self) -> Iterator[str | bytes]:
        while True:
            yield self._random.choice(_SPOILERS)(self._random, self._random.choice(self._texts))


def _untouched(_: random.Random, text: str) -> str:
    return text


def _odd_text(chance: random.Random, _: str) -> str:
    return chance.choice(_ODD_TEXTS)


def _binary(chance: random.Random, text: str) -> bytes:
    return chance.choice([text.encode(), chance.randbytes(20), b""])


def _cut(chance: random.Random, text: str) -> str:
    return text[: chance.randrange(len(text))]


def _doubled(chance: random.Random, text: str) -> str:
    begin = chance.randrange(len(text))
    return text[:begin] + text[begin // 2 :]


def _flipped(chance: random.Random, text: str) -> str:
    characters = list(text)
    for _ in range(chance.randint(1, 4)):
        characters[chance.randrange(len(text))] = chr(
            chance.choice([chance.randrange(128), 0xFFFD])
        )
    return "".join(characters)


def _other_value(chance: random.Random, text: str) -> str:
    value = json.loads(text)
    holder, key = _place(chance, value)
    holder[key] = chance.choice(_ODD_VALUES)
    return json.dumps(value, ensure_ascii=chance.random() < 0.5)


def _missing(chance: random.Random, text: str) -> str:
    value = json.loads(text)
    holder, key = _place(chance, value)
    del holder[key]
    return json.dumps(value)


def _extra(chance: random.Random, text: str) -> str:
    value = json.loads(text)
    holder, key = _place(chance, value)
    holder[key + "X"] = chance.choice(_ODD_VALUES)
    return json.dumps(value)


def _other_number(chance: random.Random, text: str) -> str:
    value = json.loads(text)
    numbers = [0, 1, chance.randrange(1000), chance.randrange(10**6), 10**12, -5]
    value["sequenceNumber"] = str(chance.choice(numbers))
    if isinstance(value.get("media"), dict):
        value["media"]["timestamp"] = str(chance.choice(numbers))
    return json.dumps(value)


def _too_large(chance: random.Random, text: str) -> str:
    # Rarely, since each is a megabyte.
    return text + " " * MAX_MESSAGE if chance.random() < 0.001 else text + " "


def _place(chance: random.Random, value: dict[str, Any]) -> tuple[dict[str, Any], str]:
    key = chance.choice(list(value))
    inner = value[key]
    if isinstance(inner, dict) and inner and chance.random() < 0.7:
        return _place(chance, inner)
    return value, key


_SPOILERS: list[Spoiler] = [
    _untouched,
    _odd_text,
    _binary,
    _cut,
    _doubled,
    _flipped,
    _other_value,
    _other_value,
    _missing,
    _extra,
    _other_number,
    _too_large,
]
