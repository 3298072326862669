"""The folder of the calls' logs, which names every call and may hold what was said."""

import asyncio
import contextlib
from pathlib import Path

from twilio_frames.private_files import close_unchosen_folder

__all__ = ["LogFolder"]


class LogFolder:
    """Closes the folder of the calls' logs to others before the first log is in it.

    Args:
        path: The folder; None for no logs.
    """

    def __init__(self, path: Path | None = None):
        self._path = path

    async def make_ready(self) -> None:
        """Does so at the first call, and keeps no call waiting for a disk that hangs."""
        path, self._path = self._path, None
        if path is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.to_thread(close_unchosen_folder, path), 1.0)
