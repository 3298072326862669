"""VendorHealth: what is known of a vendor, and when it is tried again."""

import json

import pytest
from loguru import logger
from pipecat.frames.frames import ErrorFrame
from pipecat.utils.errors import ErrorCategory

from tests.processors.fallback_rig import Clock
from twilio_frames.processors.fallback.vendor_health import (
    FailureKind,
    VendorHealth,
    VendorList,
    VendorRole,
    VendorState,
    kind_of,
)

LLM = VendorRole.LLM


def vendor(clock: Clock | None = None) -> VendorHealth:
    return VendorHealth("openai", LLM, clock=clock or Clock())


def test_failure_leaves_it_alone_for_a_while():
    clock = Clock()
    health = vendor(clock)
    health.failed(FailureKind.LATE)

    assert (health.state, health.may_work("a call"), health.retry_in) == ("down", False, 30.0)
    clock.now += 30
    assert health.may_work("a call")


def test_trial_is_for_one_call():
    clock = Clock()
    health = vendor(clock)
    health.failed(FailureKind.LATE)
    clock.now += 30
    health.begin("a call")

    assert health.state is VendorState.ON_TRIAL
    assert health.may_work("a call")
    assert not health.may_work("another")


def test_trial_that_nobody_ends_is_left_to_the_next():
    clock = Clock()
    health = vendor(clock)
    health.failed(FailureKind.LATE)
    clock.now += 30
    health.begin("a call")
    clock.now += 60

    assert health.may_work("another")


def test_each_failed_trial_doubles_the_wait():
    clock = Clock()
    health = vendor(clock)
    waits = []
    for _ in range(7):
        health.begin("a call")
        health.failed(FailureKind.SERVER)
        waits.append(health.retry_in)
        clock.now += health.retry_in

    assert waits == [30, 60, 120, 240, 480, 600, 600]


def test_success_ends_it():
    clock = Clock()
    health = vendor(clock)
    for _ in range(3):
        health.failed(FailureKind.LATE)
        clock.now += 600
        health.begin("a call")
    health.succeeded(0.4)

    assert (health.state, health.may_work("another")) == (VendorState.WELL, True)
    health.failed(FailureKind.LATE)
    assert health.retry_in == 30


def test_refusal_is_tried_again_much_later():
    health = vendor()
    health.failed(FailureKind.REFUSED)

    assert health.retry_in == 300


def test_first_bytes_are_shown_by_share():
    health = vendor()
    for number in range(1, 101):
        health.succeeded(number / 100)

    assert (health.first_byte(0.5), health.first_byte(0.95)) == (0.5, 0.95)
    assert vendor().first_byte(0.5) is None


def test_json_has_all_of_it():
    known = VendorList(clock=Clock())
    known.of(LLM, "openai").succeeded(0.25)
    known.of(LLM, "openai").failed(FailureKind.BUSY)
    (shown,) = json.loads(json.dumps(known.as_json()))

    assert shown["failures"] == {"busy": 1}
    assert (shown["state"], shown["retry_in"], shown["first_byte_p50"]) == ("down", 30.0, 0.25)


def test_changes_are_logged_once():
    lines: list[str] = []
    sink = logger.add(lines.append, format="{level} {message}")
    health = vendor()
    for _ in range(3):
        health.failed(FailureKind.LATE)
    health.succeeded(0.1)
    health.succeeded(0.1)
    logger.remove(sink)

    assert [line.strip() for line in lines] == [
        "WARNING openai (llm) fails (late): fallbacks leave it alone for 30 s",
        "INFO openai (llm) does its part again",
    ]


@pytest.mark.parametrize(
    ("category", "kind"),
    [
        (ErrorCategory.AUTHENTICATION, FailureKind.REFUSED),
        (ErrorCategory.QUOTA, FailureKind.BUSY),
        (ErrorCategory.CONNECTIVITY, FailureKind.CONNECTION),
        (ErrorCategory.SERVER, FailureKind.SERVER),
        (ErrorCategory.UNKNOWN, FailureKind.OTHER),
    ],
)
def test_errors_are_told_apart(category: ErrorCategory, kind: FailureKind):
    assert kind_of(ErrorFrame("gone", category=category)) is kind


def test_time_limit_is_late():
    assert kind_of(ErrorFrame("gone", exception=TimeoutError())) is FailureKind.LATE
