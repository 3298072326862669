"""``twilio-frames calls listen``: one call as it goes, heard, read, whispered to, taken over."""

import asyncio
import contextlib
import json
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import aiohttp
import numpy as np

from twilio_frames.audio import MULAW_SILENCE, decode_mulaw
from twilio_frames.cli.shown.console import Console
from twilio_frames.errors import CallFailedError
from twilio_frames.transport.recorder import CallRecorder

__all__ = ["Listening", "audio_to", "read_order"]

_HEADER = struct.Struct(">BI")
_LAG_MS = 400
"""By so much the bot's audio may come behind the caller's: it is told when it was heard."""
_MOST_SECS = 30.0
"""Silence between two sounds that is written out; a longer one was no pause."""
_HELP = "a line is whispered to the bot; /take +1... takes the call over, /hang-up ends it"


class Sound(Protocol):
    """Where the audio goes."""

    def put(self, who: int, at_ms: int, mulaw: bytes) -> None:
        """Takes some of one side."""
        ...

    async def close(self) -> None:
        """Ends it."""
        ...


def audio_to(path: str | None) -> Sound | None:
    """Where the audio is to go: a WAV file, or ``-`` for stereo samples on standard output."""
    if path is None:
        return None
    return LiveSound(sys.stdout.buffer) if path == "-" else _WavSound(Path(path))


class _WavSound:
    """A stereo WAV file, the caller left, that can be read at every moment.

    Args:
        path: The file.
    """

    def __init__(self, path: Path):
        self._recorder = CallRecorder(path)
        self._first_ms: int | None = None
        self._ends_at = 0.0

    def put(self, who: int, at_ms: int, mulaw: bytes) -> None:
        """Takes some of one side."""
        self._first_ms = at_ms if self._first_ms is None else self._first_ms
        at = max(0, at_ms - self._first_ms) / 1000
        self._ends_at = max(self._ends_at, at + len(mulaw) / 8000)
        sides = (self._recorder.caller_audio, self._recorder.bot_audio)
        sides[who](mulaw, at)

    async def close(self) -> None:
        """Makes the file whole."""
        self._recorder.line_ended(self._ends_at)
        await self._recorder.wait_until_written()


class LiveSound:
    """Stereo samples for a player, 16 bit, 8 kHz, the caller left.

    Args:
        output: Where they are written.
    """

    def __init__(self, output: BinaryIO):
        self._output = output
        self._begin_ms: int | None = None
        self._sides = (bytearray(), bytearray())

    def put(self, who: int, at_ms: int, mulaw: bytes) -> None:
        """Takes some of one side, and writes what the other will not add to any more."""
        if self._begin_ms is None or at_ms - self._begin_ms > 1000 * _MOST_SECS:
            self._begin_ms = at_ms
        side, place = self._sides[who], 8 * (at_ms - self._begin_ms)
        if place + len(mulaw) <= 0:
            return
        side.extend(bytes([MULAW_SILENCE]) * (place - len(side)))
        side[max(0, place) :] = mulaw[max(0, -place) :]
        self._write(max(map(len, self._sides)) - 8 * _LAG_MS)

    def _write(self, size: int) -> None:
        if size <= 0 or self._begin_ms is None:
            return
        heard = [bytes(side[:size]).ljust(size, bytes([MULAW_SILENCE])) for side in self._sides]
        pcm = [np.frombuffer(decode_mulaw(each), dtype="<i2") for each in heard]
        self._output.write(np.column_stack(pcm).tobytes())
        self._output.flush()
        for side in self._sides:
            del side[:size]
        self._begin_ms += size // 8

    async def close(self) -> None:
        """Writes what is left."""
        self._write(max(map(len, self._sides)))


class Listening:
    """One who listens in on a call, at a terminal.

    Args:
        websocket: The server's.
        console: Where words and news are written.
        sound: Where the audio goes, if anywhere.
    """

    def __init__(
        self, websocket: aiohttp.ClientWebSocketResponse, console: Console, sound: Sound | None
    ):
        self._websocket = websocket
        self._console = console
        self._sound = sound
        self._at_ms = 0

    async def run(self) -> dict[str, Any]:
        """Tells what is heard until the call is over; gives the last that was told of it."""
        orders: asyncio.Queue[str] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        _read_lines(lambda line: loop.call_soon_threadsafe(orders.put_nowait, line))
        ordering = asyncio.create_task(self._order(orders))
        try:
            return await self._tell()
        finally:
            ordering.cancel()
            if self._sound is not None:
                await self._sound.close()

    async def _tell(self) -> dict[str, Any]:
        async for message in self._websocket:
            if message.type is aiohttp.WSMsgType.BINARY:
                self._hear(message.data)
                continue
            told = json.loads(message.data)
            self._say(told)
            if told["event"] == "end":
                return told
        raise CallFailedError("expected the call to be told to its end, got a closed connection")

    def _hear(self, data: bytes) -> None:
        who, self._at_ms = _HEADER.unpack_from(data)
        if self._sound is not None:
            self._sound.put(who, self._at_ms, data[_HEADER.size :])

    def _say(self, told: dict[str, Any]) -> None:
        match told:
            case {"event": "start"}:
                words = "" if told["words"] else "; no words: the server's logs hold none"
                self._console.say(f"listening to {told['call_sid']}{words}; {_HELP}", "faint")
            case {"event": "words", "who": who, "text": text}:
                self._console.turn(self._at_ms / 1000, who, text)
            case {"event": "lost", "count": count}:
                self._console.say(f"{count} pieces were lost on the way", "bad")
            case {"event": "done", "do": name}:
                outcome = f": {told['outcome']}" if "outcome" in told else ""
                self._console.say(f"{name} is done{outcome}", "good")
            case {"event": "refused", "why": why}:
                self._console.say(str(why), "bad")
            case {"event": "end", "reason": reason}:
                self._console.say(f"the call is over: {reason or 'the bot is done'}", "faint")
            case _:
                pass

    async def _order(self, lines: asyncio.Queue[str]) -> None:
        while True:
            if order := read_order(await lines.get()):
                await self._websocket.send_str(json.dumps(order))


def read_order(line: str) -> dict[str, str] | None:
    """What is meant by a line that was typed; None for nothing."""
    text = line.strip()
    name, _, rest = text.partition(" ")
    if name == "/take":
        return {"do": "take_over", "to": rest.strip()}
    if name == "/hang-up":
        return {"do": "hang_up"}
    return {"do": "whisper", "text": text} if text else None


def _read_lines(take: Callable[[str], object]) -> None:
    """Reads standard input beside all else; nobody waits for it."""
    source = sys.stdin

    def read() -> None:
        # It may be closed, and the command be over when a line comes.
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            for line in source:
                take(line)

    if source is not None:
        threading.Thread(target=read, name="orders", daemon=True).start()
