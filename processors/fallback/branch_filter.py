"""What stands on either side of a service, and lets frames through or not."""

from collections.abc import Callable, Iterable
from typing import Protocol

from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    MetricsFrame,
    ServiceMetadataFrame,
    ServiceUpdateSettingsFrame,
    StartFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

_LIFECYCLE = (StartFrame, EndFrame, CancelFrame)
# Not work, and of use to others whoever is active.
_ALWAYS = (*_LIFECYCLE, ErrorFrame, MetricsFrame, ServiceMetadataFrame, ServiceUpdateSettingsFrame)


class Gatekeeper(Protocol):
    """Whoever knows what gets in and out."""

    def has_stopped_by(self, frame: Frame) -> bool:
        """Whether a frame is one of those that end what a service is at, on its way out."""
        ...

    def accepts_downstream(self, service: FrameProcessor, frame: Frame) -> bool:
        """Whether a frame that comes down the pipeline reaches a service."""
        ...

    def accepts_upstream(self, service: FrameProcessor, frame: Frame) -> bool:
        """Whether a frame that goes up the pipeline passes, into a service or out of it."""
        ...

    async def filter_output(self, service: FrameProcessor, frame: Frame) -> Iterable[Frame]:
        """What becomes of a frame that comes out of a service."""
        ...


class Gate(FrameProcessor):
    """Stands before or behind a service.

    Args:
        service: The service.
        keeper: Gives who knows, once there is one.
        is_exit: Whether it stands behind the service.
    """

    def __init__(self, service: FrameProcessor, keeper: Callable[[], Gatekeeper], *, is_exit: bool):
        super().__init__(enable_direct_mode=True)
        self._service = service
        self._keeper = keeper
        self._is_exit = is_exit

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Lets a frame through, or what becomes of it."""
        await super().process_frame(frame, direction)
        keeper = self._keeper()
        if keeper.has_stopped_by(frame):
            return
        is_down = direction is FrameDirection.DOWNSTREAM
        if isinstance(frame, _ALWAYS) and (self._is_exit or not is_down):
            await self.push_frame(frame, direction)
        elif not is_down:
            if keeper.accepts_upstream(self._service, frame):
                await self.push_frame(frame, direction)
        elif not self._is_exit:
            if isinstance(frame, _LIFECYCLE) or keeper.accepts_downstream(self._service, frame):
                await self.push_frame(frame, direction)
        else:
            for one in await keeper.filter_output(self._service, frame):
                await self.push_frame(one, direction)
