"""What of the bot's audio Twilio has played, told by marks.

Theory of operation
-------------------
Twilio plays what it is sent at 8000 bytes a second, one piece behind the other, and sends a mark
back when the audio before it has been played, at once if there is none. A ``clear`` empties the
buffer and sends every mark back at once, see
https://www.twilio.com/docs/voice/media-streams/websocket-messages. Those echoes say that audio was
thrown away, not that it was heard.

*Where playback stands* is known twice over. A copy of Twilio's buffer on this side's clock
(:meth:`Playback.position`) is ahead of the truth by the line's delay and nothing else. And each
echo says that a position has been reached.

*Where a ``clear`` cut* is told by the copy: audio and ``clear`` travel the same way, so a constant
delay shifts both alike and leaves no error.

On an uneven line that is not enough. Behind each ``clear`` a last mark is sent, the fence; its echo
says that all echoes of before are in. Those that the caller's audio parts from it were played; and
the caller's audio dates both the playing and the fence on Twilio's own clock. For one ordered
stream carries both the marks that come back and the caller's audio, a message every 20 ms with a
time on it: what came between two of them happened between their times, however late it arrived.
Two such intervals narrow each other where it is known by how much audio their marks lie apart. A
mark in front of audio that meets an empty buffer dates its beginning. More than one fence, each
behind a moment of silence, divide these 20 ms as a vernier does. How close together the echoes of a
burst come is no evidence: a busy event loop reads them as apart as it pleases.

No I/O happens here; the time is passed in, in seconds of any monotonic clock.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from twilio_frames.protocol.messages import BYTES_PER_SECOND

_CLOCK_SECS = 0.002
_DELAYS_KEPT = 16
_MOST_MARKS = 4000
_MOST_PLAYED = 100
_LATEST_MARKS = 2
_FRAME_SAMPLES = 160
# What is sent with less than this ahead of it may find the buffer empty at Twilio: one message is
# taken to be slower than another by no more than this.
_SURE_LEAD_SECS = 0.15


@dataclass(frozen=True, slots=True)
class _Interval:
    """A stretch of time on Twilio's clock within which something happened.

    Parameters:
        begin: Its first sample.
        end: Its last.
    """

    begin: int
    end: int

    @property
    def length(self) -> int:
        """Samples from its begin to its end."""
        return self.end - self.begin

    def moved(self, samples: int) -> "_Interval":
        """The same, so much later."""
        return _Interval(self.begin + samples, self.end + samples)

    def intersect(self, other: "_Interval") -> "_Interval | None":
        """What it has in common with another; None if that is nothing."""
        both = _Interval(max(self.begin, other.begin), min(self.end, other.end))
        return both if both.length >= 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkEcho:
    """A mark that came back.

    Parameters:
        name: The mark's name.
        position: Bytes of audio that had been sent before it since the stream began.
        flushed: Whether a ``clear`` sent it back: the audio before it was not heard to its end.
        sent_at: When it was sent.
    """

    name: str
    position: int
    flushed: bool
    sent_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where a ``clear`` ended what was heard.

    Parameters:
        position: Bytes of audio since the stream began, up to which it was heard.
        bound: By how many bytes it may be off, as far as is known.
        is_settled: Whether the burst of echoes has been in; until then it is a calculation.
    """

    position: int
    bound: int
    is_settled: bool


@dataclass(slots=True)
class _Run:
    """Audio that plays without a break.

    Its first byte, counted from the stream's begin, would have played at ``began`` if all of it
    had been in this run, by the marks that were played and have been looked at.
    """

    began: _Interval | None = None
    delays: deque[float] = field(default_factory=lambda: deque[float](maxlen=_LATEST_MARKS))
    """By how much its latest marks came behind this side's copy."""
    played: list[tuple[int, _Interval]] = field(default_factory=list[tuple[int, _Interval]])

    def began_by_now(self) -> _Interval | None:
        """When it began, by all marks.

        Playback may stand still, but never runs ahead: what says so says nothing.
        """
        for position, dated in self.played:
            begin, end = dated.begin - position, dated.end - position
            if (known := self.began) is not None and begin <= known.end:
                begin, end = max(begin, known.begin), min(end, known.end)
            if begin <= end:
                self.began = _Interval(begin, end)
        self.played.clear()
        return self.began


@dataclass(slots=True)
class _Mark:
    name: str
    position: int
    sent_at: float
    due_at: float
    run: _Run
    is_cut: bool = False
    dated: _Interval | None = None
    is_due: bool = False


@dataclass(slots=True)
class _Cutting:
    """A ``clear`` whose burst has not been in."""

    fences: tuple[str, ...]
    cut: Cut
    sent: int
    run: _Run
    echoes: list[_Mark] = field(default_factory=list[_Mark])
    fenced: list[_Interval] = field(default_factory=list[_Interval])

    def happened(self) -> _Interval | None:
        """When the ``clear`` took effect: when it sent the last mark back, and the fences agree."""
        windows = [mark.dated for mark in self.echoes[-1:] if mark.dated] + self.fenced
        if not windows:
            return None
        happened = windows[0]
        for window in windows[1:]:
            happened = happened.intersect(window) or happened
        return happened


