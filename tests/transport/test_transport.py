import asyncio
import base64
import json
import statistics
from contextlib import suppress

import aiohttp
from loguru import logger
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    InputAudioRawFrame,
    InputDTMFFrame,
    InterruptionFrame,
)

from tests.transport.bots import Bot, listening, speech, tone
from tests.vendors.faults import bad_day
from tests.waiting import time_passes
from twilio_frames.audio import decode_mulaw, encode_mulaw
from twilio_frames.frames import (
    AudioGapFrame,
    CallStartedFrame,
    MarkReachedFrame,
    MarkSentFrame,
    MulawInputFrame,
    MulawOutputFrame,
    SendMarkFrame,
)
from twilio_frames.protocol import Connected, Mark, Media, Role, Start, Stop, Stream
from twilio_frames.testing import CallerOptions, LineConditions, Phone
from twilio_frames.transport import TwilioParams

START = Start(stream_sid="MZ1", call_sid="CA1", account_sid="AC1")


class Wire:
    """Twilio's end of a socket, said word by word."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse):
        self.socket = socket
        self.twilio = Stream(Role.TWILIO)
        self._clock = 100

    async def begin(self):
        await self.socket.send_str(self.twilio.send(Connected()))
        await self.socket.send_str(self.twilio.send(START))

    async def hear(self, payload: bytes = b"\xff" * 160, *, track: str = "inbound"):
        media = Media(payload=payload, timestamp=self._clock, track=track)
        self._clock += len(payload) // 8
        await self.socket.send_str(self.twilio.send(media))

    def skip(self, milliseconds: int):
        self._clock += milliseconds

    async def say_stop(self):
        await self.socket.send_str(self.twilio.send(Stop()))


async def test_call_becomes_frames(phone: Phone):
    async with listening() as (url, bots):
        async with phone.call(url, parameters={"name": "Jane"}) as caller:
            bot = await bots.get()
            started = await bot.before.wait_for(CallStartedFrame)
            await caller.press("5#")
            await bot.before.wait_for(InputDTMFFrame, count=2)
            await bot.before.wait_for(InputAudioRawFrame, count=3)
        assert await bot.end_reason() == "caller hung up"

    assert isinstance(started, CallStartedFrame)
    assert started.parameters == {"name": "Jane"}
    assert started.call_sid.startswith("CA")
    digits = [frame.button.value for frame in bot.before.frames(InputDTMFFrame)]  # pyright: ignore
    assert digits == ["5", "#"]
    audio = bot.before.frames(InputAudioRawFrame)[0]
    assert isinstance(audio, MulawInputFrame)
    assert (audio.sample_rate, len(audio.audio), len(audio.mulaw)) == (8000, 640, 320)
    assert audio.audio == decode_mulaw(audio.mulaw)


async def test_caller_hears_every_sample(phone: Phone):
    async def speak(bot: Bot):
        await bot.before.wait_for(CallStartedFrame)
        await bot.worker.queue_frames([*speech(0.73), EndFrame()])

    async with listening(behaviour=speak) as (url, bots):
        async with phone.call(url) as caller:
            await caller.wait_for_end(seconds=10)
        bot = await bots.get()
        assert await bot.end_reason() == "bot hung up"

    assert encode_mulaw(tone(0.73)) in caller.result.heard_bot


async def test_end_waits_for_a_line_that_has_not_begun():
    """A reply from a cache, and the end behind it, may be there before Twilio's ``start``."""
    has_all = asyncio.Event()

    async def speak(bot: Bot):
        await bot.worker.queue_frames([*speech(0.3), EndFrame()])
        await bot.before.wait_for(EndFrame)
        has_all.set()

    async with listening(behaviour=speak) as (url, bots):
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            await has_all.wait()
            await time_passes(1)
            wire, heard = Wire(socket), b""
            await wire.begin()
            async for message in socket:
                told = json.loads(message.data)
                if told["event"] == "media":
                    heard += base64.b64decode(told["media"]["payload"])
                else:
                    await socket.send_str(wire.twilio.send(Mark(name=told["mark"]["name"])))
        bot = await bots.get()
        assert await bot.end_reason() == "bot hung up"

    assert encode_mulaw(tone(0.3)) in heard


async def test_stopped_speaking_follows_the_ear(phone: Phone):
    async def speak(bot: Bot):
        await bot.before.wait_for(CallStartedFrame)
        await bot.worker.queue_frames(speech(1.0))

    async with listening(behaviour=speak) as (url, bots):
        async with phone.call(url) as caller:
            bot = await bots.get()
            await bot.before.wait_for(BotStartedSpeakingFrame)
            await bot.before.wait_for(BotStoppedSpeakingFrame)
            stopped = caller.now
            await caller.wait(0.1)

    (turn,) = [turn for turn in caller.result.turns if turn.speaker == "bot"]
    assert -0.05 < stopped - turn.ended_at < 0.3


