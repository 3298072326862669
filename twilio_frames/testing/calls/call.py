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
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any

from twilio_frames.testing.callers.ear import Ear
from twilio_frames.testing.callers.hearing import Announcement
from twilio_frames.testing.callers.voice import FRAME_SECS, Voice
from twilio_frames.testing.calls.facts import (
    SIP_CODES,
    Alert,
    CallEnd,
    CallStatus,
    Numbers,
    StatusCallback,
    final_status,
)
from twilio_frames.testing.calls.instructions import Fetch, Instructions
from twilio_frames.testing.calls.webhooks import Callbacks
from twilio_frames.testing.exchange import Exchange
from twilio_frames.testing.lines.conditions import LineConditions
from twilio_frames.testing.lines.line import Line, Taps
from twilio_frames.testing.lines.rooms import Seat
from twilio_frames.testing.logs.log import CallLog
from twilio_frames.testing.results.recording import Recording
from twilio_frames.testing.stream import MediaStream
from twilio_frames.testing.streams.playback import MAX_BUFFERED

DEFAULT_SECS = 600.0
"""How long a simulated call may last; a trial account's real calls may as long."""

Follow = Callable[["SimulatedCall", Instructions], Coroutine[Any, Any, CallEnd]]
"""Carries out instructions to their end; gives the reason for which the call is to end."""

_DRAIN_TURNS = round(MAX_BUFFERED / 8000 / FRAME_SECS) + 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """A server that listens to a call beside its bot.

    Parameters:
        name: The stream's name, which is its sid where it was given none.
        tracks: Which of the call's tracks it gets.
        task: Carries the stream out.
    """

    sid: str
    name: str
    tracks: tuple[str, ...]
    task: asyncio.Task[Any]


