"""What of a bot's exceptions is its own mistake, and so a test's to see.

It is what the bot itself raises; what a processor of its pipeline raises; what its functions and
its own services raise, though it apologizes and goes on; a fatal error; what its event handlers,
callbacks and tasks raise and nobody catches. A vendor that fails is none: that is what bots have to
live with.
"""

import socket
import ssl
import sys
from collections.abc import Sequence
from contextlib import suppress
from traceback import walk_tb
from typing import TYPE_CHECKING

from loguru import logger
from pipecat.frames.frames import ErrorFrame
from pipecat.processors import frame_processor
from pipecat.utils.errors import ErrorCategory

from twilio_frames.bulkhead import lost
from twilio_frames.errors import BotFailedError

if TYPE_CHECKING:
    from loguru import Record

_NOTE = "The bot raised this. With `keep_errors=True` it is kept in `bot_errors` instead."
_NETS = {"pipecat.utils.base_object", "pipecat.utils.asyncio.task_manager"}
"""Where Pipecat catches what event handlers and its tasks raise."""

_OF_THE_NETWORK = (ConnectionError, TimeoutError, socket.gaierror, ssl.SSLError)
_VENDORS = {
    *("aiohttp", "httpcore", "httpx", "requests", "urllib3", "websockets", "grpc"),
    *("anthropic", "botocore", "cartesia", "deepgram", "elevenlabs", "google", "groq", "openai"),
}
"""Packages that speak to vendors, by their names: an application's chain may call any of them."""


class _Net:
    """What bots' compartments are told by: a sink for all calls, for adding one takes 5 ms."""

    def __init__(self) -> None:
        self._sink: int | None = None

    def lay(self) -> None:
        # Whoever sets logging up anew removes it, too.
        if self._sink is not None and f"(id={self._sink}," in repr(logger):
            return
        if self._sink is not None:
            with suppress(ValueError):
                logger.remove(self._sink)
        self._sink = logger.add(_tell_lost, level="ERROR", filter=_is_of_net)


_net = _Net()


def tell_what_is_lost() -> None:
    """Tells bots' compartments from now on of what Pipecat catches and does no more than log."""
    _net.lay()


def _is_of_net(record: "Record") -> bool:
    return record["name"] in _NETS


def _tell_lost(_: object) -> None:
    # The record itself has but the exception's text.
    error = sys.exc_info()[1]
    if error is not None:
        lost(error)


def mistake_of(frame: ErrorFrame) -> BaseException | None:
    """The bot's own mistake behind an error of its pipeline; None if it is somebody else's."""
    error = frame.exception
    is_own = frame.category is ErrorCategory.APPLICATION and not is_of_vendor(error)
    if error is not None and (is_own or _is_uncaught(error)):
        return error
    if frame.fatal:
        return error or BotFailedError(f"expected a pipeline that goes on, got: {frame.error}")
    return None


def is_of_vendor(error: BaseException | None) -> bool:
    """Whether a network or a vendor's library raised it, or what it was raised from."""
    while error is not None:
        passed = (frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__))
        rooms = {name.split(".")[0] for name in (type(error).__module__, *passed)}
        if isinstance(error, _OF_THE_NETWORK) or rooms & _VENDORS:
            return True
        error = error.__cause__ or error.__context__
    return False


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
