import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, web
from aiohttp.test_utils import TestClient, TestServer
from pipecat.frames.frames import CancelFrame, EndFrame, Frame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from twilio_frames.call import Call, phone_worker
from twilio_frames.errors import ConfigurationError, RestError
from twilio_frames.frames import CallEndReason, CallStartedFrame
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.rest import Credentials, TwilioRest
from twilio_frames.rest.client import CallState
from twilio_frames.stopping import FRAME_TASKS
from twilio_frames.transport import TwilioParams, TwilioTransport

Play = Callable[[Call], Awaitable[object]]
CLOSED = (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING)


class FakeRest(TwilioRest):
    """Notes who was hung up."""

    def __init__(self, error: RestError | None = None):
        super().__init__(Credentials(account_sid="AC1", auth_token="t"))
        self.hung_up: list[str] = []
        self.error = error

    async def hang_up(self, call_sid: str) -> None:
        self.hung_up.append(call_sid)
        if self.error:
            raise self.error


@dataclass
class Phone:
    """One call, whose bot is the test's coroutine."""

    client: TestClient[web.Request, web.Application]
    rest: TwilioRest | None = None
    play: Play | None = None
    done: "asyncio.Future[object]" = field(default_factory=asyncio.Future)

    async def stream(self, request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        transport = TwilioTransport(websocket, params=TwilioParams(close_timeout_secs=0.1))
        call = Call(transport, await transport.wait_for_start(), rest=self.rest)
        assert self.play is not None
        play = asyncio.ensure_future(self.play(call))
        # The test server cancels this coroutine when the caller hangs up; the bot goes on.
        play.add_done_callback(self.done.set_result)
        await asyncio.wait({play})
        return websocket

    async def ring(self, play: Play, rest: TwilioRest | None = None) -> ClientWebSocketResponse:
        self.play, self.rest = play, rest
        websocket = await self.client.ws_connect("/")
        start = {
            "streamSid": "MZ1",
            "callSid": "CA1",
            "accountSid": "AC1",
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"token": "secret", "from": "anonymous", "shop": "7"},
        }
        await websocket.send_json({"event": "connected"})
        await websocket.send_json({"event": "start", "streamSid": "MZ1", "start": start})
        return websocket

    async def outcome(self) -> "asyncio.Future[object]":
        play = await asyncio.wait_for(self.done, 10)
        assert isinstance(play, asyncio.Future)
        return play


@pytest.fixture
async def phone() -> AsyncIterator[Phone]:
    app = web.Application()
    client = TestClient(TestServer(app))
    phone = Phone(client)
    app.router.add_get("/", phone.stream)
    await client.start_server()
    yield phone
    await client.close()


class Ear(FrameProcessor):
    """Notes the frames that come by."""

    def __init__(self):
        super().__init__()
        self.frames: list[Frame] = []
        self.started = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        self.frames.append(frame)
        if isinstance(frame, CallStartedFrame):
            self.started.set()
        await self.push_frame(frame, direction)


def line(call: Call, *processors: FrameProcessor) -> Pipeline:
    return Pipeline([call.transport.input(), *processors, call.transport.output()])


async def test_call_knows_who_calls(phone: Phone):
    async def play(call: Call) -> Call:
        return call

    await phone.ring(play)
    call = (await phone.outcome()).result()

    assert isinstance(call, Call)
    assert (call.call_sid, call.stream_sid, call.account_sid) == ("CA1", "MZ1", "AC1")
    assert (call.from_number, call.to_number, call.direction) == ("anonymous", None, None)
    assert dict(call.parameters) == {"from": "anonymous", "shop": "7"}


async def test_run_ends_with_caller(phone: Phone):
    ear = Ear()
    websocket = await phone.ring(lambda call: call.run(line(call, ear)))
    await ear.started.wait()
    await websocket.send_str(json.dumps({"event": "stop", "streamSid": "MZ1", "stop": {}}))
    await websocket.close()

    assert (await phone.outcome()).result() is CallEndReason.CALLER_HUNG_UP
    assert any(isinstance(frame, EndFrame) for frame in ear.frames)


