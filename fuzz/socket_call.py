"""One call to a bot over loopback, with spoilt messages among the caller's audio.

It is recorded and logged, and one who listens in raises whatever there is to raise.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from mutations import SID, Mutations
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InputDTMFFrame,
    OutputAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from twilio_frames.call import Call
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.protocol import Connected, Dtmf, Media, Role, Start, Stop, Stream
from twilio_frames.transport import CallRecorder, TwilioTransport

_START = Start(stream_sid=SID, call_sid="CA1")
_LAST_KEY = "#"
_MESSAGES_A_PIECE = 100
_SECS = 300.0


@dataclass
class SocketOutcome:
    """What became of the call."""

    sent: int = 0
    violations: dict[str, int] = field(default_factory=dict)
    key_heard: bool = False
    audio_heard: bool = False
    bot_heard: bool = False
    end_reason: str = ""
    listener_failures: dict[str, int] = field(default_factory=dict)
    is_recorded: bool = False
    is_logged: bool = False

    @property
    def is_well(self) -> bool:
        """Whether the call went on to its proper end, and was written down."""
        heard = self.key_heard and self.audio_heard and self.bot_heard
        is_written = self.is_recorded and self.is_logged
        listened = all(kind.startswith("BadListener") for kind in self.listener_failures)
        return heard and is_written and listened and self.end_reason == "caller hung up"


class BadListener:
    """Raises at whatever it is told, each time something else."""

    def __init__(self):
        self._errors = cycle([ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError])

    def _raise(self, *_: Any, **__: Any) -> None:
        raise next(self._errors)

    caller_audio = bot_audio = line_ended = received = sending = _raise


class Listener(FrameProcessor):
    """Hears the caller; answers the last key with a little sound, once audio has come behind it."""

    def __init__(self, outcome: SocketOutcome):
        super().__init__()
        self._outcome = outcome

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Notes what is heard."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InputDTMFFrame) and frame.button.value == _LAST_KEY:
            self._outcome.key_heard = True
        elif isinstance(frame, InputAudioRawFrame) and self._outcome.key_heard:
            if not self._outcome.audio_heard:
                self._outcome.audio_heard = True
                await self.push_frame(OutputAudioRawFrame(b"\x00\x20" * 1600, 8000, 1))
            return
        await self.push_frame(frame, direction)


async def flood(messages: int, *, seed: int) -> SocketOutcome:
    """Makes the call; sends so many spoilt messages, and then looks whether all is well."""
    outcome, over = SocketOutcome(), asyncio.Event()
    async with asyncio.timeout(_SECS), _bot(outcome, over) as url:
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            caller = _Caller(socket)
            await caller.begin()
            row = iter(Mutations(Role.TWILIO, seed=seed))
            for number, message in enumerate(islice(row, messages)):
                outcome.sent += await caller.send_spoilt(message)
                if number % _MESSAGES_A_PIECE == 0:
                    await caller.speak()
            await caller.press()
            outcome.bot_heard = await caller.speak_until_heard()
            await caller.hang_up()
            await over.wait()
    return outcome


@asynccontextmanager
async def _bot(outcome: SocketOutcome, over: asyncio.Event) -> AsyncIterator[str]:
    async def stream(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        transport = TwilioTransport(websocket)
        start = await transport.wait_for_start()
        call = Call(transport, start)
        with tempfile.TemporaryDirectory() as folder:
            recorder, bad = CallRecorder(Path(folder) / "call.wav"), BadListener()
            for tap in (bad, recorder):
                transport.add_tap(tap)
            transport.add_watcher(bad)
            log = call.keep_log(Path(folder) / "call.jsonl", words=True, digits=True)
            parts = [transport.input(), PhoneVAD(), Listener(outcome), transport.output()]
            reason = await call.run(Pipeline(parts))
            outcome.is_recorded = await recorder.wait_until_written()
            outcome.is_logged = await log.wait_until_written()
        outcome.end_reason = reason.value if reason else ""
        outcome.violations = transport.violations
        outcome.listener_failures = transport.listener_failures
        over.set()
        return websocket

    app = web.Application()
    app.router.add_get("/stream", stream)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/stream"
    finally:
        await runner.cleanup()


class _Caller:
    """Twilio's end of the socket.

    A shadow of the bot's stream tells which spoilt messages would be a proper ``stop``; these are
    not sent.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse):
        self._socket = socket
        self._twilio = Stream(Role.TWILIO)
        self._shadow = Stream(Role.BOT)
        self._shadow.adopt(_START)
        self._clock = 100

    async def begin(self) -> None:
        await self._socket.send_str(self._twilio.send(Connected()))
        await self._socket.send_str(self._twilio.send(_START))

    async def send_spoilt(self, message: str | bytes) -> bool:
        if any(isinstance(event, Stop) for event in self._shadow.receive(message)):
            self._shadow = Stream(Role.BOT)
            self._shadow.adopt(_START)
            return False
        if isinstance(message, bytes):
            await self._socket.send_bytes(message)
            return True
        try:
            message.encode()
        except UnicodeEncodeError:
            # A lone surrogate is no text, and a WebSocket cannot carry it.
            return False
        await self._socket.send_str(message)
        return True

    async def speak(self) -> None:
        media = Media(payload=b"\xff" * 160, timestamp=self._clock)
        self._clock += 20
        await self._socket.send_str(self._twilio.send(media))

    async def press(self) -> None:
        await self._socket.send_str(self._twilio.send(Dtmf(digit=_LAST_KEY)))

    async def speak_until_heard(self) -> bool:
        """Speaks as a caller does, in real time, until the bot is heard; at most for a minute."""
        hearing = asyncio.create_task(self._hear())
        for _ in range(3000):
            await self.speak()
            done, _ = await asyncio.wait([hearing], timeout=0.02)
            if done:
                break
        hearing.cancel()
        return hearing.done() and not hearing.cancelled() and hearing.result()

    async def _hear(self) -> bool:
        async for message in self._socket:
            if '"media"' in message.data:
                return True
        return False

    async def hang_up(self) -> None:
        await self._socket.send_str(self._twilio.send(Stop()))
