"""LLMFallback: what functions say is heard whoever works by then, what services say is not."""

import pytest
from pipecat.frames.frames import (
    Frame,
    FunctionCallResultFrame,
    LLMFullResponseEndFrame,
    TTSSpeakFrame,
)

from tests.processors.fallback_rig import (
    HANG,
    Clock,
    Rig,
    ScriptedLLM,
    asked,
    running,
    vendors,
)
from tests.waiting import time_passes
from twilio_frames.processors.fallback import LLMFallback
from twilio_frames.processors.llm import ApologyFrame
from twilio_frames.processors.replies.filler import FillerFrame


def fallback(*llms: ScriptedLLM, **kwargs) -> LLMFallback:
    settings = {"vendors": vendors(), "patience_secs": 0.2, "filler_after": None}
    return LLMFallback(llms, names=["first", "second"], **{**settings, **kwargs})


async def spoken(rig: Rig, service: ScriptedLLM, *frames: Frame) -> list[str]:
    """What is heard of frames that a function pushes through its LLM, and then gives its result."""
    for frame in frames:
        await service.push_frame(frame)
    await service.push_frame(
        FunctionCallResultFrame(function_name="f", tool_call_id="1", arguments={}, result="Done.")
    )
    await rig.after.wait_for(FunctionCallResultFrame)
    return [frame.text for frame in rig.passed(TTSSpeakFrame)]


OWN = [FillerFrame("One moment."), ApologyFrame("Sorry.")]


async def test_function_is_heard_after_its_llm_was_left_for_the_first():
    clock = Clock()
    first, second = ScriptedLLM([LookupError()], ["Back."]), ScriptedLLM(["Called."])
    llm = fallback(first, second, vendors=vendors(clock))
    async with running(llm) as rig:
        await rig.give(asked())
        await rig.replied()
        clock.now += 100
        await rig.give(asked())
        await rig.replied(2)
        assert llm.active is first
        heard = await spoken(rig, second, TTSSpeakFrame("Your taxi is there."), *OWN)

    assert heard == ["Your taxi is there."]


async def test_function_is_heard_while_another_llm_is_at_its_reply():
    first, second = ScriptedLLM([LookupError()]), ScriptedLLM(["Well, ", HANG])
    async with running(fallback(first, second, patience_secs=5.0)) as rig:
        await rig.give(asked())
        await second.has_come.wait()
        heard = await spoken(rig, first, TTSSpeakFrame("Your taxi is there."), *OWN)

    assert heard == ["Your taxi is there."]


async def test_function_is_heard_after_all_llms_failed():
    first, second = ScriptedLLM([LookupError()]), ScriptedLLM([LookupError()])
    async with running(fallback(first, second)) as rig:
        await rig.give(asked())
        await rig.replied()
        heard = await spoken(rig, second, TTSSpeakFrame("Goodbye!"), *OWN)

    assert heard == ["Goodbye!"]


async def test_apology_of_the_llm_that_works_is_heard():
    first, second = ScriptedLLM([LookupError()]), ScriptedLLM()
    async with running(fallback(first, second)) as rig:
        await rig.give(asked())
        await rig.replied()
        heard = await spoken(rig, second, *OWN)

    assert heard == ["Sorry."]


@pytest.mark.parametrize("is_remembered", [True, False])
async def test_function_is_heard_after_filler(is_remembered: bool):
    llm = ScriptedLLM([HANG])
    settings = {"patience_secs": 5.0, "filler_after": 0.05, "fillers": ["Wait."]}
    async with running(fallback(llm, ScriptedLLM(), **settings)) as rig:
        await rig.give(asked())
        await rig.after.wait_for(FillerFrame)
        speech = TTSSpeakFrame("Goodbye!", append_to_context=is_remembered)
        heard = await spoken(rig, llm, FillerFrame("One moment."), speech)

    assert heard == ["Wait.", "Goodbye!"]


@pytest.mark.parametrize("piece", ["Hello.", LookupError()])
async def test_what_waits_behind_a_failed_reply_is_said_behind_the_next_once(piece):
    speech = TTSSpeakFrame("And one thing more.")
    # The LLM that failed lets it pass in spite of its interruption.
    speech.interruptible = False
    async with running(fallback(ScriptedLLM([HANG]), ScriptedLLM([piece]))) as rig:
        await rig.give(asked(), speech)
        await rig.after.wait_for(TTSSpeakFrame)
        await time_passes(0.1)

    kinds = [type(frame) for frame, _ in rig.after.seen]
    assert kinds.count(TTSSpeakFrame) == 1
    assert kinds.index(TTSSpeakFrame) > kinds.index(LLMFullResponseEndFrame)
