"""A caller is asked for digits: what they press and say goes to whoever asked, and nowhere else."""

import asyncio
import json
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pipecat.frames.frames import InputDTMFFrame, TranscriptionFrame
from pipecat.pipeline.pipeline import Pipeline

from tests.call.keyed_bots import KeyedBot, asked, clip, complete, presses
from twilio_frames.call import Call, DigitsOutcome, DigitsResult
from twilio_frames.call.digits.spoken import spoken_digits
from twilio_frames.errors import ConfigurationError
from twilio_frames.frames import DigitsWantedFrame
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.fallback import TTSFallback
from twilio_frames.testing import Phone

TIMEOUT, WRONG = DigitsOutcome.TIMEOUT, DigitsOutcome.WRONG


async def test_digits_go_to_whoever_asked(phone: Phone):
    bot = KeyedBot(lambda call: call.collect_digits(length=4))

    result = await asked(phone, bot, presses("4711"))

    assert result == complete("4711")
    assert "4711" not in repr(result)
    assert not bot.heard.frames(InputDTMFFrame)
    assert not bot.heard.frames(TranscriptionFrame)
    assert not bot.memory


@pytest.mark.parametrize(
    ("options", "keys", "outcome", "digits"),
    [
        ({}, "42#", DigitsOutcome.COMPLETE, "42"),
        ({}, "42", DigitsOutcome.COMPLETE, "42"),
        ({"end": "*"}, "4#2*", DigitsOutcome.COMPLETE, "4#2"),
        ({"length": 4, "end": ""}, "47#*", DigitsOutcome.COMPLETE, "47#*"),
        ({"length": (2, 4)}, "42#", DigitsOutcome.COMPLETE, "42"),
        ({"length": (2, 4)}, "421", DigitsOutcome.COMPLETE, "421"),
        ({"length": (2, 4)}, "4211", DigitsOutcome.COMPLETE, "4211"),
        ({"length": 4}, "42#", WRONG, "42"),
        ({"length": 4}, "42", TIMEOUT, "42"),
        ({"length": 4}, "", TIMEOUT, ""),
        ({}, "#", WRONG, ""),
    ],
)
async def test_digits_end_by_length_key_or_pause(
    phone: Phone, options: dict[str, Any], keys: str, outcome: DigitsOutcome, digits: str
):
    bot = KeyedBot(
        lambda call: call.collect_digits(seconds_to_first=5.0, seconds_between=2.0, **options)
    )

    result = await asked(phone, bot, presses(keys))

    assert result == DigitsResult(outcome=outcome, digits=digits)


async def test_each_digit_may_take_its_time(phone: Phone):
    bot = KeyedBot(lambda call: call.collect_digits(length=3, seconds_between=3.0))

    result = await asked(phone, bot, presses("4", "7", "1", after=8.0, pause=2.5))

    assert result == complete("471")


async def test_key_stops_the_prompt(phone: Phone):
    bot = KeyedBot(lambda call: call.collect_digits(length=2, prompt=clip(8.0)))

    async with phone.call(bot) as telephone:
        await telephone.wait_until_bot_speaks(for_seconds=1.0)
        await telephone.press("42")
        assert await bot.come() == complete("42")
        await telephone.wait_for_end(seconds=30)

    spans = telephone.result.heard_spans
    assert sum(span.end - span.begin for span in spans) / 8000 < 2.0


async def test_time_counts_from_when_the_prompt_was_heard(phone: Phone):
    async def ask(call: Call) -> tuple[DigitsResult, float]:
        began = time.monotonic()
        result = await call.collect_digits(length=2, prompt=clip(8.0), seconds_to_first=5.0)
        return result, time.monotonic() - began

    result, seconds = await asked(phone, KeyedBot(ask), presses())

    assert result == DigitsResult(outcome=TIMEOUT)
    assert seconds == pytest.approx(13.0, abs=0.7)


async def test_caller_hangs_up_meanwhile(phone: Phone):
    bot = KeyedBot(lambda call: call.collect_digits(length=4))

    async with phone.call(bot) as telephone:
        await telephone.wait(1.0)
        await telephone.press("47")
        await telephone.hang_up()
        result = await bot.come()

    assert result == DigitsResult(outcome=DigitsOutcome.CALLER_HUNG_UP, digits="47")


async def test_end_key_behind_complete_digits_is_nobodys(phone: Phone):
    async def ask(call: Call) -> DigitsResult:
        result = await call.collect_digits(length=2)
        await asyncio.wait_for(bot.late.wait(), 20)
        return result

    bot = KeyedBot(ask)
    async with phone.call(bot) as telephone:
        await telephone.wait(1.0)
        await telephone.press("42#7")
        await bot.heard.wait_for(InputDTMFFrame)
        bot.late.set()
        assert await bot.come() == complete("42")

    (frame,) = bot.heard.frames(InputDTMFFrame)
    assert isinstance(frame, InputDTMFFrame)
    assert frame.button.value == "7"


