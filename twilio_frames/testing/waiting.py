"""Waiting for the first of several events."""

import asyncio


async def until_any(*events: asyncio.Event | None, seconds: float | None = None) -> None:
    """Waits for the first of some events, or until the time is up."""
    waiting = [asyncio.create_task(event.wait()) for event in events if event is not None]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
