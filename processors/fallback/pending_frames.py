"""What a service has been given and still owes."""

from collections import OrderedDict

from pipecat.frames.frames import Frame

_OWED_AT_MOST = 2000


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
