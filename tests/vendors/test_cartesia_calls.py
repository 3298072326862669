"""Whole calls with Cartesia's voice: what the caller hears of it, on good days and on bad ones."""

import itertools
import random
import time

import pytest

from tests.vendors.cartesia_bot import Bot, call, without_silence
from tests.vendors.faults import bad_day
from tests.waiting import until
from twilio_frames.services import RetryPolicy
from twilio_frames.testing.known_speech import SaidWord, burst, said, sound
from twilio_frames.testing.vendors import (
    CartesiaServer,
    ContextError,
    Drop,
    Garbage,
    Hang,
    Refusal,
    Slow,
    WordTimes,
)

FIRST = "Bada gime. Lopu nasi."
LONG = "Rito fesu, dabo keni. Muta golu peki sabo. Tori vezu."
THIRD = "Visa relo."
SORRY = burst("sorry")


async def hears_once(bot: Bot, *texts: str) -> None:
    """Each word is heard once, bit for bit, and remembered."""
    assert await bot.remembers(len(texts)) == list(texts)
    # The memory may be some milliseconds ahead of the ear.
    await bot.hears(*texts)
    for text in texts:
        assert set(bot.times_heard(text)) == {1}, (text, bot.times_heard(text))


async def speaks_again(bot: Bot, text: str) -> None:
    """Says a text once it can; what went before was one error, and one apology."""
    await until(lambda: SORRY in bot.heard_sound)
    await until(lambda: bot.tts.is_usable)
    await bot.reply(text)
    await hears_once(bot, text)
    assert len(bot.errors.frames) == 1
    assert bot.heard_sound.count(SORRY) == 1


def silence_within(bot: Bot, text: str) -> float:
    """The longest pause between the words of a text that is none of its own, seconds."""
    ends = [bot.heard.index(word.mulaw[-40:]) + 40 for word in said(text)]
    begins = [bot.heard.index(word.mulaw[:40]) for word in said(text)]
    pauses = [word.pause for word in said(text)]
    return max(
        (begin - end - pause) / 8000
        for end, pause, begin in zip(ends, pauses, begins[1:], strict=False)
    )


async def test_every_byte_reaches_the_ear():
    cartesia = CartesiaServer()
    async with call(cartesia) as bot:
        await until(lambda: cartesia.open_connections == 1)
        assert not cartesia.contexts, "the connection is there before the first word"
        await bot.reply(FIRST)
        await bot.speak(THIRD, LONG)
        await hears_once(bot, FIRST, THIRD, LONG)

        assert [context.text for context in cartesia.contexts] == [FIRST, THIRD, LONG]
        for context, text in zip(cartesia.contexts, (FIRST, THIRD, LONG), strict=True):
            assert context.audio == sound(said(text))
            assert without_silence(bytes(context.audio)) in bot.heard_sound
        assert (cartesia.connections, cartesia.complaints) == (1, [])
        assert not bot.errors.frames


async def test_interruption_is_remembered_as_heard():
    whole = f"{LONG} {FIRST} Neki zova, fipu deko lasi gabo."
    cartesia = CartesiaServer(speed=1.3)
    async with call(cartesia) as bot:
        await bot.reply(whole)
        await bot.word("fesu")
        await bot.interrupt()
        await bot.reply(THIRD)
        cut, after = await bot.remembers(2)
        await bot.hears(THIRD)

        assert cut == bot.heard_part(whole)
        assert after == THIRD
        assert [context.text for context in cartesia.cancelled] == [whole]
        assert not cartesia.contexts[0].is_done
        assert (cartesia.connections, cartesia.complaints) == (1, [])


async def test_cut_utterance_is_not_taken_up_again():
    cartesia = CartesiaServer(faults=[Drop(after=12)])
    async with call(cartesia) as bot:
        await bot.reply(LONG)
        await bot.word("Rito")
        await bot.interrupt()
        await bot.speak(THIRD)
        cut, after = await bot.remembers(2)

        assert (cut, after) == (bot.heard_part(LONG), THIRD)


