# ruff: noqa: ASYNC110
# The far end of a fake line has nothing to await.
import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import accumulate

import numpy as np
import pytest
from loguru import logger
from pipecat.audio.filters.base_audio_filter import BaseAudioFilter
from pipecat.frames import frames as pipecat_frames
from pipecat.frames.frames import (
    AggregatedTextFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    OutputAudioRawFrame,
    OutputTransportMessageFrame,
    OutputTransportMessageUrgentFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.workers.runner import WorkerRunner

from tests.transport.bots import Tap, speech, tone
from twilio_frames.audio import decode_mulaw, encode_mulaw, mulaw_silence
from twilio_frames.frames import CallEndReason, MulawOutputFrame
from twilio_frames.processors.mulaw_output import MulawOutput
from twilio_frames.processors.words import HeardTextFrame
from twilio_frames.protocol import BotMessage, Clear, Playback, SendMark, SendMedia
from twilio_frames.transport import TwilioParams


class FakeLine:
    """A line that keeps what is sent; its far end plays nothing and echoes what it is told to."""

    def __init__(self, *, echoes: bool = True):
        self.playback = Playback()
        self.sent: list[tuple[float, BotMessage]] = []
        self.closed_for: CallEndReason | None = None
        self.on_echo: Callable[[], None] = lambda: None
        self.on_end: Callable[[], None] = lambda: None
        self.heard = b""
        self._echoes = echoes

    @property
    def is_open(self) -> bool:
        return self.closed_for is None

    async def send(self, message: BotMessage) -> bool:
        if not self.is_open:
            return False
        now = time.monotonic()
        self.sent.append((now, message))
        match message:
            case SendMedia():
                self.playback.audio_sent(len(message.payload), now)
            case SendMark():
                self.playback.mark_sent(message.name, now)
                if self._echoes:
                    due = max(0.0, self.playback.ends_at - now)
                    asyncio.get_running_loop().call_later(due, self._echo, message.name)
            case Clear():
                pass
        return True

    async def clear(self) -> bool:
        if not await self.send(Clear()):
            return False
        self.playback.clear_sent(["fence"], time.monotonic())
        if self._echoes:
            asyncio.get_running_loop().call_soon(self._echo, "fence")
        return True

    def bot_heard(self, mulaw: bytes, played_at: float) -> None:
        self.heard += mulaw

    def _echo(self, name: str) -> None:
        self.playback.mark_echoed(name, time.monotonic())
        self.on_echo()

    async def close(self, reason: CallEndReason, detail: str) -> None:
        self.closed_for = self.closed_for or reason
        self.on_end()

    def audio(self) -> bytes:
        return b"".join(m.payload for _, m in self.sent if isinstance(m, SendMedia))

    def of(self, kind: type[BotMessage]) -> list[tuple[float, BotMessage]]:
        return [(sent_at, message) for sent_at, message in self.sent if isinstance(message, kind)]


@asynccontextmanager
async def speaking(
    line: FakeLine, params: TwilioParams | None = None, *, rate: int = 8000
) -> AsyncIterator[tuple[PipelineWorker, Tap]]:
    tap = Tap()
    output = MulawOutput(line, params or TwilioParams())
    worker = PipelineWorker(
        Pipeline([tap, output]),
        params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=rate),
        enable_rtvi=False,
    )
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    try:
        yield worker, tap
    finally:
        await worker.cancel()
        await running


async def test_twilio_is_kept_one_lead_ahead():
    line = FakeLine()
    async with speaking(line, TwilioParams(lead_secs=0.3)) as (worker, tap):
        await worker.queue_frames(speech(1.0))
        await tap.wait_for(BotStoppedSpeakingFrame)

    times = [sent_at for sent_at, _ in line.of(SendMedia)]
    sent = accumulate(len(m.payload) for _, m in line.sent if isinstance(m, SendMedia))
    ahead = [end / 8000 - (at - times[0]) for end, at in zip(sent, times, strict=True)]
    assert len(times) == 11
    # Some messages at once, then one each 100 ms: never much more ahead than the lead.
    assert max(ahead) < 0.45
    assert times[3] - times[0] < 0.1 < times[6] - times[0]


