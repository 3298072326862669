"""One media stream as Twilio runs it: frames out, the bot's audio in, marks back.

Theory of operation
-------------------
The line (``line.py``) drives the stream: every 20 ms it hands over the caller's frame and fetches
what was heard of the bot. Both are synchronous, so a slow bot cannot hold up the clock: messages go
to an outbox that a task writes from. When the bot does not read, the outbox fills, and the caller's
audio is discarded (warning 31930) but its timestamps go on. A second task reads what the bot sends.
Between each task and Twilio lies a delay line.

Whatever the bot sends takes effect at the sample at which it arrives, and a timer sends each mark
back when its audio has been played: nothing waits for the line's 20 ms.

A fork (``<Start><Stream>``) is the same stream with one direction less: it is a tap on the line,
which hands it both tracks, and whatever its server sends is passed over with a warning.

The stream ends once, for one reason: we stopped it, the bot closed the socket, or the connection
broke. What the bot sent before it closed still arrives.
"""

import asyncio
import math
from collections import deque
from contextlib import suppress
from enum import Enum

import aiohttp

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.protocol import (
    INBOUND,
    OUTBOUND,
    Clear,
    Connected,
    Dtmf,
    Mark,
    Media,
    Role,
    SendMark,
    SendMedia,
    Start,
    Stop,
    Stream,
    StreamState,
    TwilioMessage,
    Violation,
)
from twilio_frames.testing.calls.facts import Alert
from twilio_frames.testing.lines.conditions import PERFECT_LINE, DelayLine, LineConditions
from twilio_frames.testing.lines.line import LineClock
from twilio_frames.testing.logs.log import FROM_BOT, TO_BOT, TO_FORK, CallLog
from twilio_frames.testing.streams.broken_socket import WebSocket
from twilio_frames.testing.streams.playback import Playback, Played

FRAME_MILLISECONDS = 20
CLOSE_SECS = 2.0
"""How long the bot may take over its half of the closing handshake."""
READ_SECS = 10.0
"""A bot that reads nothing for longer has lost its connection."""


REFUSED = aiohttp.WSCloseCode.POLICY_VIOLATION
WHY_REFUSED = (
    f"the bot refused the stream ({int(REFUSED)}): a server of this package takes one only with "
    "the one-use token that its TwiML gives, so ring its webhook, http://.../twiml, in its place"
)
"""What a bot's closing with this code means to whoever rings it without TwiML."""


class StreamEnd(Enum):
    """Why a stream is over."""

    STOPPED = "stopped"
    """Twilio stopped it: the call ended or was given other instructions."""
    CLOSED_BY_BOT = "closed_by_bot"
    BROKEN = "broken"
    """The connection was lost without a closing handshake."""


