"""One call's life at the simulated Twilio: ringing, answered, what it executes, and its end.

Theory of operation
-------------------
A call follows instructions (TwiML) until they run out. Orders arrive from outside: the caller
hangs up, the REST API gives other instructions or ends the call. An order cancels what is being
executed, which stops a media stream with ``stop``. New instructions begin when the bot's audio that
is still buffered has been played; an end cuts it off. Both were seen on live calls.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import Enum

from twilio_frames.testing.alerts import Alert
from twilio_frames.testing.conditions import LineConditions
from twilio_frames.testing.ear import Ear
from twilio_frames.testing.exchange import BOT_NUMBER, CALLER_NUMBER, Exchange
from twilio_frames.testing.line import Line
from twilio_frames.testing.log import CallLog
from twilio_frames.testing.playback import MAX_BUFFERED
from twilio_frames.testing.program import CallEnd, Instructions, Program
from twilio_frames.testing.recording import Recording
from twilio_frames.testing.stream import MediaStream
from twilio_frames.testing.voice import FRAME_SECONDS, Voice
from twilio_frames.testing.webhooks import Callbacks

DEFAULT_SECONDS = 600.0
"""How long a simulated call may last; a trial account's real calls may as long."""

_MAX_ORDERS = 100
_DRAIN_TURNS = round(MAX_BUFFERED / 8000 / FRAME_SECONDS) + 2


