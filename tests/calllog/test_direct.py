import asyncio
import json

import pytest
from pipecat.frames.frames import EndFrame, Frame, StartFrame, TranscriptionFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.workers.runner import WorkerRunner

from twilio_frames.call import phone_worker
from twilio_frames.calllog import CallLog, direct
from twilio_frames.calllog.direct import add_observers
from twilio_frames.pipecat_internals import observer_of


class Other(BaseObserver):
    def __init__(self):
        super().__init__(observe_every_push=False)
        self.seen: list[type[Frame]] = []

    async def on_push_frame(self, data: FramePushed):
        self.seen.append(type(data.frame))


async def run(worker: PipelineWorker):
    await worker.queue_frames([TranscriptionFrame("hello", "", ""), EndFrame()])
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(worker)
    await runner.run()


async def kinds(log: CallLog, path) -> list[str]:
    assert await log.wait_until_written()
    return [json.loads(text)["kind"] for text in path.read_text().splitlines()]


async def test_logs_and_others_are_told(tmp_path):
    log, first, later = CallLog(tmp_path / "call.jsonl"), Other(), Other()
    worker = phone_worker(Pipeline([IdentityFilter()]), observers=[first, log])
    worker.add_observer(later)
    await run(worker)

    assert await kinds(log, tmp_path / "call.jsonl") == ["log", "transcript", "closed"]
    assert first.seen.count(TranscriptionFrame) == later.seen.count(TranscriptionFrame) == 1


async def test_log_has_no_queue(tmp_path):
    """A queue and a task would cost more than the log."""
    worker = PipelineWorker(Pipeline([IdentityFilter()]), enable_rtvi=False)
    log = CallLog(tmp_path / "call.jsonl")
    add_observers(worker, [log])
    await run(worker)

    distributor = worker._observer  # pyright: ignore[reportPrivateUsage]
    assert log not in distributor._observers  # pyright: ignore[reportPrivateUsage]


async def test_nobody_is_told_until_somebody_observes():
    worker, other = phone_worker(Pipeline([IdentityFilter()])), Other()
    before = bool(observer_of(worker))
    worker.add_observer(other)
    await run(worker)

    assert (before, bool(observer_of(worker))) == (False, True)
    assert TranscriptionFrame in other.seen


class Raises(Other):
    def __init__(self, error: BaseException):
        super().__init__()
        self._error = error

    async def on_push_frame(self, data: FramePushed):
        await super().on_push_frame(data)
        raise self._error


ERRORS = [ValueError("a"), SystemExit(1), asyncio.CancelledError(), KeyboardInterrupt()]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
async def test_observer_that_raises_is_told_of_what_follows(error: BaseException):
    observer = Raises(error)
    worker = phone_worker(Pipeline([IdentityFilter()]), observers=[observer])
    async with asyncio.timeout(10):
        await run(worker)

    assert {StartFrame, TranscriptionFrame, EndFrame} <= set(observer.seen)


async def test_log_that_raises_keeps_no_frame(tmp_path):
    class BadLog(CallLog):
        def observe(self, data: FramePushed) -> None:
            raise OverflowError

    observer = Other()
    log = BadLog(tmp_path / "call.jsonl")
    worker = phone_worker(Pipeline([IdentityFilter()]), observers=[log, observer])
    async with asyncio.timeout(10):
        await run(worker)

    assert TranscriptionFrame in observer.seen


async def test_what_waits_for_a_slow_observer_is_bounded(monkeypatch):
    monkeypatch.setattr(direct, "MOST_WAITING", 10)
    gate = asyncio.Event()

    class Slow(Other):
        async def on_push_frame(self, data: FramePushed):
            await super().on_push_frame(data)
            await gate.wait()

    slow = Slow()
    worker = phone_worker(Pipeline([IdentityFilter()]), observers=[slow])
    await worker.queue_frames([TranscriptionFrame("hello", "", "") for _ in range(100)])
    async with asyncio.timeout(10):
        await run(worker)

    assert 0 < len(slow.seen) < 20
