import asyncio
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from pipecat.audio.filters.base_audio_filter import BaseAudioFilter
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    FilterControlFrame,
    InterruptionFrame,
    LLMAssistantPushAggregationFrame,
    StartFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    VADUserStartedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.workers.runner import WorkerRunner

from tests.pipecat_versions import needs_output_sound
from tests.processors.output_rig import FakeLine
from tests.transport.bots import Tap, tone
from tests.waiting import time_passes, until
from twilio_frames.audio import encode_mulaw, mulaw_of_wav, mulaw_silence
from twilio_frames.errors import ConfigurationError
from twilio_frames.frames import CallEndReason, ResumeFrame
from twilio_frames.processors.clips import Clip, ClipWord, SpeakClipFrame
from twilio_frames.processors.mulaw_output import MulawOutput
from twilio_frames.processors.words import HeardTextFrame
from twilio_frames.protocol import Clear, SendMedia
from twilio_frames.transport import TwilioParams

WORD = encode_mulaw(tone(0.25))
CLIP = Clip(
    mulaw=WORD * 4,
    text="one two three four",
    words=tuple(
        ClipWord(text=text, end=2000 * number)
        for number, text in enumerate(("one", "two", "three", "four"), start=1)
    ),
)


class Voice:
    """An output ahead of its pipeline, on a line that keeps what is sent."""

    def __init__(self, params: TwilioParams | None = None):
        self.line = FakeLine()
        self.output = MulawOutput(self.line, params or TwilioParams())
        self.before, self.after = Tap(), Tap()
        self.worker = PipelineWorker(
            Pipeline([self.before, self.output, self.after]),
            params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
            enable_rtvi=False,
        )
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Voice":
        return self

    async def come_up(self) -> None:
        runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
        await runner.add_workers(self.worker)
        self._running = asyncio.create_task(runner.run())
        await self.after.wait_for(StartFrame)

    async def __aexit__(self, *_: object) -> None:
        await self.worker.cancel()
        if self._running:
            await self._running
        await self.line.close(CallEndReason.BOT_HUNG_UP, "done")

    async def sends(self, count: int = 1) -> None:
        await until(lambda: len(self.line.of(SendMedia)) >= count)

    def words(self) -> list[str]:
        frames = self.after.frames(HeardTextFrame)
        return [frame.text for frame in frames if isinstance(frame, HeardTextFrame)]


async def test_clip_leaves_before_the_pipeline_is_up():
    async with Voice() as voice:
        await voice.output.say_first(SpeakClipFrame(CLIP))
        await voice.sends()
        assert voice.after.seen == []

        await voice.come_up()
        await voice.after.wait_for(BotStoppedSpeakingFrame)

    assert voice.line.audio() == CLIP.mulaw
    assert voice.words() == ["one", "two", "three", "four"]


async def test_pipeline_is_told_in_order_of_what_it_missed():
    async with Voice(TwilioParams(lead_secs=2.0)) as voice:
        await voice.output.say_first(SpeakClipFrame(CLIP))
        await voice.sends(10)
        await time_passes(1.2)
        await voice.come_up()
        await voice.after.wait_for(TTSStoppedFrame)

    kinds = (SpeakClipFrame, TTSStartedFrame, HeardTextFrame, TTSStoppedFrame)
    wanted = (*kinds, LLMAssistantPushAggregationFrame, StartFrame)
    seen = [kind for frame, _ in voice.after.seen for kind in wanted if isinstance(frame, kind)]
    assert seen == [
        *(StartFrame, SpeakClipFrame, TTSStartedFrame),
        *[HeardTextFrame] * 4,
        *(LLMAssistantPushAggregationFrame, TTSStoppedFrame),
    ]
    speaking = (BotStartedSpeakingFrame, BotStoppedSpeakingFrame)
    assert [type(f) for f, _ in voice.before.seen if isinstance(f, speaking)] == [*speaking]


async def test_early_clip_is_held_and_taken_up_again():
    async with Voice() as voice:
        await voice.output.say_first(SpeakClipFrame(CLIP))
        await voice.come_up()
        await voice.worker.queue_frame(VADUserStartedSpeakingFrame())
        await until(lambda: voice.line.of(Clear), seconds=5)
        await voice.worker.queue_frame(ResumeFrame())
        await voice.after.wait_for(BotStoppedSpeakingFrame)

    assert voice.words() == ["one", "two", "three", "four"]


async def test_interruption_leaves_the_words_that_were_heard():
    async with Voice() as voice:
        await voice.output.say_first(SpeakClipFrame(CLIP))
        await voice.come_up()
        await voice.after.wait_for(HeardTextFrame, count=2)
        await voice.worker.queue_frame(InterruptionFrame())
        await voice.after.wait_for(InterruptionFrame)
        before = voice.words()

    assert before[:2] == ["one", "two"]
    assert before[-1] == TwilioParams().cut_mark
    assert "four" not in before
    assert voice.words() == before


