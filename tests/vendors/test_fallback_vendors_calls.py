"""Whole calls with the vendors' real clients, and a second vendor that takes over from each."""

import sys
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from pipecat.services.deepgram.stt import DeepgramSTTService

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from truth_services import Behaviour, TimedSpeaker  # pyright: ignore[reportMissingImports]

from tests.processors.fallback_rig import ScriptedLLM
from tests.vendors.fallback_bot import FILLER, Scribe, Talk, TwoVendorsBot, talking
from tests.vendors.faults import bad_day
from twilio_frames.processors.fallback.vendor_health import FailureKind, VendorList
from twilio_frames.processors.replies.filler import FILLERS
from twilio_frames.services import RetryPolicy
from twilio_frames.services.cartesia import PhoneCartesiaTTSService
from twilio_frames.services.deepgram import PhoneDeepgramSTTService
from twilio_frames.services.openai import PhoneOpenAILLMService
from twilio_frames.testing import Phone
from twilio_frames.testing.vendors import (
    CartesiaServer,
    DeepgramServer,
    Drop,
    Hang,
    OpenAIServer,
    Refusal,
    Slow,
    WordSounds,
)

ONE = "Bada gime lopu nasi rito. Fesu dabo keni muta golu."
BEGUN, REST = "Bada gime lopu nasi rito. Fesu ", "dabo keni muta golu."
TWO = "Visa relo."


def cartesia(server: CartesiaServer, **options: Any) -> PhoneCartesiaTTSService:
    settings = PhoneCartesiaTTSService.Settings(voice="someone")
    return PhoneCartesiaTTSService(api_key="any", url=server.tts_url, settings=settings, **options)


def openai(server: OpenAIServer, **options: Any) -> PhoneOpenAILLMService:
    return PhoneOpenAILLMService(api_key="any", base_url=server.base_url, **options)


async def converse(talk: Talk, bot: TwoVendorsBot) -> None:
    """Two turns, each answered and remembered to the word."""
    for answer in (ONE, TWO):
        await talk.say()
        await talk.hears(answer)
    await bot.remembers("user: more", f"assistant: {ONE}", "user: more", f"assistant: {TWO}")


@bad_day("fallback", "Deepgram, OpenAI and Cartesia all refuse the key", "Nothing, twice.")
async def test_three_keys_are_refused(phone: Phone):
    known = VendorList()
    async with (
        DeepgramServer(faults=repeat(Refusal(status=401))) as deepgram_server,
        OpenAIServer(faults=repeat(Refusal(status=401))) as openai_server,
        CartesiaServer(faults=repeat(Refusal(status=401))) as cartesia_server,
    ):
        for _ in range(2):
            second = ScriptedLLM([ONE], [TWO])
            bot = TwoVendorsBot(
                known,
                stt=[
                    PhoneDeepgramSTTService(api_key="any", base_url=deepgram_server.url),
                    Scribe("hello", "again"),
                ],
                llm=[openai(openai_server), second],
                tts=[cartesia(cartesia_server), TimedSpeaker(Behaviour())],
            )
            async with talking(phone, bot, ONE, TWO) as talk:
                await talk.say()
                await talk.hears(ONE)
                assert talk.silence < 3.0
                await talk.say()
                await talk.hears(TWO)
                user = ["user: hello", "user: again"]
                await bot.remembers(user[0], f"assistant: {ONE}", user[1], f"assistant: {TWO}")
            assert not bot.before.errors
    assert [one.last_failure for one in known if one.name.endswith("1")] == [
        FailureKind.REFUSED
    ] * 3
    # The second call asks OpenAI for nothing.
    assert len([visit for visit in openai_server.visits if "completions" in visit.path]) <= 1


@bad_day("fallback", "Deepgram hangs, of Pipecat's own client", "The answer comes 2 s later, once.")
async def test_stock_deepgram_hangs(phone: Phone):
    sounds = WordSounds()
    async with DeepgramServer(hears=sounds.hear, faults=repeat(Hang())) as server:
        first = DeepgramSTTService(
            api_key="any", base_url=server.url, sample_rate=8000, ttfs_p99_latency=0.5
        )
        second = Scribe("hello")
        bot = TwoVendorsBot(stt=[first, second], llm=[ScriptedLLM([ONE])])
        async with talking(phone, bot, ONE) as talk:
            await talk.say()
            await talk.hears(ONE)
            assert talk.silence < 4.5
            await bot.remembers("user: hello", f"assistant: {ONE}")
    assert bot.switches == [("ears 1", "ears 2")]


@bad_day("fallback", "OpenAI hangs in mid-reply", "The reply, each word once, without a filler.")
async def test_openai_hangs_in_mid_reply(phone: Phone):
    async with (
        OpenAIServer([BEGUN + REST], faults=repeat(Hang(after=8))) as first,
        OpenAIServer([REST, TWO]) as second,
    ):
        bot = TwoVendorsBot(llm=[openai(first), openai(second)])
        async with talking(phone, bot, ONE, TWO) as talk:
            await talk.say()
            await talk.hears(ONE)
            await talk.say()
            await talk.hears(TWO)
            talk.spoke_at = 0
            await talk.hears(f"{ONE} {TWO}")
            await bot.remembers(
                "user: more", f"assistant: {ONE}", "user: more", f"assistant: {TWO}"
            )
    assert bot.switches == [("mind 1", "mind 2")]


@bad_day(
    "fallback",
    "OpenAI hangs before the first word, and the other is slow",
    "One filler, then the reply.",
)
async def test_two_openais_are_slow(phone: Phone):
    async with (
        OpenAIServer(faults=repeat(Hang())) as first,
        OpenAIServer([ONE], faults=[Slow(seconds=0.5)]) as second,
    ):
        llms = [openai(server, filler_after=0.3) for server in (first, second)]
        bot = TwoVendorsBot(llm=llms)
        async with talking(phone, bot, ONE, *FILLERS) as talk:
            await talk.say()
            await talk.hears(f"{FILLER} {ONE}")
            await bot.remembers("user: more", f"assistant: {ONE}")
    assert bot.switches == [("mind 1", "mind 2")]


@bad_day("fallback", "Cartesia hangs in mid-word", "A pause of 1.5 s at most, then another voice.")
async def test_cartesia_hangs_in_mid_word(phone: Phone):
    async with CartesiaServer(faults=repeat(Hang(after=12))) as server:
        bot = TwoVendorsBot(
            llm=[ScriptedLLM([ONE], [TWO])], tts=[cartesia(server), TimedSpeaker(Behaviour())]
        )
        async with talking(phone, bot, ONE, TWO) as talk:
            await converse(talk, bot)
    assert bot.switches == [("voice 1", "voice 2")]


@bad_day(
    "fallback",
    "every socket of Cartesia's drops in the first word",
    "The beginning of the word a few times, then another voice: every word, none left out.",
)
@pytest.mark.parametrize("give_up_secs", [1.0, 10.0])
async def test_cartesia_drops_without_getting_on(phone: Phone, give_up_secs: float):
    """Cartesia's service gives up first, or the fallback does."""
    policy = RetryPolicy(give_up_secs=give_up_secs)
    async with CartesiaServer(faults=repeat(Drop(after=2))) as server:
        bot = TwoVendorsBot(
            llm=[ScriptedLLM([ONE], [TWO])],
            tts=[cartesia(server, policy=policy), TimedSpeaker(Behaviour())],
        )
        async with talking(phone, bot, ONE, TWO) as talk:
            await converse(talk, bot)
    assert bot.switches == [("voice 1", "voice 2")]