async def test_stall_is_caught_up_with():
    line = FakeLine()
    async with speaking(line, TwilioParams(lead_secs=0.3)) as (worker, tap):
        await worker.queue_frames(speech(1.0))
        while len(line.of(SendMedia)) < 5:
            await asyncio.sleep(0.005)
        time.sleep(0.2)  # noqa: ASYNC251  # the stall
        await tap.wait_for(BotStoppedSpeakingFrame)

    times = [sent_at for sent_at, _ in line.of(SendMedia)]
    late = [sent_at - times[0] - 0.1 * number for number, sent_at in enumerate(times)]
    assert max(late) <= 0, "each message was there before its turn to be played"


async def test_every_message_has_a_mark_behind_it_and_the_first_one_before():
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        await worker.queue_frames(speech(0.25))
        await tap.wait_for(BotStoppedSpeakingFrame)

    kinds = [type(message) for _, message in line.sent]
    assert kinds == [SendMark] + [SendMedia, SendMark] * 3


async def test_speech_ends_when_it_was_heard():
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        await worker.queue_frames(speech(0.5))
        await tap.wait_for(BotStartedSpeakingFrame)
        began = time.monotonic()
        await tap.wait_for(BotStoppedSpeakingFrame)

    assert time.monotonic() - began > 0.45


async def test_lost_marks_cost_patience_once():
    line = FakeLine(echoes=False)
    params = TwilioParams(playout_timeout_secs=0.4)
    async with speaking(line, params) as (worker, tap):
        times = [time.monotonic()]
        for count in (1, 2):
            await worker.queue_frames(speech(0.1))
            await tap.wait_for(BotStoppedSpeakingFrame, count=count)
            times.append(time.monotonic())

    assert times[1] - times[0] > 0.5
    assert times[2] - times[1] < 0.4


async def test_interruption_clears_once():
    line = FakeLine(echoes=False)
    async with speaking(line) as (worker, tap):
        await worker.queue_frames(speech(5.0))
        await tap.wait_for(BotStartedSpeakingFrame)
        await worker.queue_frame(InterruptionFrame())
        await tap.wait_for(BotStoppedSpeakingFrame)
        await asyncio.sleep(0.25)

    kinds = [type(message) for _, message in line.sent]
    assert kinds.count(Clear) == 1
    assert SendMedia not in kinds[kinds.index(Clear) :]


async def test_no_stale_audio_slips_behind_a_clear():
    """At whatever moment the interruption comes."""
    line = FakeLine()
    async with speaking(line, TwilioParams(lead_secs=10)) as (worker, tap):
        for number in range(1, 12):
            await worker.queue_frames(speech(1.0))
            for _ in range(3 * number):
                await asyncio.sleep(0)
            await worker.queue_frame(InterruptionFrame())
            await tap.wait_for(InterruptionFrame, count=number)
            await asyncio.sleep(0.02)
            kinds = [type(message) for _, message in line.sent]
            if Clear in kinds:
                last_clear = len(kinds) - 1 - kinds[::-1].index(Clear)
                assert SendMedia not in kinds[last_clear:]


async def test_uninterruptible_speech_is_heard_out():
    line = FakeLine()
    start, audio, stop = speech(0.5)
    audio.interruptible = stop.interruptible = False
    async with speaking(line) as (worker, tap):
        await worker.queue_frames([start, audio, stop])
        await tap.wait_for(BotStartedSpeakingFrame)
        await worker.queue_frame(InterruptionFrame())
        await tap.wait_for(BotStoppedSpeakingFrame)

    assert line.of(Clear) == []
    assert line.audio().startswith(encode_mulaw(tone(0.5)))


