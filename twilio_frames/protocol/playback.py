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
delay shifts both alike and leaves no error. What is not constant shows in the echoes: where those
of the latest audio came later than the line's round trip, playback lags behind the copy, and so
did the cut. Behind each ``clear`` a last mark is sent, the fence. Its echo says that all echoes
of before the ``clear`` are in; what of them came sooner than the ``clear`` can have had any effect
was played, and corrects the calculation. How close together the echoes of a burst come is no
evidence: a busy event loop reads them as apart as it pleases.

No I/O happens here; the time is passed in, in seconds of any monotonic clock.
"""

from collections import deque
from dataclasses import dataclass

_BYTES_PER_SECOND = 8000
_CLOCK_SECONDS = 0.002
_LIKELY_SECONDS = 0.03
_DELAYS_KEPT = 16
_LATEST_DELAYS = 4


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
class _Mark:
    name: str
    position: int
    sent_at: float
    due_at: float
    is_cut: bool = False


@dataclass(slots=True)
class _Cutting:
    """A ``clear`` whose burst has not been in."""

    fence: str
    began_at: float
    cut: Cut
    sent: int
    echoes: list[tuple[_Mark, float]]


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
        self.cut: Cut | None = None
        """Where the last ``clear`` cut; None before the first."""
        self._outstanding: deque[_Mark] = deque()
        self._cutting: _Cutting | None = None
        self._delays: deque[float] = deque(maxlen=_DELAYS_KEPT)
        self._latest_delays: deque[float] = deque(maxlen=_LATEST_DELAYS)

    @property
    def round_trip(self) -> float:
        """Seconds to Twilio and back, as the latest marks tell; 0.0 before the first."""
        return min(self._delays, default=0.0)

    @property
    def is_cutting(self) -> bool:
        """Whether a ``clear`` is under way whose burst has not been in."""
        return self._cutting is not None

    def position(self, now: float) -> int:
        """Where playback stands, but for the line's delay."""
        return self.sent - round(max(0.0, self.ends_at - now) * _BYTES_PER_SECOND)

    def audio_sent(self, length: int, now: float) -> None:
        """Notes audio that has been sent."""
        if now >= self.ends_at:
            # Playback stood still: how it lagged before says nothing about what comes.
            self._latest_delays.clear()
        self.sent += length
        self.ends_at = max(self.ends_at, now) + length / _BYTES_PER_SECOND

    def mark_sent(self, name: str, now: float) -> None:
        """Notes a mark that has been sent."""
        self._outstanding.append(_Mark(name, self.sent, now, max(self.ends_at, now)))

    def clear_sent(self, fence: str, now: float) -> None:
        """Notes a ``clear``, and the mark behind it that ends its burst.

        Args:
            fence: Name of that mark; no other may have it.
            now: The time.
        """
        self.settle()
        lag = max(0.0, min(self._latest_delays, default=0.0) - self.round_trip)
        position = max(self.heard, self.position(now - lag))
        cut = Cut(position=position, bound=self._bound(), is_settled=False)
        for mark in self._outstanding:
            mark.is_cut = True
        self.cut = cut
        self._cutting = _Cutting(fence, now, cut, self.sent, [])
        self.ends_at = now
        self.mark_sent(fence, now)

    def _bound(self) -> int:
        spread = max(self._delays, default=0.0) - self.round_trip
        return round((spread + _CLOCK_SECONDS) * _BYTES_PER_SECOND)

    def mark_echoed(self, name: str, now: float) -> list[MarkEcho]:
        """What the echo of a mark says; nothing if no such mark is out.

        The echoes behind a ``clear`` are told together, when its burst is in.
        """
        mark = next((mark for mark in self._outstanding if mark.name == name), None)
        if mark is None:
            return []
        self._outstanding.remove(mark)
        self.echoed += 1
        if mark.is_cut and self._cutting:
            self._cutting.echoes.append((mark, now))
            return []
        if self._cutting and name == self._cutting.fence:
            return self._settled(self._cutting)
        self._delays.append(now - mark.due_at)
        self._latest_delays.append(now - mark.due_at)
        self.heard = max(self.heard, mark.position)
        return [_echo(mark, flushed=False)]

    def settle(self) -> list[MarkEcho]:
        """Ends the wait for echoes that do not come: the calculation has to do."""
        return self._settled(self._cutting) if self._cutting else []

    def _settled(self, cutting: _Cutting) -> list[MarkEcho]:
        """Corrects the calculation by what was certainly played; gives the echoes their meaning."""
        effect_at = cutting.began_at + self.round_trip - _CLOCK_SECONDS
        likely_until = cutting.began_at + _LIKELY_SECONDS
        played = [
            mark.position
            for mark, came_at in cutting.echoes
            if came_at < effect_at and mark.due_at < likely_until
        ]
        position = max([cutting.cut.position, self.heard, *played])
        self.cut = Cut(position=min(position, cutting.sent), bound=self._bound(), is_settled=True)
        self._cutting = None
        self.heard = max(self.heard, cutting.sent)
        self._latest_delays.clear()
        marks = [mark for mark, _ in cutting.echoes]
        marks += [mark for mark in self._outstanding if mark.is_cut]
        self._outstanding = deque(mark for mark in self._outstanding if not mark.is_cut)
        return [_echo(mark, flushed=mark.position > self.cut.position) for mark in marks]

    def is_playing(self, now: float) -> bool:
        """Whether audio is still to be played, as far as is known."""
        return self.ends_at > now or (self.heard < self.sent and not self.is_cutting)

    def overdue(self, now: float) -> float:
        """Seconds by which the oldest mark out is late; 0.0 if none is.

        A peer that never sent a mark back does not owe any.
        """
        if not self._outstanding or not self.echoed:
            return 0.0
        return max(0.0, now - self._outstanding[0].due_at)


def _echo(mark: _Mark, *, flushed: bool) -> MarkEcho:
    return MarkEcho(name=mark.name, position=mark.position, flushed=flushed, sent_at=mark.sent_at)
