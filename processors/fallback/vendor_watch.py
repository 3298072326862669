"""Services that tell how they do where no fallback does it for them."""

import re
import time
from typing import Any, ClassVar

from pipecat.frames.frames import ErrorFrame
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.utils.errors import ErrorCategory

from twilio_frames.processors.fallback import vendor_health
from twilio_frames.processors.fallback.vendor_health import VendorHealth, VendorRole, kind_of

__all__ = ["WatchedVendor", "vendor_name"]

_MADE_BY = re.compile(r"^Phone|(STT|LLM|TTS)?Service$|Processor$")


def vendor_name(service: FrameProcessor) -> str:
    """What a vendor is called, by its service's class."""
    return _MADE_BY.sub("", type(service).__name__).lower() or "vendor"


class WatchedVendor(FrameProcessor):
    """A base of services that keep :data:`VENDORS` informed: of failures, and of the first byte.

    A failure is an error that the service reports, unless it is the application's. How long the
    first byte takes is Pipecat's time to first byte, noted whether or not the pipeline has metrics
    enabled: of an STT service the time from where the caller's speech ended to the final words.

    Nothing keeps a service from working because its vendor fails: that is up to fallbacks, of this
    call or another.
    """

    vendor_role: ClassVar[VendorRole]
    """What the vendor does."""

    is_vendor_the_application: ClassVar[bool] = False
    """Whether what it asks is the application's own, so that the application's errors count."""

    is_watched_by_fallback: bool = False
    """Whether a fallback does this in the service's place."""

    _asked_at: float | None = None

    async def start_ttfb_metrics(self, *, start_time: float | None = None) -> None:
        """Notes when the vendor was asked; Pipecat calls it."""
        self._asked_at = time.time() if start_time is None else start_time
        await super().start_ttfb_metrics(start_time=start_time)

    async def cancel_ttfb_metrics(self) -> None:
        """Forgets that the vendor was asked; Pipecat calls it."""
        self._asked_at = None
        await super().cancel_ttfb_metrics()

    async def stop_ttfb_metrics(self, *, end_time: float | None = None) -> None:
        """Notes that the first byte has come; Pipecat calls it."""
        asked_at, self._asked_at = self._asked_at, None
        if asked_at is not None and not self.is_watched_by_fallback:
            took = (time.time() if end_time is None else end_time) - asked_at
            # Words that came before the caller's speech ended were another utterance's.
            self._health.succeeded(took if took >= 0 else None)
        await super().stop_ttfb_metrics(end_time=end_time)

    async def stop_all_metrics(self) -> None:
        """Forgets that the vendor was asked, for it is no longer; Pipecat calls it."""
        self._asked_at = None
        await super().stop_all_metrics()

    async def push_error_frame(self, error: ErrorFrame, *args: Any, **kwargs: Any) -> None:
        """Reports an error, and notes that the vendor has failed."""
        await super().push_error_frame(error, *args, **kwargs)
        # Its category is known from there on.
        if not self.is_watched_by_fallback and self._is_failure(error):
            self._health.failed(kind_of(error))

    def _is_failure(self, error: ErrorFrame) -> bool:
        is_application = getattr(error, "category", None) is ErrorCategory.APPLICATION
        return error.processor is self and (self.is_vendor_the_application or not is_application)

    @property
    def _health(self) -> VendorHealth:
        return vendor_health.VENDORS.of(self.vendor_role, vendor_name(self))
