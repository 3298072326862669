"""Whole calls: what a caller hears when they make sounds that are no words."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from pipecat.frames.frames import Frame, TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import STTService
from pipecat.turns.user_start import MinWordsUserTurnStartStrategy, WakePhraseUserTurnStartStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from tests.transport.bots import tone
from tests.vendors.faults import bad_day
from tests.waiting import time_passes
from twilio_frames.audio import decode_mulaw, encode_mulaw
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.context import (
    InterruptBy,
    PhoneContextAggregator,
    phone_turn_strategies,
)
from twilio_frames.processors.llm import PythonLLMService
from twilio_frames.processors.stt import UtteranceSTTService
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.server import Call
from twilio_frames.testing import Caller, Phone
from twilio_frames.testing.speech import to_utterance

LONGEST_SILENCE = 1.2 + 2 * 0.02
"""Seconds that a sound may cost, behind its end; both are told by the packet."""
# One sentence without a pause that could be taken for a hole.
TEXT = "I have a small coffee and a large coffee and a small tea and a large tea and a small juice"
ANSWER = "We open at eight in the morning and we close at six in the evening."


class Hears(UtteranceSTTService):
    """Has words for the first thing that is said where there is a question, and none for the rest.

    Args:
        question: What is said first; None if nothing is.
    """

    def __init__(self, question: str | None):
        super().__init__()
        self._question = question

    async def transcribe(self, pcm: bytes) -> str | None:
        words, self._question = self._question, None
        return words


class Streams(STTService):
    """A vendor's recogniser that sends nothing at all for what holds no words."""

    def __init__(self, question: str | None):
        super().__init__(
            settings=STTSettings(model=None, language=None),
            ttfs_p99_latency=1.0,
            audio_passthrough=False,
        )
        assert question is None

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        yield None


class Thinks(PythonLLMService):
    """Takes a while for its only answer."""

    def __init__(self, seconds: float = 1.5) -> None:
        super().__init__()
        self.asked = 0
        self._seconds = seconds

    async def respond(self, context: LLMContext) -> AsyncIterator[str]:
        self.asked += 1
        await time_passes(self._seconds)
        yield ANSWER


class Bot:
    def __init__(
        self,
        ear: Callable[[str | None], STTService] = Hears,
        *,
        question: str | None = None,
        first: str = TEXT,
        strategies: UserTurnStrategies | None = None,
    ):
        self.llm = Thinks()
        self._ear = ear(question)
        self._first = first
        self._context = PhoneContextAggregator(turn_strategies=strategies)

    async def __call__(self, call: Call) -> None:
        transport, context = call.transport, self._context
        parts = [PhoneVAD(), self._ear, context.user(), self.llm, EspeakTTSService()]
        pipeline = [transport.input(), *parts, transport.output(), context.assistant()]
        first = [TTSSpeakFrame(self._first)] if self._first else []
        await call.run(Pipeline(pipeline), begin_with=first)

    def remembered(self) -> list[str]:
        messages = self._context.context.get_messages()
        return [message.get("content") for message in messages]  # pyright: ignore[reportAttributeAccessIssue, reportReturnType]


async def babble(seconds: float, *, pitch: float = 1.0) -> bytes:
    """A voice that says nothing: speech backwards, higher like a child's."""
    spoken = (await to_utterance(TEXT)).mulaw
    samples = np.frombuffer(decode_mulaw(spoken), dtype=np.int16)[::-1]
    places = np.arange(0, len(samples) - 1, pitch)
    faster = np.interp(places, np.arange(len(samples)), samples).astype(np.int16)
    return encode_mulaw(faster[4000 : 4000 + int(8000 * seconds)].tobytes())


async def make(kind: str, seconds: float) -> bytes:
    time = np.arange(int(8000 * seconds)) / 8000
    if kind == "voice":
        return await babble(seconds)
    if kind == "child":
        return await babble(seconds, pitch=1.5)
    if kind == "tone":
        return encode_mulaw(tone(seconds))
    if kind == "music":
        chord = sum(np.sin(2 * np.pi * hertz * time) for hertz in (262, 330, 392, 523))
        wave = chord * np.exp(-3 * (time % 0.5))
    elif kind == "hum":
        wave = sum(np.sin(2 * np.pi * 130 * n * time) / n**1.5 for n in range(1, 8))
    else:
        noise = np.random.default_rng(3).normal(size=len(time))
        wave = noise * np.exp(-9 * (time % 0.45)) * (time % 0.45 < 0.25)
    return encode_mulaw((wave / np.max(np.abs(wave)) * 12000).astype(np.int16).tobytes())


def longest_hole(caller: Caller, *, sound: tuple[float, float]) -> float:
    """Seconds of silence that the bot left behind a sound."""
    bot = [turn for turn in caller.result.turns if turn.speaker == "bot"]
    pairs = pairwise(bot)
    holes = [after.began_at - max(before.ended_at, sound[1]) for before, after in pairs]
    return max(holes, default=0.0)


