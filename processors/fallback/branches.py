"""What the branches of a fallback need: names, an end to connecting, and which frames came out."""

import asyncio
import re
from collections import Counter, OrderedDict
from collections.abc import Sequence

from pipecat.processors.frame_processor import FrameProcessor, FrameProcessorSetup

SETUP_SECS = 2.5
"""How long a service may take to connect when the call begins."""

_FRAMES_KEPT = 4096
_MADE_BY = re.compile(r"^Phone|(STT|LLM|TTS)?Service$")


class RecentIds:
    """The latest frames' ids; Pipecat's ``ParallelPipeline`` would keep those of the whole call."""

    def __init__(self) -> None:
        self._ids: OrderedDict[int, None] = OrderedDict()

    def __contains__(self, frame_id: int) -> bool:
        return frame_id in self._ids

    def add(self, frame_id: int) -> None:
        """Notes one."""
        self._ids[frame_id] = None
        if len(self._ids) > _FRAMES_KEPT:
            self._ids.popitem(last=False)


def bound_setup(service: FrameProcessor) -> None:
    """Has a service give up connecting in time: until it has, the call does not begin."""
    connect = service.setup

    async def connect_in_time(setup: FrameProcessorSetup) -> None:
        async with asyncio.timeout(SETUP_SECS):
            await connect(setup)

    service.setup = connect_in_time


def names_of(services: Sequence[FrameProcessor]) -> list[str]:
    """Vendors' names by the classes of their services; numbered where they would be the same."""
    names: list[str] = []
    times: Counter[str] = Counter()
    for service in services:
        name = _MADE_BY.sub("", type(service).__name__).lower() or "vendor"
        times[name] += 1
        names.append(name if times[name] == 1 else f"{name} {times[name]}")
    return names
