"""Lines on their way to a file: a bounded queue, written on a thread that all logs share."""

import asyncio
import functools
import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import msgspec
from loguru import logger

from twilio_frames.private_files import make_private_folder, open_private

Line = dict[str, Any]

MOST_LINES = 5000
"""How many lines wait at most for a disk that is too slow."""


@functools.cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="call-log")


class LineWriter:
    """Writes lines of JSON to a file, and never keeps anybody waiting.

    A file that cannot be written is told of once; the call goes on without its log.

    Args:
        path: The file, for its owner alone to read; what was there is gone. Its folder is made if
            need be.
    """

    def __init__(self, path: Path):
        self.dropped = 0
        """How many lines were lost because the disk was too slow."""
        self.written = 0
        """How many lines were handed to the file."""
        self.failure: OSError | None = None
        """Why writing stopped; None if it did not."""
        self._path = path
        self._file: IO[bytes] | None = None
        self._waiting: list[Line] = []
        self._writing: Future[None] | None = None
        self._has_ended = False

    def add(self, line: Line) -> None:
        """Takes a line, to be written with the next :meth:`flush`."""
        if self._has_ended or self.failure is not None or len(self._waiting) >= MOST_LINES:
            self.dropped += 1
            return
        self._waiting.append(line)

    def flush(self) -> None:
        """Hands what waits to the thread, unless that is still busy."""
        if self._waiting and (self._writing is None or self._writing.done()):
            self._submit(is_last=False)

    def end(self) -> None:
        """Writes the rest, and closes the file."""
        if not self._has_ended:
            self._has_ended = True
            self._submit(is_last=True)

    async def wait_until_written(self, patience: float) -> bool:
        """Waits until all is on disk, after :meth:`end`; False if it is not in time, or failed."""
        if self._writing is not None:
            await asyncio.wait([asyncio.wrap_future(self._writing)], timeout=patience)
        is_written = self._writing is not None and self._writing.done()
        return self._has_ended and is_written and self.failure is None

    def _submit(self, *, is_last: bool) -> None:
        lines, self._waiting = self._waiting, []
        self.written += len(lines)
        self._writing = _thread().submit(self._write, lines, is_last)

    def _encoded(self, line: Line) -> bytes:
        try:
            return msgspec.json.encode(line) + b"\n"
        except (ValueError, TypeError, OverflowError, RecursionError):
            # Half a surrogate pair is no text that a file could hold, for one.
            self.dropped += 1
            return b""

    def _write(self, lines: list[Line], is_last: bool) -> None:
        if self.failure is not None:
            return
        try:
            if self._file is None:
                make_private_folder(self._path.parent)
                self._file = os.fdopen(open_private(self._path), "wb", buffering=0)
            self._file.write(b"".join(map(self._encoded, lines)))
            if is_last:
                self._file.close()
        except OSError as error:
            # Not the error's own text: it holds the path, which may name the caller.
            logger.error(f"call log stopped: {error.strerror}; the call goes on")
            self.failure = error
            if self._file is not None:
                self._file.close()
