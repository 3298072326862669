"""Somebody is asked whether they take a caller; both ends are listened to."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext

from tests.answering.test_decider import speech
from tests.call.test_detours import DetourBot, lengths, speaks
from tests.vendors.fallback_bot import Scribe
from twilio_frames.call import Briefing, Call, TransferOutcome, TransferResult
from twilio_frames.call.transfers.consulting import Consult
from twilio_frames.errors import ConfigurationError
from twilio_frames.frames import CallAwayFrame, CallEndReason
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.rest import Credentials, TwilioRest
from twilio_frames.server import ServerSettings, create_app
from twilio_frames.services.openai import PhoneOpenAILLMService
from twilio_frames.testing import Caller, Desk, Phone, SimulatedTwilio, Voicemail
from twilio_frames.testing.callers.parties import PartyScript
from twilio_frames.testing.vendors import FunctionCall, OpenAIServer

SALES, SUPPORT = "+12125550123", "+12125550124"
SETTINGS = ServerSettings(phone_number="+14155550199")
SUMMARY = "A caller asks for a quote of one hundred muffins."
BY_BOT = Briefing(summary=SUMMARY, tts=EspeakTTSService, accept_secs=6.0)
BY_TWILIO = Briefing(summary=SUMMARY, accept_secs=6.0)
BOTH = pytest.mark.parametrize("briefing", [BY_BOT, BY_TWILIO], ids=["bot", "twilio"])


class WarmBot(DetourBot):
    """Has somebody asked; says half a second if the caller is still there, and hangs up."""

    def __init__(self, *targets: str, **options):
        async def act(call: Call, bot: DetourBot) -> object:
            result = await call.warm_transfer(*(targets or (SALES,)), **options)
            if result.is_back:
                await bot.say(0.5)
            return result

        super().__init__(act)

    async def outcome(self) -> TransferResult:
        await asyncio.wait_for(self.reason, 120)
        assert isinstance(self.got, TransferResult), self.got
        return self.got


def takes_it(*keys: str, then: Callable[[Caller], Awaitable[object]] | None = None) -> PartyScript:
    """Somebody who says hello, hears the briefing, and presses keys; then talks a little."""

    async def agent(caller: Caller) -> None:
        await caller.say(speech(0.6))
        await caller.wait_for_bot(seconds=30)
        for key in keys:
            await caller.press(key)
        if then is not None:
            await then(caller)

    return agent


async def talk(caller: Caller) -> None:
    await caller.wait(3.0)
    await caller.say(speech(1.0))
    await caller.wait_for_end(seconds=60)


@BOTH
async def test_both_meet_when_somebody_accepts(phone: Phone, briefing: Briefing):
    bot = WarmBot(briefing=briefing)
    async with phone.desk(bot, settings=SETTINGS) as desk:
        party = desk.twilio.answer_with(SALES, takes_it("1", then=talk))
        async with desk.call() as caller:
            result = await bot.outcome()
            began = caller.now
            assert caller.is_connected
            await caller.wait(1.0)
            await caller.say(speech(1.0))
            await caller.wait(4.0)
            heard = [spell for spell in caller.bot_spells if spell.began_at > began]
            await caller.hang_up()
        told = await party.wait_for_result()

    assert (result.outcome, result.is_back) == (TransferOutcome.ANSWERED, False)
    assert await bot.reason is CallEndReason.TRANSFERRED
    assert heard, "the caller hears whoever has taken the call"
    assert any(turn.speaker == "bot" for turn in told.turns)


@BOTH
@pytest.mark.parametrize(
    ("party", "outcome"),
    [
        (None, TransferOutcome.BUSY),
        (takes_it("2", then=lambda caller: caller.wait_for_end(seconds=20)), "declined"),
        (takes_it(), TransferOutcome.AGENT_HUNG_UP),
        (takes_it(then=lambda caller: caller.wait_for_end(seconds=60)), "not accepted"),
    ],
    ids=["busy", "declined", "hung up", "undecided"],
)
async def test_caller_stays_where_nobody_takes_the_call(
    phone: Phone, briefing: Briefing, party: PartyScript | None, outcome: str
):
    bot = WarmBot(briefing=briefing)
    async with phone.desk(bot, settings=SETTINGS) as desk:
        desk.twilio.answer_with(SALES, party)
        async with desk.call() as caller:
            await caller.wait_for_end(seconds=90)
            result = await bot.outcome()

    assert (result.outcome, result.is_back) == (TransferOutcome(outcome), True)
    assert await bot.reason is CallEndReason.BOT_HUNG_UP
    # They never left the bot's stream.
    assert bot.after.frames(CallAwayFrame) == []
    assert len(caller.result.heard_spans) == 1


async def test_nobody_picks_up(phone: Phone):
    bot = WarmBot(briefing=BY_TWILIO, ring_secs=5)
    async with phone.desk(bot, settings=SETTINGS) as desk:
        desk.twilio.answer_with(SALES, speaks(1.0), rings_for=100.0)
        async with desk.call() as caller:
            await caller.wait_for_end(seconds=60)
            result = await bot.outcome()

    assert result.outcome is TransferOutcome.NO_ANSWER


async def test_voicemail_is_not_given_the_caller(phone: Phone):
    bot = WarmBot(briefing=BY_BOT)
    async with phone.desk(bot, settings=SETTINGS) as desk:
        desk.twilio.answer_with(SALES, Voicemail(greeting=speech(5)))
        async with desk.call() as caller:
            await caller.wait_for_end(seconds=90)
            result = await bot.outcome()

    assert (result.outcome, result.is_back) == (TransferOutcome.VOICEMAIL, True)


async def test_next_one_is_asked_where_the_first_declines(phone: Phone):
    bot = WarmBot(SALES, SUPPORT, briefing=BY_TWILIO)
    async with phone.desk(bot, settings=SETTINGS) as desk:
        desk.twilio.answer_with(SALES, None)
        desk.twilio.answer_with(SUPPORT, takes_it("1", then=talk))
        async with desk.call() as caller:
            result = await bot.outcome()
            await caller.wait(1.0)

    assert (result.outcome, result.tried) == (TransferOutcome.ANSWERED, 2)


@pytest.mark.parametrize("rings_for", [30.0, 0.0], ids=["while it rings", "in the briefing"])
@BOTH
async def test_caller_hangs_up_before_they_are_moved(
    phone: Phone, briefing: Briefing, rings_for: float
):
    ends: list[float] = []

    async def agent(caller: Caller) -> None:
        await caller.say(speech(0.6))
        await caller.wait_for_end(seconds=60)
        ends.append(caller.now)

    bot = WarmBot(briefing=briefing)
    async with phone.desk(bot, settings=SETTINGS) as desk:
        party = desk.twilio.answer_with(SALES, agent, rings_for=rings_for)
        async with desk.call() as caller:
            await caller.wait(3.5)
            await caller.hang_up()
        result = await bot.outcome()
        if not rings_for:
            await party.wait_for_result()
            # They are hung up on at once, and not when they have been told all.
            assert ends[0] < 6.0
        assert await phone_is_quiet(desk)

    assert (result.outcome, result.is_back) == (TransferOutcome.CALLER_HUNG_UP, False)
    assert await bot.reason is CallEndReason.CALLER_HUNG_UP


async def phone_is_quiet(desk: Desk) -> bool:
    """Whether nobody's telephone rings or is up any more."""
    twilio = desk.twilio
    credentials = Credentials(account_sid=twilio.account_sid, auth_token=twilio.auth_token)
    async with TwilioRest(credentials, base_url=twilio.rest_url) as rest:
        for _ in range(50):
            if all(call.is_over for call in await rest.calls(to=SALES)):
                return True
            await asyncio.sleep(0.1)
    return False


