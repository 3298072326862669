"""What the realtime service does where no phone is at hand."""

import pytest
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InterruptionFrame,
    LLMContextFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection

from tests.services.realtime_rig import mulaw_frame, running, worker_service
from twilio_frames.frames import MulawOutputFrame, SpeechCutFrame
from twilio_frames.processors.output.function_rounds import FunctionRoundsOverFrame
from twilio_frames.services.realtime.pending_response import PendingResponse
from twilio_frames.services.realtime.speech import ModelSpeech
from twilio_frames.testing.vendors import Pacing, RealtimeServer, SpokenReply
from twilio_frames.testing.vendors.realtime.replies import SpokenWord


def test_debt_is_bridged_once():
    debt = PendingResponse()
    debt.open(1.0)
    debt.bot_heard(2.0)

    assert not debt.needs_bridge(2.9, 1.0)
    assert debt.needs_bridge(3.1, 1.0)
    debt.is_bridged = True
    debt.open(3.0)
    assert not debt.needs_bridge(9.0, 1.0)
    assert debt.is_overdue(9.0, 5.0)
    debt.settle()
    assert not debt.is_overdue(9.0, 5.0)


def test_words_are_whole_and_dropped_replies_silent():
    pushed: list[Frame] = []
    speech = ModelSpeech(pushed.append)
    item = speech.item("item", 0, "response")
    assert item is not None
    for piece in ("Goo", "d mor", "ning"):
        speech.words(item, piece)
    speech.audio(item, b"\xff" * 800)
    speech.end()
    speech.drop("another")

    assert speech.item("late", 0, "another") is None
    texts = [frame.text for frame in pushed if isinstance(frame, TTSTextFrame)]
    assert texts == ["Good", " morning"]
    assert isinstance(pushed[0], TTSStartedFrame)
    assert isinstance(pushed[-1], TTSStoppedFrame)
    assert item.milliseconds == 100


async def test_cut_is_guessed_if_nobody_tells(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ModelSpeech, "CUT_SECS", 0.1)
    async with RealtimeServer(replies=["One two three."]) as server:
        async with running(server) as (worker, _, behind):
            await worker.queue_frame(LLMContextFrame(LLMContext()))
            await behind.wait_for(MulawOutputFrame)
            await worker.queue_frame(InterruptionFrame())
            await server.asked_for("conversation.item.truncate")

    assert server.events("response.cancel")[0]["response_id"].startswith("resp")
    assert [event["audio_end_ms"] for event in server.events("conversation.item.truncate")] == [0]
    assert server.memory[0].words == []


async def test_answer_without_audio_is_asked_for_again():
    silent = SpokenReply(words=(SpokenWord(text="One.", begin=0, end=0),), mulaw=b"")
    async with RealtimeServer(replies=[silent, "Two."]) as server:
        async with running(server) as (worker, _, behind):
            await worker.queue_frame(LLMContextFrame(LLMContext()))
            await server.asked_for("response.create", 2)
            said = await behind.wait_for(TTSTextFrame, count=2)

    assert isinstance(said, TTSTextFrame)
    assert said.text == "Two."


async def test_function_calls_without_end_are_apologised_for():
    apology = b"\x12" * 800
    async with RealtimeServer() as server:
        async with running(server, apology_audio=apology) as (worker, before, behind):
            over = FunctionRoundsOverFrame(rounds=8)
            await worker_service(worker).queue_frame(over, FrameDirection.UPSTREAM)
            frame = await behind.wait_for(MulawOutputFrame)
            await before.wait_for(ErrorFrame)

    assert isinstance(frame, MulawOutputFrame)
    assert frame.mulaw == apology
    assert before.frames(FunctionRoundsOverFrame) == []


async def test_answer_waits_for_the_cut():
    """The next one is ordered when the model knows what was heard of the last."""
    pacing = Pacing(pace=50.0)
    async with RealtimeServer(replies=["One two three.", "Four."], pacing=pacing) as server:
        async with running(server) as (worker, _, behind):
            await worker.queue_frame(LLMContextFrame(LLMContext()))
            await behind.wait_for(TTSStoppedFrame)
            item_id = server.memory[0].id
            await worker.queue_frames([UserStartedSpeakingFrame(), InterruptionFrame()])
            await worker.queue_frame(mulaw_frame(0.5))
            await worker.queue_frame(UserStoppedSpeakingFrame())
            await server.asked_for("input_audio_buffer.commit")
            assert len(server.events("response.create")) == 1
            cut = SpeechCutFrame(context_id=item_id, heard_ms=250)
            await worker.queue_frame(cut)
            await server.asked_for("response.create", 2)

    kinds = [event["type"] for event in server.session.events]
    assert kinds.index("conversation.item.truncate") == len(kinds) - 2
    assert server.memory[0].truncated_ms == 250
