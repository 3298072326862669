"""The small examples do on the telephone what their first lines promise."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext

from tests.vendors.fallback_bot import Scribe
from twilio_frames.audio import decode_mulaw
from twilio_frames.call import Call
from twilio_frames.examples import function_calls, own_llm, own_stt, own_tts, text_only
from twilio_frames.examples.telephone import (
    outbound_voicemail,
    patient,
    pay_by_phone,
    pin_menu,
    put_through,
    recorded,
    supervisor,
    warm_transfer,
    who_calls,
)
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.server import ServerSettings
from twilio_frames.testing import AccountRules, CallEnd, Caller, Phone, Voicemail
from twilio_frames.testing.vendors.openai import FunctionCall, OpenAIServer

SMALL = (
    "function_calls",
    "google_speech",
    "langchain_bot",
    "local_models",
    "telephone.outbound_voicemail",
    "own_llm",
    "own_stt",
    "own_tts",
    "telephone.patient",
    "telephone.pay_by_phone",
    "telephone.recorded",
    "telephone.pin_menu",
    "telephone.phone_menu",
    "telephone.put_through",
    "telephone.warm_transfer",
)


def ordering(text: str) -> Callable[[Caller], Awaitable[None]]:
    async def caller(telephone: Caller) -> None:
        await telephone.wait_for_bot(silence=0.5)
        await telephone.say(text)
        await telephone.wait_for_bot(silence=0.5)

    return caller


async def test_own_llm_says_everything_back(phone: Phone):
    call = await phone.ring(own_llm.bot, ordering("a large latte please"))

    said = call.result.turns[-1].words or ""
    assert "You said:" in said
    assert "large latte" in said
    assert "That was" in said


async def test_own_stt_times_the_caller(phone: Phone):
    call = await phone.ring(own_stt.bot, ordering("a large latte with oat milk please"))

    said = call.result.turns[-1].words or ""
    assert "You said: about 2 seconds." in said or "You said: about 1 seconds." in said


async def test_own_tts_hums_each_word(phone: Phone):
    call = await phone.ring(own_tts.bot, ordering("a large latte please"))

    samples = np.frombuffer(decode_mulaw(call.result.heard_bot), np.int16)
    loud = np.flatnonzero(np.abs(samples.astype(int)) > 4000)
    first_word = samples[loud[0] : loud[0] + 8000 // 4]
    pitch = np.argmax(np.abs(np.fft.rfft(first_word, 8000)))
    assert pitch == pytest.approx(own_tts.SCALE[sum(b"Hello!") % 8], abs=5)
    assert [turn.speaker for turn in call.result.turns] == ["bot", "caller", "bot"]
    async with phone.text(own_tts.bot) as talk:
        assert await talk.reply() == "Hello! I say everything back."


async def test_message_is_left_on_a_voicemail(phone: Phone):
    greeting = "You have reached Bob. Please leave a message after the tone, and I will call you."
    call = await phone.ring(outbound_voicemail.bot, Voicemail(greeting=greeting))

    assert call.heard("Hello, this is the coffee shop. Your beans have come. We are open until six")


async def test_person_who_is_called_is_told(phone: Phone):
    async def caller(telephone: Caller) -> None:
        await telephone.say("Hello?")
        await telephone.wait_for_bot(silence=0.5)

    call = await phone.ring(outbound_voicemail.bot, caller)

    assert call.heard("Your beans have come. What else may I put aside")


async def test_functions_are_called(phone: Phone, monkeypatch: pytest.MonkeyPatch):
    replies = [
        FunctionCall("price_of", {"drink": "latte"}),
        "It costs four dollars fifty.",
        FunctionCall("end_call", {"goodbye": "Goodbye!"}),
    ]
    async with OpenAIServer(replies) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)

        async def caller(telephone: Caller) -> None:
            await ordering("a large latte please")(telephone)
            await telephone.say("a small latte please")
            assert await telephone.wait_for_end() is CallEnd.BOT_HUNG_UP

        call = await phone.ring(function_calls.bot, caller)

    assert call.heard("it costs four dollars fifty")
    assert call.heard("goodbye")
    assert server.asked[1].messages[-1]["content"] == '{"dollars": 4.5}'


async def test_function_knows_the_menu(phone: Phone, monkeypatch: pytest.MonkeyPatch):
    replies = [FunctionCall("price_of", {"drink": "tea"}), "Not on the menu."]
    async with OpenAIServer(replies) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        async with phone.text(function_calls.bot) as talk:
            await talk.reply()
            assert await talk.say("And a tea?") == "Not on the menu."
        assert server.asked[1].messages[-1]["content"] == '{"dollars": "not on the menu"}'


@pytest.mark.parametrize("test", [text_only.test_order_is_taken, text_only.test_caller_cuts_in])
async def test_text_only_tests_pass(phone: Phone, test: Callable[[Phone], Awaitable[None]]):
    await test(phone)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"CallerName": "Jane Doe"}, "Hello, Jane Doe. We will"),
        ({"from": "+266696687"}, "number is anonymous"),
        ({"ForwardedFrom": "+12125550177"}, "has forwarded you"),
        ({"StirVerstat": "TN-Validation-Failed"}, "could not be verified"),
    ],
)
async def test_caller_is_greeted_by_what_is_known(
    phone: Phone, parameters: dict[str, str], said: str
):
    async with phone.text(who_calls.bot, parameters=parameters) as talk:
        assert said in await talk.reply()


async def test_silent_caller_is_asked_twice(phone: Phone):
    async def says_nothing(telephone: Caller) -> None:
        assert await telephone.wait_for_end(seconds=60) is CallEnd.BOT_HUNG_UP

    call = await phone.ring(patient.bot, says_nothing)

    said = " ".join(turn.words or "" for turn in call.result.turns)
    assert "Are you still there? Hello? I cannot hear you" in said


@pytest.mark.parametrize(("pin", "said"), [("4711", "twelve dollars"), ("4712", "is wrong")])
async def test_pin_is_asked_for_and_confirmed(phone: Phone, pin: str, said: str):
    async with phone.text(pin_menu.bot) as talk:
        assert "press one" in await talk.reply()
        assert "not one of them" in await talk.press("9")
        assert await talk.press("1") == "Please enter your PIN."
        assert " ".join(pin) in await talk.press(pin)
        assert said in await talk.press("1")


@pytest.mark.parametrize("name", SMALL)
def test_small_examples_stay_small(name: str):
    source = (Path(own_llm.__file__).parent / f"{name.replace('.', '/')}.py").read_text()
    assert len(source.splitlines()) < 60
    for part in ("What you will hear:", "What it needs:", "Run it::", f"examples.{name}:bot"):
        assert part in source


async def test_put_through_takes_its_caller_back(phone: Phone, monkeypatch: pytest.MonkeyPatch):
    asked = FunctionCall("transfer_call", {"to": "sales", "caller_agreed": True})
    async with OpenAIServer([["I put you through.", asked], "They are busy."]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        async with phone.desk(put_through.bot) as desk:
            desk.twilio.answer_with("+12125550123", None)
            async with desk.call() as caller:
                await caller.wait_for_bot(silence=0.5)
                await caller.say("a large latte please")
                assert await caller.wait_until(lambda: len(server.asked) == 2, seconds=30)
                await caller.wait_for_bot()
                assert await caller.has_heard("they are busy")


async def test_warm_transfer_tells_its_caller_that_nobody_is_there(
    phone: Phone, monkeypatch: pytest.MonkeyPatch
):
    arguments = {"to": "sales", "summary": "A quote for muffins.", "caller_agreed": True}
    reply = ["I ask somebody.", FunctionCall("warm_transfer", arguments)]
    async with OpenAIServer([reply, "They are busy."]) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        settings = ServerSettings(phone_number="+14155550199")
        async with phone.desk(warm_transfer.bot, settings=settings) as desk:
            desk.twilio.answer_with("+12125550123", None)
            async with desk.call() as caller:
                await caller.wait_for_bot()
                await caller.say("A person, please.")
                assert await caller.wait_until(lambda: len(server.asked) == 2, seconds=30)
                await caller.wait_for_bot()
    assert "busy" in str(server.asked[1].messages[-1]["content"])


@pytest.mark.parametrize(
    ("result", "said"), [("success", "It is paid"), ("payment-connector-error", "")]
)
async def test_bill_is_paid_by_telephone(result: str, said: str):
    async def caller(telephone: Caller) -> None:
        assert await telephone.wait_for_end(seconds=60) is CallEnd.BOT_HUNG_UP

    phone = Phone(rules=AccountRules(payment_result=result))
    call = await phone.ring(pay_by_phone.bot, caller)

    words = " ".join(turn.words or "" for turn in call.result.turns)
    assert "20.45 dollars" in words
    assert ("It is paid" in words) == bool(said)


@pytest.mark.parametrize(("key", "recordings"), [("1", 1), ("2", 0)])
async def test_call_is_recorded_where_its_caller_agrees(phone: Phone, key: str, recordings: int):
    async with phone.desk(recorded.bot) as desk, desk.call() as caller:
        await caller.wait_for_bot()
        await caller.press(key)
        await caller.wait_for_bot()
        await caller.press("4000123412341234")
        await caller.wait_for_end(seconds=30)
        spoken = " ".join(turn.words or "" for turn in caller.result.turns)
        events = caller.log.events("recording")

    assert "ends in 1 2 3 4" in spoken
    assert len({event.details["recording_sid"] for event in events}) == recordings


async def test_supervisor_whispers_when_it_is_due(phone: Phone, capsys):
    async def bot(call: Call) -> None:
        context = PhoneContextAggregator(LLMContext())
        ears = [call.transport.input(), PhoneVAD(), Scribe("That is expensive"), context.user()]
        await call.run(Pipeline([*ears, call.transport.output(), context.assistant()]))
        whispered.append(str(context.context.get_messages()))

    whispered: list[str] = []
    async with phone.desk(bot, settings=ServerSettings(log_words=True)) as desk:
        async with desk.call() as caller:
            watching = asyncio.create_task(supervisor.supervise(desk.base_url, caller.call_sid))
            await caller.wait(0.5)
            await caller.say("That is expensive.")
            await caller.wait(2.0)
        assert await watching == ["caller: That is expensive"]
    assert supervisor.WHISPER in whispered[0]
    assert "(the bot knows)" in capsys.readouterr().out
