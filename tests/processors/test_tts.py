"""PythonTTSService in a small pipeline: rates, ends, words, errors, interruptions."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from pipecat.frames.frames import (
    AggregatedTextFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    StartFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.pipeline.worker import PipelineParams
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.tests.utils import SleepFrame, run_test

from tests.processors.fallback_rig import running
from tests.waiting import time_passes
from twilio_frames.processors.tts import PythonTTSService, SpeechChunk, SpokenWord

PARAMS = PipelineParams(audio_out_sample_rate=8000)


def tone(seconds: float, rate: int) -> bytes:
    times = np.arange(round(seconds * rate)) / rate
    return (8000 * np.sin(2 * np.pi * 400 * times)).astype(np.int16).tobytes()


class Tones(PythonTTSService):
    """A tone of 0.2 s for each word; fails at "fail", keeps quiet at "...", hangs at "hang"."""

    rate = 22050
    texts: list[str]

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.texts = []
        self.cancelled = asyncio.Event()
        self.speaking = asyncio.Event()

    async def synthesise(self, text: str) -> AsyncIterator[SpeechChunk]:
        self.texts.append(text)
        for word in text.split():
            if word.startswith("fail"):
                raise RuntimeError("secret words")
            if word.startswith("hang"):
                self.speaking.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    self.cancelled.set()
            if word == "...":
                continue
            pcm = tone(0.2, self.rate)
            yield SpeechChunk(pcm=pcm, sample_rate=self.rate, words=(SpokenWord(text=word),))


class TimedTones(Tones):
    gives_word_times = True


def response(*texts: str) -> list[Frame]:
    return [
        LLMFullResponseStartFrame(),
        *(LLMTextFrame(f"{text} ") for text in texts),
        LLMFullResponseEndFrame(),
    ]


async def run(
    service: PythonTTSService, *frames: Frame, params: PipelineParams = PARAMS
) -> tuple[list[Frame], list[Frame]]:
    down, up = await run_test(service, frames_to_send=frames, pipeline_params=params)
    return list(down), list(up)


def audio(frames: list[Frame]) -> bytes:
    return b"".join(frame.audio for frame in frames if isinstance(frame, TTSAudioRawFrame))


def said(frames: list[Frame]) -> list[str]:
    """What enters the context."""
    return [
        frame.text
        for frame in frames
        if isinstance(frame, TTSTextFrame) and frame.append_to_context
    ]


def order(frames: list[Frame]) -> list[str]:
    kinds = (TTSStartedFrame, TTSAudioRawFrame, TTSTextFrame, TTSStoppedFrame)
    return [
        frame.text
        if isinstance(frame, TTSTextFrame)
        else type(frame).__name__[3:-5].removesuffix("Raw")
        for frame in frames
        if isinstance(frame, kinds)
    ]


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100])
async def test_audio_keeps_length_at_line_rate(rate: int):
    service = Tones()
    service.rate = rate
    down, _ = await run(service, TTSSpeakFrame("one two three four five"))
    frames = [frame for frame in down if isinstance(frame, TTSAudioRawFrame)]
    assert {frame.sample_rate for frame in frames} == {8000}
    assert len(audio(down)) // 2 == pytest.approx(8000, abs=2)
    last = np.frombuffer(audio(down), dtype=np.int16)[-160:].astype(np.float64)
    assert np.sqrt(np.mean(last**2)) > 4000


async def test_each_text_ends_in_its_own_samples():
    down, _ = await run(Tones(), *response("One two.", "Three."))
    assert len(audio(down)) // 2 == pytest.approx(0.6 * 8000, abs=3)
    assert order(down)[0] == "Started"
    assert order(down)[-1] == "Stopped"
    assert said(down) == ["One two.", "Three."]


async def test_pause_parts_two_texts():
    down, _ = await run(Tones(pause_between_texts=0.25), *response("One.", "Two.", "Three."))
    samples = np.frombuffer(audio(down), dtype=np.int16)
    assert len(samples) == pytest.approx((0.6 + 0.5) * 8000, abs=4)
    assert np.abs(samples[1800:3400]).max() < 50


async def test_word_frames_lead_their_audio():
    down, _ = await run(TimedTones(), *response("One two.", "Three."))
    assert [kind for kind in order(down) if kind != "Audio"] == [
        "Started",
        "One",
        "two.",
        "Three.",
        "Stopped",
    ]
    words = [index for index, frame in enumerate(down) if isinstance(frame, TTSTextFrame)]
    ahead = [len(audio(down[:index])) / 16000 for index in words]
    assert ahead == pytest.approx([0, 0.2, 0.4], abs=0.001)


async def test_word_times_follow_audio():
    down, _ = await run(
        TimedTones(pause_between_texts=0.3), *response("One two three.", "Four five.")
    )
    times = [frame.pts or 0 for frame in down if isinstance(frame, TTSTextFrame)]
    seconds = [(time - times[0]) / 1e9 for time in times]
    assert seconds == pytest.approx([0, 0.2, 0.4, 0.9, 1.1], abs=0.05)


async def test_word_times_leave_out_what_the_llm_took():
    """They are places in the audio, as any vendor's."""
    texts = [LLMTextFrame("One. "), LLMTextFrame("Two "), SleepFrame(0.6), LLMTextFrame("three. ")]
    frames = [LLMFullResponseStartFrame(), *texts, LLMFullResponseEndFrame()]
    down, _ = await run(TimedTones(pause_between_texts=0.3), *frames)
    times = [frame.pts or 0 for frame in down if isinstance(frame, TTSTextFrame)]
    assert [(time - times[0]) / 1e9 for time in times] == pytest.approx([0, 0.2, 0.4], abs=0.001)
    assert len(audio(down)) // 2 == pytest.approx(0.6 * 8000, abs=4)


