"""What of a bot's exceptions is its own mistake, and so a test's to see.

It is what the bot itself raises; what a processor of its pipeline raises; what its functions and
its own services raise, though it apologizes and goes on; a fatal error. A vendor that fails is
none: that is what bots have to live with.
"""

import asyncio
from collections.abc import Sequence

from pipecat.frames.frames import ErrorFrame
from pipecat.processors import frame_processor
from pipecat.utils.errors import ErrorCategory

from twilio_frames.errors import BotFailedError

_NOTE = "The bot raised this. With `keep_errors=True` it is kept in `bot_errors` instead."


def is_mistake(error: BaseException) -> bool:
    """Whether what ended a bot is a mistake, and not an order to end."""
    return not isinstance(error, asyncio.CancelledError | KeyboardInterrupt | GeneratorExit)


def mistake_of(frame: ErrorFrame) -> BaseException | None:
    """The bot's own mistake behind an error of its pipeline; None if it is somebody else's."""
    error = frame.exception
    if error is not None and (frame.category is ErrorCategory.APPLICATION or _is_uncaught(error)):
        return error
    if frame.fatal:
        return error or BotFailedError(f"expected a pipeline that goes on, got: {frame.error}")
    return None


def _is_uncaught(error: BaseException) -> bool:
    """Whether nobody caught it but Pipecat's own loop, which calls the processors."""
    first = error.__traceback__
    return first is not None and first.tb_frame.f_code.co_filename == frame_processor.__file__


def raise_first(errors: Sequence[BaseException]) -> None:
    """Raises the first mistake, if there is one, with its own traceback; its notes tell of others.

    Raises:
        Exception: It. What is no ``Exception``, ``SystemExit`` say, comes as a cause.
    """
    if not errors:
        return
    first, *others = errors
    if _NOTE not in getattr(first, "__notes__", ()):
        first.add_note(_NOTE)
        for other in others:
            first.add_note(f"It raised {type(other).__name__} as well: {other}")
    if isinstance(first, Exception):
        raise first
    raise BotFailedError(f"expected a bot that ends by itself, got {first!r}") from first
