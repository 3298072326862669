"""What callers of a whole server hear first, and what it takes."""

import asyncio
import time
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pipecat.frames.frames import StartFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.services.settings import TTSSettings

from tests.transport.bots import tone
from tests.waiting import until
from twilio_frames.audio import decode_mulaw
from twilio_frames.call import Call
from twilio_frames.fleet.loop_watch import LoopWatch
from twilio_frames.processors.clips import Clip
from twilio_frames.processors.clips.store import ClipStore
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.greeting import Greeting
from twilio_frames.processors.tts import PythonTTSService, SpeechChunk, SpokenWord
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.report.lines import Kind
from twilio_frames.report.reading import read_log
from twilio_frames.report.story import tell
from twilio_frames.server import ServerSettings
from twilio_frames.services.cartesia import PhoneCartesiaTTSService
from twilio_frames.testing import Caller, Phone
from twilio_frames.testing.known_speech import said, sound
from twilio_frames.testing.vendors import CartesiaServer, Hang

TEXT = "Hello, who is there?"


class Beeper(PythonTTSService):
    """Says each word as a beep; connects when it may."""

    gives_word_times = True

    def __init__(self, connected: asyncio.Event | None = None, hertz: float = 440.0):
        super().__init__(settings=TTSSettings(model=None, voice=str(hertz), language=None))
        self._connected = connected
        self._hertz = hertz

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        if self._connected is not None:
            await self._connected.wait()

    async def synthesise(self, text: str):
        for word in text.split():
            yield SpeechChunk(
                pcm=tone(0.2, hertz=self._hertz), sample_rate=8000, words=(SpokenWord(text=word),)
            )


@dataclass
class Bot:
    """Greets in 440 Hz, where its greeting is recorded, else live in 880."""

    greeting: Greeting | Clip | str
    is_warm: bool = True
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    contexts: "asyncio.Queue[PhoneContextAggregator]" = field(default_factory=asyncio.Queue)

    async def warm_up(self) -> None:
        if isinstance(self.greeting, Greeting) and self.is_warm:
            await self.greeting.prepare()

    async def __call__(self, call: Call) -> None:
        context = PhoneContextAggregator()
        self.contexts.put_nowait(context)
        pipeline = Pipeline(
            [
                call.transport.input(),
                PhoneVAD(),
                context.user(),
                Beeper(self.connected, 880.0),
                call.transport.output(),
                context.assistant(),
            ]
        )
        await call.run(pipeline, greeting=self.greeting)


@pytest.fixture
def greeting(tmp_path: Path) -> Greeting:
    return Greeting(TEXT, Beeper, store=ClipStore(tmp_path))


async def remembered(context: PhoneContextAggregator) -> list[Any]:
    await until(lambda: context.context.get_messages())
    return [dict(message) for message in context.context.get_messages()]  # type: ignore[call-overload]


def pitch(caller: Caller) -> float:
    heard = np.frombuffer(decode_mulaw(caller.result.heard_bot), dtype=np.int16).astype(float)
    return float(np.argmax(np.abs(np.fft.rfft(heard))) * 8000 / len(heard))


async def test_recorded_greeting_is_heard_while_services_connect(phone: Phone, greeting: Greeting):
    bot = Bot(greeting)
    async with phone.call(bot) as caller:
        await caller.wait_until_bot_speaks(for_seconds=0.3)
        bot.connected.set()
        words = await remembered(await bot.contexts.get())

    assert words == [{"role": "assistant", "content": TEXT}]
    assert pitch(caller) == pytest.approx(440, abs=5)


async def test_log_tells_when_each_word_of_the_greeting_was_heard(
    phone: Phone, greeting: Greeting, tmp_path: Path
):
    bot = Bot(greeting)
    settings = ServerSettings(call_logs=tmp_path / "logs")
    async with phone.desk(bot, settings=settings) as desk:
        async with desk.call() as caller:
            await caller.wait_for_bot(silence=0.3)
            bot.connected.set()
            await remembered(await bot.contexts.get())
    (path,) = await asyncio.to_thread(lambda: list((tmp_path / "logs").iterdir()))
    story = tell(await asyncio.to_thread(read_log, path))

    words = [line["t"] for line in story.log.of(Kind.WORD)]
    assert len(words) == 4
    heard = story.heard[0]
    assert words == pytest.approx([heard.begin + 0.2 * n for n in (1, 2, 3, 4)], abs=0.1)


async def test_greeting_that_is_not_ready_is_spoken_live_and_recorded_for_the_next(
    phone: Phone, greeting: Greeting
):
    bot = Bot(greeting, is_warm=False)
    bot.connected.set()
    async with phone.desk(bot) as desk:
        async with desk.call() as first:
            assert (await remembered(await bot.contexts.get()))[0]["content"] == TEXT
        assert await greeting.prepare() is not None
        async with desk.call() as second:
            assert (await remembered(await bot.contexts.get()))[0]["content"] == TEXT

    assert pitch(first) == pytest.approx(880, abs=5)
    assert pitch(second) == pytest.approx(440, abs=5)


async def test_hanging_cartesia_holds_no_call_up(phone: Phone, tmp_path: Path):
    """Nor its process; when it is well again, callers hear the recording."""
    cartesia = CartesiaServer(faults=repeat(Hang()))
    voice = PhoneCartesiaTTSService.Settings(voice="someone")
    async with cartesia:
        greeting = Greeting(
            TEXT,
            lambda: PhoneCartesiaTTSService(api_key="any", url=cartesia.tts_url, settings=voice),
            store=ClipStore(tmp_path),
            time_limit=0.5,
            retry_secs=0.2,
        )
        bot = Bot(greeting)
        bot.connected.set()
        began = time.monotonic()
        async with phone.desk(bot, settings=ServerSettings(warm_up_secs=0.3)) as desk:
            assert time.monotonic() - began < 3.0
            async with desk.call() as first:
                assert (await remembered(await bot.contexts.get()))[0]["content"] == TEXT
            cartesia.go_wrong()
            await until(lambda: greeting.clip is not None)
            async with desk.call() as second:
                assert (await remembered(await bot.contexts.get()))[0]["content"] == TEXT
        await greeting.close()

    assert pitch(first) == pytest.approx(880, abs=5)
    assert sound(said(TEXT)) in second.result.heard_bot


async def test_text_is_spoken_live(phone: Phone):
    bot = Bot(TEXT)
    bot.connected.set()
    async with phone.call(bot) as caller:
        assert (await remembered(await bot.contexts.get()))[0]["content"] == TEXT

    assert pitch(caller) == pytest.approx(880, abs=5)


async def test_first_calls_block_the_event_loop_for_no_one(phone: Phone, greeting: Greeting):
    bot = Bot(greeting)
    bot.connected.set()
    async with phone.desk(bot) as desk:
        async with LoopWatch() as watch:
            for _ in range(3):
                async with desk.call() as caller:
                    await caller.wait_until_bot_speaks(for_seconds=0.3)

    # By what was computed: a busy machine lets everything wait.
    blocks = [block for block in watch.blocks if block.cpu_secs > 0.02]
    assert not blocks, watch.worst
