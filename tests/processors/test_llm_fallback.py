"""LLMFallback: a reply comes whoever makes it, once, with one filler at most."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    TTSSpeakFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection

from tests.processors.fallback_rig import HANG, Clock, ScriptedLLM, asked, running, vendors
from tests.waiting import time_passes
from twilio_frames.errors import ConfigurationError
from twilio_frames.frames import VendorSwitchedFrame
from twilio_frames.processors.fallback import LLMFallback, VendorState
from twilio_frames.processors.fallback.vendor_health import FailureKind
from twilio_frames.processors.replies.filler import FillsSilence, SilenceFiller

NAMES = ("first", "second")


def fallback(*llms: ScriptedLLM, **kwargs) -> LLMFallback:
    names = NAMES[: len(llms)]
    settings = {"vendors": vendors(), "names": names, "patience_secs": 0.2, "filler_after": None}
    return LLMFallback(llms, **{**settings, **kwargs})


async def test_error_before_first_word_is_not_heard():
    first, second = ScriptedLLM([LookupError("the caller said it")]), ScriptedLLM(["Hello."])
    async with running(fallback(first, second)) as rig:
        await rig.give(asked())
        await rig.replied()

    assert rig.said() == "Hello."
    assert second.asked == first.asked
    assert rig.switches == [("first", "second")]
    assert not rig.errors


async def test_reply_is_framed_once():
    async with running(fallback(ScriptedLLM(["We ", HANG]), ScriptedLLM(["are open."]))) as rig:
        await rig.give(asked())
        await rig.replied()
        await rig.give(asked("again"))
        await rig.replied(2)

    assert len(rig.passed(LLMFullResponseStartFrame)) == 2
    assert len(rig.passed(LLMFullResponseEndFrame)) == 2


async def test_hang_is_noticed():
    llm = fallback(ScriptedLLM([HANG]), ScriptedLLM(["Hello."]))
    async with running(llm) as rig:
        await rig.give(asked())
        await rig.replied()

    assert rig.said() == "Hello."
    assert llm.health[0].last_failure is FailureKind.LATE


async def test_begun_reply_goes_on_at_a_whole_word():
    first = ScriptedLLM(["We open at ", "ni", HANG])
    second = ScriptedLLM(["nine ", "in the morning."])
    async with running(fallback(first, second)) as rig:
        await rig.give(asked())
        await rig.replied()

    assert rig.said() == "We open at nine in the morning."
    _, begun, note = second.asked[0].get_messages()
    assert begun == {"role": "assistant", "content": "We open at"}
    assert isinstance(note, dict)
    assert note["role"] == "user"


@pytest.mark.parametrize(
    "begins", ["We open at nine in the morning.", "We op|en at nine in the m|orning."]
)
async def test_begun_reply_that_begins_anew_is_not_repeated(begins: str):
    first, second = ScriptedLLM(["We open at", HANG]), ScriptedLLM(begins.split("|"))
    async with running(fallback(first, second)) as rig:
        await rig.give(asked())
        await rig.replied()

    assert rig.said() == "We open at nine in the morning."


@pytest.mark.parametrize(
    "rest", ["We open at nine.", "open at| nine.", "Good morning. We open at nine."]
)
async def test_sentence_that_begins_anew_is_not_repeated(rest: str):
    first = ScriptedLLM(["Good morning. We open at ", "ni", HANG])
    async with running(fallback(first, ScriptedLLM(rest.split("|")))) as rig:
        await rig.give(asked())
        await rig.replied()

    assert rig.said() == "Good morning. We open at nine."


async def test_apology_is_parted_from_what_was_said():
    llms = ScriptedLLM(["We open ", HANG]), ScriptedLLM([LookupError()])
    async with running(fallback(*llms, apology="Sorry.")) as rig:
        await rig.give(asked())
        await rig.replied()

    assert rig.said() == "We open \N{EM DASH} Sorry."


async def test_next_turn_goes_to_second_at_once():
    first, second = ScriptedLLM([HANG], ["back"]), ScriptedLLM(["One."], ["Two."])
    async with running(fallback(first, second)) as rig:
        await rig.give(asked())
        await rig.replied()
        await rig.give(asked())
        await rig.replied(2)

    assert rig.said() == "One.Two."
    assert len(first.asked) == 1


async def test_next_call_goes_to_second_at_once():
    known = vendors()
    async with running(fallback(ScriptedLLM([HANG]), ScriptedLLM(), vendors=known)) as rig:
        await rig.give(asked())
        await rig.replied()
    first, second = ScriptedLLM(), ScriptedLLM(["Good morning."])
    async with running(fallback(first, second, vendors=known)) as rig:
        await rig.give(asked())
        await rig.replied()

    assert rig.said() == "Good morning."
    assert not first.asked


async def test_first_is_tried_again_and_is_well():
    clock = Clock()
    llm = fallback(ScriptedLLM([HANG], ["I am back."]), ScriptedLLM(), vendors=vendors(clock))
    async with running(llm) as rig:
        await rig.give(asked())
        await rig.replied()
        clock.now += 31
        await rig.give(asked())
        await rig.replied(2)

    assert rig.said() == "Fine.I am back."
    assert llm.health[0].state is VendorState.WELL
    assert rig.passed(VendorSwitchedFrame)[1].failure is None


async def test_filler_is_said_once():
    first, second = ScriptedLLM([HANG]), ScriptedLLM([HANG])
    third = ScriptedLLM(["At last."])
    llm = LLMFallback(
        [first, second, third],
        vendors=vendors(),
        patience_secs=0.2,
        filler_after=0.1,
        fillers=["Wait."],
    )
    async with running(llm) as rig:
        await rig.give(asked())
        await rig.replied()

    assert [frame.text for frame in rig.passed(TTSSpeakFrame)] == ["Wait."]
    assert rig.said() == "At last."


class FillingLLM(FillsSilence, ScriptedLLM):
    """Is slow, and says a filler of its own meanwhile."""

    def __init__(self, *scripts: Sequence[str | Exception]):
        super().__init__(fillers=["One moment."], filler_after=0.05)
        self.scripts = list(scripts)

    async def respond(self, context: LLMContext) -> AsyncIterator[str]:
        await time_passes(0.35)
        async for piece in super().respond(context):
            yield piece


class LateLLM(ScriptedLLM):
    """Announces a reply when there is some of it."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, LLMContextFrame):
            await asyncio.Event().wait()
        await super().process_frame(frame, direction)


