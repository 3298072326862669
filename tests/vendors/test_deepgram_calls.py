"""Whole calls with a local Deepgram: what the caller hears on its bad days."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipecat.frames.frames import ErrorFrame, TranscriptionFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext

from tests.transport.bots import Tap
from tests.vendors.faults import bad_day
from twilio_frames.call import Call
from twilio_frames.frames import MulawInputFrame
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.llm import PythonLLMService
from twilio_frames.processors.replies.apology import NOT_HEARD
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.services import RetryPolicy
from twilio_frames.services.deepgram import PhoneDeepgramSTTService
from twilio_frames.testing import Caller, Phone
from twilio_frames.testing.vendors import (
    DeepgramServer,
    Drop,
    Garbage,
    Hang,
    Refusal,
    Slow,
    WordSounds,
)
from twilio_frames.testing.vendors.faults import Fault

ORDER = "I want a large latte."
MORE = "And two muffins."
PARDON = "Pardon?"
NOTHING = "Nothing: every word is understood."


class Echo(PythonLLMService):
    """Says all that it was told so far: where a slow machine cuts a turn in two as well."""

    async def respond(self, context: LLMContext) -> AsyncIterator[str]:
        messages: list[Any] = context.get_messages()
        told = [message["content"] for message in messages if message["role"] == "user"]
        yield f"You said: {' '.join(told)}"


@dataclass
class Bot:
    """Repeats what Deepgram heard."""

    server: DeepgramServer
    options: dict[str, Any] = field(default_factory=dict)
    before: Tap = field(default_factory=Tap)
    after: Tap = field(default_factory=Tap)
    stt: PhoneDeepgramSTTService | None = None

    async def __call__(self, call: Call) -> None:
        self.stt = PhoneDeepgramSTTService(api_key="any", base_url=self.server.url, **self.options)
        context = PhoneContextAggregator()
        pipeline = Pipeline(
            [
                call.transport.input(),
                PhoneVAD(),
                self.before,
                self.stt,
                self.after,
                context.user(),
                Echo(),
                EspeakTTSService(settings=EspeakTTSService.Settings(words_per_minute=300)),
                call.transport.output(),
                context.assistant(),
            ]
        )
        await call.run(pipeline)

    @property
    def words(self) -> list[str]:
        """What the pipeline was told."""
        frames = self.after.frames(TranscriptionFrame)
        words = " ".join(f.text for f in frames if isinstance(f, TranscriptionFrame)).split()
        return [word for word in words if word != PARDON]

    @property
    def errors(self) -> list[ErrorFrame]:
        return [f for f in self.before.frames(ErrorFrame) if isinstance(f, ErrorFrame)]


Talk = Callable[[Caller, "Rung"], Awaitable[None]]


@dataclass
class Rung:
    """A call that goes on, or is over."""

    server: DeepgramServer
    bot: Bot
    sounds: WordSounds

    async def say(self, caller: Caller, text: str) -> None:
        """Says it, and hears it said again."""
        await caller.say(await self.sounds.spoken(text))
        await hears(caller, self, text)


async def hears(caller: Caller, rung: Rung, phrase: str, *, since: float = 0.0) -> None:
    """Waits until the caller has heard it; asks again, as where a hole in a word hides it."""
    for _ in range(3):
        until = caller.now + 10
        while caller.now < until:
            await caller.wait(1)
            if await caller.has_heard(phrase, since=since):
                return
        await caller.say(await rung.sounds.spoken(PARDON))
    raise AssertionError(f"not heard: {phrase}")


async def ring(
    phone: Phone, talk: Talk, *faults: Fault | None, script: Sequence[str] = (), **options: Any
) -> Rung:
    """Has a call; whatever happens in it, it is the caller who hangs up."""
    sounds = WordSounds()
    async with DeepgramServer(hears=script or sounds.hear, latency=0.05, faults=faults) as server:
        bot = Bot(server, options)
        rung = Rung(server, bot, sounds)
        async with phone.call(bot) as caller, asyncio.timeout(120):
            # What is said before the stream is there reaches nobody.
            await bot.before.wait_for(MulawInputFrame)
            await talk(caller, rung)
            assert caller.is_connected
    return rung


async def order(caller: Caller, rung: Rung) -> None:
    """One thing said, and heard back."""
    await rung.say(caller, ORDER)


async def test_mulaw_is_the_same_at_deepgram(phone: Phone):
    async def talk(caller: Caller, rung: Rung) -> None:
        await order(caller, rung)
        await rung.say(caller, MORE)
        said.extend(utterance.mulaw for utterance in caller.utterances)

    said: list[bytes] = []
    rung = await ring(phone, talk)

    assert len(said) >= 2
    assert all(mulaw in rung.server.audio for mulaw in said)
    frames = rung.bot.before.frames(MulawInputFrame)
    came = b"".join(f.mulaw for f in frames if isinstance(f, MulawInputFrame))
    assert came.startswith(rung.server.audio)
    assert len(came) - len(rung.server.audio) < 8000
    assert rung.sounds.hear(rung.server.audio)[0].text == "I"
    assert rung.bot.words == f"{ORDER} {MORE}".split()
    assert len(rung.server.streams) == 1
    assert not rung.bot.errors


@bad_day("deepgram", "socket drops at the start", NOTHING)
async def test_drop_at_start(phone: Phone):
    rung = await ring(phone, order, Drop(), Drop())
    assert rung.bot.words == ORDER.split()
    assert not rung.bot.errors


@bad_day("deepgram", "socket drops in mid-word, twice", NOTHING)
async def test_drop_in_mid_word(phone: Phone):
    async def talk(caller: Caller, rung: Rung) -> None:
        speech = await rung.sounds.spoken(f"{ORDER} {MORE}")
        await caller.start_saying(speech)
        for part in (0.3, 0.7):
            end = len(rung.server.audio) + part * len(speech)
            await rung.server.until(lambda end=end: len(rung.server.audio) > end)
            rung.server.drop()
        await hears(caller, rung, f"{ORDER} {MORE}")

    rung = await ring(phone, talk)
    assert len(rung.server.streams) == 3
    assert rung.bot.words == f"{ORDER} {MORE}".split()
    assert not rung.bot.errors


@bad_day("deepgram", "socket drops in mid-reply", NOTHING)
async def test_drop_in_mid_reply(phone: Phone):
    async def talk(caller: Caller, rung: Rung) -> None:
        await caller.say(await rung.sounds.spoken(ORDER))
        await caller.wait_until_bot_speaks()
        rung.server.drop()
        await hears(caller, rung, ORDER)
        await rung.say(caller, MORE)

    rung = await ring(phone, talk)
    assert rung.bot.words == f"{ORDER} {MORE}".split()


@bad_day("deepgram", "401: the key is not taken", f'"{NOT_HEARD}", and again when speaking.')
async def test_rejected_key(phone: Phone):
    async def talk(caller: Caller, rung: Rung) -> None:
        await hears(caller, rung, NOT_HEARD)
        spoken = caller.now
        await caller.say(await rung.sounds.spoken(ORDER))
        await hears(caller, rung, NOT_HEARD, since=spoken)

    rung = await ring(phone, talk, *[Refusal(status=401)] * 20)
    (error,) = rung.bot.errors
    assert "set DEEPGRAM_API_KEY" in error.error
    assert rung.bot.stt is not None
    assert not rung.bot.stt.is_usable
    assert len(rung.server.visits) == 1


@bad_day("deepgram", "429 and 500, three times in all", NOTHING)
async def test_refused_for_a_while(phone: Phone):
    faults = [Refusal(status=status) for status in (429, 500, 429)]
    rung = await ring(phone, order, *faults)
    assert len(rung.server.visits) == 4
    assert rung.bot.words == ORDER.split()
    assert not rung.bot.errors


@bad_day(
    "deepgram",
    "500, for longer than one has patience",
    f'"{NOT_HEARD}" When it is over, every word is understood.',
)
async def test_refused_for_long(phone: Phone):
    async def talk(caller: Caller, rung: Rung) -> None:
        await caller.wait_until_bot_speaks()
        rung.server.go_wrong()
        await hears(caller, rung, NOT_HEARD)
        stt = rung.bot.stt
        assert stt is not None
        assert await caller.wait_until(lambda: stt.is_usable, seconds=15)
        await order(caller, rung)

    policy = RetryPolicy(give_up_secs=0.5)
    rung = await ring(phone, talk, *[Refusal(status=500)] * 50, policy=policy)
    assert len(rung.bot.errors) == 1


@bad_day("deepgram", "hang: the connection stays, and nothing comes", "A pause; then every word.")
async def test_hang(phone: Phone):
    rung = await ring(phone, order, Hang(), policy=RetryPolicy(answer_secs=1.0))
    assert len(rung.server.streams) == 2
    assert rung.bot.words == ORDER.split()
    assert not rung.bot.errors


@bad_day("deepgram", "hang in mid-word", "A pause; then every word.")
async def test_hang_in_mid_word(phone: Phone):
    rung = await ring(phone, order, Hang(after=1), policy=RetryPolicy(answer_secs=1.0))
    assert rung.bot.words == ORDER.split()


@bad_day("deepgram", "slow: the first words come 1.5 s late", "A longer pause, no word is missing.")
async def test_slow(phone: Phone):
    rung = await ring(phone, order, Slow(seconds=1.5), script=[ORDER])
    assert len(rung.server.streams) == 1
    assert rung.bot.words == ORDER.split()


@bad_day("deepgram", "garbage between the results", NOTHING)
async def test_garbage(phone: Phone):
    rung = await ring(phone, order, Garbage(after=1))
    assert len(rung.server.streams) == 1
    assert rung.bot.words == ORDER.split()
    assert not rung.bot.errors
