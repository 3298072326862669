"""Somebody listens in on a call, says a word to its bot, and may take the call over.

A listener has a queue of its own, with a bound: whoever is slow loses audio, and is told how much.
Nothing that a listener does or leaves undone is waited for by the call.
"""

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pipecat.frames.frames import Frame, LLMMessagesAppendFrame, TranscriptionFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.call.control import CallControl
from twilio_frames.call.transfers import TransferResult
from twilio_frames.call.transfers.consulting import Briefing
from twilio_frames.calllog.frames import FrameLines, LogPrivacy, without_long_numbers
from twilio_frames.processors.words import HeardTextFrame
from twilio_frames.report.answers import AnswerTimes
from twilio_frames.report.lines import LIVE_KINDS, Line

__all__ = ["OverheardCall", "Overhearer"]

CALLER, BOT = 0, 1
_HEADER = struct.Struct(">BI")
_MOST_MS = 0xFFFFFFFF


class Overhearer(BaseObserver):
    """Takes down what is heard on a call, for somebody who reads it when they can.

    Audio is ``bytes``: who is heard (0 the caller, 1 the bot), when it began in milliseconds since
    the call's stream was opened (four bytes, the highest first), and mu-law, 8000 bytes a second.
    Anything else is a dictionary with its ``event``.

    Args:
        words: Whether what is said is told as well.
        most: How much may wait to be read; some five seconds of both sides.
    """

    _PAUSE_SECS: float = 0.1
    """A longer one between two pieces of the bot's audio is silence."""

    def __init__(self, *, words: bool, most: int = 500):
        super().__init__(observe_every_push=False)
        self.opened_at = 0.0
        """The call's zero, by ``time.monotonic()``."""
        self._words = words
        self._lines = FrameLines(LogPrivacy(words=words))
        self._answers = AnswerTimes(is_whole=False)
        self._bot_ended = 0.0
        self._waiting: asyncio.Queue[bytes | dict[str, Any]] = asyncio.Queue(most)
        self._lost = 0
        self._ended = asyncio.Event()

    async def next(self) -> bytes | dict[str, Any] | None:
        """What was heard next; None when the call is over, and all before it was read."""
        if self._lost and self._waiting.empty():
            lost, self._lost = self._lost, 0
            return {"event": "lost", "count": lost}
        if not self._waiting.empty():
            return self._waiting.get_nowait()
        getting = asyncio.create_task(self._waiting.get())
        ending = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait({getting, ending}, return_when=asyncio.FIRST_COMPLETED)
            return getting.result() if getting.done() else None
        finally:
            getting.cancel()
            ending.cancel()

    def caller_audio(self, mulaw: bytes, at: float) -> None:
        """Hears the caller."""
        self._put(_audio(CALLER, mulaw, at))

    def bot_audio(self, mulaw: bytes, at: float) -> None:
        """Hears the bot, as the caller did."""
        self._put(_audio(BOT, mulaw, at))
        if at - self._bot_ended > self._PAUSE_SECS:
            seconds = self._answers.heard(at)
            if seconds is not None:
                self._put({"event": "answer", "at": round(at, 3), "seconds": round(seconds, 3)})
        self._bot_ended = at + len(mulaw) / SAMPLE_RATE

    def line_ended(self, at: float) -> None:
        """Is told that the call is over."""
        self._ended.set()

    async def on_push_frame(self, data: FramePushed) -> None:
        """Sees words, and what becomes of turns; Pipecat calls it."""
        if not self._lines.is_news(data):
            return
        for line in self._lines.of(data.frame):
            if line["kind"] in LIVE_KINDS:
                self._tell_line({"t": round(time.monotonic() - self.opened_at, 3), **line})
        if self._words:
            self._tell_words(data.frame)

    def _tell_line(self, line: Line) -> None:
        self._answers.note(line)
        self._put({"event": "log", "line": line})

    def _tell_words(self, frame: Frame) -> None:
        match frame:
            case TranscriptionFrame(text=text):
                self._put({"event": "words", "who": "caller", "text": without_long_numbers(text)})
            case HeardTextFrame(text=text):
                self._put({"event": "words", "who": "bot", "text": without_long_numbers(text)})
            case _:
                pass

    def _put(self, heard: bytes | dict[str, Any]) -> None:
        try:
            self._waiting.put_nowait(heard)
        except asyncio.QueueFull:
            self._lost += 1


def _audio(who: int, mulaw: bytes, at: float) -> bytes:
    return _HEADER.pack(who, min(max(0, round(at * 1000)), _MOST_MS)) + mulaw


class OverheardCall(CallControl):
    """A call that others may hear."""

    observers: list[BaseObserver]

    @asynccontextmanager
    async def overheard_by(self, overhearer: Overhearer) -> AsyncIterator[None]:
        """Let somebody listen in, from here to the end of this."""
        overhearer.opened_at = self.transport.opened_at
        self.transport.add_tap(overhearer)
        if self.worker is not None:
            self.worker.add_observer(overhearer)
        else:
            # There may be no pipeline yet, or none at all.
            self.observers.append(overhearer)
        try:
            yield
        finally:
            self.transport.remove_tap(overhearer)
            if overhearer in self.observers:
                self.observers.remove(overhearer)
            if self.worker is not None:
                await self.worker.remove_observer(overhearer)

    async def whisper(self, text: str) -> None:
        """Tell the bot's model something that nobody hears: it counts from its next reply on.

        Raises:
            ConfigurationError: No pipeline runs.
        """
        worker = await self.running_worker()
        message: Any = {"role": "developer", "content": text}
        await worker.queue_frame(LLMMessagesAppendFrame(messages=[message], run_llm=False))

    async def take_over(self, to: str, **options: Any) -> TransferResult:
        """Put the caller through to somebody who knows of them: a warm transfer, unbriefed.

        The caller stays with the bot until they pick up.

        Args:
            to: Who takes it: a number, a SIP address or a client.
            options: As for :meth:`warm_transfer`.

        Raises:
            ConfigurationError: Without credentials, or ``to`` is no target.
            DetourError: Twilio could not do it, and the call is back.
            RestError: Twilio would not call them.
        """
        return await self.warm_transfer(to, briefing=Briefing(summary="", accept=None), **options)
