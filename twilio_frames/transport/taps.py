"""Who listens in on a call, at the line itself rather than in the pipeline; none can hurt it."""

import inspect
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from twilio_frames.audio import SAMPLE_RATE, mulaw_silence
from twilio_frames.errors import ConfigurationError
from twilio_frames.protocol import BotMessage, Event, Playback
from twilio_frames.safe_logging import report_unforeseen

__all__ = ["Audience", "CallTap", "CallTaps", "Failures", "LineWatcher"]

_MOST_KINDS = 100

Listener = TypeVar("Listener")


class CallTap(Protocol):
    """Hears both sides of a call as they were heard.

    All times are seconds since the stream began, on one clock. The methods run on the event loop
    and must return at once.
    """

    def caller_audio(self, mulaw: bytes, at: float) -> None:
        """The caller was heard.

        Args:
            mulaw: What was said; holes in it come as silence.
            at: When it began.
        """
        ...

    def bot_audio(self, mulaw: bytes, at: float) -> None:
        """The bot was heard. Audio that an interruption threw away never comes here.

        Args:
            mulaw: What was heard.
            at: When it began to be heard.
        """
        ...

    def line_ended(self, at: float) -> None:
        """The stream is over."""
        ...


class LineWatcher(Protocol):
    """Sees the messages of a call's stream. The methods run on the event loop, and return at once.

    Times are seconds of ``time.monotonic()``.
    """

    def received(self, event: Event, now: float) -> None:
        """Something arrived: a message, or what was wrong with one."""
        ...

    def sending(self, message: BotMessage, playback: Playback, now: float) -> None:
        """A message is about to be sent.

        Args:
            message: It.
            playback: Where the audio sent before it stands.
            now: The time.
        """
        ...


class Failures:
    """Counts what listeners raised; each kind is logged once.

    Args:
        whose: Whose listeners they are, for the log line.
    """

    def __init__(self, whose: Callable[[], str]):
        self._whose = whose
        self.counts: Counter[str] = Counter()
        """How often a listener's method raised, by ``class.method: exception``."""

    def note(self, listener: object, method: str, error: BaseException) -> None:
        """Notes what a listener raised."""
        kind = f"{type(listener).__name__}.{method}: {type(error).__name__}"
        if kind not in self.counts and len(self.counts) >= _MOST_KINDS:
            kind = "others"
        self.counts[kind] += 1
        if self.counts[kind] == 1:
            report_unforeseen(
                error,
                f"{self._whose()}: {type(listener).__name__}.{method}() failed; the call goes on, "
                "further ones of this kind are counted only",
            )


class Audience(Generic[Listener]):
    """Listeners, told one after the other.

    What one raises, be it no ``Exception``, reaches neither the others nor whoever tells them.

    Args:
        kind: What they are: a protocol, whose methods each of them has.
        failures: Counts what they raise.
    """

    def __init__(self, kind: type[Listener], failures: Failures):
        self._kind = kind
        self._failures = failures
        self.listeners: list[Listener] = []
        """Those who listen: often nobody, which is looked at before there is anything to tell."""

    def add(self, listener: Listener) -> None:
        """Lets somebody listen.

        Raises:
            ConfigurationError: If a method is missing, or would have to be awaited.
        """
        for method in _methods(self._kind):
            told = getattr(listener, method, None)
            if not callable(told) or inspect.iscoroutinefunction(told):
                got = "a coroutine function" if callable(told) else "none"
                raise ConfigurationError(
                    f"expected a plain method `{method}` of {type(listener).__name__}, got {got}: "
                    f"{self._kind.__name__} in twilio_frames.transport.taps says what is called"
                )
        self.listeners.append(listener)

    def remove(self, listener: Listener) -> None:
        """Lets somebody listen no longer."""
        # In place, since others look at the list: only for whether it is empty.
        self.listeners[:] = [one for one in self.listeners if one is not listener]

    def tell(self, method: str, *what: object) -> None:
        """Calls a method of each."""
        # A copy: one that is told may add another, or remove itself.
        for listener in tuple(self.listeners):
            # Whatever it is, it is the listener's own: nothing is awaited here.
            try:
                getattr(listener, method)(*what)
            except BaseException as error:
                self._failures.note(listener, method, error)