def slow_site(bot: DetourBot, path: str) -> Callable[[SimulatedTwilio], web.Application]:
    """A server whose answer to one webhook takes two seconds on its way."""

    @web.middleware
    async def slow(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await handler(request)
        if request.path == path:
            await asyncio.sleep(2.0)
        return answer

    def app(twilio: SimulatedTwilio) -> web.Application:
        settings = ServerSettings(
            account_sid=twilio.account_sid,
            auth_token=twilio.auth_token,
            api_url=twilio.rest_url,
            phone_number=SETTINGS.phone_number,
        )
        made = create_app(bot, settings)
        made.middlewares.append(slow)
        return made

    return app


@BOTH
async def test_agent_who_hangs_up_while_the_caller_leaves(phone: Phone, briefing: Briefing):
    """The caller would be alone in the room: they are fetched back."""
    bot = WarmBot(briefing=briefing)

    async def vanishes(caller: Caller) -> None:
        await bot.after.wait_for(CallAwayFrame)

    async with phone.desk(slow_site(bot, "/after-stream")) as desk:
        desk.twilio.answer_with(SALES, takes_it("1", then=vanishes))
        async with desk.call() as caller:
            await caller.wait_for_end(seconds=90)
            result = await bot.outcome()

    assert (result.outcome, result.is_back) == (TransferOutcome.AGENT_HUNG_UP, True)
    assert await bot.reason is CallEndReason.BOT_HUNG_UP
    assert [span.stream for span in caller.result.heard_spans] == [1]


async def test_agent_who_hangs_up_before_the_caller_has_left(phone: Phone):
    """What the bot says is heard whole, and the caller never leaves it."""

    async def act(call: Call, bot: DetourBot) -> object:
        asking = asyncio.create_task(call.warm_transfer(SALES, briefing=BY_TWILIO))
        await accepted.wait()
        await bot.say(3.0)
        return await asking

    async def vanishes(caller: Caller) -> None:
        accepted.set()
        await caller.press("1")
        await caller.wait(1.0)

    accepted = asyncio.Event()
    bot = DetourBot(act)
    async with phone.desk(bot, settings=SETTINGS) as desk:
        desk.twilio.answer_with(SALES, takes_it(then=vanishes))
        async with desk.call() as caller:
            await caller.wait_for_end(seconds=90)
            await asyncio.wait_for(bot.reason, 60)

    assert isinstance(bot.got, TransferResult)
    assert (bot.got.outcome, bot.got.is_back) == (TransferOutcome.AGENT_HUNG_UP, True)
    assert bot.after.frames(CallAwayFrame) == []
    assert lengths(caller) == [pytest.approx(3.0, abs=0.05)]


async def test_caller_hangs_up_while_they_leave(phone: Phone):
    """Whoever has accepted is not left alone in the room."""
    ends: list[float] = []

    async def waits(caller: Caller) -> None:
        pressed_at = caller.now
        await caller.wait_for_end(seconds=60)
        ends.append(caller.now - pressed_at)

    bot = WarmBot(briefing=BY_TWILIO)
    async with phone.desk(bot, settings=SETTINGS) as desk:
        party = desk.twilio.answer_with(SALES, takes_it("1", then=waits))
        async with desk.call() as caller:
            await bot.after.wait_for(CallAwayFrame)
            await caller.hang_up()
        result = await bot.outcome()
        await party.wait_for_result()

    assert result.is_back is False
    assert ends[0] < 15.0


async def test_caller_talks_with_the_bot_meanwhile(phone: Phone):
    async def act(call: Call, bot: DetourBot) -> object:
        asking = asyncio.create_task(call.warm_transfer(SALES, briefing=BY_TWILIO, ring_secs=5))
        await bot.say(2.0)
        return await asking

    bot = DetourBot(act)
    async with phone.desk(bot, settings=SETTINGS) as desk:
        desk.twilio.answer_with(SALES, speaks(1.0), rings_for=100.0)
        async with desk.call() as caller:
            await caller.wait_for_end(seconds=60)
    (span,) = caller.result.heard_spans
    assert span.began_at < 2.0


async def test_music_is_heard_until_somebody_decides(phone: Phone):
    bot = WarmBot(briefing=BY_TWILIO, ring_secs=5, hold=speech(1.0))
    async with phone.desk(bot, settings=SETTINGS) as desk:
        desk.twilio.answer_with(SALES, speaks(1.0), rings_for=100.0)
        async with desk.call() as caller:
            await caller.wait_for_end(seconds=60)
            result = await bot.outcome()
    assert result.outcome is TransferOutcome.NO_ANSWER
    assert 5.0 < sum(lengths(caller)) < 13.0


async def test_music_of_twilios_is_left_for_whoever_accepts(phone: Phone):
    """The call leaves its stream for the music, comes back, and leaves it for the room."""
    bot = WarmBot(briefing=BY_TWILIO, hold="https://example.com/music.mp3")
    async with phone.desk(bot, settings=SETTINGS) as desk:
        desk.twilio.answer_with(SALES, takes_it("1", then=talk))
        async with desk.call() as caller:
            result = await bot.outcome()
            await caller.wait(1.0)
    assert (result.outcome, result.is_back) == (TransferOutcome.ANSWERED, False)
    assert len(bot.after.frames(CallAwayFrame)) == 2


async def test_bot_of_ones_own_briefs(phone: Phone):
    async def brief(leg: Call, consult: Consult) -> None:
        assert consult.summary == SUMMARY
        consult.decline()
        await leg.line_ended()

    bot = WarmBot(briefing=Briefing(summary=SUMMARY, bot=brief))
    async with phone.desk(bot, settings=SETTINGS) as desk:
        desk.twilio.answer_with(SALES, takes_it(then=lambda caller: caller.wait_for_end()))
        async with desk.call() as caller:
            await caller.wait_for_end(seconds=60)
            result = await bot.outcome()
    assert result.outcome is TransferOutcome.DECLINED


async def test_needs_an_account(phone: Phone):
    async def act(call: Call, bot: DetourBot) -> object:
        with pytest.raises(ConfigurationError, match="TWILIO_PHONE_NUMBER") as caught:
            await call.warm_transfer(SALES, briefing=SUMMARY)
        assert SALES not in str(caught.value)
        return None

    bot = DetourBot(act)
    async with phone.call(bot) as caller:
        await caller.wait_for_end(seconds=30)
        await asyncio.wait_for(bot.reason, 30)


def test_words_decide_where_they_are_whole():
    async def settle(text: str) -> TransferOutcome | None:
        words = Briefing(
            summary="", accept_words=("yes", "put them through"), decline_words=("no",)
        )
        consult = Consult(words, "")
        consult.take_words(text)
        return consult.decided.result() if consult.decided.done() else None

    assert asyncio.run(settle("Yes, please.")) is TransferOutcome.ANSWERED
    assert asyncio.run(settle("Put them through!")) is TransferOutcome.ANSWERED
    assert asyncio.run(settle("Yesterday, now")) is None
    assert asyncio.run(settle("No. Yes I know")) is TransferOutcome.DECLINED


async def test_model_has_somebody_asked_and_talks_on(phone: Phone):
    """The model writes the summary, is asked something else meanwhile, and told what came of it."""
    arguments = {"to": "sales", "summary": SUMMARY, "caller_agreed": True}
    reply = ["I ask somebody.", FunctionCall("warm_transfer", arguments)]
    replies = [reply, "Yes, we do.", "They are busy, I am sorry."]
    async with OpenAIServer(replies) as server:
        contexts: list[PhoneContextAggregator] = []

        async def bot(call: Call) -> None:
            tools = [call.warm_transfer_function({"sales": SALES}, ring_secs=5)]
            context = PhoneContextAggregator(LLMContext(tools=tools))
            llm = PhoneOpenAILLMService(base_url=server.base_url, warm_up=False, api_key="k")
            ears = [call.transport.input(), PhoneVAD(), Scribe("sales please"), context.user()]
            voice = [llm, EspeakTTSService(), call.transport.output()]
            contexts.append(context)
            await call.run(Pipeline([*ears, *voice, context.assistant()]))

        async with phone.desk(bot, settings=SETTINGS) as desk:
            desk.twilio.answer_with(SALES, speaks(1.0), rings_for=100.0)
            async with desk.call() as caller:
                await caller.say("Sales, please.")
                assert await caller.wait_until(lambda: len(server.asked) >= 1, seconds=20)
                await caller.wait_for_bot()
                await caller.say("Do you sell beans?")
                assert await caller.wait_until(lambda: len(server.asked) >= 3, seconds=60)
                await caller.wait_for_bot()

    told = [str(one.get("content")) for one in server.asked[-1].messages]
    assert any("no answer" in one for one in told), told
    assert not any("no answer" in str(one.get("content")) for one in server.asked[1].messages)


@pytest.mark.parametrize(
    ("briefing", "said", "outcome"),
    [
        (replace(BY_BOT, stt=lambda: Scribe("yes please")), "Yes, please.", "answered"),
        (replace(BY_BOT, stt=lambda: Scribe("no thanks")), "No, thanks.", "declined"),
        (BY_TWILIO, "Yes, please.", "answered"),
        (BY_TWILIO, "No, thanks.", "declined"),
    ],
    ids=["bot, yes", "bot, no", "twilio, yes", "twilio, no"],
)
async def test_words_decide(phone: Phone, briefing: Briefing, said: str, outcome: str):
    """Words decide as keys do, where somebody listens to whoever is asked."""

    async def agent(caller: Caller) -> None:
        await caller.wait_for_bot(seconds=30)
        await caller.say(said)
        await caller.wait_for_end(seconds=20)

    words = replace(briefing, accept_words=("yes",), decline_words=("no",))
    bot = WarmBot(briefing=words)
    async with phone.desk(bot, settings=SETTINGS) as desk:
        desk.twilio.answer_with(SALES, agent)
        async with desk.call():
            result = await bot.outcome()
    assert result.outcome is TransferOutcome(outcome)


async def test_callbacks_that_come_twice_and_late_change_nothing():
    consult = Consult(BY_TWILIO, "https://bot.example.com")
    assert consult.is_about("CA1")
    consult.went("completed")
    consult.went("in-progress")
    consult.moved("CA1", "participant-join")
    consult.accept()
    assert consult.decided.result() is TransferOutcome.AGENT_HUNG_UP
    assert not consult.is_about("CA2")
    assert consult.is_gone.is_set()
