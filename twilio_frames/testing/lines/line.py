"""The caller's telephone line: every 20 ms one frame has been said and one has been heard.

Theory of operation
-------------------
A call has one line, whatever runs on it: streams and TwiML's own announcements come and go, and
each is only what the line is connected to for a while. The line's clock is absolute: turn *n* is
due 20 ms * n after the call was answered. A turn that comes late is made up for at once, so the
line never runs slow; how late turns came is measured, since nothing finer can be said about a bot.

Frame *n* is said and heard between turn *n* and turn *n + 1*. So turn *n* takes in what was heard
of frame *n - 1*, sends what was said in it (and what of the bot's voice came back as echo), and
decides what is said in frame *n*. The 20 ms are how often the caller looks, no more: the bot's
audio is played to the sample (``playback.py``), by the clock that :class:`LineClock` reads.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from twilio_frames.audio import MULAW_SILENCE, SAMPLE_RATE
from twilio_frames.testing.callers.ear import Ear
from twilio_frames.testing.callers.voice import FRAME_BYTES, Voice
from twilio_frames.testing.lines.conditions import PERFECT_LINE, LineConditions
from twilio_frames.testing.lines.telephone import ComfortNoise, Echo, over_a_law
from twilio_frames.testing.lines.timekeeping import Lateness
from twilio_frames.testing.streams.playback import Played


class Tap(Protocol):
    """Gets what was said and what was heard, as it passes."""

    def write(self, caller: bytes, bot: bytes) -> None:
        """Takes what both sides said in the same stretch of time, mu-law."""
        ...


class Taps:
    """All taps of one line, as one."""

    def __init__(self) -> None:
        self._taps: list[Tap] = []

    def add(self, tap: Tap) -> None:
        """Lets somebody listen from here on."""
        self._taps.append(tap)

    def remove(self, tap: Tap) -> None:
        """Does so no longer; nothing if it did not."""
        if tap in self._taps:
            self._taps.remove(tap)

    def write(self, caller: bytes, bot: bytes) -> None:
        """Hands a stretch of both sides to everybody."""
        for tap in tuple(self._taps):
            tap.write(caller, bot)


class LineClock:
    """The line's time in samples, 8000 a second, from the answer."""

    def __init__(self) -> None:
        self.began: float | None = None
        """When the call was answered, on the event loop's clock; None until then."""
        self.catch_up: Callable[[float], None] = lambda now: None
        """Has the line take the turns that were due by a time of the event loop's clock. Whoever
        does something that is dated calls it first, so that all happens in the order of time."""

    @property
    def samples(self) -> int:
        """The samples that have passed whole."""
        return self.sample_at(asyncio.get_running_loop().time())

    def sample_at(self, time: float) -> int:
        """The sample that is being played at a time of the event loop's clock."""
        if self.began is None:
            return 0
        # What was the edge of a sample is to remain one, whatever the floats make of it.
        return max(0, int((time - self.began) * SAMPLE_RATE + 1e-4))

    def time_of(self, sample: int) -> float:
        """When a sample begins, on the event loop's clock."""
        began = self.began if self.began is not None else asyncio.get_running_loop().time()
        return began + sample / SAMPLE_RATE


