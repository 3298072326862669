"""What the server remembers of each call: its status as Twilio tells it, and its stream."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from twilio_frames.answering import MachineVerdict
from twilio_frames.call import Call
from twilio_frames.frames import CallEndReason
from twilio_frames.rest.client import FINAL

__all__ = ["CallRecord", "CallRecords", "StreamPhase", "Waiting"]

_COMING_SECS = 900.0
"""After which nothing is expected of a call whose stream has not come. Twilio lets it ring for ten
minutes at most."""
_UNWANTED = frozenset({CallEndReason.LINE_LOST, CallEndReason.ERROR})


class StreamPhase(StrEnum):
    """Where a call's stream stands, as this server sees it."""

    NONE = "none"
    AWAITED = "awaited"
    UP = "up"
    ENDED = "ended"
    FAILED = "failed"


@dataclass(slots=True, kw_only=True)
class CallRecord:
    """One call.

    Parameters:
        call_sid: The call.
        status: The latest ``CallStatus``, None before the first.
        sequence: Twilio's number of that status.
        phase: The stream, as seen here.
        stream_events: What Twilio's stream callbacks said, in order of arrival.
        end_reason: Why the stream ended.
        verdict: What Twilio's machine detection said.
        call: The call, while its bot runs.
        base_url: Where Twilio reached this server for it.
        listeners: How many listen in.
        bot: What carries this call alone; None for the server's bot.
        coming: The parameters of a call whose first stream is to come here; None once it has begun.
        query: What the webhook's own query said, for whoever has to connect it anew.
        is_refused: Whether that stream was turned away.
        again: How often it was asked for again.
        settled: Set while no stream is up.
        asked: Whether Twilio has asked what comes behind the last stream.
        promised: How many streams in a row it was led to that have not come.
        began_at: When this server heard of it first, seconds since 1970.
        ended_at: When its stream ended here, or Twilio said that it is over; None before.
        direction: ``inbound``, or ``outbound-api`` for a call that was placed.
        from_number: Who calls, as far as it is known.
        to_number: Who is called.
        heard: Keys of callbacks that came.
        told: What consoles were told of it last.
        revision: Which change of all calls that was.
    """

    call_sid: str
    status: str | None = None
    sequence: int = -1
    phase: StreamPhase = StreamPhase.NONE
    stream_events: tuple[str, ...] = ()
    end_reason: CallEndReason | None = None
    base_url: str | None = None
    listeners: int = 0
    bot: Callable[[Call], Awaitable[None]] | None = field(default=None, repr=False)
    coming: Mapping[str, str] | None = field(default=None, repr=False)
    query: str = field(default="", repr=False)
    is_refused: bool = False
    again: int = 0
    verdict: MachineVerdict | None = None
    call: Call | None = field(default=None, repr=False)
    settled: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    asked: bool = False
    promised: int = 0
    # Looked up at each call, since a clock of tests may take its place.
    began_at: float = field(default_factory=lambda: time.time())
    ended_at: float | None = None
    direction: str | None = None
    from_number: str | None = field(default=None, repr=False)
    to_number: str | None = field(default=None, repr=False)
    heard: tuple[str, ...] = field(default=(), repr=False)
    told: Mapping[str, Any] = field(default_factory=dict, repr=False)
    revision: int = 0

    @property
    def is_over(self) -> bool:
        """Whether Twilio said that the call is over."""
        return self.status in FINAL

    def follow(self, status: str, sequence: int) -> bool:
        """Take a status; False if it is an old or a repeated one.

        Twilio numbers the events of a call and promises no order of delivery. A final status
        stays.
        """
        if self.is_over or sequence < self.sequence or status == self.status:
            return False
        self.status, self.sequence = status, sequence
        if self.is_over:
            self.ended_at = self.ended_at or time.time()
        return True

    def note_stream_event(self, event: str) -> bool:
        """Take a stream event; False if it came before."""
        if event in self.stream_events or len(self.stream_events) >= 16:
            return False
        self.stream_events += (event,)
        return True

    def hears(self, key: str) -> bool:
        """Take a callback's key; False if it came before."""
        if key in self.heard:
            return False
        self.heard = (*self.heard[-31:], key)
        return True

    def note_verdict(self, verdict: MachineVerdict) -> None:
        """Take what machine detection says, for the bot, now or when its stream begins."""
        self.verdict = self.verdict or verdict
        if self.call is not None:
            self.call.answers.take_verdict(self.verdict)

    def begin_stream(self, call: Call) -> None:
        """The stream has started and its bot runs."""
        self.phase, self.end_reason, self.call = StreamPhase.UP, None, call
        self.ended_at = None
        self.coming = None
        self.settled.clear()
        self.asked, self.promised = False, 0
        if self.verdict is not None:
            call.answers.take_verdict(self.verdict)

    def end_stream(self, call: Call, reason: CallEndReason) -> None:
        """A stream's bot is done, or has failed; nothing changes if a later stream has begun."""
        if self.call is not call:
            return
        self.phase = StreamPhase.FAILED if reason in _UNWANTED else StreamPhase.ENDED
        self.end_reason, self.call = reason, None
        self.ended_at = time.time()
        self.settled.set()

    @property
    def ended_well(self) -> bool:
        """Whether the stream has ended as somebody wanted, or is about to."""
        return self.stream_end is not None and self.stream_end not in _UNWANTED

    @property
    def stream_end(self) -> CallEndReason | None:
        """Why the stream has ended, or is about to."""
        return self.call.end_reason if self.call else self.end_reason

    def as_json(self) -> Mapping[str, str | float | None]:
        """The record as a page may show it."""
        return {
            "call_sid": self.call_sid,
            "status": self.status,
            "stream": self.phase.value,
            "end_reason": self.end_reason,
            "began_at": round(self.began_at, 3),
        }

    def shown(self, now: float) -> Mapping[str, Any]:
        """The record as a console shows it, to those who may place a call: with numbers."""
        return {
            **self.as_json(),
            "state": self._state(now),
            "ended_at": self.ended_at and round(self.ended_at, 3),
            "direction": self.direction,
            "from": self.from_number,
            "to": self.to_number,
            "answered_by": self.verdict,
            "listeners": self.listeners,
        }

    def _state(self, now: float) -> str:
        """Whether a call is to come, is up, or is over."""
        if self.phase is StreamPhase.UP:
            return "up"
        is_past = self.is_over or self.phase in (StreamPhase.ENDED, StreamPhase.FAILED)
        return "over" if is_past or now - self.began_at > _COMING_SECS else "coming"


