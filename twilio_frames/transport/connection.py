"""One media stream's socket: what comes in as events, what goes out with a time limit, and its end.

Where the bot's audio stands, its echo, and those who listen in are parts of their own, which are
told of what comes and goes.

Nothing that arrives ends the connection: a message that breaks a rule is counted, logged once per
kind, and skipped. The connection ends for one stated reason, the first that was found; whoever
finds a later one changes nothing.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from loguru import logger

from twilio_frames.audio import MULAW_SILENCE
from twilio_frames.errors import CallFailedError, StreamTimeoutError
from twilio_frames.frames import Act, CallEndReason, DetourFrame
from twilio_frames.processors.output.pacer import AUTO_MARK
from twilio_frames.protocol import (
    BotMessage,
    Clear,
    Event,
    Mark,
    MarkEcho,
    Media,
    Playback,
    Role,
    SendMark,
    SendMedia,
    Start,
    Stop,
    Stream,
    StreamState,
    Unknown,
    Violation,
)
from twilio_frames.transport.bot_echo import BotEcho
from twilio_frames.transport.handshake import fault_of_format, is_audible, start_of_later_message
from twilio_frames.transport.line_checks import LineChecks
from twilio_frames.transport.params import TwilioParams
from twilio_frames.transport.sockets import MediaSocket, close_in_time
from twilio_frames.transport.taps import Audience, CallTaps, Failures, LineWatcher

_FENCES = 13
CLOSED = "socket closed without stop"
PROBE_SILENCE = bytes([MULAW_SILENCE]) * 13
CLEAR_BARRIER = f"{AUTO_MARK}cleared:"
"""What the names of the marks behind a ``clear`` begin with."""
QUESTION = f"{AUTO_MARK}alive:"
"""What the names of the marks begin with by which a silent line is asked whether it lives."""


class MediaConnection:
    """The bot's end of one media stream over one socket.

    Args:
        socket: The open socket.
        params: Time limits.
        playback: What Twilio has played; a new one if left out.
        taps: Who listens in; nobody if left out.
        echo: What may come back along with the caller.
    """

    def __init__(
        self,
        socket: MediaSocket,
        params: TwilioParams,
        *,
        playback: Playback | None = None,
        taps: CallTaps | None = None,
        echo: BotEcho | None = None,
    ):
        self._socket = socket
        self._params = params
        self._closing: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._clears = 0
        self._fences: list[str] = []
        self._ended = asyncio.Event()
        self.on_echo: Callable[[], None] = _do_nothing
        """Called after each mark that came back."""
        self.on_end = self.on_left = self.on_open = _do_nothing
        """Called once, at the end; when the stream is left for a detour; when one is open."""
        self.on_detour: Callable[[DetourFrame], bool] | None = None
        """Told of a detour that is due; gives whether it is made."""
        self.on_action: Callable[[Act], None] | None = None
        """Told of what the call is to do."""
        self.on_away: Callable[[DetourFrame], None] = lambda _: None
        """Told what the stream has been left for."""
        self.detour: DetourFrame | None = None
        """What the stream has been left for; None while the call is on one."""
        self.is_open = self.is_away = self.is_over = False
        """Whether messages can be sent; the call is on a detour, or about to be; it has ended."""
        self._ordered: DetourFrame | None = None
        self._away_since = 0.0
        self._back = asyncio.Event()
        self.stream = Stream(Role.BOT)
        self.playback = playback or Playback()
        self.end_reason: CallEndReason | None = None
        self.end_detail = ""
        self.transferring = False
        """Set before the call is given other TwiML: the ``stop`` that follows is a transfer."""
        self.closing = asyncio.Event()
        """Set when it is to be closed, which a transfer that is under way holds up."""
        self.breaks_off = False
        """Set before the bot is stopped from outside: closing the line is no hanging up."""
        failures = Failures(lambda: f"call {self.call_sid}")
        self.taps = taps or CallTaps(failures, self.playback)
        self.bot_heard = self.taps.bot_heard
        """Tells who listens in what was heard of the bot."""
        self.overhearing: Sequence[object] = self.taps.audience.listeners
        self.opened_at = self.taps.opened_at
        """When the socket was taken over."""
        self.watchers = Audience(LineWatcher, self.taps.failures)
        """Who sees the messages."""
        self._echo = echo or BotEcho(self.playback)
        self._leaving: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[bool] | None = None
        self.gone = asyncio.Event()  # Set while the stream has been left, or is over.
        self.violations: Counter[str] = Counter()
        """How many received messages broke which rule."""
        self.checks = LineChecks(params, self.playback, self.opened_at)
        """What ends the call by itself."""

    async def wait_for_start(self) -> Start:
        """Reads up to ``start``; at once if it has been read.

        Raises:
            StreamTimeoutError: If it did not come in time.
            CallFailedError: If the socket closed first, or the audio is of no known format.
        """
        async with self._starting:
            try:
                async with asyncio.timeout(self._params.start_timeout_secs):
                    while self.stream.start is None:
                        if await self.receive() is None:
                            raise CallFailedError(
                                "expected `connected` and `start`, got a closed socket: the other "
                                "end is no Twilio media stream, or hung up at once"
                            )
            except TimeoutError:
                await self.close(CallEndReason.ERROR, "no start message came")
                raise StreamTimeoutError(
                    f"expected `start` within {self._params.start_timeout_secs} s of the socket's "
                    "opening, got none: check that a Twilio media stream is at the other end"
                ) from None
            self.playback.is_audible = self.playback.is_audible and is_audible(self.stream.start)
            if (fault := fault_of_format(self.stream.start)) is not None:
                await self.close(CallEndReason.ERROR, "unknown media format")
                raise fault
            return self.stream.start

    def adopt(self, start: Start) -> None:
        """Goes on from a ``start`` that somebody else has read."""
        self.stream.adopt(start)
        self._stands()
        self.taps.started_secs = 0.0
        self.checks.started_at = self.opened_at

    async def receive(self) -> list[Event | MarkEcho] | None:
        """The events of the next message; None when the connection has ended.

        A mark comes as what its echo says; one that is not out is dropped, as are this end's own.
        """
        while True:
            socket = self._socket
            try:
                data = await socket.receive()
            except Exception:
                data = None
            # What comes late on a stream that was left says nothing of the one that followed.
            if data is not None and socket is self._socket:
                break
            if not await self._next_stream():
                self._ended_by_peer()
                return None
        self.playback.last_received = now = time.monotonic()
        is_new = self.checks.started_at == math.inf and self.stream.state is StreamState.IDLE
        if is_new and (start := start_of_later_message(data)) is not None:
            self.adopt(start)
        events: list[Event | MarkEcho] = []
        for event in self.stream.receive(data):
            if self.watchers.listeners:
                self.watchers.tell("received", event, now)
            if isinstance(event, Media):
                if event.timestamp is not None:
                    self.playback.caller_at = event.timestamp
                events.append(event)
            elif isinstance(event, Mark):
                is_own = event.name.startswith(AUTO_MARK)
                echoes = self.playback.mark_echoed(event.name, now, is_own=is_own)
                self.on_echo()
                events += [echo for echo in echoes if not echo.name.startswith(AUTO_MARK)]
            else:
                self._noted(event)
                events.append(event)
        return events

    async def _next_stream(self) -> bool:
        """Waits for the stream that follows the one that is over; False if none does."""
        if self._ordered is not None:
            # Twilio was asked for it by REST; its `stop` was lost.
            self._go_away(self._ordered)
        if self.detour is not None:
            await self._back.wait()
        follows, self._back = self._back.is_set(), asyncio.Event()
        return follows and self.end_reason is None

    def _stands(self) -> None:
        """Notes how the call stands, whenever that may have changed."""
        goes_on, is_here = self.end_reason is None, self.left_for is None
        self.is_away, self.is_over = goes_on and not is_here, not goes_on
        self.is_open = goes_on and is_here and self.stream.state is StreamState.STARTED

    @property
    def left_for(self) -> DetourFrame | None:
        """What the stream is left for, or about to be; None while the call is on one."""
        return self.detour or self._ordered

    def act(self, action: Act) -> bool:
        """Has the call do something; False if there is none that could."""
        if self.on_action is None:
            return False
        self.on_action(action)
        return True

    async def leave(self, detour: DetourFrame) -> bool:
        """Closes the stream, and not the call; False unless whoever sees to detours does to it."""
        if not self.is_open or self.on_detour is None or not self.on_detour(detour):
            return False
        if detour.by_rest:
            self._ordered = detour
            self._stands()
            self.checks.away_until = time.monotonic() + (detour.within_secs or math.inf)
        else:
            self._go_away(detour)
        return True

    def stay(self) -> bool:
        """Twilio has refused to have the stream left: it goes on; False if it is over."""
        if was_ordered := self._ordered is not None:
            self._ordered = self.checks.away_until = None
            self._stands()
            self.on_open()
        return was_ordered

    def _go_away(self, detour: DetourFrame) -> None:
        """The stream is being left, or has been stopped, for something else."""
        self._ordered = None
        self.detour, self._away_since = detour, time.monotonic()
        self._stands()
        self.gone.set()
        self.checks.away_until = self._away_since + (detour.within_secs or math.inf)
        logger.info(f"call {self.call_sid}: leaves stream {self.stream.stream_sid} for a detour")
        closing = self._close_socket()
        self._leaving = asyncio.create_task(closing, name="media-socket-leave")
        self.on_left()
        self.playback.begin_anew(self._away_since)
        self.on_away(detour)

    def come_back(self, other: "MediaConnection") -> float:
        """Goes on with the stream that another connection has begun to read.

        Returns:
            How long the call was away, seconds.
        """
        if self._ordered is not None:
            # Twilio's `stop` is late, or was lost.
            self._go_away(self._ordered)
        self._socket, self.stream, self.detour = other._socket, other.stream, None
        self._stands()
        self.gone.clear()
        self.violations += other.violations
        now = time.monotonic()
        self.checks.come_back(now)
        self.playback.begin_anew(now)
        self._echo.begin_anew()
        self.taps.begin_anew()
        self._back.set()
        logger.info(f"call {self.call_sid}: is back, on stream {self.stream.stream_sid}")
        self.on_open()
        return now - self._away_since

    def _noted(self, event: Event) -> None:
        match event:
            case Violation():
                self._count(event.kind.value, event.detail)
            case Unknown():
                self._count("unknown event", "it has a name this package does not know")
            case Start():
                self._stands()
                self.checks.started_at = self.playback.last_received
                self.taps.started_secs = self.checks.started_at - self.opened_at
                self.on_open()
            case Stop():
                self._stopped()

    def _count(self, kind: str, detail: str) -> None:
        self.violations[kind] += 1
        if self.violations[kind] == 1:
            tells = f"stream {self.stream.stream_sid}: skipped a message ({kind}): {detail}"
            logger.warning(f"{tells}; further ones of this kind are counted only")

    def _stopped(self) -> None:
        if self.detour is not None:
            return
        if self._ordered is not None:
            # Twilio was asked for it by REST.
            self._go_away(self._ordered)
            return
        reason = CallEndReason.TRANSFERRED if self.transferring else CallEndReason.CALLER_HUNG_UP
        self._end(reason, "stop received")

    def _ended_by_peer(self) -> None:
        if self.stream.start is None:
            self._end(CallEndReason.ERROR, "socket closed before start")
        self._end(CallEndReason.LINE_LOST, CLOSED)

    def _end(self, reason: CallEndReason, detail: str) -> None:
        if self.end_reason is None:
            self.end_reason = reason
            self._stands()
            self.end_detail = detail
            logger.info(f"call {self.call_sid}: {reason} ({detail})")
            self._ended.set()
            self._back.set()
            self.gone.set()
            self.on_end()
            self.taps.line_ended()

    @property
    def call_sid(self) -> str:
        """Twilio's name of the call; empty before ``start``."""
        return self.stream.start.call_sid if self.stream.start else ""

    async def send(self, message: BotMessage) -> bool:
        """Sends a message; False if the connection has ended, or ends by this.

        A message that is not taken in time ends the connection: the other side has stopped reading.
        """
        return self.is_open and await self._send_texts([self._noted_text(message)])

    async def send_audio(self, mulaw: bytes) -> bool:
        """Sends audio and a mark behind it; one ahead of it too where nothing is being played.

        Returns:
            False if the connection has ended, or ends by this.
        """
        if not self.is_open:
            return False
        playback, now = self.playback, time.monotonic()
        texts: list[str] = []
        if now >= playback.ends_at:
            texts.append(self._noted_text(SendMark(name=f"{AUTO_MARK}{playback.sent}")))
        name = f"{AUTO_MARK}{playback.sent + len(mulaw)}"
        if self.watchers.listeners:
            messages = SendMedia(payload=mulaw), SendMark(name=name)
            return await self._send_texts([*texts, *map(self._noted_text, messages)])
        texts += self.stream.send_audio(mulaw, name)
        self._echo.note_sent((mulaw, max(playback.ends_at, now)))
        playback.audio_sent(len(mulaw), now, mark=name)
        return await self._send_texts(texts)

    async def _send_texts(self, texts: Sequence[str]) -> bool:
        socket = self._socket
        try:
            async with asyncio.timeout(self._params.send_timeout_secs):
                await socket.send(*texts)
        except Exception as error:
            is_late = isinstance(error, TimeoutError)
            # One that was under way when the stream was left is nobody's loss.
            if self.detour is None and socket is self._socket:
                detail = "a message was not taken in time" if is_late else CLOSED
                self._end(CallEndReason.LINE_LOST, detail)
            return False
        return True

    def _noted_text(self, message: BotMessage) -> str:
        """The text of a message, which is noted before it is under way: its echo may be fast."""
        text, now = self.stream.send(message), time.monotonic()
        if self.watchers.listeners:
            self.watchers.tell("sending", message, self.playback, now)
        match message:
            case SendMedia():
                self._echo.note_sent((message.payload, max(self.playback.ends_at, now)))
                self.playback.audio_sent(len(message.payload), now)
            case SendMark():
                self.playback.mark_sent(message.name, now)
            case Clear():
                self._echo.clear_sent(now)
                self.playback.clear_sent(self._fences, now)
        return text

    async def clear(self) -> bool:
        """Throws away what Twilio holds, and asks when that took effect; False if it is closed."""
        if not self.is_open:
            return False
        self._clears += 1
        self._fences = [f"{CLEAR_BARRIER}{self._clears}:{number}" for number in range(_FENCES)]
        first, *others = self._fences
        texts = [self._noted_text(Clear()), self.stream.send(SendMark(name=first))]
        for fence in others:
            texts.append(self._noted_text(SendMedia(payload=PROBE_SILENCE)))
            texts.append(self._noted_text(SendMark(name=fence)))
        return await self._send_texts(texts)

    def check_line(self) -> bool:
        """Whether the call goes on, by what arrived and what is overdue; ends it if not."""
        now = time.monotonic()
        if (ending := self.checks.too_late(now)) is not None:
            self._end(*ending)
        elif self.is_open and self.checks.is_to_be_asked(now):
            asking = self.send(SendMark(name=f"{QUESTION}{now}"))
            self._asking = asyncio.create_task(asking, name="media-question")
        return self.end_reason is None

    def _close_socket(self) -> Coroutine[Any, Any, None]:
        whose = f"stream {self.stream.stream_sid}"
        return close_in_time(self._socket, self._params.close_timeout_secs, whose)

    async def close(self, reason: CallEndReason, detail: str) -> None:
        """Closes the socket, in bounded time; the reason counts if it is the first.

        Twilio goes on with the TwiML behind ``<Connect>``. So while the call is being given other
        TwiML, Twilio's ``stop`` is awaited first: closing would be faster than the transfer.
        """
        self.closing.set()
        if self.transferring and self.is_open:
            try:
                async with asyncio.timeout(self._params.transfer_timeout_secs):
                    await self._ended.wait()
            except TimeoutError:
                logger.warning(f"call {self.call_sid}: the transfer did not end the stream in time")
        if self.breaks_off:
            reason = CallEndReason.ERROR
        elif reason is CallEndReason.BOT_HUNG_UP:
            reason = self.checks.bot_ends_as
        self._end(reason, detail)
        if self._closing is None:
            self._closing = asyncio.create_task(self._close_socket(), name="media-socket-close")
        await asyncio.shield(self._closing)


def _do_nothing() -> None:
    """Nobody is to be told."""