async def test_interruption_clears_twilios_buffer(phone: Phone):
    async def speak(bot: Bot):
        await bot.before.wait_for(CallStartedFrame)
        await bot.worker.queue_frames(speech(3.0))

    async with listening(behaviour=speak) as (url, bots):
        async with phone.call(url) as caller:
            bot = await bots.get()
            await caller.wait_until_bot_speaks(for_seconds=0.5)
            await bot.worker.queue_frame(InterruptionFrame())
            await bot.before.wait_for(BotStoppedSpeakingFrame)
            await caller.wait(0.3)

    assert len(caller.log.events("clear")) == 1
    (turn,) = [turn for turn in caller.result.turns if turn.speaker == "bot"]
    assert 0.5 <= turn.ended_at - turn.began_at < 1.5


async def test_uneven_line_tells_where_speech_was_cut(phone: Phone):
    cuts: list[int] = []

    async def speak(bot: Bot):
        playback = bot.transport.playback
        for seconds in (1.0, 1.37, 0.81):
            await bot.worker.queue_frames(speech(4.0))
            await bot.before.wait_for(BotStartedSpeakingFrame, count=len(cuts) + 1)
            await time_passes(seconds)
            await bot.worker.queue_frame(InterruptionFrame())
            await bot.before.wait_for(BotStoppedSpeakingFrame, count=len(cuts) + 1)
            assert playback.cut is not None
            cuts.append(playback.cut.position)
        await bot.worker.queue_frame(EndFrame())

    options = CallerOptions(line=LineConditions.one_way(0.05, jitter=0.1), seed=1)
    async with listening(behaviour=speak) as (url, _):
        async with phone.call(url, options=options) as caller:
            await caller.wait_for_end(seconds=15)

    ends = [span.end for span in caller.result.heard_spans]
    off = [min(abs(end - cut) for end in ends) for cut in cuts]
    # The messages come up to 100 ms apart, which is 800 bytes.
    assert statistics.median(off) < 80


async def test_mulaw_passes_unconverted(phone: Phone):
    mulaw = encode_mulaw(tone(0.4))

    async def speak(bot: Bot):
        await bot.before.wait_for(CallStartedFrame)
        start, _, stop = speech(0)
        await bot.worker.queue_frames([start, MulawOutputFrame.of(mulaw), stop, EndFrame()])

    async with listening(behaviour=speak) as (url, _):
        async with phone.call(url) as caller:
            await caller.wait_for_end(seconds=10)

    assert mulaw in caller.result.heard_bot


async def test_marks_are_sent_and_reached(phone: Phone):
    async def speak(bot: Bot):
        await bot.before.wait_for(CallStartedFrame)
        await bot.worker.queue_frames([*speech(0.3), SendMarkFrame(mark="here")])

    async with listening(behaviour=speak) as (url, bots):
        async with phone.call(url):
            bot = await bots.get()
            sent = await bot.before.wait_for(MarkSentFrame)
            reached = await bot.before.wait_for(MarkReachedFrame)

    assert isinstance(sent, MarkSentFrame)
    assert isinstance(reached, MarkReachedFrame)
    assert (reached.mark, reached.position, reached.flushed) == ("here", sent.position, False)


async def test_only_the_caller_is_heard():
    async with listening() as (url, bots), aiohttp.ClientSession() as session:
        async with session.ws_connect(url) as socket:
            wire = Wire(socket)
            await wire.begin()
            await wire.hear(b"\x11" * 160, track="outbound")
            await wire.hear(b"\x22" * 160)
            bot = await bots.get()
            heard = await bot.before.wait_for(MulawInputFrame)

    assert isinstance(heard, MulawInputFrame)
    assert heard.mulaw == b"\x22" * 160


@bad_day(
    "line",
    "audio of the caller is lost",
    "Nothing; the bot hears silence in its place.",
)
async def test_holes_are_filled_with_silence():
    async with listening() as (url, bots), aiohttp.ClientSession() as session:
        async with session.ws_connect(url) as socket:
            wire = Wire(socket)
            await wire.begin()
            await wire.hear(b"\x11" * 160)
            wire.skip(60)
            await wire.hear(b"\x22" * 160)
            bot = await bots.get()
            await bot.before.wait_for(MulawInputFrame, count=3)

    heard = b"".join(frame.mulaw for frame in bot.before.frames(MulawInputFrame))  # pyright: ignore
    assert heard == b"\x11" * 160 + b"\xff" * 480 + b"\x22" * 160
    (gap,) = bot.before.frames(AudioGapFrame)
    assert isinstance(gap, AudioGapFrame)
    assert gap.milliseconds == 60


