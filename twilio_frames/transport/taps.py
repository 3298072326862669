"""Who listens in on a call, at the line itself rather than in the pipeline."""

from typing import Protocol

from twilio_frames.protocol import BotMessage, Event, Playback


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
