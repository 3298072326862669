"""Settings that cannot work are refused where they are made, by all classes in the same words."""

import dataclasses
import math
from typing import Any

import pytest

from tests.settings_page import WHERE, defaults
from twilio_frames.campaign import Retry
from twilio_frames.errors import ConfigurationError
from twilio_frames.errors.settings import check_settings
from twilio_frames.testing import LineConditions
from twilio_frames.transport import TwilioParams

# A dictionary's, and Pipecat's own.
_OTHERS = {"EspeakTTSSettings", "FallbackOptions"}
CLASSES: list[Any] = [kind for kind in [*WHERE, Retry] if kind.__name__ not in _OTHERS]
NEEDED: dict[str, Any] = {"secs": 99.0, "url": "ws://127.0.0.1:1/", "times": 1, "after_secs": 1.0}
BELOW_ZERO = {"seed", "echo_level", "comfort_noise", "noise_level"}


def numbers(kind: Any) -> list[str]:
    if dataclasses.is_dataclass(kind):
        declared: dict[str, Any] = {each.name: each.type for each in dataclasses.fields(kind)}
    else:
        declared = {name: field.annotation for name, field in kind.model_fields.items()}
    wanted = (int, float, int | None, float | None)
    return [name for name, type_ in declared.items() if type_ in wanted]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_what_is_no_number_or_below_zero_is_refused(kind: Any):
    required = {name: NEEDED[name] for name, value in defaults(kind).items() if value is ...}
    for name in numbers(kind):
        for value in ("x", [1], math.nan, *(() if name in BELOW_ZERO else (-1,))):
            with pytest.raises(ConfigurationError, match=f"expected .*{name}.*, got "):
                kind(**required | {name: value})


def test_bounds_are_the_least_that_works():
    assert TwilioParams(lead_secs=0.1, close_timeout_secs=0).lead_secs == 0.1
    assert LineConditions(echo_level=-20.0).echo_level == -20.0
    with pytest.raises(ConfigurationError, match=r"lead_secs of at least 0\.1, got 0\.05"):
        TwilioParams(lead_secs=0.05)
    with pytest.raises(ConfigurationError, match="time_limit_secs above 0, got 0"):
        TwilioParams(time_limit_secs=0)


def test_text_that_may_be_a_secret_is_not_repeated():
    @dataclasses.dataclass
    class Door:
        key: str | None = None
        is_open: bool = False

    with pytest.raises(ConfigurationError, match="expected key to be a text or None, got int"):
        check_settings(Door(key=1234))  # pyright: ignore[reportArgumentType] Wrong.
    check_settings(Door(is_open=1))  # pyright: ignore[reportArgumentType] As good as True.
    with pytest.raises(ConfigurationError, match="is_open to be True or False, got str"):
        check_settings(Door(is_open="sesame"))  # pyright: ignore[reportArgumentType] Wrong.
