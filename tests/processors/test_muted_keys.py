import pytest
from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.frames.frames import Frame, InputDTMFFrame
from pipecat.processors.aggregators.dtmf_aggregator import DTMFAggregator
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.turns.user_mute import (
    AlwaysUserMuteStrategy,
    BaseUserMuteStrategy,
    MuteUntilFirstBotCompleteUserMuteStrategy,
)

from tests.processors.memory_rig import Talk, reply, talk, words
from tests.waiting import time_passes
from twilio_frames.processors.context import PhoneContextAggregator

NOTICE = "Please listen to this to its end, since it is important."
PRESSED = ("user", "DTMF: 42")

MEMORIES = {"ours": PhoneContextAggregator, "Pipecat's": LLMContextAggregatorPair}


def muted(memory=PhoneContextAggregator, *, by: type[BaseUserMuteStrategy]):
    params = LLMUserAggregatorParams(user_mute_strategies=[by()])
    return memory(LLMContext(), user_params=params)


def keys(pressed: str) -> list[Frame]:
    return [InputDTMFFrame(button=KeypadEntry(key)) for key in pressed]


class Keypad(FrameProcessor):
    """Makes words of each key by itself."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, InputDTMFFrame):
            await self.push_frame(words(f"Key {frame.button.value}."))


async def until_heard(call: Talk, *frames: Frame) -> None:
    await call.happens(*frames)
    await call.ear.hears("listen")


@pytest.mark.parametrize("memory", MEMORIES.values(), ids=MEMORIES)
@pytest.mark.parametrize(
    "by", [AlwaysUserMuteStrategy, MuteUntilFirstBotCompleteUserMuteStrategy]
)  # fmt: skip
async def test_keys_pressed_while_muted_count_when_the_mute_is_over(memory, by):
    async with talk(muted(memory, by=by), before=[DTMFAggregator(timeout=0.3)]) as call:
        await until_heard(call, *reply(NOTICE))
        await call.happens(*keys("42"))
        asked = await call.mind.is_asked()

    assert asked == [("assistant", NOTICE), PRESSED]


async def test_keys_are_complete_when_the_mute_begins():
    """They were pressed before, and the aggregator waited for more."""
    params = muted(by=AlwaysUserMuteStrategy)
    async with talk(params, before=[DTMFAggregator(timeout=0.3)]) as call:
        await call.happens(*keys("42"), *reply(NOTICE))
        asked = await call.mind.is_asked()

    assert asked == [("assistant", NOTICE), PRESSED]


async def test_words_made_of_a_key_by_ones_own_processor_count_too():
    async with talk(muted(by=AlwaysUserMuteStrategy), before=[Keypad()]) as call:
        await until_heard(call, *reply(NOTICE))
        await call.happens(*keys("7"))
        asked = await call.mind.is_asked()

    assert asked == [("assistant", NOTICE), ("user", "Key 7.")]


async def test_speech_while_muted_does_not_count():
    aggregator = DTMFAggregator(timeout=0.3)
    async with talk(muted(by=AlwaysUserMuteStrategy), before=[Keypad(), aggregator]) as call:
        await until_heard(call, *reply(NOTICE))
        await call.happens(words("Yes, yes."), *keys("#"))
        first = await call.mind.is_asked()
        await time_passes(1.0)

    assert "Yes, yes." not in str(first)
    assert "Yes, yes." not in str(call.memory())


async def test_each_key_counts_once():
    async with talk(muted(by=AlwaysUserMuteStrategy), before=[DTMFAggregator(timeout=0.3)]) as call:
        await until_heard(call, *reply(NOTICE))
        await call.happens(*keys("4#2#"))
        await call.mind.is_asked()
        await until_heard(call, *reply(NOTICE, "again"))
        await time_passes(4.0)

    said = " ".join(text for role, text in call.memory() if role == "user")
    assert said == "DTMF: 4# DTMF: 2#"


async def test_keys_pressed_while_listened_to_count_at_once():
    async with talk(muted(by=AlwaysUserMuteStrategy), before=[DTMFAggregator(timeout=0.3)]) as call:
        await call.happens(*keys("42"))
        assert await call.mind.is_asked() == [PRESSED]
