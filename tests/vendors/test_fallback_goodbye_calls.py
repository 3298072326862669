"""Whole calls that the LLM ends while vendors fail: the goodbye is heard to its end."""

import sys
from pathlib import Path

from pipecat.utils.errors import ErrorCategory

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from truth_services import Behaviour, TimedSpeaker  # pyright: ignore[reportMissingImports]

from tests.pipecat_versions import RESPONSE_END, unless_pipecat_112
from tests.processors.fallback_rig import ScriptedLLM
from tests.vendors.fallback_bot import (
    BreakingSTT,
    DroppedVoice,
    Scribe,
    Talk,
    TwoVendorsBot,
)
from tests.vendors.faults import bad_day
from twilio_frames.call import Call
from twilio_frames.services.openai import PhoneOpenAILLMService
from twilio_frames.testing import Phone
from twilio_frames.testing.calls.facts import CallEnd
from twilio_frames.testing.vendors import FunctionCall, OpenAIServer

GOODBYE = "Bada gime lopu nasi rito. Fesu dabo keni muta golu."
BYE = FunctionCall("end_call", {"goodbye": GOODBYE})


class LeavingBot(TwoVendorsBot):
    """Its LLM may end the call."""

    async def __call__(self, call: Call) -> None:
        self.context.set_tools([call.end_call])
        await super().__call__(call)


def openai(server: OpenAIServer) -> PhoneOpenAILLMService:
    return PhoneOpenAILLMService(base_url=server.base_url, warm_up=False)


@unless_pipecat_112(RESPONSE_END)
@bad_day("fallback", "all three fail in the turn that ends the call", "The goodbye, to its end.")
async def test_goodbye_is_heard_where_all_three_are_taken_over(phone: Phone):
    async with OpenAIServer([BYE]) as server:
        bot = LeavingBot(
            stt=[BreakingSTT(ErrorCategory.CONNECTIVITY), Scribe("goodbye")],
            llm=[ScriptedLLM([LookupError()]), openai(server)],
            tts=[DroppedVoice(Behaviour()), TimedSpeaker(Behaviour())],
        )
        async with phone.call(bot) as caller:
            talk = Talk(caller, GOODBYE)
            await talk.say()
            assert await caller.wait_for_end(seconds=12) is CallEnd.BOT_HUNG_UP
            await talk.hears(GOODBYE)
    assert len(bot.switches) == 3
