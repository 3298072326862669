"""Whole calls on Google's real clients, and what the caller hears on their bad days."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import repeat
from typing import Any

import pytest
from pipecat.frames.frames import ErrorFrame, LLMRunFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.utils.errors import ErrorCategory

from tests.vendors.cartesia_bot import without_silence
from tests.vendors.faults import bad_day
from twilio_frames.call import Call
from twilio_frames.examples import google_speech
from twilio_frames.examples.own_llm import Parrot
from twilio_frames.frames import FailureKind, VendorRole
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.fallback.vendor_health import VENDORS
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.services import RetryPolicy
from twilio_frames.services.google import PhoneGoogleSTTService, PhoneGoogleTTSService
from twilio_frames.testing import Caller, Phone
from twilio_frames.testing.known_speech import burst
from twilio_frames.testing.phone.call import PhoneCall
from twilio_frames.testing.vendors import Drop, EarlyEnd, Garbage, Hang, Refusal, Slow
from twilio_frames.testing.vendors.google import GoogleServer

ROLES = (VendorRole.STT, VendorRole.TTS)
GREETING = "hello i say everything back"
HEARD = ["a latte please", "a large one"]
SORRY = "The apology that was kept ready, once"


class Rig(BaseObserver):
    """A bot on Google's services that says everything back, and what became of it."""

    def __init__(self, server: GoogleServer, *, tts: dict[str, Any], stt: dict[str, Any]):
        super().__init__()
        self._server, self._tts, self._stt = server, tts, stt
        self.context = LLMContext()
        self.errors: dict[int, ErrorFrame] = {}

    async def __call__(self, call: Call) -> None:
        memory = PhoneContextAggregator(self.context)
        target = self._server.target
        call.observers.append(self)
        pipeline = Pipeline([
            call.transport.input(),
            PhoneVAD(),
            PhoneGoogleSTTService(target=target, **self._stt),
            memory.user(),
            Parrot(),
            PhoneGoogleTTSService(target=target, **self._tts),
            call.transport.output(),
            memory.assistant(),
        ])  # fmt: skip
        await call.run(pipeline, begin_with=[LLMRunFrame()])

    async def on_push_frame(self, data: FramePushed) -> None:
        if isinstance(data.frame, ErrorFrame):
            self.errors[data.frame.id] = data.frame

    @property
    def remembered(self) -> list[object]:
        messages = self.context.get_messages()
        return [message.get("content") for message in messages if isinstance(message, dict)]


@asynccontextmanager
async def google(
    *, tts: dict[str, Any] | None = None, stt: dict[str, Any] | None = None, **server: Any
) -> AsyncIterator[tuple[GoogleServer, Callable[[Call], Awaitable[None]], Rig]]:
    async with GoogleServer(**{"hears": HEARD, **server}) as vendor:
        rig = Rig(vendor, tts=tts or {}, stt=stt or {})

        async def bot(call: Call) -> None:
            await rig(call)

        yield vendor, bot, rig


def times(server: GoogleServer, heard: bytes, word: str) -> int:
    """How often a word was heard to its last byte, however it sounded."""
    sound = without_silence(heard)
    spoken = [one.mulaw for speech in server.speeches for one in speech.words if one.text == word]
    return sum(sound.count(mulaw) for mulaw in spoken)


async def hear(
    server: GoogleServer, telephone: Caller, words: str, *, often: int = 1, seconds: float = 20.0
) -> None:
    missing = words.split()

    def has_heard() -> bool:
        # What was heard once stays heard.
        while missing and times(server, telephone.heard_so_far, missing[0]) >= often:
            missing.pop(0)
        return not missing

    heard = await telephone.wait_until(has_heard, seconds=seconds)
    assert heard, f"expected the caller to hear {words!r}, missed {missing}"