class Source(Protocol):
    """What a caller can listen to."""

    def join(self, now: int) -> None:
        """Is listened to from this sample of the line's clock on."""
        ...

    def play(self, size: int) -> Played:
        """The next ``size`` bytes that were heard."""
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
        recording: Gets both, as they pass.
        conditions: How it sounds. Delay, jitter and what breaks are the stream's business.
        seed: Makes comfort noise the same each time.
    """

    def __init__(
        self,
        voice: Voice,
        ear: Ear,
        recording: Tap | None = None,
        conditions: LineConditions = PERFECT_LINE,
        *,
        seed: int = 0,
    ):
        self.voice = voice
        self.ear = ear
        self._listener: Listener | None = None
        self.clock = LineClock()
        self.lateness = Lateness()
        self.conditions = conditions
        self._source: Source | None = None
        self._recording = recording
        level = conditions.echo_level
        self._echo = None if level is None else Echo(level, conditions.echo_delay)
        self._seed = seed
        self._comfort_noise = self._new_comfort_noise()
        self._said: bytes | None = None
        self._heard = bytearray()
        self._turns = 0
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def listener(self) -> Listener | None:
        """Whom the caller talks to; None for nobody."""
        return self._listener

    @listener.setter
    def listener(self, listener: Listener | None) -> None:
        # What it hears of the background must not depend on how long it took to be connected.
        self.voice.restart_background()
        self._comfort_noise = self._new_comfort_noise()
        self._listener = listener

    def listen_to(self, source: Source | None) -> None:
        """Hears a source from here on, or silence; what the one before has played was heard."""
        self._hear(self.clock.samples)
        self._source = source
        if source is not None:
            source.join(self.ear.samples)

    async def run(self) -> None:
        """Keeps the clock; runs until cancelled."""
        loop = asyncio.get_running_loop()
        self.clock.began = loop.time()
        self.clock.catch_up = self._catch_up
        over: asyncio.Future[None] = loop.create_future()
        timer: asyncio.Handle | None = None

        # A task that sleeps would take three steps of the event loop for each turn.
        def turn() -> None:
            nonlocal timer
            try:
                self._catch_up(loop.time())
            except Exception as error:
                over.set_exception(error)
            else:
                timer = loop.call_at(self._next_turn_at, turn)

        turn()
        try:
            await over
        finally:
            if timer is not None:
                timer.cancel()

    @property
    def _next_turn_at(self) -> float:
        return self.clock.time_of(self._turns * FRAME_BYTES)

    def _catch_up(self, now: float) -> None:
        """Takes the turns that are due."""
        while (due := self._next_turn_at) <= now:
            self.lateness.count(asyncio.get_running_loop().time() - due)
            self._turns += 1
            self._take_turn((self._turns - 1) * FRAME_BYTES)

    async def next_turn(self) -> None:
        """Waits for the next 20 ms to pass."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    def finish(self) -> None:
        """Writes down what was heard since the last turn; the clock has been stopped."""
        if self._recording is not None and self._heard:
            said = (self._said or b"")[: len(self._heard)]
            silence = bytes([MULAW_SILENCE])
            self._recording.write(said.ljust(len(self._heard), silence), bytes(self._heard))
        self.close()

    def close(self) -> None:
        """Lets everybody go who waits for the next turn."""
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)
        self._waiting.clear()

    def _take_turn(self, sample: int) -> None:
        self._hear(sample)
        if self._said is not None:
            self._end_frame(self._said)
        self._said = self.voice.next_frame()
        self.close()

    def _end_frame(self, said: bytes) -> None:
        heard = bytes(self._heard[:FRAME_BYTES])
        del self._heard[:FRAME_BYTES]
        if self._echo is not None:
            said = self._echo.mix(said, heard)
        if self._comfort_noise is not None:
            said = self._comfort_noise.pass_on(said)
        if self.conditions.is_over_a_law:
            said = over_a_law(said)
        if self._listener is not None:
            self._listener.send_frame(said)
        if self._recording is not None:
            self._recording.write(said, heard)

    def _new_comfort_noise(self) -> ComfortNoise | None:
        level = self.conditions.comfort_noise
        return None if level is None else ComfortNoise(level, seed=self._seed)

    def _hear(self, until: int) -> None:
        """Takes in what was heard up to a sample."""
        size = until - self.ear.samples
        if size <= 0:
            return
        played = self._source.play(size) if self._source else _silence(size)
        audio = over_a_law(played.audio) if self.conditions.is_over_a_law else played.audio
        self._heard += audio
        begin = 0
        for end in played.cleared_at:
            self.ear.hear(audio[begin:end], from_bot=played.from_bot > 0)
            self.ear.break_off()
            begin = end
        self.ear.hear(audio[begin:], from_bot=played.from_bot > 0)


def _silence(size: int) -> Played:
    return Played(audio=bytes([MULAW_SILENCE]) * size, from_bot=0)
