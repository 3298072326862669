"""Who listens in on a call, at the line itself rather than in the pipeline."""

from typing import Protocol


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