async def order(server: GoogleServer, telephone: Caller) -> None:
    """Says two things; each is said back."""
    await telephone.wait_for_bot(silence=0.5)
    await telephone.say("a latte please")
    await hear(server, telephone, "said a latte please that was")
    await telephone.wait_for_bot(silence=0.3)
    await telephone.say("a large one")
    await hear(server, telephone, "large one")


async def patient(server: GoogleServer, telephone: Caller) -> None:
    """Hears the greeting to its end, before saying two things."""
    await hear(server, telephone, GREETING)
    await order(server, telephone)


def missed(server: GoogleServer, call: PhoneCall, text: str = GREETING) -> list[str]:
    """A text's words that were not heard to their last byte, be it with a hole in them."""
    return [word for word in text.split() if not times(server, call.result.heard_bot, word)]


def was_all_understood(rig: Rig) -> bool:
    return [words for words in rig.remembered if words in HEARD] == HEARD


async def test_google_example_takes_an_order(phone: Phone, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(VENDORS, "_vendors", {})
    async with GoogleServer(hears=["a large latte"]) as server:
        monkeypatch.setenv("GOOGLE_SPEECH_TARGET", server.target)

        async def caller(telephone: Caller) -> None:
            await telephone.wait_for_bot(silence=0.5)
            await telephone.say("a large latte")
            # Bit for bit, each word to its last byte.
            await hear(
                server, telephone, "hello and welcome to the coffee shop latte any special milk"
            )
            known = await telephone.wait_until(
                lambda: all(VENDORS.of(role, "google").first_byte(0.5) for role in ROLES), seconds=5
            )
            assert known, VENDORS.as_json()

        await phone.ring(google_speech.bot, caller)
        (stream,), speech = server.streams, server.speeches[0]

    decoding = stream.config.config.explicit_decoding_config
    assert (decoding.encoding.name, decoding.sample_rate_hertz) == ("MULAW", 8000)
    assert stream.config.config.model == "telephony"
    voice = speech.config.streaming_audio_config
    assert (voice.audio_encoding.name, voice.sample_rate_hertz) == ("MULAW", 8000)


@bad_day(
    "google",
    "both connections break in mid-word",
    "Every word; the one that broke off again from its beginning, and perhaps one more twice.",
)
async def test_google_drops_in_mid_word(phone: Phone):
    faults = {"faults": [Drop(after=1)], "tts_faults": [None, None, Drop(after=12)]}
    async with google(**faults) as (server, bot, rig):
        call = await phone.ring(bot, partial(order, server))

    assert was_all_understood(rig)
    assert [stream.finals for stream in server.streams] == [[], HEARD[:1], HEARD[1:]]
    _, _, broken, rest, *_ = [speech.text for speech in server.speeches]
    assert broken == "You said: a latte please."
    assert f" {rest}" in f" {broken}"
    assert missed(server, call, f"{GREETING} you said a latte please") == []
    assert rig.remembered[:3] == [
        "Hello! I say everything back.",
        HEARD[0],
        "You said: a latte please. That was 3 words.",
    ]
    assert not rig.errors


@bad_day(
    "google",
    "both streams end in the middle as if they were whole",
    "Every word; the one that broke off again from its beginning, and perhaps one more twice.",
)
async def test_google_ends_well_in_the_middle(phone: Phone):
    faults = {"faults": [EarlyEnd(after=1)], "tts_faults": [None, None, EarlyEnd(after=4)]}
    async with google(**faults) as (server, bot, rig):
        call = await phone.ring(bot, partial(order, server))

    assert was_all_understood(rig)
    assert missed(server, call, f"{GREETING} you said a latte please") == []
    assert not rig.errors


@bad_day("google", "the voice breaks behind a pause", "Every word once; a longer pause.")
async def test_google_goes_on_at_a_pause(phone: Phone):
    # Pieces of 0.1 s: the pause ends behind 9 to 12 of them, the next words behind 13 to 18.
    faults = [None, None, Drop(after=13)]
    hears = ["well, a latte please"]
    # It comes fast: a busy machine is not to need what is behind the pause.
    async with google(hears=hears, tts_faults=faults, speed=20.0) as (server, bot, rig):

        async def caller(telephone: Caller) -> None:
            await hear(server, telephone, GREETING)
            await telephone.wait_for_bot(silence=0.3)
            await telephone.say("well a latte please")
            await hear(server, telephone, "latte please that was 4 words")

        call = await phone.ring(bot, caller)

    words = "you said well a latte please that was 4 words"
    assert server.speeches[3].text == "a latte please."
    assert [times(server, call.result.heard_bot, word) for word in words.split()] == [1] * 10
    assert rig.remembered[-1] == "You said: well, a latte please. That was 4 words."
    assert not rig.errors


@bad_day("google", "both are away at the start (503, 429, 500, drop)", "Everything, a bit later.")
async def test_google_comes_late(phone: Phone):
    faults = [Refusal(status=503), Drop(), Refusal(status=429), Refusal(status=500)]
    tts_faults = [Refusal(status=503), Refusal(status=429), None, Refusal(status=500), Drop()]
    # A busy machine is no fault of Google's.
    slow = {"tts": {"time_limit": 10.0}}
    async with google(faults=faults, tts_faults=tts_faults, **slow) as (server, bot, rig):
        call = await phone.ring(bot, partial(patient, server))

    assert was_all_understood(rig)
    assert missed(server, call) == []
    assert not rig.errors


@bad_day("google", "both hang behind the first words", "A pause; then all that was to be said.")
async def test_google_hangs(phone: Phone):
    faults = {"faults": [Hang(after=1)], "tts_faults": [Hang(after=2)]}
    tight = {"stt": {"policy": RetryPolicy(answer_secs=1.0)}, "tts": {"time_limit": 0.5}}
    async with google(**faults, **tight) as (server, bot, rig):
        await phone.ring(bot, partial(patient, server))

    assert was_all_understood(rig)
    assert rig.remembered[0] == "Hello! I say everything back."
    assert not rig.errors


@bad_day("google", "both send garbage; the voice is slow", "Everything, as late as it comes.")
async def test_google_sends_garbage(phone: Phone):
    faults = {"faults": [Garbage(after=1)], "tts_faults": [Garbage(after=1), Slow(seconds=1.0)]}
    async with google(**faults) as (server, bot, rig):
        call = await phone.ring(bot, partial(patient, server))

    assert was_all_understood(rig)
    assert missed(server, call) == []
    assert not rig.errors


@bad_day("google", "the recogniser is slow: the first words come 1.5 s late", "A longer pause.")
async def test_google_hears_late(phone: Phone):
    async with google(faults=[Slow(seconds=1.5)]) as (server, bot, rig):

        async def caller(telephone: Caller) -> None:
            await telephone.wait_for_bot(silence=0.5)
            await telephone.say("a latte please")
            await hear(server, telephone, "said a latte please")

        await phone.ring(bot, caller)

    assert rig.remembered[1] == HEARD[0]
    assert len(server.streams) == 1
    assert not rig.errors


@bad_day(
    "google",
    "the recogniser takes no key (401)",
    "\"I'm sorry, I can't hear you at the moment\", and again when the caller speaks.",
)
async def test_google_refuses_to_hear(phone: Phone):
    async with google(faults=repeat(Refusal(status=401))) as (server, bot, rig):

        def asked() -> int:
            return sum(visit.path == "StreamingRecognize" for visit in server.visits)

        async def caller(telephone: Caller) -> None:
            await hear(server, telephone, "im sorry i cant hear you at the moment")
            # gRPC may take a refusal that comes while it sends for a broken stream: so not once.
            told_after = asked()
            await telephone.wait_for_bot(silence=0.5)
            await telephone.say("a latte please")
            await hear(server, telephone, "cant hear moment", often=2, seconds=15)
            assert asked() == told_after

        await phone.ring(bot, caller)

    (error,) = rig.errors.values()
    assert error.category is ErrorCategory.AUTHENTICATION


@bad_day("google", "the recogniser stays away", "\"I'm sorry, I can't hear you at the moment\".")
async def test_google_stays_away(phone: Phone):
    faults = repeat(Refusal(status=503), 6)
    async with google(faults=faults, stt={"policy": RetryPolicy(give_up_secs=1.0)}) as (
        server,
        bot,
        rig,
    ):

        async def caller(telephone: Caller) -> None:
            await hear(server, telephone, "im sorry i cant hear you at the moment")
            await telephone.wait_for_bot(silence=0.5)
            back = await telephone.wait_until(lambda: bool(server.streams), seconds=20)
            assert back, "expected the recogniser to be asked again"
            await telephone.say("a latte please")
            await hear(server, telephone, "said a latte please", seconds=15)

        await phone.ring(bot, caller)

    (error,) = rig.errors.values()
    assert error.category in (ErrorCategory.CONNECTIVITY, ErrorCategory.SERVER)


@bad_day(
    "google", "the voice takes no key (401)", "The apology that was kept ready, once; then silence."
)
async def test_google_refuses_to_speak(phone: Phone, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(VENDORS, "_vendors", {})
    sorry = burst("sorry") * 2
    faults = repeat(Refusal(status=401))
    async with google(tts_faults=faults, tts={"apology_audio": sorry}) as (server, bot, rig):

        async def caller(telephone: Caller) -> None:
            assert await telephone.wait_until(lambda: sorry in telephone.heard_so_far, seconds=20)
            await telephone.wait_for_bot(silence=0.5)
            await telephone.say("a latte please")
            # The call goes on: the caller is still heard.
            while HEARD[0] not in rig.remembered:
                await telephone.wait(0.1)

        call = await asyncio.wait_for(phone.ring(bot, caller), 30)
        asked = [visit for visit in server.visits if visit.path == "StreamingSynthesize"]

    assert call.result.heard_bot.count(sorry) == 1
    assert len(asked) == 1
    assert rig.remembered == HEARD[:1]
    (error,) = rig.errors.values()
    assert error.category is ErrorCategory.AUTHENTICATION
    health = VENDORS.of(VendorRole.TTS, "google")
    assert health.failures == {FailureKind.REFUSED: 1}
    assert health.successes == 0


async def outlast(phone: Phone, fault: Refusal | Hang, **tts: Any) -> Rig:
    """Has a caller hear an apology where the voice fails, and the voice when it is well again."""
    sorry = burst("sorry") * 2
    tts |= {"apology_audio": sorry}
    async with google(tts_faults=repeat(fault), tts=tts) as (server, bot, rig):

        async def caller(telephone: Caller) -> None:
            assert await telephone.wait_until(lambda: sorry in telephone.heard_so_far, seconds=20)
            server.go_wrong(speaking=True)
            await telephone.wait_for_bot(silence=0.5)
            await telephone.say("a latte please")
            await hear(server, telephone, "said a latte please")

        call = await phone.ring(bot, caller)

    assert call.result.heard_bot.count(sorry) == 1
    assert rig.remembered[-2:-1] == HEARD[:1]
    return rig


@bad_day("google", "the voice fails for ever (500)", f"{SORRY}; when it is over, all that is said.")
async def test_voice_that_fails_for_ever(phone: Phone):
    rig = await outlast(phone, Refusal(status=500))

    assert {error.category for error in rig.errors.values()} == {ErrorCategory.SERVER}


@bad_day("google", "the voice hangs for ever", f"{SORRY}; when it is over, all that is said.")
async def test_voice_that_hangs_for_ever(phone: Phone):
    rig = await outlast(phone, Hang(), time_limit=0.5)

    assert {error.category for error in rig.errors.values()} == {ErrorCategory.CONNECTIVITY}
