"""A bot without Pipecat that answers whoever pauses, and costs next to nothing.

It is there for the callers to be measured, not the bot. Its port goes to stdout.
"""

import asyncio
import base64

import numpy as np
from aiohttp import web
from stand_ins import serve

from twilio_frames.audio import encode_mulaw
from twilio_frames.protocol import Media, Role, Start, decode
from twilio_frames.testing.callers.voice import audible_samples

_QUIET = bytes(code for code in range(256) if not len(audible_samples(bytes([code]))))
_LOUD_BYTES = 40
_PAUSE_FRAMES = 20
_SPEECH_FRAMES = 10
_PIECES = 20
_BUZZ = np.tile(np.array([8000, -8000], dtype=np.int16), 400)
_PIECE = base64.b64encode(encode_mulaw(_BUZZ.tobytes())).decode()


class Talker:
    """One call's bot."""

    def __init__(self, socket: web.WebSocketResponse):
        self._socket = socket
        self._sid = ""
        self._spoken = self._silent = 0
        self._talking: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Listens until the call is over."""
        async for message in self._socket:
            match decode(message.data, Role.TWILIO):
                case Start(stream_sid=sid):
                    self._sid = sid
                    self._answer()
                case Media(payload=payload):
                    await self._listen(payload)
                case _:
                    pass
        if self._talking is not None:
            self._talking.cancel()

    async def _listen(self, payload: bytes) -> None:
        if len(payload.translate(None, _QUIET)) > _LOUD_BYTES:
            self._spoken, self._silent = self._spoken + 1, 0
            if self._spoken == _SPEECH_FRAMES and self._talking and not self._talking.done():
                self._talking.cancel()
                await self._socket.send_str(f'{{"event":"clear","streamSid":"{self._sid}"}}')
            return
        self._silent += 1
        if self._silent == _PAUSE_FRAMES and self._spoken >= _SPEECH_FRAMES:
            self._answer()
        if self._silent >= _PAUSE_FRAMES:
            self._spoken = 0

    def _answer(self) -> None:
        if self._talking is None or self._talking.done():
            self._talking = asyncio.create_task(self._talk())

    async def _talk(self) -> None:
        """Two seconds of a buzz in pieces of 100 ms, each with a mark, 0.2 s ahead."""
        now = asyncio.get_running_loop().time
        began, sid = now(), self._sid
        for number in range(_PIECES):
            await asyncio.sleep(max(0.0, began + number / 10 - 0.2 - now()))
            await self._socket.send_str(
                f'{{"event":"media","streamSid":"{sid}","media":{{"payload":"{_PIECE}"}}}}'
            )
            await self._socket.send_str(
                f'{{"event":"mark","streamSid":"{sid}","mark":{{"name":"{number}"}}}}'
            )


async def stream(request: web.Request) -> web.WebSocketResponse:
    """One call."""
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    await Talker(socket).serve()
    return socket


if __name__ == "__main__":
    asyncio.run(serve(stream))
