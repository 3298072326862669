"""Commands on the test's own event loop, so that they share its time with whom they call."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

from twilio_frames.cli import main
from twilio_frames.testing.virtual_time import watch_threads

_run_on_own_loop = asyncio.run
_home = threading.local()


async def run(*arguments: object) -> int:
    """Gives the command's exit status."""
    loop = asyncio.get_running_loop()
    watch_threads()
    status: asyncio.Future[int] = loop.create_future()

    def command() -> None:
        _home.loop = loop
        try:
            found = main([str(argument) for argument in arguments])
        except BaseException as error:  # the test's, whatever it is
            loop.call_soon_threadsafe(status.set_exception, error)
        else:
            loop.call_soon_threadsafe(status.set_result, found)

    threading.Thread(target=command, name="command", daemon=True).start()
    return await status


def _run(coroutine: Coroutine[Any, Any, Any], **options: Any) -> Any:
    loop: asyncio.AbstractEventLoop | None = getattr(_home, "loop", None)
    if loop is None:
        return _run_on_own_loop(coroutine, **options)
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result()


asyncio.run = _run
