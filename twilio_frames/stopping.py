"""Ends tasks that take a cancellation for an order, or forget it."""

import asyncio
from collections.abc import Iterable
from typing import Any

__all__ = ["FRAME_TASKS", "SETUP_TASKS", "cancel_until_done"]

FRAME_TASKS = "_frame_task_handler"
"""What the names of the tasks end with in which Pipecat's processors take their frames."""
SETUP_TASKS = "::setup::"
"""What stands in the names of the tasks in which Pipecat sets its processors up."""


async def cancel_until_done(tasks: Iterable["asyncio.Task[Any]"], *, seconds: float) -> bool:
    """Cancels tasks again and again until they have ended.

    Some need it: Pipecat's worker waits, once cancelled, until its ``CancelFrame`` has gone through
    the pipeline. Where an event loop that closes has cancelled the pipeline's own tasks as well,
    as :func:`asyncio.run` does, that frame goes nowhere, and only a second cancellation ends it.

    Args:
        tasks: What is to end.
        seconds: How long to try.

    Returns:
        Whether all have ended.
    """
    left = set(tasks)
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while left and loop.time() < until:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.05)
    return not left
