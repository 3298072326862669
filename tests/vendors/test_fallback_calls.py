"""Whole calls on which a second vendor takes over: what the caller hears of it."""

import sys
from pathlib import Path

from pipecat.utils.errors import ErrorCategory

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from truth_services import (  # pyright: ignore[reportMissingImports]
    Behaviour,
    SentenceSpeaker,
    TimedSpeaker,
    Timestamps,
)

from tests.memory.voices import SocketSpeaker
from tests.processors.fallback_rig import HANG, ScriptedLLM, ScriptedSTT
from tests.vendors.fallback_bot import (
    APOLOGY,
    FILLER,
    BreakingSTT,
    DroppedVoice,
    RefusedVoice,
    Scribe,
    TwoVendorsBot,
    talking,
)
from tests.vendors.faults import bad_day
from twilio_frames.processors.fallback.vendor_health import VendorList
from twilio_frames.testing import Phone

NOTHING = "Nothing."
ONE = "Bada gime lopu nasi rito. Fesu dabo keni muta golu."
TWO = "Visa relo."


@bad_day("fallback", "the recogniser's key is refused", NOTHING)
async def test_second_hears_where_first_is_refused(phone: Phone):
    known = VendorList()
    for call in range(2):
        second = Scribe("hello")
        first = BreakingSTT(ErrorCategory.AUTHENTICATION, frames=1)
        bot = TwoVendorsBot(known, stt=[first, second], llm=[ScriptedLLM([TWO])])
        async with talking(phone, bot, TWO) as talk:
            await talk.say()
            await talk.hears(TWO)
            assert talk.silence < 2.5
        assert bot.lines()[:1] == ["user: hello"]
        assert second.seconds[0] > 0.6
        assert bot.switches == [("ears 1", "ears 2")][call:]
        assert not bot.before.errors


@bad_day("fallback", "the recogniser's connection breaks in mid-utterance", NOTHING)
async def test_second_hears_all_of_an_utterance(phone: Phone):
    second = Scribe("hello", "again")
    bot = TwoVendorsBot(
        stt=[BreakingSTT(ErrorCategory.CONNECTIVITY), second], llm=[ScriptedLLM([ONE], [TWO])]
    )
    async with talking(phone, bot, ONE, TWO) as talk:
        # As much silence before it as before the next.
        await talk.caller.wait(0.8)
        await talk.say()
        await talk.hears(ONE)
        await talk.say()
        await talk.hears(TWO)
        await bot.remembers("user: hello", f"assistant: {ONE}", "user: again", f"assistant: {TWO}")

    # As much as of the next one, which it heard from the beginning.
    assert abs(second.seconds[0] - second.seconds[1]) < 0.35
    assert bot.switches == [("ears 1", "ears 2")]


@bad_day("fallback", "the recogniser hangs", "The answer comes 2 s later, once.")
async def test_second_hears_where_first_hangs(phone: Phone):
    second = Scribe("hello", "again")
    bot = TwoVendorsBot(
        stt=[ScriptedSTT("hanging", is_deaf=True), second], llm=[ScriptedLLM([ONE], [TWO])]
    )
    async with talking(phone, bot, ONE, TWO) as talk:
        await talk.say()
        await talk.hears(ONE)
        assert talk.silence < 4.5
        await talk.say()
        await talk.hears(TWO)
        assert talk.silence < 2.5
        await bot.remembers("user: hello", f"assistant: {ONE}", "user: again", f"assistant: {TWO}")


@bad_day("fallback", "the LLM refuses", NOTHING)
async def test_second_thinks_where_first_refuses(phone: Phone):
    bot = TwoVendorsBot(llm=[ScriptedLLM([LookupError()], [LookupError()]), ScriptedLLM([ONE])])
    async with talking(phone, bot, ONE) as talk:
        await talk.say()
        await talk.hears(ONE)
        assert talk.silence < 2.5
        await bot.remembers("user: more", f"assistant: {ONE}")
    assert bot.switches == [("mind 1", "mind 2")]
    assert not bot.before.errors


@bad_day("fallback", "the LLM's reply breaks off", "The reply, each word once.")
async def test_second_goes_on_with_a_reply(phone: Phone):
    first = ScriptedLLM(["Bada gime lopu nasi rito. Fesu da", LookupError()])
    second = ScriptedLLM(["dabo keni muta golu."], [TWO])
    bot = TwoVendorsBot(llm=[first, second])
    async with talking(phone, bot, ONE, TWO) as talk:
        await talk.say()
        await talk.hears(ONE)
        await talk.say()
        await talk.hears(TWO)
        await bot.remembers("user: more", f"assistant: {ONE}", "user: more", f"assistant: {TWO}")


