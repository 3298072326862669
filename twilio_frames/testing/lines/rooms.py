"""Where calls hear each other: two parties of a ``<Dial>``, or many in a ``<Conference>``.

Theory of operation
-------------------
Everybody in a room has a seat, which is to the line what a stream is: it takes the caller's frames
and gives what is to be heard. What one says is added to what each of the others will hear, 60 ms
later: that is the time by which a frame may come late without a hole. Each speaker's frames are
laid one behind the other in the listener's time, so their clocks need not have begun together.
"""

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from twilio_frames.audio import MULAW_SILENCE, decode_mulaw, encode_mulaw
from twilio_frames.testing.callers.tones import tones
from twilio_frames.testing.lines.line import LineClock
from twilio_frames.testing.streams.playback import Played

DELAY = 480
"""Samples from mouth to ear: 60 ms."""

_MAX_AHEAD = 16_000


class Seat:
    """One party's place in a room.

    Args:
        room: The room.
        clock: The party's own line clock.
        is_muted: Whether the others do not hear this party.
    """

    def __init__(self, room: "Room", clock: LineClock, *, is_muted: bool = False):
        self._room = room
        self._clock = clock
        self.is_muted = is_muted
        """Whether the others do not hear this party."""
        self.is_on_hold = False
        """Whether neither hears the other."""
        self._fetched = 0
        self._mix = np.zeros(0, dtype=np.int32)
        self._positions: dict[Hashable, int] = {}
        self.dismissed = asyncio.Event()
        """Set when the room has closed, for this party or for all."""

    def send_frame(self, mulaw: bytes) -> None:
        """Says 20 ms to the others."""
        if self._is_heard:
            self._room.pass_on(self, self, mulaw)

    def press(self, digit: str) -> None:
        """Lets the others hear a key's tone."""
        if self._is_heard:
            self._room.pass_on(self, (self, "keys"), tones(digit))

    @property
    def _is_heard(self) -> bool:
        return not self.is_muted and not self.is_on_hold

    def hear(self, speaker: Hashable, mulaw: bytes) -> None:
        """Will hear this behind all that the same speaker has said."""
        position = self._positions.get(speaker, -1)
        if position < self._fetched:
            position = max(self._clock.samples, self._fetched) + DELAY
        begin = position - self._fetched
        if begin > _MAX_AHEAD:
            return
        end = begin + len(mulaw)
        self._positions[speaker] = position + len(mulaw)
        if end > len(self._mix):
            self._mix = np.pad(self._mix, (0, end - len(self._mix)))
        self._mix[begin:end] += np.frombuffer(decode_mulaw(mulaw), dtype=np.int16)

    def join(self, now: int) -> None:
        """Listens from this sample of the line's clock on."""
        self._fetched = now
        self._positions.clear()
        self._mix = self._mix[:0]

    def play(self, size: int) -> Played:
        """The next ``size`` bytes that the others said, all at once."""
        mixed, self._mix = self._mix[:size], self._mix[size:]
        self._fetched += size
        silence = bytes([MULAW_SILENCE])
        if not mixed.any():
            return Played(audio=silence * size, from_bot=0)
        audio = encode_mulaw(mixed.clip(-32768, 32767).astype(np.int16).tobytes())
        return Played(audio=audio.ljust(size, silence), from_bot=size)


class Room:
    """Parties that hear each other.

    Args:
        closes_when_one_leaves: Whether it is for two.
    """

    def __init__(self, *, closes_when_one_leaves: bool = True):
        self._closes_when_one_leaves = closes_when_one_leaves
        self._seats: list[Seat] = []
        self._is_closed = False
        self.is_open = True
        """Whether those in it hear each other yet."""

    @property
    def size(self) -> int:
        """How many are in it."""
        return len(self._seats)

    def enter(self, clock: LineClock, *, is_muted: bool = False) -> Seat:
        """Takes a seat."""
        seat = Seat(self, clock, is_muted=is_muted)
        self._seats.append(seat)
        if self._is_closed:
            seat.dismissed.set()
        return seat

    def leave(self, seat: Seat, *, closes: bool = False) -> None:
        """Gives a seat up; nothing if it was given up.

        Args:
            seat: The seat.
            closes: Whether the others have to go as well.
        """
        if seat not in self._seats:
            return
        self._seats.remove(seat)
        if closes or self._closes_when_one_leaves:
            self.close()

    def close(self) -> None:
        """Sends everybody away, those too who have yet to come in."""
        self._is_closed = True
        for seat in self._seats:
            seat.dismissed.set()

    def pass_on(self, speaker: Seat, key: Hashable, mulaw: bytes) -> None:
        """Lets everybody but the speaker hear something."""
        if not self.is_open:
            return
        for seat in self._seats:
            if seat is not speaker:
                seat.hear(key, mulaw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """One call in a conference.

    Parameters:
        seat: Its place.
        starts_on_enter: Whether the conference began with it, or could have.
        ends_on_exit: Whether it ends with it.
    """

    seat: Seat
    starts_on_enter: bool
    ends_on_exit: bool


class Conference(Room):
    """A room with a name, that many can enter. It opens with the first who may open it.

    Args:
        name: Its friendly name.
        sid: Twilio's name of it.
    """

    def __init__(self, name: str, sid: str):
        super().__init__(closes_when_one_leaves=False)
        self.name = name
        self.sid = sid
        self.is_open = False
        self.opened = asyncio.Event()
        self.participants: dict[str, Participant] = {}
        """By their calls' sids."""

    def open(self) -> None:
        """Lets those in it hear each other from here on."""
        self.is_open = True
        self.opened.set()
