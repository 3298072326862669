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
from collections.abc import Coroutine
from typing import Any

from pipecat.frames.frames import Frame

from twilio_frames.processors.output.line_face import Line
from twilio_frames.processors.output.pacer import HeardAudio, OutputPacer
from twilio_frames.protocol.output_queue import Piece

HAPPENED_AT = "happened_at"
"""Where the ``metadata`` of a frame that comes late says when it fell due, ``time.monotonic()``."""


class EarlyStart:
    """Lets a pacer begin ahead of the pipeline that it speaks for.

    Until the pipeline is up, it takes what the pacer tells in the place of those who are to be
    told.

    Args:
        pacer: The pacer.
        line: The way to Twilio.
    """

    def __init__(self, pacer: OutputPacer, line: Line):
        self._pacer = pacer
        self._line = line
        self._deliver, self._on_sent, self._on_heard = pacer.deliver, pacer.on_sent, pacer.on_heard
        pacer.deliver, pacer.on_sent, pacer.on_heard = self._keep, self._keep, self._keep_audio
        self._heard: list[HeardAudio] = []
        self._kept: deque[object] = deque()
        self._early: asyncio.Task[None] | None = None
        self.is_up = False
        """Whether the pipeline is up."""

    async def _keep(self, thing: object) -> None:
        if isinstance(thing, Frame):
            thing.metadata[HAPPENED_AT] = time.monotonic()
        self._kept.append(thing)

    async def _keep_audio(self, audio: HeardAudio) -> None:
        self._heard.append(audio)

    async def _hear(self, audio: HeardAudio) -> None:
        """Tells of audio that was heard before the pipeline was up, along with the next.

        By then the caller's audio of the same time, which was waiting to be read, is through.
        """
        self._pacer.on_heard = self._on_heard
        heard, self._heard = self._heard, []
        for each in (*heard, audio):
            if self._on_heard is not None:
                await self._on_heard(each)

    def begin(self) -> None:
        """Has the pacer run from now on; it ends by itself if the line ends first."""
        if not self.is_up and self._early is None:
            running = self._pacer.run(goes_on=lambda: self.is_up or self._line.is_open)
            self._early = asyncio.create_task(running, name="early-start")

    async def come_up(self, *, is_audio_wanted: bool) -> None:
        """The pipeline is up: tells it what has happened so far, and from now on at once.

        Args:
            is_audio_wanted: Whether anybody is to be told of audio that was heard.
        """
        while self._kept:
            thing = self._kept.popleft()
            await (self._on_sent(thing) if isinstance(thing, Piece) else self._deliver(thing))
        self.is_up = True
        self._pacer.deliver, self._pacer.on_sent = self._deliver, self._on_sent
        self._pacer.on_heard = self._hear if is_audio_wanted else None

    def running(self) -> Coroutine[Any, Any, None]:
        """Runs the pacer until this is cancelled, from where it stands."""
        return self._pacer.run() if self._early is None else self._run_on(self._early)

    async def _run_on(self, early: asyncio.Task[None]) -> None:
        await early
        await self._pacer.run()
