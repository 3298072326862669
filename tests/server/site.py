"""A Twilio of a few lines for the server's tests: signs, posts, opens streams."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from aiohttp import ClientResponse, ClientWebSocketResponse, web
from aiohttp.test_utils import TestClient

from twilio_frames.server import Call
from twilio_frames.server.state import ServerState
from twilio_frames.signature import SIGNATURE_HEADER, sign

TOKEN = "secret-auth-token"
FORM = {
    "CallSid": "CA1",
    "AccountSid": "AC1",
    "From": "+14155550101",
    "To": "+14155550100",
    "Direction": "inbound",
    "CallStatus": "ringing",
    "CallerName": "",
}


class Arrival(asyncio.Event):
    """An event that does not keep a test waiting for good."""

    async def wait(self):
        async with asyncio.timeout(10):
            return await super().wait()


@dataclass
class RecordingBot:
    """A bot that takes notes, and stays on the line until it is let go."""

    calls: list[Call] = field(default_factory=list)
    arrived: Arrival = field(default_factory=Arrival)
    leave: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None

    async def __call__(self, call: Call) -> None:
        self.calls.append(call)
        self.arrived.set()
        await self.leave.wait()
        if self.error:
            raise self.error
        await call.hang_up()


@dataclass
class Site:
    """A server under test and what Twilio does to it."""

    client: TestClient[web.Request, web.Application]
    state: ServerState
    bot: RecordingBot

    def url(self, path: str) -> str:
        return str(self.client.make_url(path))

    async def post(
        self, path: str, form: dict[str, str] | None = None, *, signature: str | None = None
    ) -> ClientResponse:
        form = FORM if form is None else form
        if signature is None:
            signature = sign(TOKEN, self.url(path), form)
        signed = {SIGNATURE_HEADER: signature}
        return await self.client.post(path, data=form, headers=signed)

    async def ask(
        self, path: str = "/twiml", form: dict[str, str] | None = None
    ) -> ElementTree.Element:
        answer = await self.post(path, form)
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "text/xml"
        return ElementTree.fromstring(await answer.text())

    async def parameters(self, form: dict[str, str] | None = None) -> dict[str, str]:
        stream = (await self.ask("/twiml", form))[0][0]
        return {p.attrib["name"]: p.attrib["value"] for p in stream}

    async def connect(
        self, signature: str | None = None, *, path: str = "/stream"
    ) -> ClientWebSocketResponse:
        if signature is None:
            signature = sign(TOKEN, self.url(path).replace("http", "ws"))
        return await self.client.ws_connect(path, headers={SIGNATURE_HEADER: signature})

    async def start(
        self, parameters: dict[str, str], call_sid: str = "CA1", *, path: str = "/stream"
    ) -> ClientWebSocketResponse:
        websocket = await self.connect(path=path)
        connected: dict[str, Any] = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
        start: dict[str, Any] = {
            "event": "start",
            "sequenceNumber": "1",
            "streamSid": "MZ1",
            "start": {
                "accountSid": "AC1",
                "streamSid": "MZ1",
                "callSid": call_sid,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": parameters,
            },
        }
        await websocket.send_str(json.dumps(connected))
        await websocket.send_str(json.dumps(start))
        return websocket


Open = Callable[..., Awaitable[Site]]
"""Opens a server with some settings changed."""
