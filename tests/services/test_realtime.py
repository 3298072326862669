"""The parts of the realtime service, and what it does where no phone is at hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMUpdateSettingsFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.utils.errors import ErrorCategory
from pipecat.workers.runner import WorkerRunner
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

from tests.transport.bots import Tap, tone
from twilio_frames.frames import MulawInputFrame, MulawOutputFrame, SpeechCutFrame
from twilio_frames.services.caller_audio import CallerAudio
from twilio_frames.services.realtime import PhoneOpenAIRealtimeLLMService
from twilio_frames.services.realtime_debt import Debt
from twilio_frames.services.realtime_link import LinkFailure, delay_before
from twilio_frames.services.realtime_settings import phone_session
from twilio_frames.services.realtime_speech import ModelSpeech
from twilio_frames.testing.vendors import Pacing, RealtimeServer, SpokenReply

OVERRIDDEN = (
    "_connect",
    "_disconnect",
    "_ws_send",
    "_receive_task_handler",
    "_send_user_audio",
    "_handle_interruption",
    "_handle_user_started_speaking",
    "_handle_user_stopped_speaking",
    "_truncate_current_audio_response",
    "_create_response",
    "_handle_evt_audio_delta",
    "_send_session_update",
    "_handle_evt_audio_transcript_delta",
    "_handle_evt_response_done",
    "_handle_evt_session_updated",
    "_handle_evt_speech_started",
    "_handle_evt_speech_stopped",
    "_is_turn_detection_disabled",
    "_handle_evt_input_audio_transcription_delta",
    "_process_completed_function_calls",
    "handle_evt_input_audio_transcription_completed",
    "_update_settings",
    "_api_session_ready",
    "_llm_needs_conversation_setup",
    "_run_llm_when_api_session_ready",
    "_disconnecting",
    "_websocket",
    "_context",
    "_messages_added_manually",
    "_completed_tool_calls",
)


def test_pipecat_has_what_is_overridden():
    stock = OpenAIRealtimeLLMService(api_key="secret")

    assert [name for name in OVERRIDDEN if not hasattr(stock, name)] == []


# The caller's audio.


def sent(audio: CallerAudio, *, rest: bool = False) -> bytes:
    return b"".join(audio.batches(rest=rest))


def numbered(begin: int, seconds: float) -> bytes:
    return bytes((begin + at) // 80 % 256 for at in range(round(seconds * 8000)))


def test_turn_goes_out_from_before_its_onset():
    audio = CallerAudio(flows=False, batch_secs=0.02)
    audio.hear(numbered(0, 2.0))
    audio.mark_onset(0.2)
    assert sent(audio) == b""

    audio.hear(numbered(16000, 0.8))
    audio.begin_turn()
    audio.hear(numbered(22400, 0.1))
    audio.end_turn()
    audio.hear(numbered(23200, 1.0))

    assert sent(audio, rest=True) == numbered(12000, 1.4)
    assert sent(audio, rest=True) == b""


def test_false_alarm_stays_here():
    audio = CallerAudio(flows=False, batch_secs=0.02)
    audio.hear(numbered(0, 2.0))
    audio.mark_onset()
    audio.forget_onset()
    audio.hear(numbered(16000, 1.0))
    audio.mark_onset()
    audio.begin_turn()

    assert sent(audio) == numbered(24000 - 2400, 0.3)


def test_unanswered_turn_goes_out_once_more():
    audio = CallerAudio(flows=False, batch_secs=0.02)
    audio.hear(numbered(0, 1.0))
    audio.begin_turn()
    first = sent(audio)
    audio.end_turn()
    audio.start_over()
    assert sent(audio, rest=True) == first == numbered(4000, 0.5)

    audio.answered()
    audio.start_over()
    assert sent(audio, rest=True) == b""


def test_gap_is_made_up_for_where_all_flows():
    audio = CallerAudio(flows=True, batch_secs=0.1)
    audio.hear(numbered(0, 0.25))
    assert sent(audio) == numbered(0, 0.2)

    audio.start_over()
    audio.hear(numbered(2000, 0.25))
    assert sent(audio) == numbered(1600, 0.3)


def test_a_minute_is_kept():
    audio = CallerAudio(flows=True, batch_secs=0.1)
    for second in range(90):
        audio.hear(numbered(second * 8000, 1.0))

    assert sent(audio, rest=True) == numbered(30 * 8000, 60.0)


# The connection.


def refusal(status: int, **headers: str) -> InvalidStatus:
    return InvalidStatus(Response(status, "", Headers(headers), b""))


@pytest.mark.parametrize(
    ("status", "category", "is_final"),
    [
        (401, ErrorCategory.AUTHENTICATION, True),
        (404, ErrorCategory.INVALID_REQUEST, True),
        (429, ErrorCategory.RATE_LIMIT, False),
        (500, ErrorCategory.SERVER, False),
    ],
)
def test_refusals_are_told_apart(status: int, category: ErrorCategory, is_final: bool):
    failure = LinkFailure.of(refusal(status))

    assert (failure.category, failure.is_final) == (category, is_final)
    assert str(status) in failure.text


def test_delays_grow_and_are_bounded():
    failure = LinkFailure(text="")
    delays = [delay_before(attempt, failure) for attempt in range(1, 20)]

    assert 0.125 <= delays[0] <= 0.25
    assert max(delays) <= 4.0
    assert delay_before(1, LinkFailure.of(refusal(429, **{"Retry-After": "3"}))) == 3.0
    assert delay_before(1, LinkFailure.of(refusal(429, **{"Retry-After": "3600"}))) == 10.0
    assert LinkFailure.of(refusal(429, **{"Retry-After": "soon"})).wait is None


def test_debt_is_bridged_once():
    debt = Debt()
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


# The session.


def test_session_is_mulaw_whatever_is_asked_for():
    asked = events.SessionProperties(
        audio=events.AudioConfiguration(
            input=events.AudioInput(
                format=events.PCMAudioFormat(), turn_detection=events.SemanticTurnDetection()
            ),
            output=events.AudioOutput(voice="cedar"),
        )
    )
    session = phone_session(asked)

    assert session.audio is not None
    assert session.audio.input is not None
    assert session.audio.output is not None
    assert session.audio.input.format == session.audio.output.format == events.PCMUAudioFormat()
    assert session.audio.output.voice == "cedar"
    assert session.audio.input.turn_detection == events.SemanticTurnDetection()
    assert asked.audio is not None
    assert asked.audio.input is not None
    assert asked.audio.input.format == events.PCMAudioFormat()


async def test_words_are_whole_and_dropped_replies_silent():
    pushed: list[Frame] = []

    async def push(frame: Frame) -> None:
        pushed.append(frame)

    speech = ModelSpeech(push)
    item = await speech.item("item", 0, "response")
    assert item is not None
    for piece in ("Goo", "d mor", "ning"):
        await speech.words(item, piece)
    await speech.audio(item, b"\xff" * 800)
    await speech.end()
    speech.drop("another")

    assert await speech.item("late", 0, "another") is None
    texts = [frame.text for frame in pushed if isinstance(frame, TTSTextFrame)]
    assert texts == ["Good", " morning"]
    assert isinstance(pushed[0], TTSStartedFrame)
    assert isinstance(pushed[-1], TTSStoppedFrame)
    assert item.milliseconds == 100


@asynccontextmanager
async def running(
    server: RealtimeServer | str, **options: Any
) -> AsyncIterator[tuple[Any, Tap, Tap]]:
    """The service in a pipeline of its own; gives the worker and what stands before and behind."""
    url = server if isinstance(server, str) else server.realtime_url
    llm = PhoneOpenAIRealtimeLLMService(api_key="secret", base_url=url, **options)
    before, behind = Tap(), Tap()
    worker = PipelineWorker(
        Pipeline([before, llm, behind]),
        params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
        enable_rtvi=False,
    )
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(worker)
    task = asyncio.create_task(runner.run())
    try:
        yield worker, before, behind
    finally:
        await worker.cancel()
        await task


async def test_cut_is_guessed_if_nobody_tells(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("twilio_frames.services.realtime_replies._CUT_SECONDS", 0.1)
    async with RealtimeServer(replies=["One two three."]) as server:
        async with running(server) as (worker, _, behind):
            await worker.queue_frame(LLMContextFrame(LLMContext()))
            await behind.wait_for(MulawOutputFrame)
            await worker.queue_frame(InterruptionFrame())
            await server.asked_for("conversation.item.truncate")

    assert server.events("response.cancel")[0]["response_id"].startswith("resp")
    assert [event["audio_end_ms"] for event in server.events("conversation.item.truncate")] == [0]
    assert server.memory[0].words == []


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


def mulaw_frame(seconds: float) -> MulawInputFrame:
    mulaw = numbered(0, seconds)
    return MulawInputFrame(
        audio=b"\x00\x00" * len(mulaw), sample_rate=8000, num_channels=1, mulaw=mulaw
    )


async def test_pcm_of_other_transports_is_encoded():
    async with RealtimeServer() as server:
        async with running(server) as (worker, _, _behind):
            await server.asked_for("session.update")
            await worker.queue_frame(UserStartedSpeakingFrame())
            pcm = tone(1.0, rate=16000)
            await worker.queue_frame(
                InputAudioRawFrame(audio=pcm, sample_rate=16000, num_channels=1)
            )
            await server.asked_for("input_audio_buffer.append", 10)
            await worker.queue_frame(UserStoppedSpeakingFrame())
            await server.asked_for("input_audio_buffer.commit")

    assert 7200 <= len(server.session.heard) <= 8000


async def test_new_settings_leave_the_line_mulaw():
    async with RealtimeServer() as server:
        async with running(server) as (worker, _, _behind):
            await server.asked_for("session.update")
            properties = events.SessionProperties(instructions="Be brief.")
            delta = PhoneOpenAIRealtimeLLMService.Settings(session_properties=properties)
            await worker.queue_frame(LLMUpdateSettingsFrame(delta=delta))
            await server.asked_for("session.update", 2)
            await asyncio.sleep(0)

    assert server.session.settings.values["instructions"] == "Be brief."
    assert server.session.settings.input_format.name == "audio/pcmu"
    assert server.session.settings.turn_detection is None


async def test_error_of_the_model_is_told_once():
    async with RealtimeServer(replies=[SpokenReply.of("Yes.")]) as server:
        async with running(server) as (worker, before, behind):
            await server.asked_for("session.update")
            broken = events.SessionUpdateEvent(session=events.SessionProperties(type=None))
            llm = worker_service(worker)
            for _ in range(2):
                await llm.send_client_event(broken)
            await worker.queue_frame(LLMContextFrame(LLMContext()))
            await behind.wait_for(TTSStoppedFrame)

    errors = [frame.error for frame, _ in before.seen if isinstance(frame, ErrorFrame)]
    assert server.session.refused == ["missing_required_parameter"] * 2
    assert len(errors) == 1
    assert "missing_required_parameter at session.type" in errors[0]


def worker_service(worker: Any) -> PhoneOpenAIRealtimeLLMService:
    found = [
        processor
        for processor in worker.pipeline.processors_with_metrics()
        if isinstance(processor, PhoneOpenAIRealtimeLLMService)
    ]
    return found[0]


@pytest.mark.parametrize("url", ["https://127.0.0.1/v1/realtime", "nowhere"])
async def test_bad_address_is_told_aloud(url: str):
    apology = b"\x00" * 800
    async with running(url, apology_audio=apology) as (worker, before, behind):
        spoken = await behind.wait_for(MulawOutputFrame)
        llm = worker_service(worker)

    errors = [frame.error for frame, _ in before.seen if isinstance(frame, ErrorFrame)]
    assert len(errors) == 1
    assert "begins with ws:// or wss://" in errors[0]
    assert isinstance(spoken, MulawOutputFrame)
    assert spoken.mulaw == apology
    assert not llm.is_usable


async def test_unknown_trouble_is_tried_again_and_told(monkeypatch: pytest.MonkeyPatch):
    dials: list[str] = []

    def connect(url: str, **_: Any) -> None:
        dials.append(url)
        raise RuntimeError("secret")

    monkeypatch.setattr("twilio_frames.services.realtime_link.connect", connect)
    monkeypatch.setattr("twilio_frames.services.realtime_connection._MOST_ATTEMPTS", 2)
    async with running("ws://nowhere", apology_audio=b"\x00" * 800) as (_, before, behind):
        await behind.wait_for(MulawOutputFrame)

    errors = [frame.error for frame, _ in before.seen if isinstance(frame, ErrorFrame)]
    assert errors == ["expected a connection, got RuntimeError"]
    assert len(dials) == 3


async def test_end_of_the_pipeline_closes_the_session():
    async with RealtimeServer() as server:
        async with running(server):
            await server.asked_for("session.update")
        async with asyncio.timeout(3):
            await server.session.over.wait()

    assert len(server.sessions) == 1
