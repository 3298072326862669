"""What is made of what an output passes on, without an output."""

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InterruptionFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from prometheus_client import CollectorRegistry

from tests.metrics.counted import Counted
from tests.waiting import time_passes
from twilio_frames import metrics
from twilio_frames.frames import (
    AudioGapFrame,
    BotHeldFrame,
    CallEndReason,
    VendorRole,
    VendorSwitchedFrame,
)
from twilio_frames.metrics import Metric
from twilio_frames.metrics.call import CallMetrics
from twilio_frames.metrics.kept import KeptMetrics
from twilio_frames.protocol.violations import BreakKind
from twilio_frames.transport import TwilioTransport


class FakeTransport:
    """The line of a call, as far as it is looked at."""

    def __init__(self, opened_at: float):
        self.opened_at = opened_at
        self.underruns = 0
        self.playback = SimpleNamespace(round_trip=0.1)
        self.spoke_at: float | None = None
        self.is_held = False

    def follow(self, _: object) -> "FakeTransport":
        return self


class Told:
    """A call that is told of frames, and what was counted."""

    def __init__(self, now: float):
        registry = CollectorRegistry()
        self.kept = KeptMetrics(registry)
        self.line = FakeTransport(now)
        self.call = CallMetrics(self.kept, cast("TwilioTransport", self.line))
        self._counted = Counted(registry)

    async def passes(self, *frames: Frame, after: float = 0.0) -> None:
        await time_passes(after)
        for frame in frames:
            self.call.passed(frame)

    async def speaks(self, *, after: float = 0.0) -> None:
        """The caller begins to speak, and the VAD is sure 0.2 s later."""
        await self.passes(VADUserStartedSpeakingFrame(start_secs=0.2), after=after + 0.2)

    def number(self, metric: Metric, **labels: str) -> float:
        return self._counted.of(metric, **labels)

    def times(self, metric: Metric) -> tuple[float, Any]:
        count, total = (self._counted.of(metric, part) for part in ("_count", "_sum"))
        return count, pytest.approx(total, abs=0.001)


@pytest.fixture
async def told() -> Told:
    return Told(time.monotonic())


async def test_barge_in_lasts_from_the_onset_to_the_hold(told: Told):
    await told.passes(BotStartedSpeakingFrame())
    await told.speaks(after=1.0)
    await told.passes(BotHeldFrame())
    await told.passes(InterruptionFrame(), BotStoppedSpeakingFrame(), after=0.6)

    # The hold, not the interruption; and the way there and back.
    assert told.times(metrics.BARGE_IN) == (1, 0.3)
    assert (told.number(metrics.HOLDS), told.number(metrics.FALSE_ALARMS)) == (1, 0)


async def test_barge_in_may_be_held_before_the_vad_is_sure(told: Told):
    await told.passes(BotStartedSpeakingFrame())
    await told.passes(BotHeldFrame(), after=1.0)
    told.line.is_held = True
    await told.passes(VADUserStartedSpeakingFrame(start_secs=0.2), after=0.1)
    await told.passes(InterruptionFrame(), BotStoppedSpeakingFrame(), after=0.5)

    assert told.times(metrics.BARGE_IN) == (1, 0.2)


async def test_a_pause_within_the_interruption_changes_nothing(told: Told):
    await told.passes(BotStartedSpeakingFrame())
    await told.speaks(after=1.0)
    await told.passes(BotHeldFrame())
    told.line.is_held = True
    await told.passes(VADUserStoppedSpeakingFrame(stop_secs=0.2), after=0.5)
    await told.speaks(after=0.3)
    await told.passes(InterruptionFrame(), BotStoppedSpeakingFrame(), after=0.3)

    assert told.times(metrics.BARGE_IN) == (1, 0.3)
    assert told.number(metrics.FALSE_ALARMS) == 0


@pytest.mark.parametrize("tells", ["the next hold", "the end of speech", "the next speech"])
async def test_hold_without_an_interruption_is_a_false_alarm(told: Told, tells: str):
    await told.passes(BotStartedSpeakingFrame())
    await told.passes(BotHeldFrame(), after=1.0)
    match tells:
        case "the next hold":
            await told.passes(BotHeldFrame(), after=1.0)
        case "the end of speech":
            await told.passes(BotStoppedSpeakingFrame(), after=1.0)
        case _:
            await told.speaks(after=1.0)

    assert told.number(metrics.FALSE_ALARMS) == 1
    assert told.times(metrics.BARGE_IN) == (0, 0.0)


