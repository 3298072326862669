"""What the branches of a fallback need: names, an end to connecting, and which frames came out."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Sequence

from pipecat.processors.frame_processor import FrameProcessor, FrameProcessorSetup

from twilio_frames.processors.fallback.vendor_watch import WatchedVendor, vendor_name

SETUP_SECS = 2.5
"""How long a service may take to connect when the call begins."""

_FRAMES_KEPT = 4096


def leave_watching_to_fallback(services: Sequence[FrameProcessor]) -> None:
    """Has services not tell themselves how they do."""
    for service in services:
        if isinstance(service, WatchedVendor):
            service.is_watched_by_fallback = True


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
        name = vendor_name(service)
        times[name] += 1
        names.append(name if times[name] == 1 else f"{name} {times[name]}")
    return names