class CallRecords:
    """The latest calls, by sid.

    Args:
        capacity: Calls remembered at most; the oldest without a live stream are forgotten.
    """

    def __init__(self, *, capacity: int = 1000):
        self._capacity = capacity
        self._records: OrderedDict[str, CallRecord] = OrderedDict()
        self._revision = 0

    def latest(self) -> Sequence[CallRecord]:
        """All of them, the newest first."""
        return list(reversed(self._records.values()))

    def changes(self, since: int, now: float) -> tuple[Sequence[Mapping[str, Any]], int]:
        """The calls that have changed since a revision, as a console shows them; and today's.

        Whoever changes a record need not say so: it is compared with what was told of it.

        Args:
            since: The revision; 0 for all calls. One that is still to come is none of ours.
            now: Seconds since 1970.
        """
        for record in self._records.values():
            shown = record.shown(now)
            if shown != record.told:
                self._revision += 1
                record.told, record.revision = shown, self._revision
        if since > self._revision:
            since = 0
        changed = [one.told for one in self._records.values() if one.revision > since]
        return changed, self._revision

    def __len__(self) -> int:
        """How many calls are remembered."""
        return len(self._records)

    def get(self, call_sid: str) -> CallRecord | None:
        """A call that is remembered, None otherwise."""
        return self._records.get(call_sid)

    def open(self, call_sid: str) -> CallRecord:
        """A call's record, made if there is none."""
        if record := self._records.get(call_sid):
            return record
        if len(self._records) >= self._capacity:
            self._forget_one()
        record = self._records[call_sid] = CallRecord(call_sid=call_sid)
        record.settled.set()
        return record

    def is_up(self, call_sid: str, age_secs: float, patience_secs: float) -> bool:
        """Whether a call has a bot, or is to get one.

        Args:
            call_sid: The call.
            age_secs: How long ago it came.
            patience_secs: How long its stream may take to begin.
        """
        record = self._records.get(call_sid)
        if record is None or record.is_over:
            return False
        is_awaited = record.phase is StreamPhase.AWAITED and age_secs < patience_secs
        return record.call is not None or is_awaited

    @property
    def any_expected(self) -> bool:
        """Whether a call's stream is to come here, or to come back."""
        return any(
            one.phase is StreamPhase.AWAITED or (one.call and one.call.detours.is_away)
            for one in self._records.values()
        )

    def _forget_one(self) -> None:
        for call_sid, record in self._records.items():
            if record.phase is not StreamPhase.UP:
                del self._records[call_sid]
                return
        self._records.popitem(last=False)


class Waiting:
    """Counts the calls that wait for a line: each asks again in time, or waits no more.

    Args:
        secs: In which one asks again.
    """

    _MOST = 10_000
    """So many are counted; of more, those that asked last."""

    def __init__(self, secs: float):
        self._secs = secs
        self._until: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        now = time.monotonic()
        while self._until and next(iter(self._until.values())) <= now:
            self._until.popitem(last=False)
        return len(self._until)

    def ask(self, call_sid: str) -> None:
        """A call was told to wait."""
        self.end(call_sid)
        self._until[call_sid] = time.monotonic() + self._secs
        if len(self._until) > self._MOST:
            self._until.popitem(last=False)

    def end(self, call_sid: str) -> None:
        """A call has a line, or is over."""
        self._until.pop(call_sid, None)
