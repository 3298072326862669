"""A caller put through to somebody else, with both ends listened to."""

import asyncio
import json
from typing import Any

import pytest
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext

from tests.answering.test_decider import speech
from tests.call.test_detours import DetourBot, speaks
from tests.vendors.fallback_bot import Scribe
from twilio_frames.call import Call, TransferOutcome, TransferResult
from twilio_frames.errors import ConfigurationError
from twilio_frames.frames import CallActionFrame, CallAwayFrame, CallBackFrame, CallEndReason
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.rest import Credentials, TwilioRest
from twilio_frames.services.openai import PhoneOpenAILLMService
from twilio_frames.testing import Caller, Phone
from twilio_frames.testing.callers.parties import PartyScript, Refusing
from twilio_frames.testing.vendors import FunctionCall, OpenAIServer

SALES, SUPPORT = "+12125550123", "+12125550124"


class TransferBot(DetourBot):
    """Puts its caller through; then says half a second, if the caller is back."""

    def __init__(self, *targets: str, **options):
        async def act(call: Call, bot: DetourBot) -> object:
            await bot.say(0.5)
            result = await call.transfer(*targets, **options)
            if result.is_back:
                await bot.say(0.5)
            return result

        super().__init__(act)

    async def outcome(self) -> TransferResult:
        await asyncio.wait_for(self.reason, 60)
        assert isinstance(self.got, TransferResult), self.got
        return self.got


@pytest.mark.parametrize(
    ("party", "rings_for", "outcome"),
    [
        (None, 0.0, TransferOutcome.BUSY),
        (speaks(1.0), 100.0, TransferOutcome.NO_ANSWER),
        (Refusing(sip_code="404"), 0.0, TransferOutcome.FAILED),
    ],
    ids=["busy", "no answer", "failed"],
)
async def test_caller_whom_nobody_takes_is_back(
    phone: Phone, party: PartyScript | None, rings_for: float, outcome: TransferOutcome
):
    bot = TransferBot(SALES, ring_secs=5)
    async with phone.desk(bot) as desk:
        desk.twilio.answer_with(SALES, party, rings_for=rings_for)
        async with desk.call() as caller:
            await caller.wait_for_end(seconds=60)
            result = await bot.outcome()

    assert (result.outcome, result.is_back) == (outcome, True)
    assert await bot.reason is CallEndReason.BOT_HUNG_UP
    assert [span.stream for span in caller.result.heard_spans] == [0, 1]


async def test_telephone_by_sip_says_that_it_declines(phone: Phone):
    """A number does not: it is busy. Headers tell the other end who is there."""
    bot = TransferBot("sip:anna@example.com", sip_headers={"X-Account": "42"})
    async with phone.desk(bot) as desk, desk.call() as caller:
        ringing = await desk.twilio.wait_for_call(seconds=20)
        await ringing.decline("603")
        await caller.wait_for_end(seconds=60)
        result = await bot.outcome()

    assert (result.outcome, result.is_back) == (TransferOutcome.DECLINED, True)
    assert ringing.sip_headers == {"X-Account": "42"}


async def test_caller_waits_in_a_queue_until_somebody_takes_them_out(phone: Phone):
    """Both hear each other; then the bot's part is over, as with anybody who answers."""
    bot = TransferBot("queue:support")

    async def person(agent: Caller) -> None:
        await agent.wait(1.0)
        await agent.say(speech(1.0))
        await agent.wait(2.0)

    async with phone.desk(bot) as desk:
        party = desk.twilio.answer_with(SUPPORT, person)
        credentials = Credentials(
            account_sid=desk.twilio.account_sid, auth_token=desk.twilio.auth_token
        )
        async with (
            desk.call() as caller,
            TwilioRest(credentials, base_url=desk.twilio.rest_url) as rest,
        ):
            await bot.after.wait_for(CallAwayFrame)
            await caller.wait(2.0)
            took_at = caller.now
            takes = "<Response><Dial><Queue>support</Queue></Dial></Response>"
            await rest.dial(SUPPORT, SALES, twiml=takes)
            await caller.wait(2.0)
            await caller.say(speech(1.0))
            told = await party.wait_for_result()
            await caller.wait_for_end(seconds=30)
            result = await bot.outcome()

    assert (result.outcome, result.is_back) == (TransferOutcome.ANSWERED, False)
    assert await bot.reason is CallEndReason.TRANSFERRED
    assert any(turn.speaker == "bot" for turn in told.turns), "the person hears the caller"
    heard = [turn for turn in caller.result.turns if turn.speaker == "bot"]
    assert any(turn.began_at > took_at for turn in heard), "the caller hears the person"


