"""Every exception this package raises.

::

    TwilioFramesError
    ├── ConfigurationError (also ValueError)   what you passed or set cannot work
    │   └── MissingExtraError                  an optional dependency is not installed
    ├── ProtocolError                          a Media Streams rule was broken
    │   └── LocalProtocolError                 by this side: you sent what may not be sent
    ├── RestError                              Twilio's REST API said no, or nothing
    ├── StreamTimeoutError                     the other end of a stream did not do its part in time
    ├── RecognitionError                       the local recogniser could not listen
    ├── SynthesisError                         the local synthesiser could not speak
    ├── IncompleteReplyError                   a model's reply is not all there
    │   └── BrokenOffReplyError (also ConnectionError)  its stream ended, and not its reply
    ├── ClipError                              speech could not be recorded ahead of its call
    ├── DetourError                            a call left its stream, and all did not go well
    └── CallFailedError                        a call could not be carried out
        └── BotFailedError                     because the bot failed

What the *other* side does wrong on a stream is never an exception: it is a value, see
``twilio_frames.protocol.Violation``.
"""

from collections.abc import Generator
from contextlib import contextmanager

__all__ = [
    "BotFailedError",
    "CallFailedError",
    "ClipError",
    "ConfigurationError",
    "DetourError",
    "MissingExtraError",
    "ProtocolError",
    "RestError",
    "StreamTimeoutError",
    "TwilioFramesError",
]


class TwilioFramesError(Exception):
    """Root of every exception this package raises."""


class ConfigurationError(TwilioFramesError, ValueError):
    """What was passed or set in the environment cannot work."""


class MissingExtraError(ConfigurationError):
    """An optional dependency is not installed.

    Args:
        module: The module that could not be imported.
        extra: The extra of this package that brings it.
    """

    def __init__(self, module: str, extra: str):
        super().__init__(
            f"expected the module {module!r} to be installed, found none: "
            f"run `pip install '.[{extra}]'` in your clone of pipecat-twilio-frames, or "
            f"`pip install 'pipecat-twilio-frames[{extra}]'` if it came from an index"
        )
        self.module = module
        self.extra = extra


@contextmanager
def brought_by(extra: str) -> Generator[None]:
    """Has imports that fail for want of a module name the extra that brings it.

    Raises:
        MissingExtraError: A module is missing.
    """
    try:
        yield
    except MissingExtraError:
        raise
    except Exception as error:
        absence = absence_in(error)
        if absence is None or (absence.name or "").startswith("twilio_frames."):
            raise
        raise MissingExtraError(absence.name or extra, extra) from error


def absence_in(error: BaseException | None) -> ModuleNotFoundError | None:
    """What says that a module is missing, be it what an error came of; Pipecat's do."""
    while error is not None and not isinstance(error, ModuleNotFoundError):
        error = error.__cause__ or error.__context__
    return error


class ProtocolError(TwilioFramesError):
    """A rule of Media Streams was broken."""


class LocalProtocolError(ProtocolError):
    """This side tried to send what may not be sent."""


class RestError(TwilioFramesError):
    """Twilio's REST API refused a request, or did not answer it.

    Args:
        message: Twilio's own reason, or what failed.
        status: HTTP status, None when there was no answer.
        code: Twilio's error code (https://www.twilio.com/docs/api/errors), None when there is none.
        retryable: Whether the same request may be sent again without doing its work twice.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: int | None = None,
        retryable: bool = False,
    ):
        super().__init__(message)
        self.status = status
        self.code = code
        self.retryable = retryable

    @property
    def may_be_done(self) -> bool:
        """Whether what was asked for may have been done, its answer alone being lost."""
        is_refusal = self.status is not None and 300 <= self.status < 500
        return not is_refusal and not self.retryable


class StreamTimeoutError(TwilioFramesError):
    """The other end of a stream did not do its part in time."""


class RecognitionError(TwilioFramesError):
    """The local recogniser could not listen."""


class SynthesisError(TwilioFramesError):
    """The local synthesiser could not speak."""


class IncompleteReplyError(TwilioFramesError):
    """A model's reply is not all there."""


class BrokenOffReplyError(IncompleteReplyError, ConnectionError):
    """A stream ended as if it were whole, without the end of the reply in it."""


class ClipError(TwilioFramesError):
    """Speech could not be recorded ahead of its call."""


class DetourError(TwilioFramesError):
    """A call was to leave its stream for something else, and that did not go well.

    Args:
        message: What was expected, what came, and what to do.
        code: Twilio's error code (https://www.twilio.com/docs/api/errors), where it gave one.
        has_ended: Whether the call is over; else it is back, or has not left.
    """

    def __init__(self, message: str, *, code: int | None = None, has_ended: bool = False):
        super().__init__(message)
        self.code = code
        self.has_ended = has_ended


class CallFailedError(TwilioFramesError):
    """A call could not be carried out."""


class BotFailedError(CallFailedError):
    """A bot failed, by what is no exception of its own."""
