"""A bot that answers, as loads need one."""

import base64
import json
from contextlib import asynccontextmanager

from aiohttp import web

from tests.testing.bots import serving, tone
from tests.waiting import time_passes
from twilio_frames.protocol import Media, Role, SequenceBreak, Stream, TimestampBreak

ANSWER = tone(0.6)


class AnsweringBot:
    """Greets; answers 0.2 s behind the first 0.3 s of a loud tone that it hears."""

    def __init__(
        self, *, hangs_up_after: int | None = None, is_mute: bool = False, crashes: bool = False
    ):
        self.requests: list[web.Request] = []
        self.breaks: list[object] = []
        self.starts: list[dict] = []
        self.marks = self.stops = 0
        self._hangs_up_after = hangs_up_after
        self._is_mute = is_mute
        self._crashes = crashes

    async def stream(self, request: web.Request) -> web.WebSocketResponse:
        self.requests.append(request)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        stream = Stream(Role.BOT)
        loud = answers = 0
        async for message in socket:
            raw = json.loads(message.data)
            if raw["event"] == "start":
                self.starts.append(raw["start"])
                await self._play(socket, raw["streamSid"])
                if self._crashes and request.transport is not None:
                    request.transport.close()
            self.marks += raw["event"] == "mark"
            self.stops += raw["event"] == "stop"
            for event in stream.receive(message.data):
                if isinstance(event, SequenceBreak | TimestampBreak):
                    self.breaks.append(event)
                if isinstance(event, Media):
                    loud = loud + 1 if event.payload.count(0xFF) < 80 else 0
            if loud == 15:
                await time_passes(0.4)
                await self._play(socket, stream.stream_sid)
                answers += 1
                if answers == self._hangs_up_after:
                    await time_passes(0.1)
                    await socket.close()
        return socket

    async def _play(self, socket: web.WebSocketResponse, sid: str) -> None:
        if self._is_mute:
            return
        payload = base64.b64encode(ANSWER).decode()
        await socket.send_json({"event": "media", "streamSid": sid, "media": {"payload": payload}})
        await socket.send_json({"event": "mark", "streamSid": sid, "mark": {"name": "end"}})


@asynccontextmanager
async def bot_url(bot: AnsweringBot):
    async with serving(bot) as host:  # pyright: ignore[reportArgumentType]  # it has the method
        yield f"ws://{host}/stream"