async def talk_over(phone: Phone, bot: Bot, sound: bytes) -> float:
    """Makes a sound over the bot, and tells the longest silence behind it."""
    async with phone.call(bot) as caller:
        await caller.wait_until_bot_speaks(for_seconds=1.0)
        began = caller.now
        await caller.say(sound)
        ended = caller.now
        await caller.wait_for_bot()
    return longest_hole(caller, sound=(began, ended))


def kinds_of_sounds() -> list[Any]:
    """Each kind at one length, the voices with each recogniser; with ``-m truth`` all others."""
    kinds = {"voice": 1.0, "child": 2.0, "tone": 0.6, "music": 2.0, "hum": 1.0, "cough": 0.6}
    ears: dict[str, Callable[[str | None], STTService]] = {
        "says so": Hears,
        "says nothing": Streams,
    }
    return [
        pytest.param(
            ear, kind, seconds,
            id=f"{name}-{kind}-{seconds}",
            marks=[] if seconds == length and is_typical else pytest.mark.truth,
        )
        for name, ear in ears.items()
        for kind, length in kinds.items()
        # What has no words of its own is one to who says nothing.
        for is_typical in [ear is Hears or kind in ("voice", "child")]
        for seconds in (0.6, 1.0, 2.0)
    ]  # fmt: skip


@bad_day(
    "air",
    "a hum, a cough, music, a child, over the bot",
    "A pause, to 1.2 s behind the sound at most; then all the rest.",
)
@pytest.mark.parametrize(("ear", "kind", "seconds"), kinds_of_sounds())
async def test_sound_over_the_bot(
    phone: Phone, ear: Callable[[str | None], STTService], kind: str, seconds: float
):
    bot = Bot(ear)
    hole = await talk_over(phone, bot, await make(kind, seconds))

    assert hole <= LONGEST_SILENCE
    assert bot.llm.asked == 0
    assert bot.remembered() == [TEXT]


@bad_day(
    "air",
    "too few words to interrupt, whichever strategy decides",
    "A pause, to 1.2 s behind them at most; then all the rest.",
)
@pytest.mark.parametrize(
    "start",
    [
        lambda: phone_turn_strategies(interrupt_by=InterruptBy.WORDS),
        lambda: UserTurnStrategies(start=[MinWordsUserTurnStartStrategy(min_words=4)]),
        lambda: UserTurnStrategies(start=[WakePhraseUserTurnStartStrategy(phrases=["hey bot"])]),
    ],
    ids=["by words", "Pipecat's few words", "wake phrase"],
)
@pytest.mark.parametrize(
    ("ear", "heard"),
    [(Hears, "right then"), (Hears, None), (Streams, None)],
    ids=["two words", "no words", "nothing"],
)
async def test_too_little_for_other_strategies(
    phone: Phone,
    start: Callable[[], UserTurnStrategies],
    ear: Callable[[str | None], STTService],
    heard: str | None,
):
    bot = Bot(ear, question=heard, strategies=start())
    hole = await talk_over(phone, bot, await babble(1.0))

    assert hole <= LONGEST_SILENCE
    assert bot.remembered() == [TEXT]


class Slow(UtteranceSTTService):
    """Says of itself that it may take long, and does.

    Args:
        words: What it hears in all that is said, and how late it is with each; then nothing more.
    """

    def __init__(self, *words: tuple[str, float]):
        super().__init__(ttfs_p99_latency=2.5)
        self._words = iter(words)

    async def transcribe(self, pcm: bytes) -> str | None:
        words, secs = next(self._words, (None, 100.0))
        await time_passes(secs)
        return words


class AnySpeechBot(Bot):
    """Is interrupted by any sound, and hears slowly."""

    def __init__(self, *words: tuple[str, float], thinks_secs: float = 0.0):
        strategies = phone_turn_strategies(interrupt_by=InterruptBy.ANY_SPEECH)
        super().__init__(lambda _: Slow(*words), strategies=strategies)
        self.llm = Thinks(thinks_secs)


@pytest.mark.parametrize(("kind", "seconds"), [("voice", 1.0), ("child", 2.0)])
async def test_sound_that_has_interrupted_the_bot(phone: Phone, kind: str, seconds: float):
    bot = AnySpeechBot()
    assert await talk_over(phone, bot, await make(kind, seconds)) <= LONGEST_SILENCE
    assert bot.llm.asked == 1