@bad_day("cartesia", "socket drops at the start", "Nothing: it is open again before a word is due.")
async def test_drop_at_the_start_is_not_heard():
    cartesia = CartesiaServer(faults=[Drop()])
    async with call(cartesia) as bot:
        await until(lambda: cartesia.connections == 2)
        await bot.reply(FIRST)
        await hears_once(bot, FIRST)

        assert not bot.errors.frames


@bad_day(
    "cartesia",
    "socket drops in mid-word",
    "Every word once and whole; a short pause at most, and none if Cartesia was ahead.",
)
async def test_drop_in_mid_word_is_not_heard():
    cartesia = CartesiaServer(faults=[Drop(after=12)])
    async with call(cartesia) as bot:
        await bot.reply(LONG)
        await hears_once(bot, LONG)

        assert cartesia.contexts[1].text == LONG[LONG.index("keni") :]
        assert bot.begun(LONG) == len(LONG.split()), "no word was begun twice"
        assert silence_within(bot, LONG) < 1.5, "half a second, and a busy machine"
        assert cartesia.connections == 2


@bad_day(
    "cartesia",
    "socket drops in mid-reply, again and again",
    "Every word of every utterance once; the word that broke off while nothing was ahead of it, "
    "from its beginning.",
)
async def test_drops_in_mid_reply_lose_no_word():
    cartesia = CartesiaServer(speed=1.5, faults=[Drop(after=5), Drop(after=7), Drop(after=9)])
    async with call(cartesia) as bot:
        await bot.reply(LONG)
        await bot.speak(THIRD)
        await hears_once(bot, LONG, THIRD)

        assert cartesia.connections == 4
        assert not bot.errors.frames


@bad_day(
    "cartesia",
    "HTTP 401: the key is rejected",
    "The apology that was given as audio, once; the rest of the call is without this voice.",
)
async def test_rejected_key_is_one_error_and_an_apology():
    cartesia = CartesiaServer(faults=itertools.repeat(Refusal(status=401)))
    async with call(cartesia, apology_audio=SORRY) as bot:
        await bot.errors.came.wait()
        await bot.speak(FIRST, THIRD)
        await until(lambda: SORRY in bot.heard_sound)
        await bot.reply(LONG)
        await until(lambda: not bot.tts.get_audio_contexts() and bot.llm.runs == 1)

        assert [error.category for error in bot.errors.frames if error.category] != []
        assert len(bot.errors.frames) == 1
        assert "401" in bot.errors.frames[0].error
        assert "secret" not in bot.errors.frames[0].error
        assert not bot.tts.is_usable
        assert len(cartesia.visits) == 1, "it is not tried again"
        assert bot.heard_sound.count(SORRY) == 1
        assert bot.lines() == []
        assert bot.caller is not None
        assert bot.caller.is_connected


@bad_day(
    "cartesia",
    "HTTP 429: too many connections, twice",
    "The first word as late as the back-off; nothing else.",
)
async def test_busy_cartesia_is_asked_again():
    cartesia = CartesiaServer(faults=[Refusal(status=429), Refusal(status=429, retry_after=0.5)])
    async with call(cartesia) as bot:
        await bot.reply(FIRST)
        await hears_once(bot, FIRST)

        first, second, third = (visit.at for visit in cartesia.visits)
        assert third - second >= 0.5
        assert second >= first
        assert not bot.errors.frames


@bad_day(
    "cartesia",
    "HTTP 500, for longer than the patience",
    "The apology once, in the place of what could not be said; all that is said later.",
)
async def test_outage_is_apologised_for_once():
    cartesia = CartesiaServer(faults=itertools.repeat(Refusal(status=500)))
    async with call(cartesia, apology_audio=SORRY, policy=RetryPolicy(give_up_secs=0.5)) as bot:
        await bot.speak(FIRST, THIRD)
        await until(lambda: SORRY in bot.heard_sound)
        assert not bot.tts.is_usable
        cartesia.go_wrong()
        await speaks_again(bot, LONG)

        assert not any(bot.times_heard(FIRST))


