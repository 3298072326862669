"""What other transports send and a media stream has no room for."""

from loguru import logger
from pipecat.frames.frames import OutputTransportMessageFrame, OutputTransportMessageUrgentFrame

DIGITS = (
    "expected no digits to be sent on a media stream: Twilio does not recognise tones in it. Give "
    "the call TwiML with <Play digits> instead"
)
"""What to say to whoever wants to send digits."""

_RTVI = "rtvi-ai"


class UnsupportedMessages:
    """Leaves out a program's own messages, and says so once."""

    def __init__(self) -> None:
        self._is_told = False

    def leave_out(
        self, frame: OutputTransportMessageFrame | OutputTransportMessageUrgentFrame
    ) -> None:
        """Leaves out a message; those of RTVI, which Pipecat makes by itself, without a word."""
        is_rtvi = isinstance(frame.message, dict) and frame.message.get("label") == _RTVI
        if is_rtvi or self._is_told:
            return
        self._is_told = True
        logger.warning(
            f"a media stream carries no messages of a program's own; {type(frame).__name__} is "
            "left out, this one and all others. For a mark there is SendMarkFrame; what your own "
            "software should know goes another way"
        )
