"""Pipecat's IVRNavigator finds its way through a menu of keys, on a phone line."""

import asyncio
from typing import Any

import pytest
from pipecat.extensions.ivr.ivr_navigator import IVRNavigator, IVRStatus
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext

from tests.audio.recordings import needs_recordings, prompt
from tests.vendors.fallback_bot import Scribe
from twilio_frames.call import Call
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.rest import Credentials, TwilioRest
from twilio_frames.server import ServerSettings
from twilio_frames.services.openai import PhoneOpenAILLMService
from twilio_frames.testing import Phone
from twilio_frames.testing.callers.parties import PhoneMenu
from twilio_frames.testing.vendors import OpenAIServer

NUMBER = "+12125550123"
SAYS = {
    "": "For sales press one. For service press two.",
    "2": "For repairs press one. For opening hours press three.",
    "23": "Please enter the last two digits of your postal code.",
    "2345": "We are open from nine to five. Goodbye.",
}
RECORDED = {
    "": "vm-advopts",
    "2": "vm-repeat",
    "23": "vm-extension",
    "2345": "vm-goodbye",
}
REPLIES = [
    "<mode>ivr</mode>",
    "<dtmf>2</dtmf>",
    "<dtmf>3</dtmf>",
    "<dtmf>4</dtmf><dtmf>5</dtmf>",
    "<ivr>completed</ivr>",
]


@pytest.mark.parametrize(
    "is_recorded", [False, pytest.param(True, marks=needs_recordings)], ids=["spoken", "recorded"]
)
async def test_bot_finds_its_way_through_three_levels(phone: Phone, *, is_recorded: bool):
    says = {place: prompt(name) for place, name in RECORDED.items()} if is_recorded else SAYS
    menu = PhoneMenu(says=says)
    statuses: list[IVRStatus] = []
    completed = asyncio.Event()

    async with OpenAIServer(REPLIES) as server:

        async def bot(call: Call) -> None:
            llm: Any = PhoneOpenAILLMService(base_url=server.base_url, warm_up=False, api_key="k")
            navigator = IVRNavigator(llm=llm, ivr_prompt="Find out when they are open.")
            context = PhoneContextAggregator(LLMContext())

            @navigator.event_handler("on_ivr_status_changed")
            async def changed(_processor: object, status: IVRStatus) -> None:
                statuses.append(status)
                if status is IVRStatus.COMPLETED:
                    completed.set()
                    await call.hang_up()

            parts = [
                *(call.transport.input(), PhoneVAD(), Scribe(*SAYS.values()), context.user()),
                *(navigator, EspeakTTSService(), call.transport.output(), context.assistant()),
            ]
            await call.run(Pipeline(parts))

        async with phone.desk(bot, settings=ServerSettings(max_calls=5)) as desk:
            twilio = desk.twilio
            party = twilio.answer_with(NUMBER, menu)
            credentials = Credentials(account_sid=twilio.account_sid, auth_token=twilio.auth_token)
            async with TwilioRest(credentials, base_url=twilio.rest_url) as rest:
                await rest.dial(NUMBER, "+12125550199", url=desk.url)
            await asyncio.wait_for(completed.wait(), 120)
            await party.wait_for_result()

    assert "".join(menu.pressed) == "2345"
    assert statuses[-1] is IVRStatus.COMPLETED
