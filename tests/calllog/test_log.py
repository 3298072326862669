import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from pipecat.frames.frames import EndFrame, InterruptionFrame, TranscriptionFrame, TTSTextFrame
from pipecat.observers.base_observer import FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.processors.frame_processor import FrameDirection
from pipecat.workers.runner import WorkerRunner

from tests.transport.bots import Tap, speech, tone
from tests.waiting import time_passes
from twilio_frames.audio import encode_mulaw
from twilio_frames.call import Call
from twilio_frames.calllog import CallLog
from twilio_frames.calllog.writer import _thread as thread  # pyright: ignore[reportPrivateUsage]
from twilio_frames.frames import BotHeldFrame, CallStartedFrame, ResumeFrame, SendMarkFrame
from twilio_frames.processors.clips import Clip, SpeakClipFrame
from twilio_frames.report.reading import read_log
from twilio_frames.report.story import tell
from twilio_frames.server import ServerSettings
from twilio_frames.testing import Phone


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text().splitlines()]


def kinds_of(path: Path) -> list[str]:
    return [line["kind"] for line in lines_of(path)]


def pushed(frame, *, timestamp: int = 0, direction=FrameDirection.DOWNSTREAM) -> FramePushed:
    processor = IdentityFilter()
    return FramePushed(
        source=processor,
        destination=processor,
        frame=frame,
        direction=direction,
        timestamp=timestamp,
    )


async def finish(log: CallLog):
    log.close()
    assert await log.wait_until_written()


async def test_call_is_written_down(phone: Phone, tmp_path):
    """A call over loopback: the bot says a second, and a mark behind it."""
    path = tmp_path / "call.jsonl"

    async def bot(call: Call):
        log = call.keep_log(path)
        tap = Tap()
        pipeline = Pipeline([call.transport.input(), tap, call.transport.output()])
        running = asyncio.create_task(call.run(pipeline))
        frame = await tap.wait_for(CallStartedFrame)
        assert isinstance(frame, CallStartedFrame)
        for each in [*speech(0.4), SendMarkFrame(mark="done"), EndFrame()]:
            await tap.push_frame(each)
        await running
        assert await log.wait_until_written()

    async with phone.call(bot) as caller:
        await caller.wait_for_end()

    log = read_log(path)
    story = tell(log)
    kinds = kinds_of(path)
    assert (kinds[0], kinds[-1]) == ("log", "closed")
    assert {"call", "line", "levels", "tts_audio", "bot_started", "mark_reached"} <= set(kinds)
    assert story.title == caller.call_sid
    assert story.heard[0].seconds == pytest.approx(0.4, abs=0.05)
    assert story.sent[0].begin == pytest.approx(story.heard[0].begin, abs=0.1)


@pytest.mark.parametrize("is_greeting", [True, False])
async def test_words_of_a_clip_are_in_the_report(phone: Phone, tmp_path, is_greeting: bool):
    path = tmp_path / "call.jsonl"
    clip = Clip(mulaw=encode_mulaw(tone(1.0)), text="Hello there.")

    async def bot(call: Call):
        log = call.keep_log(path, words=True)
        tap = Tap()
        pipeline = Pipeline([call.transport.input(), tap, call.transport.output()])
        running = asyncio.create_task(call.run(pipeline, greeting=clip if is_greeting else None))
        await tap.wait_for(SpeakClipFrame if is_greeting else CallStartedFrame)
        if not is_greeting:
            await tap.push_frame(SpeakClipFrame(clip))
        await tap.push_frame(EndFrame())
        await running
        assert await log.wait_until_written()

    async with phone.call(bot) as caller:
        await caller.wait_for_end()

    story = tell(read_log(path))
    assert kinds_of(path).count("said") == 1
    (reply,) = story.replies
    assert (reply.text, reply.unheard) == ("Hello there.", "")
    assert [word.text for word in reply.heard] == ["Hello", "there."]
    assert reply.made_at <= story.heard[0].end


async def test_stock_pipeline_is_written_down(tmp_path):
    """Any Pipecat bot can use the observer, without our transport."""
    log = CallLog(tmp_path / "call.jsonl", words=True)
    worker = PipelineWorker(Pipeline([IdentityFilter()]), observers=[log], enable_rtvi=False)
    await worker.queue_frames([TranscriptionFrame("hello", "", ""), EndFrame()])
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(worker)
    await runner.run()

    assert await log.wait_until_written()
    assert kinds_of(tmp_path / "call.jsonl") == ["log", "transcript", "closed"]


