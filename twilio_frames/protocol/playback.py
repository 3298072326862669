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

*Where a ``clear`` cut* is known at once from the copy: audio and ``clear`` travel the same way, so
a constant delay shifts both alike. It is settled a round trip later. Behind each ``clear`` a last
mark is sent, the fence; its echo ends the burst of echoes that the ``clear`` causes. What came back
before the burst had been played; what came in it had not. From the last single echo to the burst
playback went on at 8000 bytes a second, so the cut lies that far behind it, whatever the delay on
the way back is. With a mark at the end of each word there is no doubt which words were heard.

No I/O happens here; the time is passed in, in seconds of any monotonic clock.
"""

from collections import deque
from dataclasses import dataclass

_BYTES_PER_SECOND = 8000
_BURST_SECONDS = 0.002
_JITTER_SECONDS = 0.1
_DELAYS_KEPT = 16


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
        self._last_echo: tuple[int, float] | None = None
        self._delays: deque[float] = deque(maxlen=_DELAYS_KEPT)

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
            # Playback stood still: an echo from before says nothing about what comes.
            self._last_echo = None
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
        self.settle(now)
        position = max(self.heard, self.position(now))
        cut = Cut(position=position, bound=self._bound(), is_settled=False)
        for mark in self._outstanding:
            mark.is_cut = True
        self.cut = cut
        self._cutting = _Cutting(fence, now, cut, self.sent, [])
        self.ends_at = now
        self.mark_sent(fence, now)

    def _bound(self) -> int:
        spread = max(self._delays, default=0.0) - self.round_trip
        return round((spread + _BURST_SECONDS) * _BYTES_PER_SECOND)

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
            return self._settled(self._cutting, now)
        self._delays.append(now - mark.due_at)
        self.heard = max(self.heard, mark.position)
        self._last_echo = (mark.position, now)
        return [_echo(mark, flushed=False)]

    def settle(self, now: float) -> list[MarkEcho]:
        """Ends the wait for a burst that does not come: the calculation has to do."""
        if self._cutting is None:
            return []
        cutting, self._cutting = self._cutting, None
        self.heard = max(self.heard, cutting.sent)
        lost = [mark for mark in self._outstanding if mark.is_cut]
        self._outstanding = deque(mark for mark in self._outstanding if not mark.is_cut)
        marks = [mark for mark, _ in cutting.echoes] + lost
        return [_echo(mark, flushed=mark.position > cutting.cut.position) for mark in marks]

    def _settled(self, cutting: _Cutting, burst_at: float) -> list[MarkEcho]:
        self._cutting = None
        echoes: list[MarkEcho] = []
        floor, ceiling, last = self.heard, cutting.sent, self._last_echo
        for mark, came_at in cutting.echoes:
            # However uneven the line is, what was far from being played was not.
            is_due = mark.due_at < cutting.began_at + _JITTER_SECONDS
            is_played = is_due and burst_at - came_at > _BURST_SECONDS
            if is_played:
                floor, last = max(floor, mark.position), (mark.position, came_at)
            elif mark.position > floor:
                ceiling = min(ceiling, mark.position - 1)
            echoes.append(_echo(mark, flushed=not is_played))
        position = cutting.cut.position
        if last is not None:
            position = last[0] + round((burst_at - last[1]) * _BYTES_PER_SECOND)
        position = max(floor, min(position, ceiling))
        self.cut = Cut(
            position=position, bound=max(0, min(self._bound(), ceiling - floor)), is_settled=True
        )
        self.heard = max(self.heard, cutting.sent)
        self._last_echo = None
        return echoes

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
