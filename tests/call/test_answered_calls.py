"""Calls that are placed over the REST API, with Twilio's machine detection beside the bot's own."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from pipecat.pipeline.pipeline import Pipeline

from tests.answering.test_decider import speech
from tests.call.answering_rig import GREETING, MESSAGE
from twilio_frames.answering import MachineVerdict
from twilio_frames.call import Call
from twilio_frames.call.answering import Answer, AnsweredBy, AnswerPolicy, AnswerReason
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.server import ServerSettings
from twilio_frames.testing import Caller, Desk, Phone, Voicemail

BOB = "+14155550123"
SETTINGS = ServerSettings(phone_number="+14155550199", dial_prefixes=("+1",))


@dataclass
class Bot:
    """Leaves a message, or greets."""

    calls: list[Call] = field(default_factory=list)
    answers: "asyncio.Queue[Answer]" = field(default_factory=asyncio.Queue)

    async def __call__(self, call: Call) -> None:
        self.calls.append(call)
        pipeline = Pipeline(
            [call.transport.input(), EspeakTTSService(), call.transport.output()],
        )
        policy = AnswerPolicy(voicemail=MESSAGE)
        await call.run(pipeline, greeting=GREETING, answering=policy)
        self.answers.put_nowait(await call.wait_for_answer())


async def dial(desk: Desk, **options: Any) -> None:
    async with aiohttp.ClientSession() as session:
        body = {"to": BOB, "async_detection": True, **options}
        async with session.post(f"{desk.base_url}/call", json=body) as answer:
            assert answer.status == 201, await answer.text()


@pytest.mark.parametrize("mode", ["Enable", "DetectMessageEnd"])
async def test_voicemail_that_is_called_gets_the_message(phone: Phone, mode: str):
    bot = Bot()
    async with phone.desk(bot, settings=SETTINGS) as desk:
        party = desk.twilio.answer_with(BOB, Voicemail(greeting=speech(5)))
        await dial(desk, machine_detection=mode)
        result = await party.wait_for_result()

        answer = await asyncio.wait_for(bot.answers.get(), 10)
        assert answer.answered_by is AnsweredBy.VOICEMAIL
        assert bot.calls[0].answers.verdict is not None
        assert bot.calls[0].answers.verdict.is_machine
        (span,) = result.heard_spans
        assert 5.7 < span.began_at < 7.5


async def test_person_who_is_called_is_greeted(phone: Phone):
    bot = Bot()
    heard: list[bool] = []

    async def anna(caller: Caller) -> None:
        await caller.wait(0.5)
        await caller.say(speech(0.5))
        await caller.wait_for_bot()
        heard.append(caller.now < 5)
        await caller.wait(1)

    async with phone.desk(bot, settings=SETTINGS) as desk:
        party = desk.twilio.answer_with(BOB, anna)
        await dial(desk, machine_detection="Enable")
        await party.wait_for_result()

        answer = await asyncio.wait_for(bot.answers.get(), 10)
        assert (answer.answered_by, heard) == (AnsweredBy.HUMAN, [True])
        assert answer.reason is AnswerReason.SHORT_SPEECH
        assert bot.calls[0].answers.verdict is MachineVerdict.HUMAN