@bad_day(
    "cartesia",
    "is done with a text, without any audio, once",
    "Every word, a moment later.",
)
async def test_text_without_audio_is_asked_for_again():
    asked = list[str]()

    def voice(text: str) -> list[SaidWord]:
        asked.append(text)
        return said(text) if asked.count(text) > 1 else []

    cartesia = CartesiaServer(voice=voice)
    async with call(cartesia, apology_audio=SORRY) as bot:
        await bot.reply(FIRST)
        await hears_once(bot, FIRST)

        assert await bot.remembers(1) == [FIRST]
        assert SORRY not in bot.heard_sound


@bad_day(
    "cartesia",
    "is done with each text, without any audio",
    "The apology once; nothing of it is remembered as said.",
)
@pytest.mark.parametrize("times", [WordTimes.ALONG, WordTimes.NEVER])
async def test_text_that_stays_without_audio_is_left_out(times: WordTimes):
    cartesia = CartesiaServer(
        voice=lambda text: said(text) if THIRD in text else [], word_times=times
    )
    async with call(cartesia, apology_audio=SORRY) as bot:
        await bot.reply(FIRST)
        await until(lambda: SORRY in bot.heard_sound)
        await bot.reply(THIRD)
        await bot.hears(THIRD)

        assert await bot.remembers(1) == [THIRD]
        assert [str(error.error) for error in bot.errors.frames if "audio" in error.error] != []
        assert bot.heard_sound.count(SORRY) == 1


@bad_day(
    "cartesia", "hangs before the first audio", "The first word as late as the time limit; all."
)
async def test_hang_before_the_reply_is_got_over():
    cartesia = CartesiaServer(faults=[Hang()])
    async with call(cartesia, policy=RetryPolicy(answer_secs=0.6)) as bot:
        began = time.monotonic()
        await bot.reply(FIRST)
        await hears_once(bot, FIRST)

        assert cartesia.connections == 2
        assert time.monotonic() - began < 10
        assert not bot.errors.frames


@bad_day("cartesia", "hangs in mid-reply", "A pause as long as the time limit; each word once.")
async def test_hang_in_mid_reply_is_got_over():
    cartesia = CartesiaServer(faults=[Hang(after=12)])
    async with call(cartesia, policy=RetryPolicy(answer_secs=0.6)) as bot:
        await bot.reply(LONG)
        await hears_once(bot, LONG)

        assert bot.begun(LONG) == len(LONG.split())
        assert cartesia.connections == 2
        assert not bot.errors.frames


@bad_day("cartesia", "hangs for ever", "The apology once, for each outage; the call goes on.")
async def test_hang_for_ever_ends_in_an_apology():
    cartesia = CartesiaServer(faults=[Hang()] * 2)
    policy = RetryPolicy(answer_secs=0.3, give_up_secs=0.7)
    async with call(cartesia, policy=policy, apology_audio=SORRY) as bot:
        await bot.reply(FIRST)
        await speaks_again(bot, THIRD)


@bad_day(
    "cartesia",
    "every socket drops in the first word, for ever",
    "The beginning of the word a few times, then the apology once; the call goes on.",
)
async def test_drops_without_progress_end_in_an_apology():
    left_out: list[str] = []

    async def note(_: object, text: str) -> None:
        left_out.append(text)

    cartesia = CartesiaServer(faults=itertools.repeat(Drop(after=2)))
    async with call(cartesia, policy=RetryPolicy(give_up_secs=1.0), apology_audio=SORRY) as bot:
        bot.tts.add_event_handler("on_left_out", note)
        await bot.speak(FIRST)
        await until(lambda: SORRY in bot.heard_sound)
        assert len(bot.errors.frames) == 1
        assert cartesia.connections <= 10, "there is time between them"
        await until(lambda: bot.tts.is_usable)
        await bot.speak(THIRD)
        await until(lambda: len(left_out) == 2)
        cartesia.go_wrong()
        await until(lambda: bot.tts.is_usable)
        await bot.speak(LONG)
        await bot.hears(LONG)

        assert set(bot.times_heard(LONG)) == {1}
        assert await bot.remembers(1) == [LONG], "no word of the others was whole"
        assert left_out == [FIRST, THIRD]
        assert bot.heard_sound.count(SORRY) == 1