async def test_clip_that_may_not_be_interrupted_is_said_to_its_end():
    async with Voice() as voice:
        frame = SpeakClipFrame(CLIP)
        frame.interruptible = False
        await voice.output.say_first(frame)
        await voice.come_up()
        await voice.worker.queue_frame(InterruptionFrame())
        await voice.after.wait_for(HeardTextFrame, count=4)

    assert voice.line.audio() == CLIP.mulaw


class Halved(BaseAudioFilter):
    """Works only once it has been started."""

    is_started = False

    async def start(self, sample_rate: int):
        self.is_started = True

    async def stop(self):
        self.is_started = False

    async def process_frame(self, frame: FilterControlFrame):
        pass

    async def filter(self, audio: bytes) -> bytes:
        assert self.is_started
        return (np.frombuffer(audio, dtype=np.int16) // 2).tobytes()


@needs_output_sound
async def test_clip_that_is_filtered_waits_for_the_pipeline():
    async with Voice(TwilioParams(audio_out_filter=Halved())) as voice:
        await voice.output.say_first(SpeakClipFrame(CLIP))
        assert not voice.line.of(SendMedia)

        await voice.come_up()
        await voice.after.wait_for(BotStoppedSpeakingFrame)

    assert len(voice.line.audio()) == len(CLIP.mulaw)
    assert voice.line.audio() != CLIP.mulaw


async def test_line_that_ends_first_leaves_nothing_running():
    voice = Voice()
    await voice.output.say_first(SpeakClipFrame(CLIP))
    await voice.sends()
    await voice.line.close(CallEndReason.CALLER_HUNG_UP, "gone")

    await until(
        lambda: not any(task.get_name() == "early-start" for task in asyncio.all_tasks()), seconds=5
    )


def test_words_are_laid_by_their_letters():
    clip = Clip(mulaw=encode_mulaw(tone(1.0)), text="Hello, you.")

    assert [word.text for word in clip.words] == ["Hello,", "you."]
    assert clip.words[0].end == pytest.approx(5000, abs=80)
    assert clip.words[1].end == 8000


def test_silence_at_both_ends_is_left_out():
    clip = Clip(
        mulaw=mulaw_silence(0.3) + WORD + mulaw_silence(0.5),
        text="one",
        words=(ClipWord(text="one", end=2400 + 2000),),
    ).trimmed()

    assert WORD in clip.mulaw
    assert clip.mulaw.index(WORD) == 160
    assert clip.words == (ClipWord(text="one", end=2160),)
    assert clip.seconds < 0.4


@pytest.mark.parametrize(
    ("mulaw", "ends"), [(b"", []), (WORD, [2001]), (WORD, [1500, 1000]), (WORD, [-1])]
)
def test_impossible_clips_are_refused(mulaw: bytes, ends: list[int]):
    with pytest.raises(ConfigurationError, match="expected"):
        Clip(mulaw=mulaw, text="a b", words=tuple(ClipWord(text="a", end=end) for end in ends))


def pcm_wav(path: Path, rate: int, channels: int) -> bytes:
    pcm = np.repeat(np.frombuffer(tone(0.5, rate=rate), dtype=np.int16), channels)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm.tobytes())
    return path.read_bytes()


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 2), (44100, 1)])
def test_wav_of_any_rate_becomes_a_clip(tmp_path: Path, rate: int, channels: int):
    pcm_wav(tmp_path / "hello.wav", rate, channels)

    clip = Clip.from_wav(tmp_path / "hello.wav", "Hello there.")

    assert clip.seconds == pytest.approx(0.5, abs=0.01)
    assert [word.text for word in clip.words] == ["Hello", "there."]


def mulaw_wav(sound: bytes) -> bytes:
    form = struct.pack("<HHIIHHH", 7, 1, 8000, 8000, 1, 8, 0)
    chunks = (b"fmt ", form), (b"fact", struct.pack("<I", len(sound))), (b"data", sound)
    body = b"".join(name + struct.pack("<I", len(chunk)) + chunk for name, chunk in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def test_mulaw_in_a_wav_file_is_taken_bit_for_bit():
    assert mulaw_of_wav(mulaw_wav(WORD)) == WORD


@pytest.mark.parametrize("data", [b"", b"RIFF\0\0\0\0WAVE", b"not a wav", mulaw_wav(WORD)[:30]])
def test_other_files_are_refused(tmp_path: Path, data: bytes):
    (tmp_path / "x.wav").write_bytes(data)

    with pytest.raises(ConfigurationError, match="expected speech in"):
        Clip.from_wav(tmp_path / "x.wav", "x")
    with pytest.raises(ConfigurationError, match="expected speech in"):
        Clip.from_wav(tmp_path / "missing.wav", "x")
