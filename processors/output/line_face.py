"""What the output asks of whoever owns the socket, and which parameters it goes by."""

from collections.abc import Callable, Sequence
from typing import Protocol

from twilio_frames.frames import Act, CallEndReason, DetourFrame
from twilio_frames.protocol import BotMessage, Playback


class Line(Protocol):
    """The way to Twilio: what the pacer asks of whoever owns the socket."""

    playback: Playback
    on_echo: Callable[[], None]
    """Called after each mark that came back."""
    on_end: Callable[[], None]
    """Called once, at the end of the line."""
    on_left: Callable[[], None]
    """Called when the line has been left for something else, and is to come back."""
    on_open: Callable[[], None]
    """Called when messages can be sent: at the start of the line, and when it is back."""

    @property
    def overhearing(self) -> Sequence[object]:
        """Who is told what was heard; often nobody."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether messages can still be sent."""
        ...

    @property
    def is_away(self) -> bool:
        """Whether it has been left, and is to come back."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether it has ended; one that has not begun yet has not."""
        ...

    def act(self, action: Act) -> bool:
        """Has the call do something; False if there is none that could."""
        ...

    async def leave(self, detour: DetourFrame) -> bool:
        """Leaves the line for something else; what is said meanwhile waits.

        Returns:
            Whether anybody sees to it.
        """
        ...

    async def send(self, message: BotMessage) -> bool:
        """Sends a message in bounded time; False if the line is closed."""
        ...

    async def send_audio(self, mulaw: bytes) -> bool:
        """Sends audio with a mark behind it, in bounded time; False if the line is closed.

        Where nothing is being played, a mark ahead of it tells when it begins.
        """
        ...

    async def clear(self) -> bool:
        """Throws away what Twilio holds; False if the line is closed."""
        ...

    def bot_heard(self, mulaw: bytes, played_at: float) -> None:
        """Takes note of audio that was heard.

        Args:
            mulaw: The audio.
            played_at: When it began to be played, but for the line's delay.
        """
        ...

    async def close(self, reason: CallEndReason, detail: str) -> None:
        """Closes the line in bounded time."""
        ...


class Timing(Protocol):
    """Parameters; see :class:`twilio_frames.transport.TwilioParams`."""

    lead_secs: float
    playout_timeout_secs: float


class OutputTiming(Timing, Protocol):
    """The parameters the output reads; see :class:`twilio_frames.transport.TwilioParams`."""

    holds: bool
    hold_secs: float
    cut_mark: str
    function_rounds_limit: int | None