async def test_requests_are_made_one_after_the_other(phone: Phone):
    async def ask(call: Call) -> list[DigitsResult]:
        return list(
            await asyncio.gather(call.collect_digits(length=2), call.collect_digits(length=2))
        )

    result = await asked(phone, KeyedBot(ask), presses("12", "34", pause=0.5))

    assert result == [complete("12"), complete("34")]


async def test_digits_are_read_back_and_entered_again(phone: Phone):
    bot = KeyedBot(lambda call: call.collect_digits(length=2, confirm=True, prompt=clip(0.5)))

    async with phone.call(bot) as telephone:
        await telephone.wait_for_bot()
        await telephone.press("43#")
        await telephone.wait_for_bot()
        await telephone.press("2")
        await telephone.wait_for_bot()
        await telephone.press("42")
        await telephone.wait_until_bot_speaks(for_seconds=0.5)
        await telephone.press("1")
        assert await bot.come() == complete("42")

    assert "4 " not in str(bot.memory)


async def test_what_is_not_confirmed_often_enough_is_given_up(phone: Phone):
    bot = KeyedBot(lambda call: call.collect_digits(length=1, confirm="{digits}?", attempts=2))

    result = await asked(phone, bot, presses("1", "2", "1", "9", pause=4.0))

    assert result == DigitsResult(outcome=DigitsOutcome.NOT_CONFIRMED)


async def test_menu_asks_again_where_it_was_another_key(phone: Phone):
    options = {"1": "sales", "2": "support"}
    bot = KeyedBot(lambda call: call.menu(options, prompt=clip(1.0), wrong=None))

    async with phone.call(bot) as telephone:
        await telephone.wait_for_bot()
        await telephone.press("7")
        await telephone.wait_for_bot()
        await telephone.press("2")
        result = await bot.come()

    assert (result.digits, result.choice) == ("2", "support")


async def test_menu_gives_up(phone: Phone):
    bot = KeyedBot(lambda call: call.menu({"1": "sales"}, attempts=2, seconds_to_first=3.0))

    assert (await asked(phone, bot, presses("8"))).outcome is TIMEOUT


@pytest.mark.parametrize(("keys", "choice"), [("1", "one"), ("12", "twelve"), ("3", "three")])
async def test_menu_tells_longer_keys_from_shorter_ones(phone: Phone, keys: str, choice: str):
    options = {"1": "one", "12": "twelve", "3": "three"}

    result = await asked(phone, KeyedBot(lambda call: call.menu(options)), presses(keys))

    assert result.choice == choice


async def test_digits_may_be_said(phone: Phone):
    bot = KeyedBot(
        lambda call: call.collect_digits(length=4, spoken=True), words=("four seven", "double one")
    )

    async with phone.call(bot) as telephone:
        await telephone.say("Four seven.")
        await telephone.wait(1.0)
        await telephone.say("Double one.")
        assert await bot.come() == complete("4711")

    assert not bot.memory


async def test_other_words_end_it(phone: Phone):
    bot = KeyedBot(
        lambda call: call.collect_digits(length=4, spoken=True), words=("what do you mean",)
    )

    async with phone.call(bot) as telephone:
        # This key was pressed too early: it is a word like any other.
        await telephone.press("4")
        await telephone.start_saying("What do you mean?")
        result = await bot.come()

    assert result.outcome is DigitsOutcome.OTHER_WORDS
    assert result.words == "what do you mean"


async def test_words_are_not_listened_to_where_keys_are_asked_for(phone: Phone):
    bot = KeyedBot(lambda call: call.collect_digits(length=2), words=("hold on",))

    async with phone.call(bot) as telephone:
        await telephone.say("Hold on.")
        await telephone.wait(2.0)
        await telephone.press("42")
        assert await bot.come() == complete("42")

    assert not bot.memory


@pytest.mark.parametrize(
    ("remember", "expected"),
    [
        (None, []),
        ("digits", [{"role": "user", "content": "[The caller has entered 42.]"}]),
        ("placeholder", [{"role": "user", "content": "[The caller has entered 2 digits.]"}]),
    ],
)
async def test_memory_gets_what_is_asked_for(phone: Phone, remember: Any, expected: list[Any]):
    bot = KeyedBot(lambda call: call.collect_digits(length=2, remember=remember))

    await asked(phone, bot, presses("42"))

    assert bot.memory == expected