async def test_frame_is_told_once(tmp_path):
    """A processor passes it on, and each time observers hear of it."""
    log = CallLog(tmp_path / "call.jsonl")
    frame = InterruptionFrame()
    log.observe(pushed(frame))
    log.observe(pushed(frame))
    await finish(log)

    assert kinds_of(tmp_path / "call.jsonl").count("interrupted") == 1


async def test_broadcast_is_told_once(tmp_path):
    log = CallLog(tmp_path / "call.jsonl")
    down, up = BotHeldFrame(), BotHeldFrame()
    down.broadcast_sibling_id, up.broadcast_sibling_id = up.id, down.id
    log.observe(pushed(down))
    log.observe(pushed(up, direction=FrameDirection.UPSTREAM))
    log.observe(pushed(ResumeFrame(), direction=FrameDirection.UPSTREAM))
    await finish(log)

    assert kinds_of(tmp_path / "call.jsonl") == ["log", "held", "resumed", "closed"]


async def test_time_is_that_of_the_push(tmp_path):
    """An observer's queue may be long; the pipeline's clock says when it was."""
    log = CallLog(tmp_path / "call.jsonl")
    log.observe(pushed(InterruptionFrame(), timestamp=5_000_000_000))
    first = log.now
    log.observe(pushed(InterruptionFrame(), timestamp=4_000_000_000))
    await finish(log)

    times = [line["t"] for line in lines_of(tmp_path / "call.jsonl")[1:3]]
    assert times[0] - times[1] == pytest.approx(1.0)
    assert times[0] == pytest.approx(first, abs=0.05)


async def test_stall_of_the_event_loop_is_told(tmp_path):
    log = CallLog(tmp_path / "call.jsonl")
    log.observe(pushed(InterruptionFrame()))
    time.sleep(0.4)  # noqa: ASYNC251  # the stall
    await time_passes(0.01)
    await finish(log)

    stalls = [line for line in lines_of(tmp_path / "call.jsonl") if line["kind"] == "stalled"]
    assert stalls[0]["seconds"] == pytest.approx(0.15, abs=0.05)


async def test_nothing_is_taken_after_the_end(tmp_path):
    log = CallLog(tmp_path / "call.jsonl")
    log.close()
    log.observe(pushed(InterruptionFrame()))
    log.close()

    assert await log.wait_until_written()
    assert kinds_of(tmp_path / "call.jsonl") == ["log", "closed"]


async def test_word_frames_of_services_are_not_heard_words(tmp_path):
    log = CallLog(tmp_path / "call.jsonl", words=True)
    log.observe(pushed(TTSTextFrame("Hello", "word")))
    await finish(log)

    assert kinds_of(tmp_path / "call.jsonl") == ["log", "closed"]


async def test_server_keeps_logs_where_asked(phone: Phone, tmp_path):
    ended = asyncio.Event()

    async def bot(call: Call):
        await call.hang_up()
        ended.set()

    async with phone.call(bot, settings=ServerSettings(call_logs=tmp_path)) as caller:
        await ended.wait()
        await caller.wait_for_end()

    await asyncio.to_thread(thread().shutdown)
    thread.cache_clear()
    names = [path.name for path in tmp_path.glob("*.jsonl")]
    assert len(names) == 1
    assert names[0].startswith(f"{caller.call_sid}-MZ")
    assert kinds_of(tmp_path / names[0])[-1] == "closed"


async def test_log_is_followed_and_whoever_follows_cannot_hurt_it(tmp_path):
    seen: list[str] = []

    def follow(line: dict[str, Any]) -> None:
        seen.append(line["kind"])
        if line["kind"] == "held":
            raise RuntimeError("expected to be told no more")

    log = CallLog(tmp_path / "call.jsonl", follow=follow)
    for frame in (InterruptionFrame(), BotHeldFrame(), ResumeFrame()):
        log.observe(pushed(frame))
    await finish(log)

    assert seen == ["log", "interrupted", "held"]
    assert kinds_of(tmp_path / "call.jsonl") == ["log", "interrupted", "held", "resumed", "closed"]