async def test_bot_leaves_when_somebody_answers(phone: Phone):
    heard: list[bool] = []

    async def agent(caller: Caller) -> None:
        await caller.say("Sales, good morning.")
        await caller.wait(2.0)
        heard.append(caller.hears_bot or bool(caller.bot_spells))

    bot = TransferBot(SALES)
    async with phone.desk(bot) as desk:
        party = desk.twilio.answer_with(SALES, agent)
        async with desk.call() as caller:
            await bot.after.wait_for(CallAwayFrame)
            result = await bot.outcome()
            # The call goes on without its bot.
            assert caller.is_connected
            await caller.say("I would like a quote.")
            await caller.wait_for_end(seconds=60)
            talk = await party.wait_for_result()

    assert (result.outcome, result.is_back) == (TransferOutcome.ANSWERED, False)
    assert await bot.reason is CallEndReason.TRANSFERRED
    assert heard == [True]
    assert any(turn.speaker == "bot" for turn in talk.turns)


async def test_caller_comes_back_when_they_have_talked(phone: Phone):
    bot = TransferBot(SALES, stays=True)
    async with phone.desk(bot) as desk:
        desk.twilio.answer_with(SALES, speaks(3.0))
        async with desk.call() as caller:
            await caller.wait_for_end(seconds=60)
            result = await bot.outcome()

    assert (result.outcome, result.is_back) == (TransferOutcome.ANSWERED, True)
    assert result.talked_secs == pytest.approx(3.0, abs=1.0)
    assert [span.stream for span in caller.result.heard_spans] == [0, 1]


async def test_next_target_is_called_where_the_first_is_busy(phone: Phone):
    bot = TransferBot(SALES, SUPPORT, stays=True)
    async with phone.desk(bot) as desk:
        desk.twilio.answer_with(SALES, None)
        desk.twilio.answer_with(SUPPORT, speaks(1.0))
        async with desk.call() as caller:
            await caller.wait_for_end(seconds=60)
            result = await bot.outcome()

    assert (result.outcome, result.tried) == (TransferOutcome.ANSWERED, 2)


async def test_call_may_end_where_nobody_is_there(phone: Phone):
    bot = TransferBot(SALES, on_unavailable="end")
    async with phone.desk(bot) as desk:
        desk.twilio.answer_with(SALES, None)
        async with desk.call() as caller:
            await caller.wait_for_end(seconds=60)
            result = await bot.outcome()

    assert result.outcome is TransferOutcome.BUSY
    assert await bot.reason is CallEndReason.BOT_HUNG_UP


async def test_caller_hangs_up_while_it_rings(phone: Phone):
    bot = TransferBot(SALES)
    async with phone.desk(bot) as desk:
        desk.twilio.answer_with(SALES, speaks(1.0), rings_for=20.0)
        async with desk.call() as caller:
            await bot.after.wait_for(CallAwayFrame)
            await caller.wait(1.0)
            await caller.hang_up()
        # Nobody tells this server: the number has no status callback, and it no credentials.
        await bot.call.detours.hung_up()
        result = await bot.outcome()

    assert (result.outcome, result.is_back) == (TransferOutcome.CALLER_HUNG_UP, False)


async def test_agent_hears_the_whisper_and_the_caller_does_not(phone: Phone):
    words: list[bool] = []

    async def agent(caller: Caller) -> None:
        await caller.wait(4.0)
        words.append(bool(caller.bot_spells))

    bot = TransferBot(SALES, whisper="A caller with a question about muffins.", stays=True)
    async with phone.desk(bot) as desk:
        desk.twilio.answer_with(SALES, agent)
        async with desk.call() as caller:
            await caller.wait_for_end(seconds=60)
            await bot.outcome()

    assert words == [True]


