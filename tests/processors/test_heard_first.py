import pytest
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InterruptionFrame,
    LLMMessagesAppendFrame,
    LLMRunFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.turns.user_start import (
    ExternalUserTurnStartStrategy,
    MinWordsUserTurnStartStrategy,
    TranscriptionUserTurnStartStrategy,
    VADUserTurnStartStrategy,
)
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from tests.processors.memory_rig import Talk, reply, speech, talk, words
from tests.waiting import time_passes
from twilio_frames.frames import TurnTranscriptionFrame
from twilio_frames.processors.context import (
    InterruptBy,
    PhoneContextAggregator,
    phone_turn_strategies,
)
from twilio_frames.processors.output import heard_first
from twilio_frames.processors.output.heard_first import MemoryFenceFrame

ON, OFF = VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame
QUESTION = "Would you like me to cancel it right now, or shall I keep it for you?"
HEARD = "Would you like me"


def ours(interrupt_by: InterruptBy = InterruptBy.CONFIRMED_SPEECH, **kwargs):
    return PhoneContextAggregator(
        turn_strategies=phone_turn_strategies(interrupt_by=interrupt_by, **kwargs)
    )


def pipecats(*start, stop=None):
    stop = stop or SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.0)
    strategies = UserTurnStrategies(start=list(start), stop=[stop])
    params = LLMUserAggregatorParams(user_turn_strategies=strategies)
    return LLMContextAggregatorPair(LLMContext(), user_params=params)


MEMORIES = {
    "confirmed speech": ours,
    "any speech": lambda: ours(InterruptBy.ANY_SPEECH),
    "words": lambda: ours(InterruptBy.WORDS, min_words=2),
    "eager": lambda: ours(eager=True),
    "eager by words": lambda: ours(InterruptBy.WORDS, min_words=2, eager=True),
    "Pipecat's, by words": lambda: pipecats(MinWordsUserTurnStartStrategy(min_words=2)),
    "Pipecat's, by the VAD": lambda: pipecats(VADUserTurnStartStrategy()),
    "Pipecat's, by transcription": lambda: pipecats(TranscriptionUserTurnStartStrategy()),
}


async def until_heard(call: Talk, *frames: Frame) -> None:
    await call.happens(*frames)
    await call.ear.hears("me")


@pytest.mark.parametrize("memory", MEMORIES.values(), ids=MEMORIES)
async def test_llm_is_asked_with_what_was_heard_before_the_answer_to_it(memory):
    async with talk(memory()) as call:
        await until_heard(call, *reply(QUESTION))
        # Late words: the VAD has long heard the end.
        await call.happens(ON(), OFF(), words("No, don't."))
        (question, answer) = await call.mind.is_asked()

    assert question[0] == "assistant"
    assert question[1].startswith(HEARD)
    assert question[1].endswith("—")
    assert answer == ("user", "No, don't.")
    assert call.memory() == [question, answer]


async def test_words_spoken_by_the_bot_itself_stand_before_the_answer():
    async with talk(ours()) as call:
        await until_heard(call, *speech(QUESTION))
        await call.happens(ON(), OFF(), words("No, don't."))
        (question, answer) = await call.mind.is_asked()

    assert question[1].startswith(HEARD)
    assert answer == ("user", "No, don't.")


async def test_speech_that_goes_on_is_parted_by_what_was_said_over_it():
    async with talk(ours()) as call:
        await until_heard(call, *speech(QUESTION, interruptible=False))
        await call.happens(ON(), OFF(), words("No, don't."))
        (heard, answer) = await call.mind.is_asked()
        await call.ear.hears("you?")
        (*_, rest) = await call.remembers(3)

    assert heard[1].startswith(HEARD)
    assert answer == ("user", "No, don't.")
    assert f"{heard[1]} {rest[1]}" == QUESTION


async def test_bot_that_is_not_interrupted_is_parted_too():
    start = ExternalUserTurnStartStrategy(enable_interruptions=False)
    whole = TranscriptionUserTurnStartStrategy(enable_interruptions=False)
    async with talk(pipecats(start, whole)) as call:
        await until_heard(call, *reply(QUESTION))
        await call.happens(words("No, don't."))
        (heard, answer) = await call.mind.is_asked()
        await call.ear.hears("you?")
        (*_, rest) = await call.remembers(3)

    assert heard[1].startswith(HEARD)
    assert answer == ("user", "No, don't.")
    assert f"{heard[1]} {rest[1]}" == QUESTION