class CallStatus(Enum):
    """Twilio's ``CallStatus``."""

    QUEUED = "queued"
    RINGING = "ringing"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    CANCELED = "canceled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusCallback:
    """Where a call's progress is to be told, and which of it.

    Parameters:
        events: Of ``initiated``, ``ringing``, ``answered``, ``completed``.
    """

    url: str
    events: Sequence[str] = ("completed",)
    method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Who calls whom.

    Parameters:
        direction: ``inbound``, or ``outbound-api`` for calls that the REST API made.
    """

    from_number: str = field(default=CALLER_NUMBER, repr=False)
    to_number: str = field(default=BOT_NUMBER, repr=False)
    direction: str = "inbound"


class SimulatedCall:
    """One call.

    Args:
        exchange: What it shares with other calls.
        numbers: Who calls whom.
        callback: Where its progress is told.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        numbers: Numbers,
        log: CallLog,
        callback: StatusCallback | None = None,
    ):
        self.exchange = exchange
        self.sid = exchange.new_sid("CA")
        self.created_at = time.time()
        self.numbers = numbers
        self.status = CallStatus.QUEUED
        self.log = log
        self.line = Line(Voice(), Ear())
        self.stream: MediaStream | None = None
        self.streams: list[MediaStream] = []
        self.alerts: list[Alert] = []
        self.end: CallEnd | None = None
        self.seed = 0
        """Draws the jitter of the line."""
        self.ready = asyncio.Event()
        self.ended = asyncio.Event()
        self.callbacks = Callbacks(exchange.webhooks, log)
        self._callback = callback
        self._callback_number = 0
        self._recording: Recording | None = None
        self._orders: asyncio.Queue[Instructions | CallEnd] = asyncio.Queue(_MAX_ORDERS)
        self._life: asyncio.Task[None] | None = None
        self._clock: asyncio.Task[None] | None = None

    @property
    def is_answered(self) -> bool:
        """Whether the line is open, or was."""
        return self._clock is not None

    @property
    def seconds(self) -> float:
        """How long the call has lasted, from the answer."""
        return self.line.ear.now

    def equip(
        self, voice: Voice, ear: Ear, recording: Recording | None, conditions: LineConditions
    ) -> None:
        """Gives the call its caller and its line; before :meth:`begin`."""
        self.line = Line(voice, ear, recording, conditions)
        self._recording = recording

    def ring(self) -> None:
        """Rings at the other end."""
        self.status = CallStatus.RINGING
        self.log.note("ringing", call_sid=self.sid)
        self.tell("ringing")

    def begin(self, instructions: Instructions, *, seconds: float = DEFAULT_SECONDS) -> None:
        """Follows instructions from here on.

        Args:
            instructions: What the call executes.
            seconds: How long it may last at most.
        """
        self._life = asyncio.create_task(self._live(instructions, seconds))

    def answer(self) -> None:
        """Opens the line; the clock starts. Does nothing if it is open."""
        if self._clock is not None:
            return
        self.status = CallStatus.IN_PROGRESS
        self.log.note("answered", call_sid=self.sid)
        self.tell("answered")
        self._clock = asyncio.create_task(self.line.run())
        self._clock.add_done_callback(self._on_clock_stopped)

    def answer_later(self) -> None:
        """Has been picked up, but the line opens with the first instructions."""
        self.status = CallStatus.IN_PROGRESS

    def order(self, order: Instructions | CallEnd) -> None:
        """Has the call do something else, or end. One order too many is passed over."""
        if self.end is None and not self._orders.full():
            self._orders.put_nowait(order)

    def refuse(self, status: CallStatus) -> None:
        """Ends a call that nobody answered, as busy, unanswered or canceled."""
        self.status = status
        self.end = CallEnd.REJECTED
        self.log.note("ended", reason=self.end.value, status=status.value)
        self.tell("completed")
        self.ready.set()
        self.ended.set()

    async def abandon(self) -> None:
        """Ends the call if nobody carries it: it rings still, or rang in vain."""
        if self._life is None:
            if self.end is None:
                self.refuse(CallStatus.CANCELED)
            await self.finish()

    async def finish(self) -> None:
        """Waits until the call is over and everything about it is written down.

        Raises:
            Exception: Whatever went wrong inside the simulation.
        """
        try:
            if self._life is not None:
                await self._life
        finally:
            await self.callbacks.close()
            self.log.close()

    def connect(self, stream: MediaStream) -> None:
        """Connects the line to a bot's stream."""
        self.stream = stream
        self.streams.append(stream)
        self.line.listener = stream
        self.line.listen_to(stream)

    def disconnect(self) -> None:
        """Takes the bot's stream off the line."""
        self.stream = None
        self.line.listener = None
        self.line.listen_to(None)

    def alert(self, alert: Alert) -> None:
        """Notes a complaint of Twilio's."""
        self.alerts.append(alert)
        self.log.note("alert", code=alert.code, text=alert.text)

    def parameters(self) -> dict[str, str]:
        """What every webhook says about the call."""
        numbers = self.numbers
        return {
            "CallSid": self.sid,
            "AccountSid": self.exchange.account_sid,
            "From": numbers.from_number,
            "Caller": numbers.from_number,
            "To": numbers.to_number,
            "Called": numbers.to_number,
            "CallStatus": self.status.value,
            "Direction": numbers.direction,
            "ApiVersion": "2010-04-01",
        }

    def tell(self, event: str) -> None:
        """Sends the status callback for an event, if one is wanted."""
        if self._callback is None or event not in self._callback.events:
            return
        parameters = self.parameters() | {
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(self._callback_number),
            "Timestamp": formatdate(usegmt=False),
        }
        if event == "completed":
            parameters["CallDuration"] = str(round(self.seconds))
        self._callback_number += 1
        self.callbacks.post(event, self._callback.url, parameters, self._callback.method)

    async def _live(self, instructions: Instructions, seconds: float) -> None:
        end = CallEnd.FAILED
        try:
            async with asyncio.timeout(seconds):
                end = await self._follow(instructions)
        except TimeoutError:
            end = CallEnd.TIME_LIMIT
        finally:
            await self._hang_up(end)

    async def _follow(self, instructions: Instructions) -> CallEnd:
        while True:
            program = asyncio.create_task(Program(self).run(instructions))
            order = asyncio.create_task(self._orders.get())
            try:
                await asyncio.wait({program, order}, return_when=asyncio.FIRST_COMPLETED)
                if not order.done():
                    return program.result()
            finally:
                order.cancel()
                program.cancel()
                await asyncio.gather(program, order, return_exceptions=True)
            ordered = order.result()
            if isinstance(ordered, CallEnd):
                return ordered
            instructions = ordered
            self.log.note("updated")
            await self._play_out()

    async def _play_out(self) -> None:
        """Lets the caller hear what the bot's last stream had buffered."""
        if not self.streams or not self.is_answered:
            return
        playback = self.streams[-1].playback
        self.line.listen_to(playback)
        for _ in range(_DRAIN_TURNS):
            if playback.is_idle or not self._orders.empty():
                break
            await self.line.next_turn()
        self.line.listen_to(None)

    async def _hang_up(self, end: CallEnd) -> None:
        self.end = end
        self.disconnect()
        if self._clock is not None:
            self._clock.remove_done_callback(self._on_clock_stopped)
            self._clock.cancel()
            stopped = await asyncio.gather(self._clock, return_exceptions=True)
        else:
            stopped = []
        self.line.finish()
        if self._recording is not None:
            self._recording.close()
        self.status = _final_status(end, is_answered=self.is_answered)
        self.log.note("ended", reason=end.value, seconds=round(self.seconds, 3))
        self.tell("completed")
        self.ready.set()
        self.ended.set()
        for error in stopped:
            if isinstance(error, Exception):
                raise error

    def _on_clock_stopped(self, clock: asyncio.Task[None]) -> None:
        """The clock only stops by itself when something went wrong; :meth:`_hang_up` raises it."""
        self.order(CallEnd.FAILED)


def _final_status(end: CallEnd, *, is_answered: bool) -> CallStatus:
    if is_answered:
        return CallStatus.COMPLETED
    if end is CallEnd.REJECTED:
        return CallStatus.BUSY
    return CallStatus.FAILED if end is CallEnd.FAILED else CallStatus.NO_ANSWER