async def test_digits_stand_in_no_log_and_no_recording(phone: Phone, tmp_path: Path):
    spans: list[float] = []

    async def ask(call: Call) -> DigitsResult:
        await asyncio.wait_for(bot.begin.wait(), 60)
        spans.append(time.monotonic() - call.transport.opened_at)
        result = await call.collect_digits(length=4, confirm="You said {digits}?", spoken=True)
        spans.append(time.monotonic() - call.transport.opened_at)
        await asyncio.wait_for(bot.late.wait(), 60)
        return result

    path = tmp_path / "call.jsonl"
    bot = KeyedBot(ask, words=("hello", "four seven double one", "goodbye"), log=path)
    async with phone.call(bot) as telephone:
        await telephone.say("Hello.")
        await telephone.wait(1.0)
        bot.begin.set()
        await telephone.say("Four, seven, double one.")
        await telephone.wait_until_bot_speaks(for_seconds=0.5)
        await telephone.press("1")
        await telephone.wait(3.0)
        await telephone.say("Goodbye.")
        await telephone.wait(2.0)
        bot.late.set()
        assert await bot.come() == complete("4711")
        await telephone.wait_for_end(seconds=30)

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert not [line for line in lines if line["kind"] == "digit"]
    assert [line["text"] for line in lines if line.get("text")] == ["hello", "goodbye"]
    assert bot.recorder is not None
    assert await bot.recorder.wait_until_written()
    with wave.open(str(path.with_suffix(".wav"))) as recording:
        sound = np.frombuffer(recording.readframes(10**9), np.int16).reshape(-1, 2)
    begin, end = (round(8000 * at) for at in spans)
    assert not np.abs(sound[begin + 400 : end]).max() > 40
    assert np.abs(sound[:begin, 0]).max() > 1000
    assert np.abs(sound[end + 16000 :, 0]).max() > 1000


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"length": 0}, "expected a length of at least 1"),
        ({"length": (4, 2)}, "expected a length of at least 1"),
        ({"end": "##"}, "expected one key"),
        ({"seconds_between": 0}, "expected seconds above 0"),
        ({"attempts": 0}, "expected at least 1 attempt"),
        ({"confirm": "Right?"}, "expected {digits}"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused(
    phone: Phone, options: dict[str, Any], text: str
):
    bot = KeyedBot(lambda call: call.collect_digits(**options))

    error = await asked(phone, bot, presses())

    assert isinstance(error, ConfigurationError)
    assert text in str(error)


@pytest.mark.parametrize(
    ("words", "digits"),
    [
        ("Four seven double one.", "4711"),
        ("47-11", "4711"),
        ("My PIN is forty seven eleven", "4711"),
        ("twenty oh five", "2005"),
        ("triple zero seven", "0007"),
        ("star one pound", "*1#"),
        ("Um, it's", ""),
        ("one moment please", None),
        ("I don't know it", None),
        ("", ""),
    ],
)
def test_digits_are_read_out_of_words(words: str, digits: str | None):
    assert spoken_digits(words) == digits


async def test_words_need_a_memory_that_hands_them_on(phone: Phone):
    results: list[ConfigurationError] = []

    async def bot(call: Call) -> None:
        running = asyncio.create_task(
            call.run(Pipeline([call.transport.input(), call.transport.output()]))
        )
        with pytest.raises(ConfigurationError, match="expected a PhoneContextAggregator") as caught:
            await call.collect_digits(length=4, spoken=True)
        results.append(caught.value)
        await call.hang_up()
        await running

    async with phone.call(bot) as caller:
        await caller.wait_for_end()

    assert len(results) == 1


async def test_key_stops_a_prompt_of_any_voice(phone: Phone):
    """Of one with another behind it, each of which may be the one that speaks."""
    results: list[DigitsResult] = []

    async def bot(call: Call) -> None:
        voices = TTSFallback([EspeakTTSService(), EspeakTTSService()])
        parts = [call.transport.input(), voices, call.transport.output()]
        running = asyncio.create_task(call.run(Pipeline(parts)))
        prompt = "Please enter your number. It is on the back of your card, below the line."
        results.append(await call.collect_digits(length=2, prompt=prompt))
        await call.hang_up()
        await running

    async with phone.call(bot) as caller:
        await caller.wait_until_bot_speaks(for_seconds=1.0)
        await caller.press("42")
        await caller.wait_for_end(seconds=30)

    assert results == [complete("42")]
    spans = caller.result.heard_spans
    assert sum(span.end - span.begin for span in spans) / 8000 < 2.5


async def test_asking_may_be_given_up(phone: Phone):
    async def ask(call: Call) -> None:
        asking = asyncio.create_task(call.collect_digits(length=4))
        await bot.heard.wait_for(DigitsWantedFrame)
        asking.cancel()
        await asyncio.wait({asking})
        bot.begin.set()
        await asyncio.wait_for(bot.late.wait(), 20)

    bot = KeyedBot(ask)
    async with phone.call(bot) as telephone:
        await asyncio.wait_for(bot.begin.wait(), 20)
        await telephone.press("7")
        await bot.heard.wait_for(InputDTMFFrame)
        bot.late.set()
        await bot.come()

    wanted = bot.heard.frames(DigitsWantedFrame)
    assert [isinstance(one, DigitsWantedFrame) and one.is_wanted for one in wanted][:2] == [
        *(True, False)
    ]