async def test_run_is_at_telephone_rate(phone: Phone):
    ear = Ear()

    async def play(call: Call) -> tuple[int, int]:
        worker = phone_worker(line(call, ear))
        running = asyncio.create_task(call.run(worker))
        await ear.started.wait()
        await call.hang_up()
        await running
        return worker.params.audio_in_sample_rate, worker.params.audio_out_sample_rate

    await phone.ring(play)

    assert (await phone.outcome()).result() == (8000, 8000)


async def hang_up_when_started(call: Call, *, by_rest: bool = False) -> CallEndReason | None:
    ear = Ear()
    running = asyncio.create_task(call.run(line(call, ear)))
    await ear.started.wait()
    await call.hang_up(by_rest=by_rest)
    return await running


async def test_hang_up_ends_run(phone: Phone):
    websocket = await phone.ring(hang_up_when_started)

    assert (await websocket.receive()).type in CLOSED
    assert (await phone.outcome()).result() is CallEndReason.BOT_HUNG_UP


async def test_hang_up_leaves_rest_alone(phone: Phone):
    rest = FakeRest()
    await phone.ring(hang_up_when_started, rest)
    await phone.outcome()

    assert rest.hung_up == []


async def test_hang_up_by_rest(phone: Phone):
    rest = FakeRest()
    await phone.ring(lambda call: hang_up_when_started(call, by_rest=True), rest)
    await phone.outcome()

    assert rest.hung_up == ["CA1"]


async def test_refused_hang_up_is_raised(phone: Phone):
    rest = FakeRest(RestError("Authenticate", status=401))
    await phone.ring(lambda call: hang_up_when_started(call, by_rest=True), rest)

    with pytest.raises(RestError, match="Authenticate"):
        (await phone.outcome()).result()


async def test_hang_up_without_pipeline(phone: Phone):
    rest = FakeRest()
    websocket = await phone.ring(lambda call: call.hang_up(by_rest=True), rest)

    assert (await websocket.receive()).type in CLOSED
    (await phone.outcome()).result()
    assert rest.hung_up == ["CA1"]


async def test_option_that_run_does_not_have_is_refused(phone: Phone):
    await phone.ring(lambda call: call.run(Pipeline([call.transport.input()]), greting="Hello"))

    with pytest.raises(ConfigurationError, match="did you mean 'greeting'"):
        (await phone.outcome()).result()


async def test_call_counts_as_answered_with_its_pipeline_or_its_end(phone: Phone):
    answered: list[bool] = []

    async def bot(call: Call) -> None:
        answered.append(call.was_answered)
        await call.hang_up()
        answered.append(call.was_answered)

    await phone.ring(bot)
    (await phone.outcome()).result()

    assert answered == [False, True]


async def test_rest_without_credentials_is_refused(phone: Phone):
    await phone.ring(lambda call: call.hang_up(by_rest=True))

    with pytest.raises(ConfigurationError, match="expected Twilio credentials"):
        (await phone.outcome()).result()


@pytest.mark.parametrize("is_up", [False, True])
async def test_cancelled_run_hangs_up_nobody(phone: Phone, is_up: bool):
    rest = FakeRest()
    ear = Ear()
    up = asyncio.Event()

    async def play(call: Call) -> tuple[bool, CallEndReason | None]:
        worker = phone_worker(line(call, ear))
        worker.add_event_handler("on_pipeline_started", lambda *_: up.set())
        running = asyncio.create_task(call.run(worker))
        await (up if is_up else ear.started).wait()
        running.cancel()
        await asyncio.wait({running})
        return running.cancelled(), call.end_reason

    websocket = await phone.ring(play, rest)

    assert (await websocket.receive()).type in CLOSED
    assert (await phone.outcome()).result() == (True, CallEndReason.ERROR)
    assert rest.hung_up == []