async def test_failed_text_stays_out_of_context():
    down, up = await run(Tones(), *response("One.", "fail now.", "Three."))
    assert said(down) == ["One.", "Three."]
    assert order(down)[-1] == "Stopped"
    assert isinstance(down[-1], LLMFullResponseEndFrame | EndFrame)
    assert len([frame for frame in up if isinstance(frame, ErrorFrame)]) == 1


async def test_failed_words_stay_out_of_context():
    down, up = await run(TimedTones(), *response("One two.", "Three fail four.", "Five six."))
    assert said(down) == ["One", "two.", "Three", "Five", "six."]
    assert len(audio(down)) // 2 == pytest.approx(5 * 1600, abs=4)
    assert len([frame for frame in up if isinstance(frame, ErrorFrame)]) == 1


async def test_failure_at_end_ends_the_response():
    service = TimedTones(stop_frame_timeout_s=60)
    down, _ = await asyncio.wait_for(
        run(service, *response("One.", "fail"), TTSSpeakFrame("On.")), 5
    )
    assert said(down) == ["One.", "On."]
    assert order(down).count("Stopped") == 2


async def test_error_text_hides_the_words():
    _, up = await run(Tones(), TTSSpeakFrame("fail at this"))
    (error, silence) = [frame for frame in up if isinstance(frame, ErrorFrame)]
    assert error.error == "synthesise() raised RuntimeError"
    assert "this" not in error.error + silence.error


async def test_many_failures_leave_service_usable():
    down, _ = await run(Tones(), *(TTSSpeakFrame("fail") for _ in range(6)), TTSSpeakFrame("Yes."))
    assert said(down) == ["Yes."]
    assert audio(down)


async def test_silent_texts_leave_service_usable():
    frames = [TTSSpeakFrame("...") for _ in range(6)]
    down, _ = await run(TimedTones(stop_frame_timeout_s=60), *frames, TTSSpeakFrame("Yes."))
    assert said(down) == ["Yes."]


async def test_late_chunk_is_an_error():
    service = Tones(time_limit=0.05)
    down, up = await run(service, TTSSpeakFrame("One hang two"), TTSSpeakFrame("Next."))
    assert [frame.error for frame in up if isinstance(frame, ErrorFrame)] == [
        "synthesise() took too long"
    ]
    assert said(down) == ["Next."]
    assert service.cancelled.is_set()


class InterruptWhenSpeaking(FrameProcessor):
    """Talks over the bot once it is in the middle of a text."""

    def __init__(self, service: Tones):
        super().__init__()
        self._service = service

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, TTSStartedFrame) and not self._service.cancelled.is_set():
            self.create_task(self._interrupt())

    async def _interrupt(self):
        await self._service.speaking.wait()
        await self.broadcast_interruption()


@pytest.mark.parametrize("kind", [Tones, TimedTones])
async def test_interruption_stops_synthesis(kind: type[Tones]):
    from pipecat.pipeline.pipeline import Pipeline

    service = kind()
    pipeline = Pipeline([service, InterruptWhenSpeaking(service)])
    frames = [*response("One.", "hang two.", "Three."), SleepFrame(0.1), TTSSpeakFrame("Yes?")]
    down, up = await run_test(pipeline, frames_to_send=frames, pipeline_params=PARAMS)
    assert service.cancelled.is_set()
    assert any(isinstance(frame, InterruptionFrame) for frame in [*down, *up])
    assert service.texts[:2] == ["One.", "hang two."]
    assert said(list(down))[-1] == "Yes?"
    assert "two." not in said(list(down))
    assert not [frame for frame in up if isinstance(frame, ErrorFrame)]


class HeldUpTones(Tones):
    """Its audio waits on its way out."""

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        if isinstance(frame, TTSAudioRawFrame):
            await asyncio.Event().wait()
        await super().push_frame(frame, direction)


async def test_interruption_does_not_take_the_end_with_it():
    service = HeldUpTones()
    async with running(service) as rig:
        await rig.give(TTSSpeakFrame("One two."), EndFrame())
        await rig.after.wait_for(TTSStartedFrame)
        await rig.before.wait_for(EndFrame)
        # Until it waits for its audio.
        await time_passes(0.05)
        await rig.before.push_frame(InterruptionFrame())
        await rig.after.wait_for(EndFrame)


async def test_starts_like_any_service():
    down, _ = await run(TimedTones(), TTSSpeakFrame("One two"))
    assert not any(isinstance(frame, StartFrame) for frame in down)
    announced = [f for f in down if type(f) is AggregatedTextFrame]
    assert [frame.text for frame in announced] == ["One two"]
