"""Shows what one's own bot raises, whole: with its text, which logs leave out."""

import asyncio
import sys
import traceback
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from pipecat.frames.frames import Frame

    from twilio_frames.transport.attending import AttendedTransport


class ShownErrors:
    """Attends to all calls in this process, and writes down what their bots raise.

    Args:
        output: Where to write.
    """

    def __init__(self, output: TextIO | None = None):
        self._output = output or sys.stderr

    def transport_made(self, transport: "AttendedTransport") -> None:
        """Follows a call's pipeline."""
        # The command line is read without Pipecat, which takes a second to import.
        from pipecat.frames.frames import ErrorFrame

        seen: set[int] = set()

        def look(_: object, frame: "Frame") -> None:
            if not isinstance(frame, ErrorFrame) or frame.exception is None:
                return
            if id(frame.exception) not in seen and len(seen) < 20:
                seen.add(id(frame.exception))
                self._write(f"{frame.processor} raised", frame.exception)

        for end in (transport.input(), transport.output()):
            end.add_event_handler("on_before_process_frame", look)
            end.add_event_handler("on_before_push_frame", look)

    def bot_failed(self, transport: "AttendedTransport", error: BaseException) -> None:
        """Writes down what a bot raised."""
        if not isinstance(error, asyncio.CancelledError):
            self._write("the bot raised", error)

    def _write(self, what: str, error: BaseException) -> None:
        text = "".join(traceback.format_exception(error))
        self._output.write(f"{what}\n{text}")
        self._output.flush()


def showing_errors(wanted: bool) -> AbstractContextManager[None]:
    """Shows what bots raise meanwhile, if that is wanted."""
    if not wanted:
        return nullcontext()
    from twilio_frames.transport.attending import attending

    return attending(ShownErrors())
