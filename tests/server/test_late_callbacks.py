"""What Twilio tells of a call while it has no bot, or before its bot listens."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

from pipecat.frames.frames import Frame

from tests.fleet.lossy import LossyRegister
from tests.server.site import FORM, Open, Site
from tests.waiting import time_passes
from twilio_frames.call.running import RunningCall
from twilio_frames.frames import CallEndReason, RecordingFrame
from twilio_frames.server import FleetSettings

UP = FORM | {"CallStatus": "in-progress"}


class Worker:
    """Takes frames as a pipeline's worker does."""

    turn_trace_observer = None

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    async def queue_frame(self, frame: Frame) -> None:
        self.frames.append(frame)

    async def queue_frames(self, frames: Any) -> None:
        self.frames.extend(frames)


async def begin(site: Site, path: str, form: dict[str, str]) -> None:
    twiml = await site.ask(path, form)
    noun = twiml[0][0]
    parameters = {one.attrib["name"]: one.attrib["value"] for one in noun}
    site.bot.arrived.clear()
    site.bot.leave.clear()
    await site.start(parameters, path=urlsplit(noun.attrib["url"]).path)
    await site.bot.arrived.wait()


async def test_a_call_that_has_lost_its_bot_tells_the_next_one_once(open_site: Open):
    register: Any = LossyRegister()
    site = await open_site(fleet=FleetSettings(register=register))
    await begin(site, "/twiml", FORM)
    await time_passes(0.5)
    await site.bot.calls[0].transport.close(CallEndReason.LINE_LOST, "the test")
    site.bot.leave.set()
    await time_passes(0.5)
    told = {"CallSid": "CA1", "RecordingSid": "RE1"}
    await site.post("/recording", told | {"RecordingStatus": "in-progress"})
    await begin(site, "/after-stream", UP)
    await site.post("/recording", told | {"RecordingStatus": "in-progress"})
    await site.post("/recording", told | {"RecordingStatus": "completed"})
    worker: Any = Worker()
    await site.bot.calls[1].began(worker)
    statuses = [one.status for one in worker.frames if isinstance(one, RecordingFrame)]
    assert statuses == ["in-progress", "completed"]


async def test_a_note_that_nobody_can_read_ends_no_call(open_site: Open):
    register: Any = LossyRegister()
    site = await open_site(fleet=FleetSettings(register=register))
    await register.note("CA1", "key", b'["of another version"]')
    await begin(site, "/twiml", FORM)
    await asyncio.sleep(0.1)
    assert site.bot.calls[0].end_reason is None


async def test_frames_wait_for_a_pipeline_that_is_to_run_and_for_none_behind_it():
    transport: Any = None
    call, worker = RunningCall(transport, "CA1", None), Worker()
    first, second, third = (RecordingFrame(status=one, recording_sid="RE1") for one in "abc")
    await call.tell(first)
    began: Any = worker
    await call.began(began)
    await call.tell(second)
    call.stopped()
    await call.tell(third)
    assert worker.frames == [first, second]