@bad_day("cartesia", "slow first audio, 1.5 s", "The first word that much later; nothing else.")
async def test_slow_first_audio_is_waited_for():
    cartesia = CartesiaServer(faults=[Slow(seconds=1.5)])
    async with call(cartesia) as bot:
        await bot.speak(THIRD)
        await hears_once(bot, THIRD)

        assert cartesia.connections == 1
        assert len(cartesia.contexts) == 1
        assert not bot.errors.frames


@bad_day("cartesia", "garbage in the middle of the audio", "Nothing.")
async def test_garbage_is_skipped_and_counted():
    cartesia = CartesiaServer(faults=[Garbage(after=3)])
    async with call(cartesia) as bot:
        await bot.reply(FIRST)
        await hears_once(bot, FIRST)

        assert without_silence(bytes(cartesia.contexts[0].audio)) in bot.heard_sound
        assert bot.tts.unread_messages == 12
        assert cartesia.connections == 1
        assert not bot.errors.frames


@bad_day(
    "cartesia",
    "an `error` message for one utterance, status 500 or 429",
    "Each word once, after a short pause; other utterances are not touched.",
)
async def test_failed_context_is_asked_for_again():
    errors = [ContextError(status=500, after=9), ContextError(status=429)]
    cartesia = CartesiaServer(context_errors=errors)
    async with call(cartesia) as bot:
        await bot.speak(LONG, FIRST)
        await hears_once(bot, LONG, FIRST)

        assert cartesia.connections == 1
        assert not bot.errors.frames


@bad_day(
    "cartesia",
    "an `error` message for one utterance, status 400",
    "The apology once; all other utterances.",
)
async def test_refused_context_is_left_out_alone():
    cartesia = CartesiaServer(context_errors=[None, ContextError(status=400)])
    async with call(cartesia, apology_audio=SORRY) as bot:
        await bot.speak(FIRST, LONG, THIRD)
        await hears_once(bot, FIRST, THIRD)

        assert not any(bot.times_heard(LONG))
        await until(lambda: SORRY in bot.heard_sound)
        assert len(bot.errors.frames) == 1
        assert bot.tts.is_usable
        assert cartesia.connections == 1


@bad_day("cartesia", "an idle connection is closed", "Nothing: it is opened again at once.")
async def test_idle_connection_costs_nothing():
    cartesia = CartesiaServer(idle_secs=0.4)
    async with call(cartesia) as bot:
        await until(lambda: cartesia.connections >= 2)
        await bot.speak(FIRST)
        await hears_once(bot, FIRST)

        assert not bot.errors.frames


@pytest.mark.truth
@pytest.mark.parametrize("seed", range(12))
async def test_any_mixture_of_faults_loses_no_word(seed: int):
    """Where the times of words are told; else a word in doubt is said twice."""
    chance = random.Random(seed)
    faults = [
        chance.choice([Drop, Hang, Garbage])(after=chance.randint(0, 30)),
        chance.choice([None, Refusal(status=503)]),
        chance.choice([Drop, Hang])(after=chance.randint(0, 30)),
    ]
    word_times = chance.choice(list(WordTimes))
    speed = chance.choice([1.2, 2, 5, 20])
    cartesia = CartesiaServer(faults=faults, speed=speed, word_times=word_times)
    async with call(cartesia, policy=RetryPolicy(answer_secs=0.6)) as bot:
        await bot.reply(LONG)
        await bot.speak(THIRD)
        assert await bot.remembers(2) == [LONG, THIRD]
        await bot.hears(LONG, THIRD)

        times = {*bot.times_heard(LONG), *bot.times_heard(THIRD)}
        is_told = word_times in (WordTimes.BEFORE, WordTimes.ALONG)
        assert times == {1} if is_told else min(times) == 1
