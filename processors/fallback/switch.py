"""What fallbacks of all roles share: who works, who takes over, and what gets in and out.

Theory of operation
-------------------
A fallback is a Pipecat ``ServiceSwitcher``: each service stands in a branch of its own, lifecycle
frames go through all branches, and the rest through the branch of the service that is active.
Pipecat would switch when a service has declared itself unusable, and leave the work in progress
undone. Here a gate stands on either side of each service. The one before it keeps what the service
still owes; the one behind it sees what the service has done, and holds back what a service says
that is no longer active. When the active one reports an error, or a deadline passes, the next one
that is well becomes active and is handed what is owed, in the same turn of the event loop, so that
no frame falls between them or is worked on twice. The one that failed is interrupted.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, TypedDict, cast

from loguru import logger
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    EndWorkerFrame,
    ErrorFrame,
    Frame,
    InterruptionFrame,
    LLMConfigureOutputFrame,
    ManuallySwitchServiceFrame,
    MetricsFrame,
    ServiceMetadataFrame,
    ServiceSwitcherFrame,
    ServiceSwitcherRequestMetadataFrame,
    ServiceUpdateSettingsFrame,
    StartFrame,
    STTMuteFrame,
    SystemFrame,
)
from pipecat.pipeline.service_switcher import ServiceSwitcher, ServiceSwitcherStrategy
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.errors import ErrorCategory

from twilio_frames.errors import ConfigurationError
from twilio_frames.frames import ServiceStopFrame, VendorSwitchedFrame
from twilio_frames.pipecat_internals import call_event_handler, keep_seen_ids, set_active_service
from twilio_frames.processors.fallback.branches import (
    Owed,
    RecentIds,
    bound_setup,
    leave_watching_to_fallback,
    names_of,
)
from twilio_frames.processors.fallback.vendor_health import (
    VENDORS,
    FailureKind,
    VendorHealth,
    VendorList,
    VendorRole,
    kind_of,
)
from twilio_frames.processors.llm import PythonLLMService
from twilio_frames.processors.replies.deadline import Deadline
from twilio_frames.processors.stt import UtteranceSTTService
from twilio_frames.processors.tts import PythonTTSService

_LIFECYCLE = (StartFrame, EndFrame, CancelFrame)
# Not work, and of use to others whoever is active.
_ALWAYS = (*_LIFECYCLE, ErrorFrame, MetricsFrame, ServiceMetadataFrame, ServiceUpdateSettingsFrame)
# What stays in force whoever is active.
_FOR_ALL = (LLMConfigureOutputFrame, STTMuteFrame)
# Their own errors; Pipecat's services report the application's errors under this category.
_OWN_CODE = (PythonLLMService, PythonTTSService, UtteranceSTTService)
_LONGEST_WORK_SECS = 60.0


class FallbackStrategy(ServiceSwitcherStrategy):
    """Leaves the choice of the active service to the fallback."""

    fallback: "Fallback"

    async def handle_frame(
        self, frame: ServiceSwitcherFrame, direction: FrameDirection
    ) -> FrameProcessor | None:
        """Switches by hand, the work in progress included."""
        if isinstance(frame, ManuallySwitchServiceFrame) and frame.service in self.services:
            await self.fallback.switch_to(frame.service)
            return frame.service
        return None

    async def handle_error(self, error: ErrorFrame) -> FrameProcessor | None:
        """Has another service take over where the error is a failure of the active one."""
        return await self.fallback.met_error(error)

    def activate(self, service: FrameProcessor) -> None:
        """Makes a service the active one, at once."""
        set_active_service(self, service)

    async def announce(self, service: FrameProcessor) -> None:
        """Tells the service, and whoever listens, that it is the active one."""
        await service.queue_frame(ServiceSwitcherRequestMetadataFrame(service=service))
        await call_event_handler(self, "on_service_switched", service)


class FallbackOptions(TypedDict, total=False):
    """What fallbacks of all roles take.

    Parameters:
        ends_call: Whether the call ends when none of the services does its part; by default not.
        names: What the vendors are called where their health is shown and shared; by default made
            of the services' classes. Name them where two services of a class are two vendors.
        vendors: Where their health is kept; by default for the whole process.
    """

    ends_call: bool
    names: Sequence[str] | None
    vendors: VendorList | None


class Fallback(ServiceSwitcher[FallbackStrategy]):
    """Base of the fallbacks: services of one role, of which one works and the next stands by.

    Args:
        services: The services in order of preference, at least two. Each is for this call alone.
        ends_call: See :class:`FallbackOptions`.
        names: As above.
        vendors: As above.
    """

    role: ClassVar[VendorRole]
    """What the services do."""

    def __init__(
        self,
        services: Sequence[FrameProcessor],
        *,
        ends_call: bool = False,
        names: Sequence[str] | None = None,
        vendors: VendorList | None = None,
    ):
        if len(services) < 2:
            raise ConfigurationError(
                f"expected at least two services to fall back on one another, got {len(services)}: "
                "put a single service into the pipeline as it is"
            )
        if names is not None and len(names) != len(services):
            raise ConfigurationError(
                f"expected a name for each of the {len(services)} services, got {len(names)}"
            )
        for service in services:
            bound_setup(service)
        leave_watching_to_fallback(services)
        super().__init__(list(services), FallbackStrategy)
        self.strategy.fallback = self
        self._ends_call = ends_call
        keep_seen_ids(self, RecentIds())
        book = VENDORS if vendors is None else vendors
        self.health_of = {
            service: book.of(self.role, name)
            for service, name in zip(services, names or names_of(services), strict=True)
        }
        self._tried: set[FrameProcessor] = set()
        self.owed = Owed()
        self._stops = RecentIds()
        self._deadlines: list[Deadline] = []
        self.progress = asyncio.Event()
        self._watches: list[asyncio.Task[None]] = []
        self.strategy.activate(self.next_service() or services[0])

    @staticmethod
    def _make_pipeline_definitions(
        services: list[FrameProcessor], strategy: ServiceSwitcherStrategy
    ) -> list[Any]:
        known = cast("FallbackStrategy", strategy)  # The constructor passes no other.

        def gate(service: FrameProcessor, *, is_exit: bool) -> _Gate:
            return _Gate(service, lambda: known.fallback, is_exit=is_exit)

        return [[gate(one, is_exit=False), one, gate(one, is_exit=True)] for one in services]

    @property
    def active(self) -> FrameProcessor:
        """The service that works."""
        return self.strategy.active_service

    @property
    def health(self) -> list[VendorHealth]:
        """The vendors' health, in the services' order."""
        return [self.health_of[service] for service in self.services]

    # Which frames get in and out.

    def accepts_downstream(self, service: FrameProcessor, frame: Frame) -> bool:
        """Whether a frame that comes down the pipeline reaches a service."""
        if isinstance(frame, ServiceUpdateSettingsFrame) and frame.service is service:
            # Pipecat hands the addressee its copy itself, if it is not active.
            return service is self.active
        if service is not self.active:
            return isinstance(frame, _FOR_ALL)
        if not isinstance(frame, SystemFrame | ServiceUpdateSettingsFrame):
            self.owed.add(frame)
        return True

    def accepts_upstream(self, service: FrameProcessor, frame: Frame) -> bool:
        """Whether a frame that goes up the pipeline passes, into a service or out of it."""
        return service is self.active

    async def filter_output(self, service: FrameProcessor, frame: Frame) -> Iterable[Frame]:
        """What becomes of a frame that comes out of a service."""
        if service is not self.active:
            return ()
        self.owed.came_out(frame)
        return (frame,)

    # Who works.

    async def choose(self) -> None:
        """Has the first service work that may, where no work is in progress."""
        self._tried.clear()
        best = self.next_service()
        if best is not None and best is not self.active:
            await self.switch_to(best)
        self.health_of[self.active].begin(self)

    def next_service(self) -> FrameProcessor | None:
        """The best of those that have not been tried with the work in progress."""
        left = [one for one in self.services if one.is_usable and one not in self._tried]
        well = [one for one in left if self.health_of[one].may_work(self)]
        return (well or sorted(left, key=lambda one: self.health_of[one].retry_in) or [None])[0]

    async def met_error(self, error: ErrorFrame) -> FrameProcessor | None:
        """Has the next service take over if an error of the active one is its failure.

        Returns:
            The active service if the error has been dealt with, None if it is to travel on.
        """
        is_application = getattr(error, "category", None) is ErrorCategory.APPLICATION
        if is_application and not isinstance(error.processor, _OWN_CODE):
            return None
        if self.active.is_usable and not self.takes_errors_for_failures:
            return None
        # If none is left, that has been reported.
        return await self.fail(kind_of(error)) or self.active

    async def fail(self, kind: FailureKind) -> FrameProcessor | None:
        """Notes that the active service has failed, and has the next one take over.

        Returns:
            The service that took over, None if there is none left.
        """
        failed = self.active
        self.health_of[failed].failed(kind)
        self._tried.add(failed)
        successor = self.next_service()
        if successor is not None:
            await self.switch_to(successor, kind)
            return successor
        await self.give_up()
        await self._report_that_all_failed(kind)
        await self._stop(failed)
        return None

    async def switch_to(self, service: FrameProcessor, kind: FailureKind | None = None) -> None:
        """Makes a service the active one and hands it the work in progress.

        Args:
            service: One of the services.
            kind: The failure of the one before it; None if it did not fail.
        """
        before = self.active
        if service is before:
            return
        self.strategy.activate(service)
        self.health_of[service].begin(self)
        handed = self.hand_over(before, service)
        for frame in handed:
            await service.queue_frame(frame)
        await self.close_work()
        if kind is not None:
            self.health_of[before].switched_from += 1
            self.health_of[service].switched_to += 1
        names = {"vendor": self.health_of[before].name, "successor": self.health_of[service].name}
        await self.strategy.announce(service)
        await self.push_frame(VendorSwitchedFrame(role=self.role, failure=kind, **names))
        if kind is not None:
            await self._stop(before)

    async def _stop(self, service: FrameProcessor) -> None:
        """Ends what a service is at, this included if it is what reports its failure.

        Nobody else is interrupted.
        """
        stop = ServiceStopFrame()
        self._stops.add(stop.id)
        await service.queue_frame(stop)

    def has_stopped_by(self, frame: Frame) -> bool:
        """Whether a frame is one of those that end what a failed service is at, on its way out."""
        return frame.id in self._stops

    async def _report_that_all_failed(self, kind: FailureKind) -> None:
        await self.push_error(
            f"expected one of {len(self.services)} vendors ({self.role}) to do its part, got "
            f"'{kind}' from the last: see their health, and that they can be reached from here",
            category=ErrorCategory.UNKNOWN,
        )
        if self._ends_call:
            await self.push_frame(EndWorkerFrame(reason="no vendor is left"))

    # What each role does in its own way.

    @property
    @abstractmethod
    def is_at_work(self) -> bool:
        """Whether somebody waits for the active service."""

    @property
    def takes_errors_for_failures(self) -> bool:
        """Whether an error that a service can carry on from is a failure at this time."""
        return self.is_at_work

    def hand_over(self, before: FrameProcessor, service: FrameProcessor) -> list[Frame]:
        """What the service that takes over is given to begin with. Must not wait."""
        return self.owed.frames()

    async def close_work(self) -> None:
        """Ends, for those behind, what the service before has left open."""

    @abstractmethod
    async def give_up(self) -> None:
        """Makes the best of it when no service is left for the work in progress."""

    # Their upkeep.

    def deadline(self, late: Any) -> Deadline:
        """A deadline that is watched while the call lasts."""
        self._deadlines.append(Deadline(late))
        return self._deadlines[-1]

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Takes a frame to the branches."""
        if isinstance(frame, StartFrame):
            self._watches = [self.create_task(one.run()) for one in self._deadlines]
            self.health_of[self.active].begin(self)
        elif isinstance(frame, EndFrame):
            await self._until_done()
        elif isinstance(frame, InterruptionFrame):
            self.owed.interrupt()
        await super().process_frame(frame, direction)

    async def _until_done(self) -> None:
        """Waits for the work in progress: behind the end nobody can take over."""
        try:
            async with asyncio.timeout(_LONGEST_WORK_SECS):
                while self.is_at_work:
                    self.progress.clear()
                    await self.progress.wait()
        except TimeoutError:
            logger.warning(f"{self}: not done {_LONGEST_WORK_SECS:.0f} s behind the call's end")

    async def cleanup(self) -> None:
        """Stops watching."""
        await super().cleanup()
        while self._watches:
            await self.cancel_task(self._watches.pop())


class _Gate(FrameProcessor):
    """Stands before or behind a service.

    Args:
        service: The service.
        fallback: Gives what knows which frames get in and out, once there is one.
        is_exit: Whether it stands behind the service.
    """

    def __init__(
        self, service: FrameProcessor, fallback: Callable[[], "Fallback"], *, is_exit: bool
    ):
        super().__init__(enable_direct_mode=True)
        self._service = service
        self._fallback = fallback
        self._is_exit = is_exit

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Lets a frame through, or what becomes of it."""
        await super().process_frame(frame, direction)
        fallback = self._fallback()
        if fallback.has_stopped_by(frame):
            return
        is_down = direction is FrameDirection.DOWNSTREAM
        if isinstance(frame, _ALWAYS) and (self._is_exit or not is_down):
            await self.push_frame(frame, direction)
        elif not is_down:
            if fallback.accepts_upstream(self._service, frame):
                await self.push_frame(frame, direction)
        elif not self._is_exit:
            if isinstance(frame, _LIFECYCLE) or fallback.accepts_downstream(self._service, frame):
                await self.push_frame(frame, direction)
        else:
            for one in await fallback.filter_output(self._service, frame):
                await self.push_frame(one, direction)
