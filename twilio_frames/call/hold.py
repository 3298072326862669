"""A caller on hold: Twilio's music away from the stream, or music of one's own on it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from pipecat.frames.frames import Frame, OutputAudioRawFrame

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw
from twilio_frames.call.detours import Detours
from twilio_frames.errors import ConfigurationError, DetourError, RestError
from twilio_frames.frames import DetourFrame
from twilio_frames.transport import TwilioTransport

__all__ = ["Hold"]

_MUSIC_SECS = 0.2
"""How much of the music is laid at a time."""


class Hold:
    """One call's ways to keep its caller waiting, with music.

    Args:
        transport: The call's.
        detours: Its ways elsewhere.
        tell: Puts a frame into its pipeline.
        leave: Puts a detour there.
        said_so_far: Waits until what was said before was heard.
    """

    def __init__(
        self,
        transport: TwilioTransport,
        detours: Detours,
        *,
        tell: Callable[[Frame], Awaitable[None]],
        leave: Callable[[DetourFrame], Awaitable[None]],
        said_so_far: Callable[[], Awaitable[None]],
    ):
        self._transport = transport
        self._detours = detours
        self._tell = tell
        self._leave = leave
        self._said_so_far = said_so_far
        self._held: AbstractAsyncContextManager[None] | None = None
        self._letting_go: asyncio.Task[None] | None = None

    async def begin(self, music: str | bytes) -> None:
        """Puts the caller on hold until :meth:`end`; see :meth:`playing`."""
        if self._held is not None:
            raise ConfigurationError(
                "expected a caller who is not on hold, got one who is: resume() the call first"
            )
        self._held = held = self.playing(music)
        try:
            await held.__aenter__()
        except BaseException:
            self._held = None
            raise

    async def end(self) -> None:
        """Takes the caller off hold, where they are."""
        held, self._held = self._held, None
        if held is not None:
            await held.__aexit__(None, None, None)

    async def let_go(self) -> None:
        """Does so before the call is ended, whatever comes of it."""
        with contextlib.suppress(DetourError, RestError):
            await self.end()

    def ended(self) -> None:
        """The call is over."""
        if self._held is not None:
            self._letting_go = asyncio.create_task(self.let_go(), name="hold")

    @asynccontextmanager
    async def playing(self, music: str | bytes) -> AsyncIterator[None]:
        """Plays music to the end of this; see :meth:`twilio_frames.call.Call.on_hold`."""
        if not music:
            raise ConfigurationError("expected music for a caller on hold, got none")
        await self._said_so_far()
        if isinstance(music, str):
            async with self._detours.playing(music, self._leave):
                yield
            return
        playing = asyncio.create_task(self._play(music), name="hold-music")
        self._transport.mute_caller(True)
        try:
            yield
        finally:
            self._transport.mute_caller(False)
            playing.cancel()

    async def _play(self, mulaw: bytes) -> None:
        """Plays a sound again and again, at the pace of a line."""
        piece = round(_MUSIC_SECS * SAMPLE_RATE)
        sound = mulaw * -(-piece // len(mulaw))
        begin, due = 0, asyncio.get_running_loop().time()
        while True:
            part = (sound + sound)[begin : begin + piece]
            begin = (begin + piece) % len(sound)
            await self._tell(OutputAudioRawFrame(decode_mulaw(part), SAMPLE_RATE, 1))
            due += _MUSIC_SECS
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
