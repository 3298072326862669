"""What the branches of a fallback need: names, an end to connecting, and which frames are owed."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Sequence

from pipecat.frames.frames import Frame
from pipecat.processors.frame_processor import FrameProcessor, FrameProcessorSetup

from twilio_frames.processors.fallback.vendor_watch import WatchedVendor, vendor_name

SETUP_SECS = 2.5
"""How long a service may take to connect when the call begins."""

_FRAMES_KEPT = 4096
_OWED_AT_MOST = 2000


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


class Owed:
    """The frames that went into a service and have not come out, in order."""

    def __init__(self) -> None:
        self._frames: OrderedDict[int, Frame] = OrderedDict()

    def __contains__(self, frame: Frame) -> bool:
        return frame.id in self._frames

    def add(self, frame: Frame) -> None:
        """Notes one that goes in."""
        self._frames[frame.id] = frame
        if len(self._frames) > _OWED_AT_MOST:
            self._frames.popitem(last=False)

    def came_out(self, frame: Frame) -> None:
        """Notes one that comes out, if it went in: those before it were worked on, too."""
        if frame in self:
            while self._frames.popitem(last=False)[0] != frame.id:
                pass

    def drop(self, frame: Frame) -> None:
        """Notes that one is seen to in another way."""
        self._frames.pop(frame.id, None)

    def interrupt(self) -> None:
        """Drops what an interruption may drop."""
        kept = {key: frame for key, frame in self._frames.items() if not frame.interruptible}
        self._frames = OrderedDict(kept)

    def frames(self) -> list[Frame]:
        """All of them."""
        return list(self._frames.values())

    def take(self) -> list[Frame]:
        """All of them, for good."""
        frames = self.frames()
        self._frames.clear()
        return frames


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