class CallTaps:
    """Those who hear both sides of a call, each when it was heard, by one clock.

    Args:
        failures: Counts what they raise.
        playback: Where the bot's audio stands.
    """

    MOST_AHEAD_SECS = 10.0
    """How far the first audio, by which the caller's clock is set, may have been late."""

    def __init__(self, failures: Failures, playback: Playback):
        self.failures = failures
        self.audience = Audience(CallTap, failures)
        """Who listens in."""
        self.opened_at = time.monotonic()
        """When the socket was taken over: zero of what they are told."""
        self.started_secs = math.inf
        """How long after that the stream began."""
        self._playback = playback
        self._caller_clock: float | None = None
        self._ended_at: float | None = None
        self._private: list[list[float]] = []
        self._reasons: frozenset[str] = frozenset()

    def be_private(self, is_private: bool, what: str) -> None:
        """Lets nobody listen in from here on, or lets them again: they hear silence meanwhile.

        Args:
            is_private: Whether there is a reason for it.
            what: The reason; there may be several at a time.
        """
        now, was_so = time.monotonic() - self.opened_at, bool(self._reasons)
        self._reasons = self._reasons | {what} if is_private else self._reasons - {what}
        if self._reasons and not was_so:
            self._private.append([now, math.inf])
        elif was_so and not self._reasons:
            self._private[-1][1] = now

    def _told(self, mulaw: bytes, at: float) -> bytes:
        """What they are told of some audio."""
        end = at + len(mulaw) / SAMPLE_RATE
        if any(at < over and end > begin for begin, over in self._private):
            return mulaw_silence(len(mulaw) / SAMPLE_RATE)
        return mulaw

    def add(self, tap: CallTap) -> None:
        """Lets somebody listen in; who comes when the stream is over is told that at once.

        Raises:
            ConfigurationError: If a method is missing, or would have to be awaited.
        """
        self.audience.add(tap)
        if self._ended_at is not None:
            late = Audience(CallTap, self.failures)
            late.add(tap)
            late.tell("line_ended", self._ended_at)

    def caller_heard(self, mulaw: bytes, timestamp: int | None) -> None:
        """Tells what the caller said.

        Args:
            mulaw: The audio.
            timestamp: Where it begins, milliseconds.
        """
        if not self.audience.listeners:
            return
        now = time.monotonic() - self.opened_at
        at = now if timestamp is None else timestamp / 1000
        if self._caller_clock is None:
            # What came while the pipeline was made ready is read late, and all at once.
            self._caller_clock = min(now - at, self.started_secs)
        place = self._caller_clock + at
        # Nobody has spoken yet what a clock of its own puts into the future.
        place = now if place > now + self.MOST_AHEAD_SECS else place
        self.audience.tell("caller_audio", self._told(mulaw, place), place)

    def begin_anew(self) -> None:
        """Goes on with a new stream, whose clock is another."""
        self._caller_clock = None
        self.started_secs = time.monotonic() - self.opened_at

    def bot_heard(self, mulaw: bytes, played_at: float) -> None:
        """Tells what the caller heard of the bot, on the caller's side of time."""
        at = max(0.0, played_at + self._playback.round_trip - self.opened_at)
        self.audience.tell("bot_audio", self._told(mulaw, at), at)

    def line_ended(self) -> None:
        """Tells that the stream is over."""
        self._ended_at = time.monotonic() - self.opened_at
        self.audience.tell("line_ended", self._ended_at)


def _methods(kind: type) -> Iterator[str]:
    return (name for name in vars(kind) if not name.startswith("_"))
