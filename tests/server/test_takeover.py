"""A bot, its line or its worker is gone in the middle of a call, and another one goes on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw
from twilio_frames.call import Call
from twilio_frames.frames import CallEndReason
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.tts import PythonTTSService, SpeechChunk, SpokenWord
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.server import FleetSettings, ServerSettings, create_app
from twilio_frames.testing import Caller, CallerOptions, LineConditions, Phone, SimulatedTwilio
from twilio_frames.testing.known_speech import said, sound

TEXT = "Balo deti fumo gana, kilo. Mano pesu rita sobe tuva."
QUESTION = "Zafe lido?"
ASK = "Vuro meba nopi."


class KnownVoice(PythonTTSService):
    """Says each word with a sound of its own."""

    gives_word_times = True

    async def synthesise(self, text: str) -> AsyncIterator[SpeechChunk]:
        for word in said(text):
            pcm = decode_mulaw(sound([word]))
            spoken = (SpokenWord(text=word.written),)
            yield SpeechChunk(pcm=pcm, sample_rate=SAMPLE_RATE, words=spoken)


Act = Callable[[Call], Awaitable[None]]


class TalkingBot:
    """Says a text; each time that it runs it does the next of what a test says."""

    def __init__(self, *acts: Act):
        self._acts = list(acts)
        self.calls: list[Call] = []
        self.reasons: list[CallEndReason | None] = []
        self.memory = PhoneContextAggregator()

    async def __call__(self, call: Call) -> None:
        self.calls.append(call)
        self.memory = PhoneContextAggregator()
        pipeline = Pipeline(
            [
                *(call.transport.input(), PhoneVAD(), self.memory.user(), KnownVoice()),
                *(call.transport.output(), self.memory.assistant()),
            ]
        )
        acting = asyncio.ensure_future(self._acts.pop(0)(call))
        running = asyncio.create_task(
            call.run(pipeline, begin_with=[TTSSpeakFrame(TEXT)], ask_again=ASK)
        )
        try:
            await asyncio.wait({acting, running}, return_when=asyncio.FIRST_EXCEPTION)
            await acting
            self.reasons.append(await running)
        finally:
            running.cancel()
            await asyncio.wait({running})

    def remembered(self) -> list[str]:
        messages: list[Any] = list(self.memory.context.messages)
        return [word for one in messages for word in str(one["content"]).split()]


def served(bot: TalkingBot, **changes: Any) -> Callable[[SimulatedTwilio], web.Application]:
    def app(twilio: SimulatedTwilio) -> web.Application:
        fleet = FleetSettings(**{"resumes": True, **changes})
        return create_app(bot, ServerSettings(auth_token=twilio.auth_token, fleet=fleet))

    return app


def heard(caller: Caller, *texts: str) -> list[str]:
    """The words that were heard to their ends, in order; one that was heard twice, twice."""
    ear = caller.result.heard_bot
    found: list[tuple[int, str]] = []
    for word in [word for text in texts for word in said(text)]:
        tail, at = word.mulaw[-40:], -1
        while (at := ear.find(tail, at + 1)) >= 0:
            found.append((at, word.written))
    return [word for _, word in sorted(found)]


async def fails_after(call: Call, secs: float = 1.3) -> None:
    call.state["asked"] = 2
    await asyncio.sleep(secs)
    raise RuntimeError("the bot is broken")


async def says_on(call: Call) -> None:
    await asyncio.sleep(6)
    await call.hang_up()


@pytest.mark.parametrize("secs", [0.6, 1.3, 1.75, 2.4])
async def test_a_bot_that_fails_in_a_sentence_goes_on_from_the_last_word(phone: Phone, secs: float):
    bot = TalkingBot(lambda call: fails_after(call, secs), says_on)
    async with phone.call(served(bot), keep_errors=True) as caller:
        await caller.wait_for_end(seconds=60)
    words = TEXT.split()
    assert heard(caller, TEXT) == words
    assert bot.remembered() == words
    second = bot.calls[1]
    assert second.resumed is not None
    assert not second.resumed.is_planned
    assert dict(second.state) == {"asked": 2}
    assert dict(second.parameters) == dict(bot.calls[0].parameters)
    assert bot.reasons == [CallEndReason.BOT_HUNG_UP]


async def test_a_bot_that_fails_again_is_apologised_for(phone: Phone):
    bot = TalkingBot(fails_after, fails_after)
    async with phone.call(served(bot), keep_errors=True) as caller:
        await caller.wait_for_end(seconds=60)
    assert len(bot.calls) == 2
    assert "say" in [entry.event for entry in caller.log.entries]


async def test_a_line_that_is_lost_is_taken_up_again(phone: Phone):
    async def loses_its_line(call: Call) -> None:
        await asyncio.sleep(1.3)
        await call.transport.close(CallEndReason.LINE_LOST, "the test")

    bot = TalkingBot(loses_its_line, says_on)
    async with phone.call(served(bot), keep_errors=True) as caller:
        await caller.wait_for_end(seconds=60)
    assert heard(caller, TEXT) == TEXT.split()
    assert bot.reasons == [CallEndReason.LINE_LOST, CallEndReason.BOT_HUNG_UP]


@pytest.mark.parametrize(("within_secs", "delay"), [(10.0, 0.0), (0.1, 0.15)])
async def test_a_call_is_handed_over_and_no_word_is_lost_or_said_twice(
    phone: Phone, within_secs: float, delay: float
):
    async def hands_over(call: Call) -> None:
        await asyncio.sleep(1.3)
        assert await call.hand_over(within_secs)

    async def says_one_more(call: Call) -> None:
        await call.say(QUESTION)
        await call.hang_up()

    bot = TalkingBot(hands_over, says_one_more)
    line = LineConditions(delay_to_bot=delay, delay_from_bot=delay)
    options = CallerOptions(line=line)
    async with phone.call(served(bot), keep_errors=True, options=options) as caller:
        await caller.wait_for_end(seconds=60)
    assert heard(caller, TEXT, QUESTION, ASK) == [*TEXT.split(), *QUESTION.split()]
    assert bot.remembered() == [*TEXT.split(), *QUESTION.split()]
    assert bot.reasons[0] is CallEndReason.HANDED_OVER
    assert bot.calls[1].resumed is not None
    assert bot.calls[1].resumed.is_planned


async def test_what_the_caller_may_have_said_meanwhile_is_asked_for(phone: Phone):
    bot = TalkingBot(lambda call: fails_after(call, 8.0), says_on)
    async with phone.call(served(bot), keep_errors=True) as caller:
        await caller.wait_for_end(seconds=60)
    assert heard(caller, TEXT, ASK) == [*TEXT.split(), *ASK.split()]
    assert bot.remembered() == [*TEXT.split(), *ASK.split()]


async def test_a_caller_who_has_hung_up_is_not_gone_after(phone: Phone):
    bot = TalkingBot(says_on)
    async with phone.call(served(bot), keep_errors=True) as caller:
        await caller.wait(1.0)
        await caller.hang_up()
    assert len(bot.calls) == 1


async def test_without_the_setting_a_failure_ends_the_call_as_ever(phone: Phone):
    bot = TalkingBot(fails_after)
    async with phone.call(served(bot, resumes=False), keep_errors=True) as caller:
        await caller.wait_for_end(seconds=60)
    assert len(bot.calls) == 1