async def test_cancelled_pipeline_hangs_up_nobody(phone: Phone):
    rest = FakeRest()
    ear = Ear()

    async def play(call: Call) -> CallEndReason | None:
        worker = phone_worker(line(call, ear))
        running = asyncio.create_task(call.run(worker))
        await ear.started.wait()
        await worker.queue_frame(CancelFrame())
        return await running

    websocket = await phone.ring(play, rest)

    assert (await websocket.receive()).type in CLOSED
    assert (await phone.outcome()).result() is not None
    assert any(isinstance(frame, CancelFrame) for frame in ear.frames)
    assert rest.hung_up == []


async def test_crashed_bot_hangs_up_nobody(phone: Phone):
    rest = FakeRest()
    ear = Ear()

    async def play(call: Call) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(call.run(line(call, ear)))
            await ear.started.wait()
            raise ZeroDivisionError

    websocket = await phone.ring(play, rest)

    assert (await websocket.receive()).type in CLOSED
    with pytest.raises(ExceptionGroup):
        (await phone.outcome()).result()
    assert rest.hung_up == []


class SlowRest(FakeRest):
    """Takes its time to give a call other TwiML."""

    def __init__(self):
        super().__init__()
        self.asked = asyncio.Event()
        self.answers = asyncio.Event()
        self.updated: list[str] = []

    async def update(self, call_sid: str, **_: object) -> CallState:
        self.asked.set()
        await self.answers.wait()
        self.updated.append(call_sid)
        return CallState(call_sid=call_sid, status="in-progress")


@pytest.mark.parametrize("way", ["cancelled", "ended"])
async def test_transfer_in_flight_is_finished(phone: Phone, way: str):
    rest = SlowRest()
    ear = Ear()

    async def play(call: Call) -> bool:
        worker = phone_worker(line(call, ear))
        running = asyncio.create_task(call.run(worker))
        await ear.started.wait()
        transfer = asyncio.create_task(call.redirect(url="https://bot.example.com/other"))
        await rest.asked.wait()
        if way == "cancelled":
            running.cancel()
            transfer.cancel()
        else:
            await worker.cancel()
        await asyncio.wait({running}, timeout=0.2)
        was_done = running.done()
        rest.answers.set()
        await asyncio.wait({running, transfer}, timeout=10)
        return was_done

    websocket = await phone.ring(play, rest)
    stop = json.dumps({"event": "stop", "streamSid": "MZ1", "stop": {}})

    async def stop_when_updated() -> None:
        await rest.answers.wait()
        await websocket.send_str(stop)

    stopping = asyncio.create_task(stop_when_updated())
    assert (await phone.outcome()).result() is False
    await stopping
    assert rest.updated == ["CA1"]


async def test_a_call_at_rest_has_one_task_of_ours_beside_the_one_that_reads(phone: Phone):
    names: list[str] = []

    async def play(call: Call) -> None:
        ear, before = Ear(), asyncio.all_tasks()
        parts = [call.transport.input(), PhoneVAD(), ear, call.transport.output()]
        running = asyncio.create_task(call.run(Pipeline(parts)), name="bot")
        await ear.started.wait()
        await asyncio.sleep(0.5)
        names.extend(task.get_name() for task in asyncio.all_tasks() - before)
        await call.hang_up()
        await running

    await phone.ring(play)
    await phone.outcome()

    # Of queues, Pipecat has two at each processor that is not in direct mode.
    others = [name.rpartition("::")[2] for name in names if not name.endswith(FRAME_TASKS)]
    pipecats = ["_process_push_queue", "pipeline-run", "task_PipelineWorker"]
    assert sorted(name.partition("#")[0] for name in others) == sorted(["bot", "run", *pipecats])
    assert len(names) - len(others) == 4