@bad_day(
    "fallback", "the LLM hangs", "One filler, then the reply; the next call is answered at once."
)
async def test_second_thinks_where_first_hangs(phone: Phone):
    known = VendorList()
    bot = TwoVendorsBot(known, llm=[ScriptedLLM([HANG]), ScriptedLLM([ONE], [TWO])])
    async with talking(phone, bot, ONE, TWO) as talk:
        await talk.say()
        await talk.hears(f"{FILLER} {ONE}")
        await bot.remembers("user: more", f"assistant: {ONE}")
    first = ScriptedLLM([HANG])
    bot = TwoVendorsBot(known, llm=[first, ScriptedLLM([TWO])])
    async with talking(phone, bot, TWO) as talk:
        await talk.say()
        await talk.hears(TWO)
        assert talk.silence < 2.5
    assert not first.asked


@bad_day("fallback", "both LLMs fail", "An apology; the next turn is tried again.")
async def test_both_llms_fail(phone: Phone):
    bot = TwoVendorsBot(
        llm=[ScriptedLLM([LookupError()], [TWO]), ScriptedLLM([LookupError()], [TWO])]
    )
    async with talking(phone, bot, TWO) as talk:
        await talk.say()
        await talk.hears(APOLOGY)
        await talk.say()
        await talk.hears(TWO)
    assert len(bot.before.errors) == 1


@bad_day("fallback", "the voice's key is refused", "Nothing but another voice.")
async def test_second_speaks_where_first_is_refused(phone: Phone):
    bot = TwoVendorsBot(
        llm=[ScriptedLLM([ONE], [TWO])], tts=[RefusedVoice(), TimedSpeaker(Behaviour())]
    )
    async with talking(phone, bot, ONE, TWO) as talk:
        await talk.say()
        await talk.hears(ONE)
        assert talk.silence < 2.5
        await talk.say()
        await talk.hears(TWO)
        await bot.remembers("user: more", f"assistant: {ONE}", "user: more", f"assistant: {TWO}")
    assert bot.switches == [("voice 1", "voice 2")]
    assert not bot.before.errors


@bad_day(
    "fallback", "the voice's connection breaks in mid-word", "The word again, by another voice."
)
async def test_second_speaks_on_where_first_breaks_off(phone: Phone):
    bot = TwoVendorsBot(
        llm=[ScriptedLLM([ONE])], tts=[DroppedVoice(Behaviour()), TimedSpeaker(Behaviour())]
    )
    async with talking(phone, bot, ONE) as talk:
        await talk.say()
        await talk.hears(ONE)
        await bot.remembers("user: more", f"assistant: {ONE}")
    assert bot.switches == [("voice 1", "voice 2")]


@bad_day(
    "fallback", "the voice hangs in mid-reply", "A pause of 1.5 s at most, then another voice."
)
async def test_second_speaks_on_where_first_hangs(phone: Phone):
    known = VendorList()
    hangs = Behaviour(hiccup_at=0.9, hiccup_secs=1000, timestamps=Timestamps.ALONG)
    first, second = TimedSpeaker(hangs), TimedSpeaker(Behaviour())
    bot = TwoVendorsBot(known, llm=[ScriptedLLM([ONE], [TWO])], tts=[first, second])
    async with talking(phone, bot, ONE, TWO) as talk:
        await talk.say()
        await talk.hears(ONE)
        await talk.say()
        await talk.hears(TWO)
        assert talk.silence < 2.5
        await bot.remembers("user: more", f"assistant: {ONE}", "user: more", f"assistant: {TWO}")
    assert bot.switches == [("voice 1", "voice 2")]


async def test_memory_is_what_was_heard_of_voices_without_times(phone: Phone):
    hangs = Behaviour(hiccup_at=0.9, hiccup_secs=1000)
    for first in (SentenceSpeaker(hangs), _HangingSocket(words=3)):
        bot = TwoVendorsBot(llm=[ScriptedLLM([ONE])], tts=[first, SentenceSpeaker(Behaviour())])
        async with talking(phone, bot, ONE) as talk:
            await talk.say()
            await bot.remembers("user: more", f"assistant: {ONE}")
            await talk.caller.wait(0.5)
            heard = talk.heard()
        # The place is judged by the length of the audio: a word may come twice, none is left out.
        assert list(dict.fromkeys(heard)) == ONE.lower().replace(".", "").split()
        assert len(heard) <= 12


class _HangingSocket(SocketSpeaker):
    """Its provider says nothing more after some words."""

    def __init__(self, *, words: int):
        super().__init__()
        self._words_left = words

    async def run_tts(self, text: str, context_id: str):
        words = text.split()[: self._words_left]
        self._words_left -= len(words)
        if words:
            self._orders.put_nowait((context_id, " ".join(words)))
        yield None

    async def flush_audio(self, context_id: str | None = None):
        if self._words_left:
            await super().flush_audio(context_id)