async def test_sound_that_has_interrupted_what_the_bot_was_about_to_say(phone: Phone):
    bot = AnySpeechBot(("when do you open", 0.1), thinks_secs=1.5)
    async with phone.call(bot) as caller:
        await caller.wait_until_bot_speaks(for_seconds=1.0)
        await caller.say(await babble(1.0))
        await caller.wait(1.0)
        await caller.say(await babble(0.5))
        ended = caller.now
        await caller.wait_until_bot_speaks(for_seconds=0.1)
        assert caller.now - ended <= LONGEST_SILENCE + 1.5 + 0.5
    assert bot.llm.asked == 2


async def test_recogniser_that_has_shown_to_be_slow_is_waited_for(phone: Phone):
    bot = AnySpeechBot(("a tea please", 1.5), ("no wait", 1.5))
    async with phone.call(bot) as caller:
        await caller.wait_until_bot_speaks(for_seconds=1.0)
        await caller.say(await babble(1.0))
        await caller.wait(4.0)
        asked = bot.llm.asked
        await caller.say(await babble(1.0))
        await caller.wait(1.7)
        assert bot.llm.asked == asked
        await caller.wait_until_bot_speaks(for_seconds=1.0)
    assert bot.llm.asked == asked + 1
    said = bot.remembered()
    assert [words for words in ("a tea please", "no wait") if words in said] == [
        "a tea please",
        "no wait",
    ]


SLOW_STRATEGIES = {
    "default": lambda: None,
    "by words": lambda: phone_turn_strategies(interrupt_by=InterruptBy.WORDS),
    "Pipecat's few words": lambda: UserTurnStrategies(
        start=[MinWordsUserTurnStartStrategy(min_words=3)]
    ),
}


@pytest.mark.parametrize("strategies", SLOW_STRATEGIES.values(), ids=SLOW_STRATEGIES)
async def test_bot_says_on_before_a_recogniser_that_may_take_long(
    phone: Phone, strategies: Callable[[], UserTurnStrategies | None]
):
    bot = Bot(lambda _: Slow(), strategies=strategies())
    assert await talk_over(phone, bot, await babble(1.0)) <= LONGEST_SILENCE
    assert bot.remembered() == [TEXT]


@pytest.mark.parametrize("strategies", SLOW_STRATEGIES.values(), ids=SLOW_STRATEGIES)
async def test_bot_waits_for_a_recogniser_that_has_taken_long(
    phone: Phone, strategies: Callable[[], UserTurnStrategies | None]
):
    bot = Bot(
        lambda _: Slow(("a small tea please", 1.5), ("no not a tea", 1.5)), strategies=strategies()
    )
    async with phone.call(bot) as caller:
        await caller.wait_until_bot_speaks(for_seconds=1.0)
        await caller.say(await babble(1.0))
        await caller.wait(4.5)
        await caller.wait_until_bot_speaks(for_seconds=1.0)
        await caller.say(await babble(1.0))
        ended = caller.now
        await caller.wait(3.0)
        said_on = [
            turn
            for turn in caller.result.turns
            if turn.speaker == "bot" and ended + 0.5 < turn.began_at < ended + 1.6
        ]
        assert not said_on
        await caller.wait_for_bot()
    assert [text for text in bot.remembered() if "tea" in text and "small coffee" not in text] == [
        "a small tea please",
        "no not a tea",
    ]


async def answer_after(phone: Phone, sound: bytes, *, wait: float) -> tuple[float, Bot]:
    """When the answer begins behind a question, with a sound in between."""
    bot = Bot(question="when do you open", first="Hello.")
    async with phone.call(bot) as caller:
        await caller.wait_for_bot()
        await caller.say("When do you open?")
        asked_at = caller.now
        await caller.wait(wait)
        await caller.say(sound)
        await caller.wait_until_bot_speaks(for_seconds=0.1)
        answered_at = caller.now
        await caller.wait_for_bot()
    return answered_at - asked_at, bot


@bad_day(
    "air",
    "a sound without words while the LLM thinks",
    "The same answer, at most 1.2 s later.",
)
async def test_sound_while_the_llm_thinks(phone: Phone):
    quiet, _ = await answer_after(phone, b"\xff" * 160, wait=0.8)
    for seconds, wait in [(0.35, 0.8), (0.35, 1.6), (1.5, 1.0)]:
        after, bot = await answer_after(phone, await babble(seconds), wait=wait)

        assert after <= max(quiet, wait + seconds) + LONGEST_SILENCE
        assert bot.llm.asked == 1
        assert bot.remembered()[-2:] == ["when do you open", ANSWER]


@bad_day(
    "air",
    "a sound without words while nobody speaks",
    "Nothing; the LLM is not asked.",
)
async def test_sound_in_silence_and_before_the_first_word(phone: Phone):
    bot = Bot(first="")
    async with phone.call(bot) as caller:
        await caller.wait(0.5)
        await caller.say(await babble(0.5))
        await caller.wait(8.0)
        await caller.say(await babble(1.5))
        await caller.wait(8.0)
    assert (bot.llm.asked, bot.remembered()) == (0, [])
