"""What a sound without words costs: over the bot, before its reply, and in silence."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    Frame,
    FunctionCallFromLLM,
    FunctionCallResultFrame,
    FunctionCallsStartedFrame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    STTMetadataFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from tests.processors.memory_rig import Talk, reply, speech, talk, words
from tests.transport.bots import Tap
from tests.waiting import time_passes, until
from twilio_frames.frames import CallerPausedFrame, CallerSpeakingFrame, NoWordsFrame
from twilio_frames.processors.context import PhoneContextAggregator, phone_turn_strategies
from twilio_frames.processors.turns.starts import ConfirmedUserTurnStartStrategy
from twilio_frames.protocol import SendMedia
from twilio_frames.transport import TwilioParams

WORDLESS_SECS = ConfirmedUserTurnStartStrategy.WORDLESS_SECS

TEXT = "Bada gime lopu nasi rito muta golu fesu dabo wone"
ON = VADUserStartedSpeakingFrame
NEVER = 60.0
"""Seconds in which a recogniser does not answer while a test lasts."""


def off() -> VADUserStoppedSpeakingFrame:
    return VADUserStoppedSpeakingFrame(stop_secs=0.6)


def pause(silence_secs: float, after: float) -> CallerPausedFrame:
    return CallerPausedFrame(speech_secs=after, silence_secs=silence_secs)


def sound(secs: float) -> list[Frame]:
    """A sound, as a VAD tells of it, to its end."""
    going_on = [CallerSpeakingFrame(tenth / 10) for tenth in range(2, round(secs * 10) + 1)]
    return [ON(), *going_on, pause(0.064, secs), off()]


def interim(text: str) -> InterimTranscriptionFrame:
    return InterimTranscriptionFrame(text, "", "")


class Listener:
    """A talk, with what the tap between LLM and voice has seen of it."""

    def __init__(self, made: Talk, tap: Tap):
        self.made, self.tap = made, tap

    async def happens(self, *frames: Frame) -> None:
        """Lets things happen one after the other: words would be overtaken by signals."""
        for frame in frames:
            await self.made.happens(frame)
            await time_passes(0.01)

    def count(self, kind: type[Frame]) -> int:
        return len(self.tap.frames(kind))

    @property
    def sent(self) -> int:
        return len(self.made.line.of(SendMedia))

    async def says_something(self, *, behind: int, within: float = 5.0) -> None:
        # The far end of a fake line has nothing to await.
        await until(lambda: self.sent > behind, seconds=within)

    async def is_asked(self, count: int) -> None:
        await self.made.mind.is_asked(count=count)

    @property
    def asked(self) -> int:
        return len(self.made.mind.asked)


@asynccontextmanager
async def listening(
    *,
    recogniser_secs: float = NEVER,
    pair: LLMContextAggregatorPair | None = None,
    params: TwilioParams | None = None,
) -> AsyncIterator[Listener]:
    tap = Tap()
    pair = pair or PhoneContextAggregator()
    async with talk(pair, between=[tap], params=params) as made:
        listener = Listener(made, tap)
        await listener.happens(
            STTMetadataFrame(service_name="recogniser", ttfs_p99_latency=recogniser_secs)
        )
        yield listener


async def speaks(call: Listener) -> None:
    """The bot has begun to speak, by itself."""
    await call.happens(*speech(TEXT))
    await call.made.ear.hears("gime")


async def thinks(call: Listener) -> None:
    """The caller has asked, and the LLM has not answered yet."""
    await speaks_once(call)
    await call.happens(ON(), off(), words("A latte, please."))
    await call.is_asked(1)


async def speaks_once(call: Listener) -> None:
    before = call.count(BotStoppedSpeakingFrame)
    await call.happens(*speech("Bada", "hello"))
    await call.tap.wait_for(BotStoppedSpeakingFrame, count=before + 1)


# Over the bot.


@pytest.mark.parametrize("secs", [0.5, 0.9, 1.6, WORDLESS_SECS - 0.1])
async def test_bot_says_on_behind_a_sound_without_words(secs: float):
    async with listening() as call:
        await speaks(call)
        await call.happens(*sound(secs))
        held = call.sent
        await call.happens(NoWordsFrame())
        await call.made.ear.hears("wone")

        assert call.sent > held
        assert (call.count(InterruptionFrame), call.asked) == (0, 0)


async def test_bot_says_on_when_the_recogniser_says_nothing_at_all():
    async with listening(recogniser_secs=0.7) as call:
        await speaks(call)
        await call.happens(*sound(1.5))
        await call.made.ear.hears("wone")

        assert (call.count(InterruptionFrame), call.asked) == (0, 0)


async def test_words_of_a_long_sentence_interrupt_though_the_length_has_not():
    async with listening() as call:
        await speaks(call)
        await call.happens(*sound(2.0), words("No, make it a tea."))
        await call.is_asked(1)

        assert call.count(InterruptionFrame) == 1
        assert call.made.mind.asked[0][-1] == ("user", "No, make it a tea.")


async def test_sound_that_lasts_very_long_is_a_turn_and_is_asked_about_at_once():
    async with listening() as call:
        await speaks(call)
        await call.happens(*sound(WORDLESS_SECS + 0.1))
        assert (call.count(InterruptionFrame), call.asked) == (1, 0)
        await call.happens(NoWordsFrame())
        await call.is_asked(1)
        assert call.count(UserStoppedSpeakingFrame) == 1


async def test_hum_with_pauses_is_no_shorter_for_them():
    async with listening() as call:
        await speaks(call)
        spoken = [CallerSpeakingFrame(n / 2) for n in range(1, 5)]
        await call.happens(ON(), *[f for s in spoken for f in (s, pause(0.55, s.speech_secs))])
        assert call.count(InterruptionFrame) == 0
        await call.happens(*[CallerSpeakingFrame(2.0 + n / 10) for n in range(10)])
        assert call.count(InterruptionFrame) == 1


async def test_length_alone_decides_where_it_was_set():
    confirmation = ConfirmedUserTurnStartStrategy(confirm_secs=0.8)
    strategies = phone_turn_strategies(confirmation=confirmation)
    async with listening(pair=PhoneContextAggregator(turn_strategies=strategies)) as call:
        await speaks(call)
        await call.happens(*sound(0.9))
        assert call.count(InterruptionFrame) == 1


async def test_length_alone_decides_where_nobody_tells_words():
    async with listening(recogniser_secs=0.0) as call:
        await speaks(call)
        await call.happens(ON(), CallerSpeakingFrame(0.9))
        assert call.count(InterruptionFrame) == 1


async def test_quick_recogniser_without_a_word_lets_the_bot_speak_over_the_sound():
    async with listening(recogniser_secs=0.9) as call:
        await call.happens(ON(), interim("hello"), off(), words("hello"))
        await call.is_asked(1)
        await call.happens(*reply(TEXT))
        await call.made.ear.hears("gime")
        await call.happens(ON(), CallerSpeakingFrame(0.8))
        held, interruptions = call.sent, call.count(InterruptionFrame)
        await call.happens(CallerSpeakingFrame(1.0), CallerSpeakingFrame(1.1))
        await call.says_something(behind=held)
        # It goes on and on, and is not heeded again.
        await call.happens(*[CallerSpeakingFrame(1.1 + n / 10) for n in range(1, 25)])
        await call.made.ear.hears("wone")
        assert call.count(InterruptionFrame) == interruptions


async def test_late_words_interrupt_the_bot_that_spoke_over_them():
    async with listening(recogniser_secs=0.9) as call:
        await call.happens(ON(), interim("hello"), off(), words("hello"))
        await call.is_asked(1)
        await call.happens(*reply(TEXT))
        await call.made.ear.hears("gime")
        before = call.count(InterruptionFrame)
        await call.happens(ON(), CallerSpeakingFrame(0.8), CallerSpeakingFrame(1.1))
        await call.happens(interim("no wait"))
        assert call.count(InterruptionFrame) == before + 1


async def test_vad_that_waits_long_does_not_keep_the_caller_waiting():
    async with listening(recogniser_secs=0.9) as call:
        await speaks(call)
        await call.happens(ON(), CallerSpeakingFrame(1.2), pause(0.9, 1.2))
        held = call.sent
        await call.happens(pause(1.12, 1.2))
        await call.says_something(behind=held, within=0.5)
        assert call.count(InterruptionFrame) == 0


# While a reply is being made.

CALLING: list[Frame] = [
    LLMFullResponseStartFrame(),
    FunctionCallsStartedFrame([FunctionCallFromLLM("look_up", "call1", {}, LLMContext())]),
    LLMFullResponseEndFrame(),
]
MOMENTS: dict[str, list[Frame]] = {
    "before the first token": [],
    "between token and audio": [LLMFullResponseStartFrame()],
    "while a function runs": CALLING,
    "behind a function": [*CALLING, FunctionCallResultFrame("look_up", "call1", {}, "it")],
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("answer", [[NoWordsFrame()], []], ids=["no words", "no answer"])
@pytest.mark.parametrize("secs", [0.4, 1.5])
async def test_reply_that_is_being_made_survives_a_sound(
    moment: str, answer: list[Frame], secs: float
):
    async with listening(recogniser_secs=NEVER if answer else 0.7) as call:
        await thinks(call)
        before = call.count(InterruptionFrame)
        await call.happens(*MOMENTS[moment], *sound(secs), *answer)
        await call.happens(*reply(TEXT))
        await call.made.ear.hears("wone")

        assert (call.count(InterruptionFrame), call.asked) == (before, 1)
        assert call.count(UserStartedSpeakingFrame) == 1


async def test_reply_that_comes_during_a_sound_waits_for_its_end():
    async with listening() as call:
        await thinks(call)
        sent = call.sent
        await call.happens(ON(), CallerSpeakingFrame(0.3), *reply(TEXT))
        await time_passes(0.2)
        assert call.sent == sent
        await call.happens(pause(0.3, 0.4), off(), NoWordsFrame())
        await call.made.ear.hears("wone")


async def test_cough_does_not_hold_the_reply_for_longer_than_it_takes():
    async with listening() as call:
        await thinks(call)
        sent = call.sent
        await call.happens(ON(), CallerSpeakingFrame(0.16), *reply(TEXT), pause(0.26, 0.16))
        await call.says_something(behind=sent, within=0.5)


async def test_reply_between_two_sentences_survives_a_sound():
    async with listening() as call:
        await thinks(call)
        stops = call.count(BotStoppedSpeakingFrame)
        await call.happens(LLMFullResponseStartFrame(), *speech("Bada gime", "first"))
        await call.tap.wait_for(BotStoppedSpeakingFrame, count=stops + 1)
        before = call.count(InterruptionFrame)
        await call.happens(*sound(0.4), NoWordsFrame())
        await call.happens(*speech("lopu nasi wone", "second"), LLMFullResponseEndFrame())
        await call.made.ear.hears("wone")

        assert (call.count(InterruptionFrame), call.asked) == (before, 1)


@pytest.mark.parametrize("heard", ["Uh.", "Mm, um", "[unintelligible]"])
async def test_sound_that_is_written_down_costs_no_reply_either(heard: str):
    async with listening() as call:
        await thinks(call)
        before = call.count(InterruptionFrame)
        await call.happens(*sound(0.4), words(heard), *reply(TEXT))
        await call.made.ear.hears("wone")

        assert (call.count(InterruptionFrame), call.asked) == (before, 1)


@pytest.mark.parametrize("early", [[], [interim("and a")]], ids=["at the end", "as it is said"])
async def test_words_take_back_the_reply_that_is_being_made(early: list[Frame]):
    async with listening() as call:
        await thinks(call)
        before, sent = call.count(InterruptionFrame), call.sent
        await call.happens(ON(), CallerSpeakingFrame(0.3), *reply(TEXT), *early)
        await call.happens(CallerSpeakingFrame(0.9), off(), words("And a tea."))
        await call.is_asked(2)

        users = [text for role, text in call.made.mind.asked[1] if role == "user"]
        assert users == ["A latte, please.", "And a tea."]
        assert (call.count(InterruptionFrame), call.sent) == (before + 1, sent)


async def test_yes_to_a_bot_that_thinks_is_an_answer():
    async with listening() as call:
        await thinks(call)
        await call.happens(*sound(0.4), words("Yes."))
        await call.is_asked(2)


async def test_sound_behind_a_reply_that_said_nothing_is_a_turn_again():
    async with listening() as call:
        await thinks(call)
        await call.happens(LLMFullResponseStartFrame(), LLMFullResponseEndFrame())
        before = call.count(UserStartedSpeakingFrame)
        await call.happens(ON())
        assert call.count(UserStartedSpeakingFrame) == before + 1


async def test_protected_speech_does_not_wait_for_a_sound_to_end():
    async with listening() as call:
        await thinks(call)
        await call.happens(ON(), CallerSpeakingFrame(0.3))
        await call.happens(*speech(TEXT, interruptible=False))
        await call.made.ear.hears("wone")


async def test_bot_that_is_not_to_be_held_does_not_wait():
    async with listening(params=TwilioParams(holds=False)) as call:
        await thinks(call)
        await call.happens(ON(), CallerSpeakingFrame(0.3), *reply(TEXT))
        await call.made.ear.hears("gime")


# In silence.


async def turns_ended(call: Listener, count: int) -> None:
    await call.tap.wait_for(UserStoppedSpeakingFrame, count=count)


@pytest.mark.parametrize("secs", [0.4, 2.0])
async def test_sound_in_silence_is_over_when_the_recogniser_has_no_words(secs: float):
    async with listening() as call:
        await speaks_once(call)
        await call.happens(*sound(secs), NoWordsFrame())
        await turns_ended(call, 1)
        assert call.asked == 0


async def test_sound_in_silence_is_over_when_the_recogniser_should_have_answered():
    async with listening(recogniser_secs=0.7) as call:
        await speaks_once(call)
        await call.happens(*sound(0.4))
        await turns_ended(call, 1)
        assert call.asked == 0


async def test_words_that_were_only_guessed_at_do_not_keep_a_turn_open():
    async with listening(recogniser_secs=0.2) as call:
        await speaks_once(call)
        await call.happens(ON(), interim("the"), off())
        await turns_ended(call, 1)
        assert call.asked == 0


async def test_words_behind_a_turn_that_was_over_are_answered():
    async with listening(recogniser_secs=0.7) as call:
        await speaks_once(call)
        await call.happens(*sound(0.4))
        await turns_ended(call, 1)
        await call.happens(words("A latte."))
        await call.is_asked(1)
        assert call.made.mind.asked[0][-1] == ("user", "A latte.")


async def test_slow_recogniser_is_waited_for():
    async with listening(recogniser_secs=NEVER) as call:
        await speaks_once(call)
        await call.happens(*sound(0.4))
        await time_passes(0.3)
        assert call.count(UserStoppedSpeakingFrame) == 0
        await call.happens(words("A latte."))
        await call.is_asked(1)


async def test_sound_before_the_answer_to_the_last_one_does_not_end_its_turn():
    async with listening() as call:
        await speaks_once(call)
        await call.happens(*sound(0.4), ON(), NoWordsFrame())
        assert call.count(UserStoppedSpeakingFrame) == 0
        await call.happens(off(), words("A latte."))
        await call.is_asked(1)


@pytest.mark.parametrize("answer", [[NoWordsFrame()], []], ids=["no words", "no answer"])
async def test_sound_before_anybody_has_spoken_asks_nobody(answer: list[Frame]):
    async with listening(recogniser_secs=NEVER if answer else 0.7) as call:
        await call.happens(*sound(0.4), *answer)
        await call.happens(*speech(TEXT))
        await call.made.ear.hears("wone")
        assert (call.count(InterruptionFrame), call.asked) == (0, 0)


async def test_sound_across_the_end_of_speech_asks_nobody():
    async with listening(params=TwilioParams(holds=False)) as call:
        await call.happens(*speech("Bada gime"))
        await call.made.ear.hears("Bada")
        await call.happens(ON(), CallerSpeakingFrame(0.2))
        await call.tap.wait_for(BotStoppedSpeakingFrame)
        await call.happens(pause(0.3, 0.4), off(), NoWordsFrame())
        await call.happens(*sound(0.4), NoWordsFrame())
        await turns_ended(call, 1)
        assert call.asked == 0


def test_given_strategies_are_not_written_to():
    given = UserTurnStrategies()
    before: tuple[Any, Any] = (list(given.start or []), list(given.stop or []))
    PhoneContextAggregator(turn_strategies=given)
    assert (given.start, given.stop) == before