async def test_interruption_without_a_hold_counts_from_itself(told: Told):
    await told.passes(BotStartedSpeakingFrame())
    await told.passes(BotHeldFrame(), after=1.0)
    await told.speaks(after=1.0)
    await told.passes(InterruptionFrame(), BotStoppedSpeakingFrame(), after=0.4)

    assert told.times(metrics.BARGE_IN) == (1, 0.7)


async def test_what_nobody_talked_into_is_no_barge_in(told: Told):
    # The caller spoke before the bot did, which a key then interrupts.
    await told.speaks()
    await told.passes(VADUserStoppedSpeakingFrame(stop_secs=0.2), after=1.0)
    await told.passes(InterruptionFrame(), after=0.1)
    await told.passes(BotStartedSpeakingFrame(), after=0.1)
    await told.passes(BotStoppedSpeakingFrame(), after=2.0)
    await told.passes(BotStartedSpeakingFrame(), after=2.0)
    await told.passes(InterruptionFrame(), BotStoppedSpeakingFrame(), after=1.0)

    assert told.times(metrics.BARGE_IN) == (0, 0.0)


async def test_whoever_speaks_as_the_bot_begins_talks_over_it_from_there(told: Told):
    await told.speaks()
    await told.passes(BotStartedSpeakingFrame(), after=3.0)
    await told.passes(InterruptionFrame(), BotStoppedSpeakingFrame(), after=0.5)

    assert told.times(metrics.BARGE_IN) == (1, 0.6)


async def test_answer_is_counted_from_the_end_of_speech(told: Told):
    await told.passes(UserStartedSpeakingFrame())
    await told.passes(VADUserStoppedSpeakingFrame(stop_secs=0.2), after=1.0)
    await told.passes(UserStoppedSpeakingFrame(), after=0.3)
    await told.passes(BotStartedSpeakingFrame(), after=0.4)
    assert told.times(metrics.ANSWER) == (0, 0.0)
    await told.passes(BotStoppedSpeakingFrame(), after=1.0)
    await told.passes(BotStartedSpeakingFrame(), BotStoppedSpeakingFrame(), after=1.0)

    assert told.times(metrics.ANSWER) == (1, 1.0)


async def test_first_audio_may_be_ahead_of_the_pipeline(told: Told):
    told.line.spoke_at = told.line.opened_at + 0.2
    await told.passes(BotStartedSpeakingFrame(), BotStoppedSpeakingFrame(), after=1.5)
    await told.passes(BotStartedSpeakingFrame(), BotStoppedSpeakingFrame(), after=1.5)

    assert told.times(metrics.FIRST_AUDIO) == (1, 0.3)


async def test_first_audio_of_a_call_that_goes_on_was_before(told: Told):
    call = CallMetrics(told.kept, cast("TwilioTransport", told.line), is_resumed=True)
    call.passed(BotStartedSpeakingFrame())
    call.passed(BotStoppedSpeakingFrame())

    assert told.times(metrics.FIRST_AUDIO) == (0, 0.0)


async def test_what_came_on_the_line_is_counted(told: Told):
    gap = AudioGapFrame(kind=BreakKind.GAP, milliseconds=60)
    switched = VendorSwitchedFrame(role=VendorRole.STT, vendor="a", successor="b")
    await told.passes(gap, gap, switched, BotStartedSpeakingFrame())
    told.line.underruns = 2
    await told.passes(BotStoppedSpeakingFrame())
    told.line.underruns = 3
    told.call.ended(CallEndReason.LINE_LOST)
    told.call.ended(CallEndReason.ERROR)
    await told.passes(gap)

    assert told.number(metrics.GAPS, what="gap") == 2
    assert told.number(metrics.GAP_SECONDS, what="gap") == pytest.approx(0.12)
    assert told.number(metrics.SWITCHES, role="stt") == 1
    assert told.number(metrics.UNDERRUNS) == 3
    assert told.number(metrics.ENDED, end_reason="line lost") == 1
    assert told.number(metrics.ENDED, end_reason="error") == 0


def test_nothing_is_made_of_nothing():
    kept = KeptMetrics(None)
    kept.count(metrics.ENDED, "error")
    kept.observe(metrics.ANSWER, 1.0)
    kept.show(metrics.CALLS_UP, 1)

    assert not kept.is_on