class Playback:
    """The bot's side of Twilio's play-out buffer."""

    def __init__(self) -> None:
        self.sent = 0
        """Bytes of audio sent since the stream began."""
        self.heard = 0
        """Bytes up to which audio is known to have been played; or thrown away, behind a cut."""
        self.ends_at = 0.0
        """When the audio sent so far will have been played, but for the line's delay."""
        self.echoed = 0
        """How many marks have come back."""
        self.is_audible = True
        """Whether what is sent is played at all: a one-way stream takes it, and throws it away."""
        self.round_trip = 0.0
        """Seconds to Twilio and back, as the latest marks tell; 0.0 before the first."""
        self.last_received = 0.0
        """When anything came from Twilio last."""
        self.cut: Cut | None = None
        """Where the last ``clear`` cut; None before the first."""
        self._outstanding: deque[_Mark] = deque(maxlen=_MOST_MARKS)
        self._cutting: _Cutting | None = None
        self._delays: deque[float] = deque(maxlen=_DELAYS_KEPT)
        self.caller_at: int | None = None
        """When the caller's latest audio began, milliseconds of Twilio's clock, by which the echoes
        around it are dated; None before the first. Whoever reads the stream sets it."""
        self._run = _Run()
        self._sent_at = 0.0

    @property
    def late_secs(self) -> float:
        """By how much Twilio plays behind :meth:`position` at most, as far as marks have told.

        What has just begun may have been as late on its way as anything before; before the first
        mark nobody knows (infinity). It is later once the buffer has run empty at Twilio, so marks
        from before that tell nothing, but one alone may itself have been late.
        """
        return max(0.0, min(self._run.delays, default=max(self._delays, default=math.inf)))

    @property
    def is_cutting(self) -> bool:
        """Whether a ``clear`` is under way whose burst has not been in."""
        return self._cutting is not None

    def position(self, now: float) -> int:
        """Where playback stands, but for the line's delay."""
        if not self.is_audible:
            return self.heard
        return self.sent - round(max(0.0, self.ends_at - now) * BYTES_PER_SECOND)

    def audio_sent(self, length: int, now: float, *, mark: str | None = None) -> None:
        """Notes audio that has been sent, and the mark behind it, if there is one."""
        if now >= self.ends_at:
            self._begin_run(now)
        elif now - self._sent_at >= _CLOCK_SECS and self.ends_at - now < _SURE_LEAD_SECS:
            # Playback may have stood still: what was dated before does not date this.
            self._run = _Run()
        self._sent_at = now
        self.sent += length
        self.ends_at = max(self.ends_at, now) + length / BYTES_PER_SECOND
        if mark is not None:
            self._outstanding.append(_Mark(mark, self.sent, now, self.ends_at, self._run))

    def _begin_run(self, now: float) -> None:
        self._run = _Run()
        # A mark sent along with the audio, in front of it, is echoed when the audio begins.
        last = self._outstanding[-1] if self._outstanding else None
        if last and last.position == self.sent and now - last.sent_at < _CLOCK_SECS:
            last.run = self._run

    def mark_sent(self, name: str, now: float) -> None:
        """Notes a mark that has been sent."""
        due_at = max(self.ends_at, now)
        self._outstanding.append(_Mark(name, self.sent, now, due_at, self._run))

    def clear_sent(self, fences: Sequence[str], now: float) -> None:
        """Notes a ``clear``, of which marks behind it will tell.

        Args:
            fences: Names of those marks, at least one; no others may have them. The first follows
                the ``clear`` at once, each of the others follows a moment of silence. They are
                noted like any audio and marks, but for the first, which is noted here.
            now: The time.
        """
        self.settle()
        position = max(self.heard, self.position(now))
        cut = Cut(position=position, bound=self._spread(), is_settled=False)
        for mark in self._outstanding:
            mark.is_cut = True
        self.cut = cut
        self._cutting = _Cutting(tuple(fences), cut, self.sent, self._run)
        self.ends_at = now
        self.mark_sent(fences[0], now)

    def _spread(self) -> int:
        """Bytes by which the copy may be off, by how much the line's delay varies."""
        spread = max(self._delays, default=0.0) - self.round_trip
        return round((spread + _CLOCK_SECS) * BYTES_PER_SECOND)

    def mark_echoed(self, name: str, now: float, *, is_own: bool = False) -> list[MarkEcho]:
        """What the echo of a mark says; nothing if no such mark is out.

        The echoes behind a ``clear`` are told together, when its burst is in.

        Args:
            name: The mark's name.
            now: The time.
            is_own: Whether nobody is to be told of this one.
        """
        if self._outstanding and self._outstanding[0].name == name:
            mark = self._outstanding.popleft()
        else:
            mark = next((mark for mark in self._outstanding if mark.name == name), None)
            if mark is None:
                return []
            self._outstanding.remove(mark)
        self.echoed += 1
        if self.caller_at is not None:
            # Behind the caller's latest audio, before the next.
            arrived = self.caller_at * BYTES_PER_SECOND // 1000 + _FRAME_SAMPLES
            mark.dated = _Interval(arrived, arrived + _FRAME_SAMPLES)
        if mark.is_cut and self._cutting:
            # One that comes before its audio can have been played was thrown back.
            mark.is_due = now - mark.due_at > self.round_trip - _CLOCK_SECS
            self._cutting.echoes.append(mark)
            return []
        if self._cutting and name in self._cutting.fences:
            return self._fence_echoed(self._cutting, mark)
        self._delays.append(now - mark.due_at)
        self.round_trip = min(self._delays)
        mark.run.delays.append(self._delays[-1])
        if mark.dated is not None:
            # Where a cut was is asked seldom, and all of them may tell then.
            mark.run.played.append((mark.position, mark.dated))
            if len(mark.run.played) == _MOST_PLAYED:
                mark.run.began_by_now()
        self.heard = max(self.heard, mark.position)
        return [] if is_own else [_echo(mark, flushed=False)]

    def _fence_echoed(self, cutting: _Cutting, fence: _Mark) -> list[MarkEcho]:
        if fence.dated is not None:
            cutting.fenced.append(fence.dated.moved(cutting.sent - fence.position))
        if fence.name != cutting.fences[-1]:
            return []
        echoes = self._settled(cutting, is_in=True)
        self.heard = max(self.heard, fence.position)
        return echoes

    def settle(self) -> list[MarkEcho]:
        """Ends the wait for echoes that do not come: what is known has to do."""
        return self._settled(self._cutting, is_in=False) if self._cutting else []

    def _settled(self, cutting: _Cutting, *, is_in: bool) -> list[MarkEcho]:
        """Corrects the calculation by what the echoes say; gives them their meaning.

        Args:
            cutting: The ``clear``.
            is_in: Whether its burst has been in. If not, what came back in its time was played.
        """
        self._cutting = None
        self.cut = cut = self._corrected(cutting, is_in=is_in)
        self.heard = max(self.heard, cutting.sent)
        marks = cutting.echoes + [mark for mark in self._outstanding if mark.is_cut]
        left = (mark for mark in self._outstanding if not mark.is_cut)
        self._outstanding = deque(left, maxlen=_MOST_MARKS)
        return [_echo(mark, flushed=mark.position > cut.position) for mark in marks]

    def _corrected(self, cutting: _Cutting, *, is_in: bool) -> Cut:
        happened = cutting.happened() if is_in else None
        surely_heard = self.heard
        for mark in cutting.echoes:
            is_before = happened and mark.dated and mark.dated.end < happened.end
            if is_before if is_in else mark.is_due:
                surely_heard = max(surely_heard, mark.position)
                if mark.dated is not None:
                    mark.run.played.append((mark.position, mark.dated))
        position, bound = cutting.cut.position, cutting.cut.bound
        began = cutting.run.began_by_now()
        if began is not None and happened is not None:
            reached = _Interval(happened.begin - began.end, happened.end - began.begin)
            if bound > reached.length:
                position = (reached.begin + reached.end) // 2
            position = max(reached.begin, min(reached.end, position))
            bound = min(bound, reached.length)
        position = min(max(position, surely_heard), cutting.sent)
        return Cut(position=position, bound=bound, is_settled=True)

    def begin_anew(self, now: float) -> None:
        """Goes on with a new stream, which begins with an empty buffer and a clock of its own.

        What had been sent on the old one is taken for heard.
        """
        self.settle()
        self._outstanding.clear()
        self.heard = self.sent
        self.ends_at = now
        self.caller_at = None
        self._run = _Run()

    def is_playing(self, now: float) -> bool:
        """Whether audio is still to be played, as far as is known."""
        return self.ends_at > now or (self.heard < self.sent and not self.is_cutting)

    def heard_at_end(self, now: float) -> int:
        """Up to where audio was heard on a line that has ended.

        One whose marks had stopped coming was dead by then: Twilio has played what it was sent
        before that, and no more.
        """
        position = self.position(now - self.round_trip)
        if not self.overdue(now):
            return position
        died_at = self._outstanding[0].due_at
        return min(
            position, max(mark.position for mark in self._outstanding if mark.sent_at <= died_at)
        )

    def overdue(self, now: float) -> float:
        """Seconds by which the oldest mark out is late; 0.0 if none is.

        A peer that never sent a mark back does not owe any.
        """
        if not self._outstanding or not self.echoed:
            return 0.0
        return max(0.0, now - self._outstanding[0].due_at)


def _echo(mark: _Mark, *, flushed: bool) -> MarkEcho:
    return MarkEcho(name=mark.name, position=mark.position, flushed=flushed, sent_at=mark.sent_at)
