"""Where frames fall due in the script of what the bot says."""

from typing import Any

import pytest
from pipecat.clocks.system_clock import SystemClock
from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    LLMAssistantPushAggregationFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameProcessor

from tests.transport.bots import tone
from twilio_frames.processors.output.background import Background
from twilio_frames.processors.output.line_sound import LineSound
from twilio_frames.processors.output.queue_writer import PAUSE, QueueWriter
from twilio_frames.processors.words import HeardTextFrame
from twilio_frames.protocol.output_queue import OutputQueue
from twilio_frames.transport import TwilioParams


class Output(FrameProcessor):
    """Knows the time."""

    def get_clock(self) -> SystemClock:
        return SystemClock()


class Writing:
    """A script, and what is written in it."""

    def __init__(self, **params: Any):
        self.is_speaking = False
        self.script: OutputQueue[Any] = OutputQueue()
        self.writer = QueueWriter(
            Output(),
            self.script,
            LineSound(),
            Background(),
            TwilioParams(**{"audio_out_enabled": True, **params}),
            is_speaking=lambda: self.is_speaking,
        )

    async def lay(self, *frames: Frame) -> None:
        for frame in frames:
            await self.writer.lay(frame)

    def heard(self) -> list[Frame]:
        """What falls due when all there is has been heard."""
        while self.script.take(800):
            pass
        return self.script.hear(self.script.length)


def audio(seconds: float) -> TTSAudioRawFrame:
    return TTSAudioRawFrame(tone(seconds), 8000, 1, context_id="c")


async def test_what_is_left_is_known_when_speech_has_ended():
    writing = Writing()
    await writing.lay(TTSStartedFrame("c"), audio(0.5))
    assert writing.writer.left_secs() is None
    await writing.lay(TTSStoppedFrame("c"))
    assert writing.writer.left_secs() == pytest.approx(0.5)


async def test_what_is_left_is_known_behind_the_end_of_a_reply():
    writing = Writing()
    text = AggregatedTextFrame("one", "sentence")
    text.context_id, text.will_be_spoken = "c", True
    await writing.lay(text, TTSStartedFrame("c"), audio(0.5), TTSStartedFrame("c"), audio(0.5))
    await writing.lay(LLMFullResponseEndFrame())

    assert writing.writer.left_secs() == pytest.approx(1.0)
    assert PAUSE in writing.heard()


async def test_words_laid_wait_to_be_heard():
    writing = Writing()
    text = TTSTextFrame("One two.", "sentence", context_id="c")
    await writing.lay(TTSStartedFrame("c"), audio(0.5), text)
    assert writing.writer.words_unheard == 2


async def test_audio_behind_the_end_of_speech_is_a_gap():
    writing = Writing()
    await writing.lay(audio(0.1))
    writing.is_speaking = True
    await writing.lay(audio(0.1))
    assert writing.writer.gaps == 0
    writing.heard()
    await writing.lay(audio(0.1))
    assert writing.writer.gaps == 1


async def test_nothing_is_laid_of_audio_that_is_not_wanted():
    writing = Writing(audio_out_enabled=False)
    await writing.lay(audio(0.5))
    assert writing.script.length == 0


async def test_end_of_the_message_lies_behind_its_last_word():
    """It comes ahead of the end of speech, which gives that word its place."""
    writing = Writing()
    word = TTSTextFrame("One.", "word", context_id="c")
    word.pts = 1
    closing = LLMAssistantPushAggregationFrame()
    await writing.lay(TTSStartedFrame("c"), word, audio(0.5), closing, TTSStoppedFrame("c"))
    assert [type(frame) for frame in writing.heard()] == [
        TTSStartedFrame,
        HeardTextFrame,
        LLMAssistantPushAggregationFrame,
        TTSStoppedFrame,
    ]


async def test_speech_outside_of_a_reply_is_a_message():
    writing = Writing()
    await writing.lay(TTSStartedFrame("c"), audio(0.5), TTSStoppedFrame("c"))
    clip = TTSStartedFrame("d", append_to_context=False)
    await writing.lay(clip, audio(0.5), TTSStoppedFrame("d"))
    reply = LLMFullResponseStartFrame(), TTSStartedFrame("e"), audio(0.5), TTSStoppedFrame("e")
    await writing.lay(*reply, LLMFullResponseEndFrame())

    assert [type(frame) for frame in writing.heard()] == [
        TTSStartedFrame,
        LLMAssistantPushAggregationFrame,
        TTSStoppedFrame,
        TTSStartedFrame,
        TTSStoppedFrame,
        LLMFullResponseStartFrame,
        TTSStartedFrame,
        TTSStoppedFrame,
        LLMFullResponseEndFrame,
    ]
