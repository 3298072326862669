"""The caller's telephone line: every 20 ms one frame is said and one is heard.

Theory of operation
-------------------
A call has one line, whatever runs on it: streams and TwiML's own announcements come and go, and
each is only what the line is connected to for a while. The line's clock is absolute: turn *n* is
due 20 ms * n after the call was answered. A turn that comes late is made up for at once, so the
line never runs slow; how late turns came is measured, since nothing finer can be said about a bot.

In turn *n* the caller says frame *n* and hears frame *n*. A frame can be sent only when it is
complete, so turn *n* sends frame *n - 1*.
"""

import asyncio
from typing import Protocol

from twilio_frames.testing.ear import Ear
from twilio_frames.testing.playback import Played
from twilio_frames.testing.recording import Recording
from twilio_frames.testing.voice import FRAME_BYTES, FRAME_SECONDS, Voice


class Lateness:
    """How late the line's turns came, counted by the millisecond."""

    def __init__(self) -> None:
        self._counts = [0] * 1001
        self.worst = 0.0

    def count(self, seconds: float) -> None:
        """Takes in one turn."""
        self._counts[min(int(seconds * 1000), 1000)] += 1
        self.worst = max(self.worst, seconds)

    def percentile(self, share: float) -> float:
        """Seconds that this share of the turns kept to, rounded up to a millisecond."""
        wanted = share * sum(self._counts)
        so_far = 0
        for milliseconds, count in enumerate(self._counts):
            so_far += count
            if count and so_far >= wanted:
                return (milliseconds + 1) / 1000
        return 0.0


class Source(Protocol):
    """What a caller can listen to."""

    def play(self, size: int) -> Played:
        """Plays the next ``size`` bytes."""
        ...


class Listener(Protocol):
    """What a caller can talk to."""

    def send_frame(self, mulaw: bytes) -> None:
        """Takes 20 ms of audio."""
        ...


class Line:
    """One call's line, from the moment it is answered.

    Args:
        voice: What the caller says.
        ear: What the caller hears.
        recording: Takes both, if the call is to be recorded.
    """

    def __init__(self, voice: Voice, ear: Ear, recording: Recording | None = None):
        self.voice = voice
        self.ear = ear
        self.listener: Listener | None = None
        self.source: Source | None = None
        self.lateness = Lateness()
        self._recording = recording
        self._unsent: bytes | None = None
        self._waiting: list[asyncio.Future[None]] = []

    async def run(self) -> None:
        """Keeps the clock; runs until cancelled."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        turns = 0
        while True:
            due = began + turns * FRAME_SECONDS
            late = loop.time() - due
            if late < 0:
                await asyncio.sleep(-late)
                late = max(0.0, loop.time() - due)
            self.lateness.count(late)
            self._take_turn()
            turns += 1

    async def next_turn(self) -> None:
        """Waits for the next 20 ms to pass."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    def close(self) -> None:
        """Lets everybody go who waits for the next turn."""
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)
        self._waiting.clear()

    def _take_turn(self) -> None:
        said = self.voice.next_frame()
        if self.listener is not None and self._unsent is not None:
            self.listener.send_frame(self._unsent)
        self._unsent = said
        played = self.source.play(FRAME_BYTES) if self.source else _NOTHING
        if played.follows_clear:
            self.ear.break_off()
        self.ear.hear(played.audio, from_bot=played.from_bot > 0)
        if self._recording is not None:
            self._recording.write(said, played.audio)
        self.close()


_NOTHING = Played(audio=b"\xff" * FRAME_BYTES, from_bot=0)
