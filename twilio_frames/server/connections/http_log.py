"""aiohttp's log: what strangers send is counted, and not printed with a traceback each."""

import logging

from aiohttp.http import HttpProcessingError

from twilio_frames.server.calls.switchboard import describe
from twilio_frames.server.refusals import Refusals

__all__ = ["HttpLog"]


class HttpLog(logging.Logger):
    """Takes what aiohttp has to tell of requests.

    Args:
        refusals: Counts and tells of them.
    """

    def __init__(self, refusals: Refusals):
        super().__init__("twilio_frames.server.http", logging.WARNING)
        self._refusals = refusals

    def handle(self, record: logging.LogRecord) -> None:
        """Counts one; without the text, which may hold anything that was sent."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            self._refusals.note(
                "a request that is no HTTP, or has too long a header",
                "Twilio sends none such: nothing need be done",
            )
        elif isinstance(error, Exception):
            self._refusals.note_failure(describe(error))
        else:
            self._refusals.note_failure(str(record.msg))