class SimulatedCall:
    """One call.

    Args:
        exchange: What it shares with other calls.
        follow: Carries out what the call is told to do.
        numbers: Who calls whom.
        log: Takes down what happens.
        callback: Where its progress is told.
        parent_sid: The call whose ``<Dial>`` made this one.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        follow: Follow,
        numbers: Numbers,
        log: CallLog,
        callback: StatusCallback | None = None,
        parent_sid: str = "",
    ):
        self.exchange = exchange
        self.sid = exchange.new_sid("CA")
        self.parent_sid = parent_sid
        self.created_at = time.time()
        self.answered_at: float | None = None
        self.ended_at: float | None = None
        self.numbers = numbers
        self.status = CallStatus.QUEUED
        self.log = log
        self.taps = Taps()
        self.line = Line(Voice(), Ear(), self.taps)
        self.stream: MediaStream | None = None
        self.streams: list[MediaStream] = []
        self.forks: list[Fork] = []
        self.seat: Seat | None = None
        self.alerts: list[Alert] = []
        self.announcements: list[Announcement] = []
        """What Twilio itself has read to the caller."""
        self.at_end: list[Callable[[], object]] = []
        """Called when the call is over, before anybody is told."""
        self.end: CallEnd | None = None
        self.answered_by: str | None = None
        self.queue_secs = 0.0
        self.seed = 0
        """Draws all that the line does by chance; before :meth:`equip`."""
        self.time_limit: float | None = None
        """Seconds that the bot has set."""
        self.on_answered: Callable[[], object] | None = None
        self.asked_when_updated: Fetch | None = None
        """What is asked before other instructions are carried out, and not heeded."""
        self.on_key: Callable[[str], None] | None = None
        """Gets the keys that are pressed while there is no stream."""
        self.ready = asyncio.Event()
        self.ended = asyncio.Event()
        self.callbacks = Callbacks(
            exchange.webhooks, log, disorder=exchange.disorder, seed=int(self.sid[-8:], 16)
        )
        self.callback = callback
        self._callback_number = 0
        self._sip_code = ""
        self._follow_instructions = follow
        self._recording: Recording | None = None
        self._orders: asyncio.Queue[Instructions | CallEnd] = asyncio.Queue(100)
        self._life: asyncio.Task[None] | None = None
        self._limit: asyncio.Timeout | None = None
        self._clock: asyncio.Task[None] | None = None
        self._side_tasks: set[asyncio.Task[Any]] = set()
        self._side_errors: list[BaseException] = []

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
        self.line = Line(voice, ear, self.taps, conditions, seed=self.seed)
        self._recording = recording
        if recording is not None:
            self.taps.add(recording)

    def initiate(self) -> None:
        """Leaves the queue and is on its way to the other end."""
        self.status = CallStatus.INITIATED
        self.tell("initiated")

    def ring(self) -> None:
        """Rings at the other end."""
        self.status = CallStatus.RINGING
        self.log.note("ringing", call_sid=self.sid)
        self.tell("ringing")

    def begin(self, instructions: Instructions, *, seconds: float = DEFAULT_SECS) -> None:
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
        self.answered_at = time.time()
        self.log.note("answered", call_sid=self.sid)
        self.tell("answered")
        self._clock = asyncio.create_task(self.line.run())
        self._clock.add_done_callback(self._on_clock_stopped)
        if self.time_limit is not None:
            self.limit(self.time_limit)
        if self.on_answered is not None:
            self.on_answered()

    def answer_later(self) -> None:
        """Has been picked up, but the line opens with the first instructions."""
        self.status = CallStatus.IN_PROGRESS

    def order(self, order: Instructions | CallEnd) -> None:
        """Has the call do something else, or end. One order too many is passed over."""
        if self.end is None and not self._orders.full():
            self._orders.put_nowait(order)

    def limit(self, seconds: float) -> None:
        """Ends the call so many seconds after its answer."""
        self.time_limit = seconds
        if self._limit is not None and self.is_answered:
            now = asyncio.get_running_loop().time()
            self._limit.reschedule(now + max(0.0, seconds - self.seconds))

    def press(self, digit: str) -> None:
        """The caller presses a key: the bot is told, or whoever waits for keys."""
        if self.stream is not None:
            self.stream.press(digit)
        elif self.on_key is not None:
            self.on_key(digit)
        if self.seat is not None:
            self.seat.press(digit)

    def refuse(self, status: CallStatus, sip_code: str = "") -> None:
        """Ends a call that nobody answered, as busy, unanswered or canceled."""
        self.status = status
        self._sip_code = sip_code
        self.end = CallEnd.REJECTED
        self.ended_at = time.time()
        self.log.note("ended", reason=self.end.value, status=status.value)
        self.tell("completed")
        self.ready.set()
        self.ended.set()

    @property
    def sip_code(self) -> str:
        """How it ended, in SIP's words."""
        return self._sip_code or SIP_CODES.get(self.status, "")

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

    def connect(self, stream: MediaStream, *, is_fork: bool = False) -> None:
        """Connects the line to a bot's stream, or lets a server listen."""
        if is_fork:
            self.taps.add(stream)
            return
        self.stream = stream
        self.streams.append(stream)
        self.line.listener = stream
        self.line.listen_to(stream)

    def disconnect(self, stream: MediaStream | None = None) -> None:
        """Takes a stream off the line, or whatever is on it."""
        if stream is not None and stream is not self.stream:
            self.taps.remove(stream)
            return
        self.stream = self.seat = None
        self.line.listener = None
        self.line.listen_to(None)

    def sit_down(self, seat: Seat) -> None:
        """Connects the line to others, in a room."""
        self.seat = seat
        self.line.listener = seat
        self.line.listen_to(seat)

    def run_aside(self, doing: Coroutine[Any, Any, object]) -> asyncio.Task[Any]:
        """Has something done beside the instructions, until the call is over at most."""
        task = asyncio.create_task(doing)
        self._side_tasks.add(task)
        task.add_done_callback(self._on_side_task_done)
        return task

    def alert(self, alert: Alert) -> None:
        """Notes a complaint of Twilio's."""
        self.alerts.append(alert)
        self.alert_account(alert)

    def alert_account(self, alert: Alert) -> None:
        """Notes a complaint that is no fault of the call's."""
        self.exchange.alerts.append(replace(alert, call_sid=self.sid))
        self.log.note("alert", code=alert.code, text=alert.text)

    def parameters(self) -> dict[str, str]:
        """What every webhook says about the call."""
        said = self.numbers.parameters() | {
            "CallSid": self.sid,
            "AccountSid": self.exchange.account_sid,
            "CallStatus": self.status.value,
        }
        if self.parent_sid:
            said["ParentCallSid"] = self.parent_sid
        if self.answered_by is not None:
            said["AnsweredBy"] = self.answered_by
        return said

    def tell(self, event: str) -> None:
        """Sends the status callback for an event, if one is wanted."""
        if self.callback is None or event not in self.callback.events:
            return
        parameters = self.parameters() | {
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(self._callback_number),
            "Timestamp": formatdate(usegmt=False),
        }
        if event == "completed":
            parameters["CallDuration"] = str(round(self.seconds))
            parameters["SipResponseCode"] = self.sip_code
        self._callback_number += 1
        self.callbacks.post(event, self.callback.url, parameters, self.callback.method)

    async def _live(self, instructions: Instructions, seconds: float) -> None:
        end = CallEnd.FAILED
        try:
            async with asyncio.timeout(seconds) as self._limit:
                end = await self._follow(instructions)
        except TimeoutError:
            end = CallEnd.TIME_LIMIT
        finally:
            self._limit = None
            await self._hang_up(end)

    async def _follow(self, instructions: Instructions) -> CallEnd:
        while True:
            program = asyncio.create_task(self._follow_instructions(self, instructions))
            order = asyncio.create_task(self._orders.get())
            try:
                await asyncio.wait({program, order}, return_when=asyncio.FIRST_COMPLETED)
                if not order.done():
                    return program.result()
                asked = self._asked_now()
            finally:
                order.cancel()
                program.cancel()
                await asyncio.gather(program, order, return_exceptions=True)
            ordered = order.result()
            if isinstance(ordered, CallEnd):
                return ordered
            instructions = ordered
            self.log.note("updated")
            if asked is not None:
                await self.exchange.webhooks.request(
                    asked.url, self.parameters() | asked.parameters, method=asked.method
                )
            await self._play_out()

    def _asked_now(self) -> Fetch | None:
        """What a ``<Dial>`` that is cut short asks, told how far it was."""
        asked, self.asked_when_updated = self.asked_when_updated, None
        if asked is None:
            return None
        status = CallStatus.CANCELED if self.seat is None else CallStatus.COMPLETED
        return replace(asked, parameters={"DialCallStatus": status.value})

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
        self.ended_at = time.time()
        self.disconnect()
        stopped = await self._stop_clock()
        self.line.finish()
        await self._end_side_tasks()
        if self._recording is not None:
            self._recording.close()
        self.status = final_status(end, is_answered=self.is_answered)
        for finish in self.at_end:
            finish()
        self._note_who_spoke()
        self.log.note("ended", reason=end.value, seconds=round(self.seconds, 3))
        self.tell("completed")
        self.ready.set()
        self.ended.set()
        for error in (stopped, *self._side_errors):
            if error is not None:
                raise error

    def _note_who_spoke(self) -> None:
        for spell in self.line.ear.spells:
            self.log.note("bot_spoke", **_rounded(spell.began_at, spell.ended_at))
        for said in self.line.voice.utterances:
            if said.speech_began_at is not None and said.speech_ended_at is not None:
                ended = min(said.speech_ended_at, said.ended_at or self.seconds)
                times = _rounded(said.speech_began_at, ended)
                self.log.note("caller_spoke", **times, words=said.label)

    async def _stop_clock(self) -> Exception | None:
        """Stops the line; gives what had gone wrong with it."""
        if self._clock is None:
            return None
        self._clock.remove_done_callback(self._on_clock_stopped)
        self._clock.cancel()
        (stopped,) = await asyncio.gather(self._clock, return_exceptions=True)
        return stopped if isinstance(stopped, Exception) else None

    async def _end_side_tasks(self) -> None:
        tasks = list(self._side_tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_side_task_done(self, task: asyncio.Task[Any]) -> None:
        self._side_tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._side_errors.append(error)

    def _on_clock_stopped(self, clock: asyncio.Task[None]) -> None:
        """The clock only stops by itself when something went wrong; :meth:`_hang_up` raises it."""
        self.order(CallEnd.FAILED)


def _rounded(began_at: float, ended_at: float) -> dict[str, float]:
    """When somebody spoke, seconds from the answer."""
    return {"began_at": round(began_at, 3), "ended_at": round(ended_at, 3)}
