"""Pipecat's stock Twilio bot, its own serializer and FastAPI transport, rung by the command."""

import json

import numpy as np
import pytest
from fastapi import FastAPI, Response, WebSocket
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InputDTMFFrame,
    OutputAudioRawFrame,
    StartFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner

from tests.cli.command import run
from twilio_frames.testing import Caller, Limits, Phone, SimulatedTwilio


class Beeper(FrameProcessor):
    """Beeps when the call begins, and says goodbye when a key is pressed."""

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            await self._beep()
        elif isinstance(frame, InputDTMFFrame):
            await self._beep()
            await self.push_frame(EndFrame())

    async def _beep(self):
        time = np.arange(2400) / 8000
        pcm = (9000 * np.sin(2 * np.pi * 440 * time)).astype(np.int16).tobytes()
        await self.push_frame(OutputAudioRawFrame(audio=pcm, sample_rate=8000, num_channels=1))


def stock_app(twilio: SimulatedTwilio) -> FastAPI:
    app = FastAPI()

    @app.post("/twiml")
    async def twiml() -> Response:
        document = '<Response><Connect><Stream url="/ws"/></Connect><Pause length="30"/></Response>'
        return Response(document, media_type="application/xml")

    @app.websocket("/ws")
    async def stream(websocket: WebSocket):
        await websocket.accept()
        _, call = await parse_telephony_websocket(websocket)
        serializer = TwilioFrameSerializer(
            stream_sid=call["stream_id"],
            call_sid=call["call_id"],
            account_sid=twilio.account_sid,
            auth_token=twilio.auth_token,
            base_url=twilio.rest_url,
        )
        params = FastAPIWebsocketParams(
            audio_in_enabled=True, audio_out_enabled=True, serializer=serializer
        )
        transport = FastAPIWebsocketTransport(websocket, params)
        worker = PipelineWorker(
            Pipeline([transport.input(), Beeper(), transport.output()]),
            params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
            enable_rtvi=False,
        )

        @transport.event_handler("on_client_disconnected")
        async def on_client_disconnected(*_: object):
            await worker.cancel()

        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        await runner.run()

    return app


async def test_stock_bot_is_rung_by_its_webhook(phone: Phone, tmp_path):
    result = tmp_path / "result.json"
    async with phone.desk(stock_app) as desk:
        command = ["call", desk.url, "--seconds", "1.5", "--json", str(result)]
        status = await run(*command)

    (turn,) = json.loads(result.read_text())["turns"]
    assert status == 0
    assert 0.25 < turn["ended_at"] - turn["began_at"] < 0.5


@pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated:DeprecationWarning")
async def test_stock_bot_hangs_up_over_rest(phone: Phone):
    async def press_a_key(caller: Caller):
        await caller.wait_for_bot(silence=0.3)
        await caller.press("1")
        await caller.wait_for_end(seconds=5)

    call = await phone.ring(stock_app, press_a_key, limits=Limits(end="bot hung up", call=5))

    assert call.result.first_audio is not None