@pytest.mark.parametrize(
    "ask",
    [
        LLMRunFrame(),
        LLMMessagesAppendFrame([{"role": "developer", "content": "They pressed 1."}], run_llm=True),
    ],
    ids=["run", "append"],
)
async def test_bot_that_interrupts_itself_asks_with_what_was_heard(ask):
    async with talk(ours()) as call:
        await until_heard(call, *reply(QUESTION))
        await call.happens(InterruptionFrame(), ask)
        (question, *_) = await call.mind.is_asked()

    assert question[0] == "assistant"
    assert question[1].startswith(HEARD)


async def test_turn_without_words_is_recovered_behind_what_was_heard():
    memory = pipecats(
        VADUserTurnStartStrategy(),
        stop=SpeechTimeoutUserTurnStopStrategy(
            user_speech_timeout=0.0, wait_for_transcript=False
        ),
    )  # fmt: skip
    async with talk(memory) as call:
        await until_heard(call, *reply(QUESTION))
        await call.happens(ON(), OFF())
        (question, hint) = await call.mind.is_asked()

    assert question[1].startswith(HEARD)
    assert hint[0] == "developer"


async def test_caller_who_goes_on_meanwhile_is_answered_once():
    async with talk(ours(InterruptBy.ANY_SPEECH), round_trip=0.4) as call:
        await until_heard(call, *reply(QUESTION))
        await call.happens(ON(), OFF(), words("No,"), ON(), OFF(), words("not now."))
        await call.happens(ON(), OFF(), words("Later."))
        asked = await call.mind.is_asked()
        while asked[-1][1][-6:] != "Later.":
            asked = await call.mind.is_asked(count=len(call.mind.asked) + 1)

    assert next(role for role, _ in asked) == "assistant"
    assert " ".join(said for role, said in asked if role == "user") == "No, not now. Later."


async def test_end_of_the_call_keeps_what_the_caller_said():
    async with talk(ours()) as call:
        await until_heard(call, *reply(QUESTION))
        await call.happens(ON(), words("No, don't."), EndFrame())
        (question, answer) = await call.remembers(2)

    assert question[1].startswith(HEARD)
    assert answer == ("user", "No, don't.")


@pytest.mark.parametrize("gap", [0.0, 0.05, 0.2])
async def test_words_that_follow_each_other_closely_are_all_kept(gap):
    """The first of them begins a turn, whose interruption drops what waits."""
    async with talk(ours(), round_trip=0.4) as call:
        await until_heard(call, *reply(QUESTION))
        await call.happens(ON(), OFF(), words("No, don't."))
        await time_passes(gap)
        await call.happens(words("Keep it."), words("And thanks."))
        await time_passes(1.0)
        said = " ".join(text for role, text in call.memory() if role == "user")

    assert said == "No, don't. Keep it. And thanks."
    assert "thanks" in call.mind.asked[-1][-1][1]


@pytest.mark.parametrize("gap", [0.0, 0.05, 0.2])
async def test_interruption_meanwhile_does_not_break_off_the_turn(gap):
    async with talk(ours(), round_trip=0.4) as call:
        await until_heard(call, *reply(QUESTION))
        await call.happens(ON(), OFF(), words("No, don't."))
        await time_passes(gap)
        await call.happens(InterruptionFrame())
        (question, answer) = await call.mind.is_asked()

    assert question[1].startswith(HEARD)
    assert answer == ("user", "No, don't.")


@pytest.mark.parametrize("is_late", [False, True])
async def test_speech_to_speech_response_that_is_cut_stands_behind_what_it_answers(is_late):
    asked = TurnTranscriptionFrame("May I ask you something?", "", "")
    async with talk(PhoneContextAggregator(realtime_service_mode=True)) as call:
        await call.happens(*([] if is_late else [asked]), *reply(QUESTION))
        await call.ear.hears("you")
        await call.happens(*([asked] if is_late else []))
        await call.ear.hears("me")
        await call.happens(InterruptionFrame())
        await call.remembers(2)
        await call.happens(TurnTranscriptionFrame("No.", "", ""), *reply("Alright.", "next"))
        lines = await call.remembers(4)

    assert [role for role, _ in lines] == ["user", "assistant", "user", "assistant"]
    assert lines[0][1] == asked.text
    assert lines[1][1].startswith(HEARD)
    assert lines[2:] == [("user", "No."), ("assistant", "Alright.")]


class Swallower(FrameProcessor):
    """Keeps the system frames that it does not know."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, MemoryFenceFrame):
            await self.push_frame(frame, direction)


async def test_llm_is_asked_all_the_same_where_the_way_is_blocked(monkeypatch):
    monkeypatch.setattr(heard_first, "LONGEST_WAIT", 0.2)
    async with talk(ours(), between=[Swallower()]) as call:
        await until_heard(call, *reply(QUESTION))
        await call.happens(ON(), OFF(), words("No, don't."))
        asked = await call.mind.is_asked()

    assert asked[-1] == ("user", "No, don't.")
