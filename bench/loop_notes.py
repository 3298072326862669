"""Runs a bot of this folder, and tells on SIGUSR1 what its event loop has and has done.

    python bench/loop_notes.py our_bot.py

A line of JSON for each signal: how many tasks there are, and the longest time that one callback,
or one step of a task, has taken since the signal before.
"""

import asyncio
import runpy
import signal
import sys
import time
from pathlib import Path
from typing import Any

from stand_ins import note

_longest = 0.0


def _note(*_: object) -> None:
    global _longest
    note("loop", tasks=len(asyncio.all_tasks()), longest_ms=round(1000 * _longest, 2))
    _longest = 0.0


def _time_callbacks() -> None:
    run: Any = getattr(asyncio.Handle, "_run")  # noqa: B009 - pyright knows no such method

    def timed(handle: asyncio.Handle) -> None:
        global _longest
        began = time.thread_time()
        run(handle)
        _longest = max(_longest, time.thread_time() - began)

    setattr(asyncio.Handle, "_run", timed)  # noqa: B010


if __name__ == "__main__":
    del sys.argv[0]
    signal.signal(signal.SIGUSR1, _note)
    _time_callbacks()
    runpy.run_path(str(Path(__file__).parent / sys.argv[0]), run_name="__main__")