class MediaStream:
    """One stream over one open WebSocket.

    Args:
        websocket: Just opened.
        start: What the ``start`` message says.
        log: Takes every message.
        first_timestamp: Milliseconds; where the first frame lies. Twilio's captures have 99 to 171.
        first_media: Seconds that pass before it, at least.
        is_one_way: Whether the bot may only listen.
        clock: The line's.
        conditions: The delay and the jitter between Twilio and the bot.
        seed: Draws the jitter.
    """

    most_unsent = 250
    """Frames of the caller's that wait for a bot that does not read; later ones are lost."""

    def __init__(
        self,
        websocket: WebSocket,
        start: Start,
        *,
        log: CallLog,
        first_timestamp: int,
        first_media: float = 0.0,
        is_one_way: bool = False,
        clock: LineClock | None = None,
        conditions: LineConditions = PERFECT_LINE,
        seed: int = 0,
    ):
        self._websocket = websocket
        self._stream = Stream(Role.TWILIO)
        self._log = log
        self._timestamp = first_timestamp
        self._unwanted_frames = max(
            first_timestamp // FRAME_MILLISECONDS, round(1000 * first_media / FRAME_MILLISECONDS)
        )
        self._is_one_way = is_one_way
        self._log_source = TO_FORK if is_one_way else TO_BOT
        self._clock = clock or LineClock()
        self._outgoing = DelayLine[TwilioMessage](
            self._put_in_outbox,
            conditions.route_to_bot(seed),
            answered_at=self._answered_at,
        )
        self._incoming = DelayLine[str | bytes](
            self._obey,
            conditions.route_from_bot(seed),
            answered_at=self._answered_at,
        )
        self._has_bot_closed = False
        self._mark_timer: asyncio.TimerHandle | None = None
        self._mark_due: int | None = None
        self._outbox: deque[TwilioMessage] = deque()
        self._outbox_filled = asyncio.Event()
        self._writes_since = math.inf
        self._tasks: list[asyncio.Task[None]] = []
        self._ended = asyncio.Event()
        self.start = start
        self.playback = Playback()
        self.end: StreamEnd | None = None
        self.close_code: int | None = None
        self.alerts: list[Alert] = []
        self.violations: list[Violation] = []
        self.clears: list[float] = []
        self.discarded_frames = 0

    @property
    def cut_off_secs(self) -> float:
        """Length of the audio that was never heard, because the stream had ended."""
        return self.playback.buffered_bytes / SAMPLE_RATE if self.end is not None else 0.0

    def begin(self) -> None:
        """Says ``connected`` and ``start``, and begins to listen to the bot."""
        self._post(Connected())
        self._post(self.start)
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._read())]

    def send_frame(self, mulaw: bytes) -> None:
        """Sends 20 ms of the caller's audio; the first few of a stream are not yet wanted."""
        self._send_frames({INBOUND: mulaw})

    def write(self, caller: bytes, bot: bytes) -> None:
        """Sends 20 ms of the tracks that a fork is to hear."""
        sides = {INBOUND: caller, OUTBOUND: bot}
        self._send_frames({track: sides[track] for track in self.start.tracks})

    def _send_frames(self, frames: dict[str, bytes]) -> None:
        if self.end is not None:
            return
        if self._unwanted_frames:
            self._unwanted_frames -= 1
            return
        timestamp = self._timestamp
        self._timestamp += FRAME_MILLISECONDS
        if len(self._outbox) >= self.most_unsent:
            self._give_up_in_time()
            self.discarded_frames += len(frames)
            self._warn(
                31930, "expected the bot to read its messages, got a full buffer: lost audio"
            )
            return
        for track, mulaw in frames.items():
            self._post(Media(payload=mulaw, timestamp=timestamp, track=track))

    def join(self, now: int) -> None:
        """Is heard from this sample of the line's clock on."""
        self.playback.join(now)

    def play(self, size: int) -> Played:
        """The next of what was heard of the bot."""
        # A message that arrived within it comes first, though its timer may not have run yet.
        self._incoming.deliver_due(self._clock.time_of(self.playback.fetched + size))
        played = self.playback.play(size)
        self._return_marks()
        return played

    def press(self, digit: str) -> None:
        """Tells the bot that the caller pressed a key."""
        self._post(Dtmf(digit=digit))

    async def wait_for_end(self) -> StreamEnd:
        """Waits until the stream is over."""
        await self._ended.wait()
        return self.end or StreamEnd.BROKEN

    async def stop(self) -> None:
        """Says ``stop`` and closes; does nothing if the stream is over."""
        if self.end is None:
            self._finish(StreamEnd.STOPPED)
            self._outbox = deque(item for item in self._outbox if not isinstance(item, Media))
            stop = Stop(call_sid=self.start.call_sid, account_sid=self.start.account_sid)
            self._outgoing.put(stop, asyncio.get_running_loop().time())
        await self.close()

    async def close(self) -> None:
        """Ends both tasks and the socket, within seconds."""
        if self._tasks:
            writing, reading = self._tasks
            self._tasks = []
            if self.end is StreamEnd.STOPPED:
                await asyncio.wait([writing], timeout=CLOSE_SECS + self._outgoing.longest)
            writing.cancel()
            reading.cancel()
            await asyncio.gather(writing, reading, return_exceptions=True)
        self._outgoing.close()
        self._incoming.close()
        # A peer that does not read can hold up even the closing frame.
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * CLOSE_SECS):
                await self._websocket.close()

    def _answered_at(self) -> float:
        return self._clock.time_of(0)

    def _post(self, message: TwilioMessage, *, at: float | None = None) -> None:
        """Sends a message off, by now or at a time that has just passed."""
        if self.end is None:
            now = asyncio.get_running_loop().time() if at is None else at
            self._outgoing.put(message, now)

    def _put_in_outbox(self, message: TwilioMessage, _: float) -> None:
        self._outbox.append(message)
        self._outbox_filled.set()

    async def _write(self) -> None:
        """Sends what is in the outbox until ``stop`` was sent, or the connection is lost."""
        try:
            while self._stream.state is not StreamState.STOPPED:
                await self._outbox_filled.wait()
                while self._outbox:
                    message = self._outbox.popleft()
                    self._writes_since = asyncio.get_running_loop().time()
                    await self._websocket.send_str(self._stream.send(message))
                    self._log.note_message(self._log_source, message)
                self._outbox_filled.clear()
        except (aiohttp.ClientError, ConnectionError):
            # Where the bot has closed, what it sent before may still be under way.
            if not self._has_bot_closed:
                self._finish(StreamEnd.BROKEN)

    def _give_up_in_time(self) -> None:
        """Ends the stream of a bot that reads nothing. A full outbox is one that waits."""
        waits = asyncio.get_running_loop().time() - self._writes_since
        if waits > READ_SECS and not self._has_bot_closed:
            self._finish(StreamEnd.BROKEN)

    async def _read(self) -> None:
        """Obeys the bot until it closes, or the connection is lost."""
        async for message in self._websocket:
            if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                self._incoming.put(message.data, asyncio.get_running_loop().time())
        self._has_bot_closed = True
        if self._incoming.longest:
            await asyncio.sleep(self._incoming.longest)
            self._incoming.deliver_due(asyncio.get_running_loop().time())
        self.close_code = self._websocket.close_code
        gone = self.close_code in (None, aiohttp.WSCloseCode.ABNORMAL_CLOSURE)
        self._finish(StreamEnd.BROKEN if gone else StreamEnd.CLOSED_BY_BOT)

    def _obey(self, data: str | bytes, at: float) -> None:
        """Does what a message says, at the moment it arrives."""
        if self._is_one_way:
            self._warn(31951, "expected a bot that only listens to a one-way stream, got a message")
            return
        self._clock.catch_up(at)
        self.playback.advance(self._clock.sample_at(at))
        for event in self._stream.receive(data):
            match event:
                case SendMedia(payload=payload):
                    self._log.note_message(FROM_BOT, event)
                    if not self.playback.queue(payload):
                        self._warn(31931, "expected at most 10 minutes of audio, got more: lost")
                case SendMark(name=name):
                    self._log.note_message(FROM_BOT, event)
                    self.playback.mark(name)
                case Clear():
                    self._clear(event)
                case Violation(kind=kind, detail=detail):
                    if len(self.violations) < 1000:
                        self.violations.append(event)
                    self._warn(kind.twilio_code, detail)
                case _:
                    raise TypeError(f"expected a bot's message, got {type(event).__name__}")
        self._return_marks()

    def _clear(self, message: Clear) -> None:
        self._log.note_message(FROM_BOT, message)
        self.clears.append(self._log.now)
        self.playback.clear()

    def _return_marks(self) -> None:
        """Sends back the marks that were reached, and sets the timer for the next."""
        for name, sample in self.playback.take_reached():
            self._post(Mark(name=name), at=self._clock.time_of(sample))
        due = self.playback.next_mark
        if due == self._mark_due:
            return
        self._mark_due = due
        if self._mark_timer is not None:
            self._mark_timer.cancel()
            self._mark_timer = None
        if due is not None and self.end is None:
            loop = asyncio.get_running_loop()
            self._mark_timer = loop.call_at(self._clock.time_of(due), self._on_mark_due, due)

    def _on_mark_due(self, sample: int) -> None:
        self._mark_timer = self._mark_due = None
        # A timer may fire a little early, by the clock's resolution.
        now = max(sample, self._clock.samples)
        self._clock.catch_up(self._clock.time_of(now))
        self._incoming.deliver_due(self._clock.time_of(now))
        self.playback.advance(now)
        self._return_marks()

    def _warn(self, code: int, text: str) -> None:
        """Twilio gives each of these warnings once per stream."""
        if all(alert.code != code for alert in self.alerts):
            self.alerts.append(Alert(code=code, text=text, is_error=False))
            self._log.note("warning", code=code, text=text)

    def _finish(self, end: StreamEnd) -> None:
        if self.end is None:
            self.playback.advance(self._clock.samples)
            self._return_marks()
            self.end = end
            if self._mark_timer is not None:
                self._mark_timer.cancel()
            self._ended.set()
