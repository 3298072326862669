import asyncio
from collections.abc import Iterator

import pytest
from loguru import logger

from tests.vendors.faults import bad_day
from twilio_frames.errors import ConfigurationError
from twilio_frames.transport.taps import Audience, CallTap, Failures


class Listener:
    def __init__(self, error: BaseException | None = None):
        self._error = error
        self.heard = 0

    def caller_audio(self, mulaw: bytes, at: float) -> None:
        self.heard += 1
        if self._error:
            raise self._error

    def bot_audio(self, mulaw: bytes, at: float) -> None:
        pass

    def line_ended(self, at: float) -> None:
        pass


@pytest.fixture
def lines() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, level="TRACE")
    yield lines
    logger.remove(sink)


def audience(*listeners: Listener) -> tuple[Audience[CallTap], Failures]:
    failures = Failures(lambda: "call CA1")
    taps = Audience(CallTap, failures)
    for listener in listeners:
        taps.add(listener)
    return taps, failures


ERRORS = [
    OverflowError("+14155550101"),
    SystemExit(1),
    KeyboardInterrupt(),
    asyncio.CancelledError(),
    BaseExceptionGroup("", [SystemExit(1)]),
]


@bad_day(
    "line",
    "a recorder, a log or a watcher raises",
    "Nothing; it is told once, and counted.",
)
@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_whoever_raises_is_counted_and_hurts_nobody(error: BaseException, lines: list[str]):
    other = Listener()
    taps, failures = audience(Listener(error), other)
    for _ in range(3):
        taps.tell("caller_audio", b"", 0.0)

    assert other.heard == 3
    assert failures.counts == {f"Listener.caller_audio: {type(error).__name__}": 3}
    assert len(lines) == 1
    assert "call CA1: Listener.caller_audio() failed" in lines[0]
    assert "+1415" not in lines[0]


def test_kinds_are_bounded():
    class Inventive(Listener):
        def caller_audio(self, mulaw: bytes, at: float) -> None:
            raise type(f"Error{at}", (Exception,), {})

    taps, failures = audience(Inventive())
    for number in range(1000):
        taps.tell("caller_audio", b"", float(number))

    assert len(failures.counts) == 101
    assert failures.counts.total() == 1000


def test_listener_that_would_have_to_be_awaited_is_refused():
    class Awaited(Listener):
        async def caller_audio(self, mulaw: bytes, at: float) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] That is the mistake.
            pass

    with pytest.raises(ConfigurationError, match=r"plain method `caller_audio` of Awaited"):
        audience(Awaited())


def test_listener_that_lacks_a_method_is_refused():
    taps, _ = audience()

    with pytest.raises(ConfigurationError, match="got none"):
        taps.add(object())  # pyright: ignore[reportArgumentType] That is the mistake.