@pytest.mark.parametrize("target", ["", "twelve", "12025550188", "mailto:a@b.c"])
async def test_what_is_no_target_never_leaves(phone: Phone, target: str):
    async def act(call: Call, bot: DetourBot) -> object:
        with pytest.raises(ConfigurationError, match="as the target") as caught:
            await call.transfer(target)
        assert not target or target not in str(caught.value)
        return None

    bot = DetourBot(act)
    async with phone.call(bot) as caller:
        await caller.wait_for_end(seconds=30)
        await asyncio.wait_for(bot.reason, 30)


async def test_model_puts_its_caller_through(phone: Phone):
    """The sentence before it is heard whole; nobody is there; the model knows, and says so."""
    reply = [
        "Certainly, I put you through to sales now.",
        FunctionCall("transfer_call", {"to": "sales", "caller_agreed": True}),
    ]
    async with OpenAIServer([reply, "They are busy. Can I help you?"]) as server:

        async def bot(call: Call) -> None:
            tools = [call.transfer_function({"sales": SALES})]
            context = PhoneContextAggregator(LLMContext(tools=tools))
            llm = PhoneOpenAILLMService(base_url=server.base_url, warm_up=False, api_key="k")
            ears = [call.transport.input(), PhoneVAD(), Scribe("sales please"), context.user()]
            voice = [llm, EspeakTTSService(), call.transport.output()]
            contexts.append(context)
            await call.run(Pipeline([*ears, *voice, context.assistant()]))

        contexts: list[PhoneContextAggregator] = []
        async with phone.desk(bot) as desk:
            desk.twilio.answer_with(SALES, None)
            async with desk.call() as caller:
                await caller.say("Sales, please.")
                assert await caller.wait_until(lambda: len(server.asked) == 2, seconds=20)
                await caller.wait_for_bot()
                await caller.wait(1.0)
            messages: list[Any] = list(contexts[0].context.get_messages())

    said = [one["content"] for one in messages if one["role"] == "assistant" and one.get("content")]
    assert said == ["Certainly, I put you through to sales now.", "They are busy. Can I help you?"]
    (told,) = [one for one in server.asked[1].messages if one["role"] == "tool"]
    assert json.loads(told["content"]) == {"outcome": "busy", "caller_is_back": True}


async def test_model_has_to_ask_first(phone: Phone):
    call = FunctionCall("transfer_call", {"to": "sales", "caller_agreed": False})
    async with OpenAIServer([call, "Shall I put you through?"]) as server:

        async def bot(call: Call) -> None:
            tools = [call.transfer_function({"sales": SALES})]
            context = PhoneContextAggregator(LLMContext(tools=tools))
            llm = PhoneOpenAILLMService(base_url=server.base_url, warm_up=False, api_key="k")
            output, voice = call.transport.output(), EspeakTTSService()
            parts = [call.transport.input(), context.user(), llm, voice, output]
            await call.run(Pipeline([*parts, context.assistant()]))

        async with phone.text(bot) as talk:
            assert await talk.say("I have a question.") == "Shall I put you through?"
    assert "Ask the caller first" in server.asked[1].messages[-1]["content"]


async def test_processor_may_have_its_caller_put_through(phone: Phone):
    """A frame goes in order with speech: what was said before is heard first."""

    async def act(call: Call, bot: DetourBot) -> object:
        results: list[TransferResult] = []

        async def put_through(call: Call) -> None:
            results.append(await call.transfer(SALES))

        await bot.say(0.5)
        await bot.before.push_frame(CallActionFrame(act=put_through))
        await bot.say(0.5)
        await bot.after.wait_for(CallBackFrame)
        return results[0]

    bot = DetourBot(act)
    async with phone.desk(bot) as desk:
        desk.twilio.answer_with(SALES, None)
        async with desk.call() as caller:
            await caller.wait_for_end(seconds=60)
            await asyncio.wait_for(bot.reason, 30)

    assert isinstance(bot.got, TransferResult)
    assert bot.got.outcome is TransferOutcome.BUSY