async def test_silent_bot_clears_nothing():
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        await worker.queue_frame(InterruptionFrame())
        await tap.wait_for(InterruptionFrame)
        await worker.queue_frames(speech(0.1))
        await tap.wait_for(BotStoppedSpeakingFrame)

    assert line.of(Clear) == []


async def test_end_waits_for_the_last_word():
    line = FakeLine()
    async with speaking(line) as (worker, _):
        began = time.monotonic()
        await worker.queue_frames([*speech(0.4), EndFrame()])
        while line.is_open:
            await asyncio.sleep(0.005)

        assert time.monotonic() - began > 0.4
    assert line.closed_for is CallEndReason.BOT_HUNG_UP


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
async def test_no_rate_loses_a_sample(rate: int):
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        await worker.queue_frames(speech(0.37, rate=rate))
        await tap.wait_for(BotStoppedSpeakingFrame)

    assert abs(len(line.audio()) - 2960) <= 1
    if rate == 8000:
        assert line.audio().startswith(encode_mulaw(tone(0.37)))


async def test_last_word_counts_though_the_provider_ran_dry():
    """All that was sent has been heard, and the utterance has not been ended, when it is cut."""
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        start, audio, _ = speech(0.3)
        assert isinstance(audio, TTSAudioRawFrame)
        audio.context_id = "c"
        announced = AggregatedTextFrame("word", "sentence")
        announced.context_id, announced.will_be_spoken = "c", True
        word = TTSTextFrame("word", "word")
        word.context_id = "c"
        word.pts = 1
        heard: list[str] = []

        @worker.event_handler("on_frame_reached_downstream")
        async def on_frame(_worker, frame):
            heard.append(frame.text)

        worker.set_reached_downstream_filter((HeardTextFrame,))
        await worker.queue_frames([announced, start, audio, word])
        await tap.wait_for(BotStartedSpeakingFrame)
        await asyncio.sleep(0.5)
        await worker.queue_frame(InterruptionFrame())
        await tap.wait_for(BotStoppedSpeakingFrame)
        await asyncio.sleep(0.05)

    assert heard[:1] == ["word"]


class Negative(BaseAudioFilter):
    """Turns the sign of every sample."""

    async def start(self, sample_rate: int):
        self.rate = sample_rate

    async def stop(self): ...

    async def process_frame(self, frame): ...

    async def filter(self, audio: bytes) -> bytes:
        return (-np.frombuffer(audio, dtype=np.int16)).tobytes()


async def said(params: TwilioParams, *before: Frame, mulaw: bool = False) -> np.ndarray:
    """What a tone sounds like on the line."""
    line = FakeLine()
    frames = speech(0.1)
    if mulaw:
        frames[1] = MulawOutputFrame.of(encode_mulaw(tone(0.1)))
    async with speaking(line, params) as (worker, tap):
        await worker.queue_frames([*before, *frames])
        await tap.wait_for(BotStoppedSpeakingFrame)
    return np.frombuffer(decode_mulaw(line.audio()), dtype=np.int16)


has_volume = pytest.mark.skipif(
    not hasattr(pipecat_frames, "VolumeFrame"), reason="Pipecat knows volume since 1.14"
)


@has_volume
@pytest.mark.parametrize("mulaw", [False, True])
async def test_volume_and_filter_of_pipecat_are_heard(mulaw: bool):
    gain = pipecat_frames.VolumeGainFrame(0.5)
    plain, half, negative = (
        await said(TwilioParams(), mulaw=mulaw),
        await said(TwilioParams(audio_out_volume=0.5), gain, mulaw=mulaw),
        await said(TwilioParams(audio_out_filter=Negative()), mulaw=mulaw),
    )

    # Mu-law is good to some four percent.
    assert np.abs(half).max() == pytest.approx(np.abs(plain).max() / 4, rel=0.05)
    assert np.corrcoef(plain, negative)[0, 1] == pytest.approx(-1.0)