def slow_and_filling(**kwargs) -> LLMFallback:
    return fallback(FillingLLM([HANG]), FillingLLM(), patience_secs=0.6, **kwargs)


@pytest.mark.parametrize(("after", "said"), [(0.1, ["Wait."]), (None, [])])
async def test_services_leave_the_filler_to_the_fallback(after: float | None, said: list[str]):
    async with running(slow_and_filling(fillers=["Wait."], filler_after=after)) as rig:
        await rig.give(asked())
        await rig.replied()

    assert [frame.text for frame in rig.passed(TTSSpeakFrame)] == said


@pytest.mark.parametrize(("first", "second"), [(0.1, 0.1), (0.1, 0.2), (0.2, 0.1), (None, 0.1)])
async def test_fallback_and_filler_behind_it_say_one(first: float | None, second: float):
    llm = slow_and_filling(fillers=["Wait."], filler_after=first)
    filler = SilenceFiller(fillers=["Wait."], filler_after=second)
    async with running(Pipeline([llm, filler])) as rig:
        for turn in (1, 2):
            await rig.give(UserStartedSpeakingFrame(), UserStoppedSpeakingFrame())
            await rig.give(asked())
            await rig.replied(turn)

    assert [frame.text for frame in rig.passed(TTSSpeakFrame)] == ["Wait.", "Wait."]


