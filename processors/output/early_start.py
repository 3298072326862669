"""Speech that begins before its pipeline does.

A pipeline is up when its start has passed every processor, and services open their connections in
that time: some tenths of a second in which the caller would hear nothing. What is ready needs
neither. It is sent as soon as the stream has begun, by the same queue and ledger as everything
else. What falls due of it, words and the end of speaking, waits for the pipeline, which is then
told of all of it in order.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from pipecat.frames.frames import Frame

from twilio_frames.processors.output.line_face import Line
from twilio_frames.processors.output.pacer import HeardAudio, OutputPacer
from twilio_frames.protocol.output_queue import Piece

HAPPENED_AT = "happened_at"
"""Where the ``metadata`` of a frame that comes late says when it fell due, ``time.monotonic()``."""


class EarlyStart:
    """Lets a pacer begin ahead of the pipeline that it speaks for.

    Args:
        line: The way to Twilio.
        deliver: Called with each thing that falls due, once the pipeline is up.
        on_sent: Called with each piece that has been sent, once the pipeline is up.
        on_heard: Called with audio as it has been heard, once the pipeline is up.
    """

    def __init__(
        self,
        line: Line,
        *,
        deliver: Callable[[object], Awaitable[None]],
        on_sent: Callable[[Piece], Awaitable[None]],
        on_heard: Callable[[HeardAudio], Awaitable[None]],
    ):
        self._line = line
        self._deliver = deliver
        self._on_sent = on_sent
        self._on_heard = on_heard
        self._heard: list[HeardAudio] = []
        self._kept: deque[object] = deque()
        self._early: asyncio.Task[None] | None = None
        self.is_up = False
        """Whether the pipeline is up."""

    async def deliver(self, thing: object) -> None:
        """Hands on what fell due, or keeps it until the pipeline is up."""
        if self.is_up:
            await self._deliver(thing)
        else:
            if isinstance(thing, Frame):
                thing.metadata[HAPPENED_AT] = time.monotonic()
            self._kept.append(thing)

    async def sent(self, piece: Piece) -> None:
        """Tells of a piece that was sent, or keeps that until the pipeline is up."""
        if self.is_up:
            await self._on_sent(piece)
        else:
            self._kept.append(piece)

    async def heard(self, audio: HeardAudio) -> None:
        """Tells of audio that was heard.

        What was heard before the pipeline was up goes along with what is heard next: by then the
        caller's audio of the same time, which was waiting to be read, is through.
        """
        self._heard.append(audio)
        if self.is_up:
            heard, self._heard = self._heard, []
            for each in heard:
                await self._on_heard(each)

    def begin(self, pacer: OutputPacer) -> None:
        """Has the pacer run from now on; it ends by itself if the line ends first."""
        if not self.is_up and self._early is None:
            running = pacer.run(goes_on=lambda: self.is_up or self._line.is_open)
            self._early = asyncio.create_task(running, name="early-start")

    async def come_up(self) -> None:
        """The pipeline is up: tells it what has happened so far."""
        while self._kept:
            thing = self._kept.popleft()
            await (self._on_sent(thing) if isinstance(thing, Piece) else self._deliver(thing))
        self.is_up = True

    async def run(self, pacer: OutputPacer) -> None:
        """Runs the pacer until this is cancelled, from where it stands."""
        if self._early is not None:
            await self._early
        await pacer.run()
