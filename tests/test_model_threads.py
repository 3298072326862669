"""Models: few threads, a bounded queue, each loaded once."""

import asyncio
import threading

import pytest

from tests.waiting import others_run
from twilio_frames.model_threads import ModelThreads, SharedModels, ThreadsBusyError


async def test_what_is_too_much_is_refused_at_once():
    may_end = threading.Event()
    threads = ModelThreads("of-test", threads=1, most_waiting=1)
    work = [asyncio.create_task(threads.run(lambda: may_end.wait(30))) for _ in range(2)]
    await others_run()

    with pytest.raises(ThreadsBusyError, match="expected at most 2 pieces of work"):
        await threads.run(lambda: None)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(work[0]), 0.01)
    may_end.set()
    assert await asyncio.gather(*work) == [True, True]
    assert await threads.run(lambda: threading.current_thread().name[:7]) == "of-test"
    threads.close()


async def test_model_is_loaded_once_and_a_failure_is_tried_again():
    loaded: list[str] = []

    def load(name: str, *, size: int = 1) -> str:
        loaded.append(f"{name} {size}")
        if len(loaded) == 1:
            raise OSError("not there yet")
        return name * size

    models = SharedModels(load)
    with pytest.raises(OSError, match="not there yet"):
        await models.get("a")
    # The first one says how.
    found = await asyncio.gather(models.get("a", size=2), models.get("a"), models.get("b"))
    assert found == ["aa", "aa", "b"]
    assert loaded == ["a 1", "a 2", "b 1"]
