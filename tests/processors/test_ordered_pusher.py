"""What fell due for a memory stays in its order, however much stands before the memory."""

from collections.abc import Awaitable, Callable

import pytest
from pipecat.frames.frames import (
    Frame,
    FunctionCallCancelFrame,
    FunctionCallFromLLM,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    FunctionCallsStartedFrame,
    InterruptionFrame,
    LLMAssistantPushAggregationFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    SystemFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.tests.utils import run_test

from twilio_frames.frames import SpeechBrokenOffFrame
from twilio_frames.processors.output.ordered_pusher import OrderedPusher
from twilio_frames.processors.words import HeardTextFrame

PROCESSORS_BETWEEN = 40

Push = Callable[[Frame], Awaitable[None]]


class Passer(FrameProcessor):
    """Passes everything on, after the others have had their turn."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


class Output(Passer):
    """Hands on frames in order, all at once, when the first comes by."""

    def __init__(self, due: list[Frame]):
        super().__init__()
        self._due = due
        self._pusher = OrderedPusher(self.push_frame)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, InterruptionFrame):
            for due in self._due:
                await self._pusher.push(due)
        await super().process_frame(frame, direction)


def a_reply() -> list[Frame]:
    return [
        LLMFullResponseStartFrame(),
        TTSStartedFrame("one"),
        HeardTextFrame("Hello", "word"),
        SpeechBrokenOffFrame("one"),
        FunctionCallInProgressFrame("look_up", "1", {}),
        LLMFullResponseEndFrame(),
        HeardTextFrame("there", "word"),
        LLMAssistantPushAggregationFrame(),
    ]


async def pushed(work: Callable[[OrderedPusher], Awaitable[None]]) -> list[Frame]:
    frames: list[Frame] = []

    async def push(frame: Frame) -> None:
        frames.append(frame)

    await work(OrderedPusher(push))
    return frames


async def test_order_holds_behind_many_processors_and_ahead_of_an_interruption():
    due = a_reply()
    line = Pipeline([Output(due), *(Passer() for _ in range(PROCESSORS_BETWEEN))])
    down, _ = await run_test(line, frames_to_send=[InterruptionFrame()])
    assert [frame.id for frame in down if not isinstance(frame, InterruptionFrame)] == [
        frame.id for frame in due
    ]
    assert isinstance(down[-1], InterruptionFrame)


@pytest.mark.parametrize("frame", a_reply(), ids=lambda frame: frame.name)
async def test_what_is_remembered_is_a_system_frame_of_its_kind(frame: Frame):
    kind, name = type(frame), str(frame)
    (handed_on,) = await pushed(lambda pusher: pusher.push(frame))
    assert isinstance(handed_on, SystemFrame)
    assert isinstance(handed_on, kind)
    assert (handed_on.id, str(handed_on)) == (frame.id, name)


async def test_results_stay_frames_that_a_queue_knows():
    result = FunctionCallResultFrame("look_up", "1", {}, "found")
    assert await pushed(lambda pusher: pusher.push(result)) == [result]
    assert not isinstance(result, SystemFrame)


async def test_a_cancellation_follows_the_call_that_it_cancels():
    started = FunctionCallsStartedFrame([FunctionCallFromLLM("look_up", "1", {}, None)])
    begun = FunctionCallInProgressFrame("look_up", "1", {})
    cancelled = FunctionCallCancelFrame("look_up", "1")

    async def cancel_before_it_is_due(pusher: OrderedPusher) -> None:
        pusher.expect(started)
        assert pusher.holds_back(cancelled)
        await pusher.push(begun)
        assert not pusher.holds_back(cancelled)

    assert await pushed(cancel_before_it_is_due) == [begun, cancelled]


async def test_protected_speech_has_a_message_of_its_own_behind_an_interruption():
    protected, over = TTSStartedFrame("one"), TTSStoppedFrame("one")
    protected.interruptible = False

    async def interrupt(pusher: OrderedPusher) -> None:
        await pusher.push(protected)
        await pusher.interrupted()
        await pusher.push(over)

    first, again, last, closing = await pushed(interrupt)
    assert (first, last) == (protected, over)
    assert isinstance(again, TTSStartedFrame)
    assert (again.context_id, again.interruptible) == ("one", False)
    assert isinstance(closing, LLMAssistantPushAggregationFrame)


async def test_an_interruption_ends_the_reply_that_ends_right_before_it():
    first, second = LLMFullResponseEndFrame(), LLMFullResponseEndFrame()
    word = HeardTextFrame("there", "word")

    async def interrupt(pusher: OrderedPusher) -> None:
        pusher.interrupting()
        for frame in (first, word, second):
            await pusher.push(frame)
        await pusher.interrupted()

    assert await pushed(interrupt) == [first, word]
