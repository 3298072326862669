"""Who is idle, who is still speaking and what a function found, in a small pipeline."""

import pytest
from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    FunctionCallFromLLM,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    FunctionCallsStartedFrame,
    InputDTMFFrame,
    LLMContextFrame,
    TranscriptionFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregatorParams
from pipecat.tests.utils import SleepFrame, run_test
from pipecat.turns.user_mute import BaseUserMuteStrategy, FirstSpeechUserMuteStrategy

from tests.processors.output_rig import FakeLine
from twilio_frames.frames import DigitsWantedFrame
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.mulaw_output import MulawOutput
from twilio_frames.transport import TwilioParams

BOT_BEGINS, BOT_ENDS = BotStartedSpeakingFrame, BotStoppedSpeakingFrame
SPEAKS, FALLS_SILENT = VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame


def waits(secs: float) -> SleepFrame:
    return SleepFrame(sleep=secs)


def keys(pressed: str, *, each_secs: float) -> list[Frame | SleepFrame]:
    found: list[Frame | SleepFrame] = []
    for key in pressed:
        found += [InputDTMFFrame(button=KeypadEntry(key)), waits(each_secs)]
    return found


async def happens(
    *frames: Frame | SleepFrame, mutes: list[BaseUserMuteStrategy] | None = None
) -> tuple[list[Frame], list[str]]:
    """What the aggregator lets pass, and what it says of turns, with 2 s for who is idle."""
    params = LLMUserAggregatorParams(user_mute_strategies=mutes or [], user_idle_timeout=2.0)
    user = PhoneContextAggregator(user_params=params).user()
    told: list[str] = []
    user.add_event_handler("on_user_turn_idle", lambda _: told.append("idle"))
    user.add_event_handler("on_user_turn_stopped", lambda *_: told.append("turn"))
    down, _ = await run_test(user, frames_to_send=frames)
    return list(down), told


async def test_who_presses_keys_is_not_idle():
    _, told = await happens(BOT_BEGINS(), BOT_ENDS(), *keys("415555019", each_secs=1.0))

    assert told == []


async def test_who_has_stopped_pressing_keys_is_idle():
    _, told = await happens(BOT_BEGINS(), BOT_ENDS(), *keys("41", each_secs=1.0), waits(1.5))

    assert told == ["idle"]


async def test_who_is_asked_for_digits_has_the_time_of_whoever_asks():
    wanted, enough = DigitsWantedFrame(is_wanted=True), DigitsWantedFrame(is_wanted=False)

    _, told = await happens(BOT_BEGINS(), wanted, BOT_ENDS(), waits(5), enough, waits(1.5))
    assert told == []

    _, told = await happens(BOT_BEGINS(), wanted, BOT_ENDS(), waits(5), enough, waits(3))
    assert told == ["idle"]


async def test_turn_in_which_a_mute_begins_ends_with_the_mute():
    spoken = [SPEAKS(), waits(0.3), BOT_BEGINS(), waits(0.1), FALLS_SILENT(stop_secs=0.2)]
    down, told = await happens(
        *spoken,
        TranscriptionFrame("Hello?", "", ""),
        waits(1),
        BOT_ENDS(),
        waits(5),
        mutes=[FirstSpeechUserMuteStrategy()],
    )

    assert told[0] == "turn"
    assert sum(isinstance(frame, UserStoppedSpeakingFrame) for frame in down) == 1


async def test_who_speaks_beyond_a_mute_has_not_ended_with_it():
    spoken = [SPEAKS(), waits(0.3), BOT_BEGINS(), waits(0.1), FALLS_SILENT(stop_secs=0.2)]
    down, told = await happens(
        *spoken,
        SPEAKS(),
        BOT_ENDS(),
        waits(20),
        FALLS_SILENT(stop_secs=0.2),
        TranscriptionFrame("Hello?", "", ""),
        waits(2),
        mutes=[FirstSpeechUserMuteStrategy()],
    )

    assert told[0] == "turn"
    assert [f.text for f in down if isinstance(f, TranscriptionFrame)] == []
    assert any(isinstance(f, LLMContextFrame) for f in down)


@pytest.mark.parametrize("result", [[], 0, False, {}, ""])
async def test_function_that_found_nothing_has_the_model_say_so(result):
    context = LLMContext()
    _, up = await function_gives(result, context)

    assert len(up) == 1
    assert last_told(context) == f'{{"result": {told(result)}}}'


async def test_function_without_a_result_leaves_the_model_alone():
    context = LLMContext()
    _, up = await function_gives(None, context)

    assert up == []
    assert last_told(context) == "COMPLETED"


def last_told(context: LLMContext) -> object:
    last = context.get_messages()[-1]
    assert isinstance(last, dict)
    return last.get("content")


def told(result: object) -> str:
    return {"False": "false", "": '""'}.get(str(result), str(result))


async def function_gives(result: object, context: LLMContext):
    call = FunctionCallFromLLM("free_tables", "1", {}, context)
    about = {"function_name": "free_tables", "tool_call_id": "1", "arguments": {}}
    output = MulawOutput(FakeLine(), TwilioParams())
    down, up = await run_test(
        Pipeline([output, PhoneContextAggregator(context).assistant()]),
        frames_to_send=[
            FunctionCallsStartedFrame(function_calls=[call]),
            FunctionCallInProgressFrame(**about, cancel_on_interruption=True),
            waits(0.1),
            FunctionCallResultFrame(**about, result=result),
            waits(0.1),
        ],
    )
    return down, [frame for frame in up if isinstance(frame, LLMContextFrame)]