async def test_service_and_filler_behind_it_say_one():
    llm = FillingLLM([HANG])
    async with running(Pipeline([llm, SilenceFiller(fillers=["Wait."], filler_after=0.05)])) as rig:
        await rig.give(UserStoppedSpeakingFrame(), asked())
        await rig.after.wait_for(TTSSpeakFrame)
        await time_passes(0.3)

    assert len(rig.passed(TTSSpeakFrame)) == 1


async def test_reply_that_an_llm_does_not_begin_is_filled():
    first, second = LateLLM(), ScriptedLLM(["Hello."])
    async with running(fallback(first, second, filler_after=0.1, fillers=["Wait."])) as rig:
        await rig.give(asked())
        await rig.replied()

    assert [frame.text for frame in rig.passed(TTSSpeakFrame)] == ["Wait."]


async def test_quick_takeover_needs_no_filler():
    llm = fallback(ScriptedLLM([LookupError()]), ScriptedLLM(), filler_after=0.5)
    async with running(llm) as rig:
        await rig.give(asked())
        await rig.replied()

    assert not rig.passed(TTSSpeakFrame)


async def test_apology_when_all_fail():
    llm = fallback(
        ScriptedLLM([LookupError()]),
        ScriptedLLM([LookupError()], ["Fine again."]),
        apology="Sorry.",
    )
    async with running(llm) as rig:
        await rig.give(asked())
        await rig.replied()
        await rig.give(asked())
        await rig.replied(2)

    assert rig.said() == "Sorry.Fine."
    assert len(rig.errors) == 1
    assert not rig.passed(InterruptionFrame)


async def test_call_ends_when_all_fail_if_asked_to():
    llm = fallback(ScriptedLLM([LookupError()]), ScriptedLLM([LookupError()]), ends_call=True)
    async with running(llm) as rig:
        await rig.give(asked())
        await rig.after.wait_for(EndFrame)

    assert rig.said().startswith("I'm sorry")


async def test_interruption_ends_the_wait():
    first, second = ScriptedLLM([HANG]), ScriptedLLM(["Fine."])
    async with running(fallback(first, second)) as rig:
        await rig.give(asked())
        await first.has_come.wait()
        await rig.give(InterruptionFrame())
        await rig.after.wait_for(InterruptionFrame)
        await time_passes(0.4)

    assert not rig.switches
    assert not second.asked


async def test_interruption_after_takeover_reaches_second():
    first, second = ScriptedLLM(["Well, ", HANG]), ScriptedLLM(["then ", HANG], ["Yes."])
    async with running(fallback(first, second, patience_secs=0.3)) as rig:
        await rig.give(asked())
        await second.has_come.wait()
        await rig.give(InterruptionFrame(), asked("stop"))
        await rig.after.wait_for(InterruptionFrame)
        await rig.replied()

    assert rig.said().endswith("Yes.")
    assert len(rig.switches) == 1


async def test_end_waits_for_takeover():
    first, second = ScriptedLLM([HANG]), ScriptedLLM(["Goodbye."])
    async with running(fallback(first, second)) as rig:
        await rig.give(asked(), EndFrame())
        await rig.after.wait_for(EndFrame)

    assert rig.said() == "Goodbye."


async def test_what_waits_behind_the_reply_is_not_lost():
    first, second = ScriptedLLM([HANG]), ScriptedLLM(["Hello."])
    async with running(fallback(first, second)) as rig:
        await rig.give(asked(), TTSSpeakFrame("And one thing more."))
        await rig.after.wait_for(TTSSpeakFrame)

    kinds = [type(frame) for frame, _ in rig.after.seen]
    assert kinds.index(TTSSpeakFrame) > kinds.index(LLMFullResponseEndFrame)


async def test_functions_are_registered_on_all():
    first, second = ScriptedLLM(), ScriptedLLM()
    llm = fallback(first, second)

    async def look_up(params):
        pass

    llm.register_function("look_up", look_up)

    assert first.has_function("look_up")
    assert second.has_function("look_up")


def test_one_service_is_refused():
    with pytest.raises(ConfigurationError, match="at least two services"):
        LLMFallback([ScriptedLLM()])
