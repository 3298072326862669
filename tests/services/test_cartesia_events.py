"""What Cartesia says, and what makes no sense."""

import json
from typing import Any

import pytest

from twilio_frames.services.cartesia.events import Words, read_event

SECRET = "the-callers-words"


def timestamps(begin: object, end: object) -> str:
    times: dict[str, Any] = {"words": [SECRET], "start": [begin], "end": [end]}
    return json.dumps({"type": "timestamps", "context_id": "a", "word_timestamps": times})


def test_word_times_are_read():
    event = read_event(timestamps(0, 0.25))

    assert event == Words(ask_id="a", words=[(SECRET, 0.0, 0.25)])


@pytest.mark.parametrize(
    "message",
    [
        timestamps(float("nan"), 1),
        timestamps(0, float("inf")),
        timestamps(0, 1e308),
        timestamps(-1, 1),
        timestamps(10**400, 1),
        timestamps(SECRET, 1),
        json.dumps({"type": "error", "status_code": float("inf")}),
        json.dumps({"type": "error", "status_code": float("nan")}),
        json.dumps({"type": "error", "status_code": SECRET}),
        '{"type": "error", "status_code": 1e999}',
        '{"type":' * 100_000,
        "[" * 100_000,
        "1" * 5000,
        b"\xff",
    ],
    ids=range(14),
)
def test_nonsense_is_a_value_error(message: str | bytes):
    with pytest.raises(ValueError, match=r"^(?!.*the-callers-words)"):
        read_event(message)