@bad_day(
    "line",
    "malformed, misplaced and huge messages",
    "Nothing.",
)
async def test_no_message_ends_the_call():
    async with listening() as (url, bots), aiohttp.ClientSession() as session:
        async with session.ws_connect(url) as socket:
            wire = Wire(socket)
            await wire.begin()
            bot = await bots.get()
            for text in ["{", "[]", "null", '{"event":"media","media":null}', '{"event":"?"}']:
                await socket.send_str(text)
            await socket.send_str(
                json.dumps({"event": "media", "media": {"payload": "!"}, "streamSid": "MZ1"})
            )
            await socket.send_str(json.dumps({"event": "dtmf", "dtmf": None, "streamSid": "MZ1"}))
            await socket.send_bytes(b"\x00" * 100)
            await socket.send_str("x" * 2_000_000)
            await wire.hear(b"\x33" * 160)
            heard = await bot.before.wait_for(MulawInputFrame)
            await wire.say_stop()
            assert await bot.end_reason() == "caller hung up"

    assert isinstance(heard, MulawInputFrame)
    assert heard.mulaw == b"\x33" * 160
    assert sum(bot.transport.violations.values()) == 9


@bad_day(
    "line",
    "the connection breaks",
    "Nothing more: the bot ends.",
)
async def test_socket_without_stop_is_a_lost_line():
    async with listening() as (url, bots), aiohttp.ClientSession() as session:
        async with session.ws_connect(url) as socket:
            await Wire(socket).begin()
            bot = await bots.get()
            await bot.before.wait_for(CallStartedFrame)
        assert await bot.end_reason() == "line lost"


async def test_silent_line_is_a_lost_line():
    params = TwilioParams(media_timeout_secs=0.3)
    async with listening(params) as (url, bots), aiohttp.ClientSession() as session:
        async with session.ws_connect(url) as socket:
            wire = Wire(socket)
            await wire.begin()
            await wire.hear()
            bot = await bots.get()

            assert await bot.end_reason() == "line lost"
            # It was asked whether it lives.
            assert "heard:alive" in await socket.receive_str()
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_stream_that_never_starts_is_an_error():
    params = TwilioParams(start_timeout_secs=0.2)
    async with listening(params) as (url, bots), aiohttp.ClientSession() as session:
        async with session.ws_connect(url):
            bot = await bots.get()

            assert await bot.end_reason() == "error"


@bad_day(
    "line",
    "the other side reads no more",
    "The line is closed (`mark_timeout_secs`).",
)
async def test_unread_marks_are_a_lost_line():
    """A peer that reads no more still sends audio; only its marks are missing."""

    async def speak(bot: Bot):
        await bot.before.wait_for(CallStartedFrame)
        await bot.worker.queue_frames(speech(0.2))

    params = TwilioParams(mark_timeout_secs=0.3)
    async with (
        listening(params, speak) as (url, bots),
        aiohttp.ClientSession() as session,
        session.ws_connect(url) as socket,
    ):
        wire = Wire(socket)
        await wire.begin()
        bot = await bots.get()
        while "mark" not in (message := json.loads(await socket.receive_str())):
            pass
        await socket.send_str(
            json.dumps({"event": "mark", "mark": message["mark"], "streamSid": "MZ1"})
        )
        ending = asyncio.create_task(bot.end_reason())
        while not ending.done():
            with suppress(ConnectionError):
                await wire.hear()
            await asyncio.wait([ending], timeout=0.02)

        assert await ending == "line lost"


async def test_time_limit_ends_the_call(phone: Phone):
    params = TwilioParams(time_limit_secs=0.2)
    async with listening(params) as (url, bots), phone.call(url):
        bot = await bots.get()

        assert await bot.end_reason() == "time limit"


async def test_expected_stop_is_a_transfer(phone: Phone):
    async with listening() as (url, bots):
        async with phone.call(url):
            bot = await bots.get()
            await bot.before.wait_for(CallStartedFrame)
            bot.transport.expect_transfer()
        assert await bot.end_reason() == "transferred"


async def test_late_audio_is_reported_at_the_end(phone: Phone):
    lines: list[str] = []
    sink = logger.add(lines.append, level="WARNING", format="{message}")
    async with listening() as (url, bots):
        async with phone.call(url) as caller:
            bot = await bots.get()
            start, audio, stop = speech(0.2)
            await bot.worker.queue_frames([start, audio])
            await caller.wait_until_bot_speaks()
            while caller.hears_bot:
                await caller.wait(0.02)
            await bot.worker.queue_frames([speech(0.2)[1], stop])
            await bot.before.wait_for(BotStoppedSpeakingFrame)
            assert bot.transport.underruns == 1
        await bot.end_reason()
    logger.remove(sink)

    assert any("the caller heard 1 hole" in line for line in lines)