@has_volume
async def test_volume_frame_holds_from_there_on():
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        await worker.queue_frames([*speech(0.1), pipecat_frames.VolumeFrame(0.5), *speech(0.1)])
        await tap.wait_for(BotStoppedSpeakingFrame)

    first, second = np.split(np.abs(np.frombuffer(decode_mulaw(line.audio()), np.int16)), 2)
    assert second.max() == pytest.approx(first.max() / 2, rel=0.05)


async def test_end_silence_is_sent():
    line = FakeLine()
    async with speaking(line, TwilioParams(audio_out_end_silence_secs=1)) as (worker, _):
        await worker.queue_frames([*speech(0.1), EndFrame()])
        while line.is_open:
            await asyncio.sleep(0.005)

    assert line.audio()[800:] == mulaw_silence(1.0)


async def test_foreign_messages_are_named_once():
    lines: list[str] = []
    sink = logger.add(lines.append, level="WARNING", format="{message}")
    async with speaking(FakeLine()) as (worker, tap):
        await worker.queue_frames(
            [
                OutputTransportMessageUrgentFrame({"label": "rtvi-ai", "type": "bot-ready"}),
                OutputTransportMessageFrame({"secret": "1"}),
                OutputTransportMessageUrgentFrame({"secret": "2"}),
                *speech(0.1),
            ]
        )
        await tap.wait_for(BotStoppedSpeakingFrame)
    logger.remove(sink)

    (line,) = [line for line in lines if "no messages" in line]
    assert "secret" not in line


async def test_utterances_in_a_row_are_one_speech():
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        await worker.queue_frames([*speech(0.2), *speech(0.2)])
        await tap.wait_for(BotStartedSpeakingFrame)
        began = time.monotonic()
        await tap.wait_for(BotStoppedSpeakingFrame)

        assert time.monotonic() - began > 0.35
        assert len(tap.frames(BotStartedSpeakingFrame)) == 1


async def test_sound_without_an_end_ends_with_its_audio():
    line = FakeLine()
    jingle = OutputAudioRawFrame(tone(0.2), 8000, 1)
    async with speaking(line) as (worker, tap):
        await worker.queue_frames([jingle, OutputAudioRawFrame(tone(0.2), 8000, 1)])
        await tap.wait_for(BotStartedSpeakingFrame)
        began = time.monotonic()
        await tap.wait_for(BotStoppedSpeakingFrame)

        assert time.monotonic() - began > 0.35


async def test_end_does_not_wait_for_lost_marks():
    line = FakeLine(echoes=False)
    async with speaking(line, TwilioParams(playout_timeout_secs=0.2)) as (worker, _):
        began = time.monotonic()
        await worker.queue_frames([*speech(0.3), EndFrame()])
        while line.is_open:
            await asyncio.sleep(0.005)

        assert 0.45 < time.monotonic() - began < 2.0
    assert line.closed_for is CallEndReason.BOT_HUNG_UP


async def test_words_heard_before_the_line_ended_are_remembered():
    """The last marks never come back; the clock says what was heard."""
    line = FakeLine(echoes=False)
    async with speaking(line) as (worker, tap):
        start, audio, _ = speech(0.8)
        assert isinstance(audio, TTSAudioRawFrame)
        audio.context_id = "c"
        words: list[TTSTextFrame] = []
        for number, text in enumerate(("one", "two")):
            word = TTSTextFrame(text, "word")
            word.context_id, word.pts = "c", 1 + number * 300_000_000
            words.append(word)
        heard: list[str] = []

        @worker.event_handler("on_frame_reached_downstream")
        async def on_frame(_worker, frame):
            heard.append(frame.text)

        worker.set_reached_downstream_filter((HeardTextFrame,))
        await worker.queue_frames([start, audio, *words])
        await tap.wait_for(BotStartedSpeakingFrame)
        await asyncio.sleep(0.5)
        await line.close(CallEndReason.LINE_LOST, "gone")
        await asyncio.sleep(0.1)

    assert heard == ["one"]
