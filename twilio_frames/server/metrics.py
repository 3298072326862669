"""``GET /metrics``: what this server measures, and the other processes that share its port."""

import asyncio
import time
from collections.abc import AsyncIterator

from aiohttp import web

from twilio_frames import __version__, metrics
from twilio_frames.errors import MissingExtraError
from twilio_frames.frames import CallEndReason, FailureKind, VendorRole
from twilio_frames.metrics.kept import KeptMetrics, is_available
from twilio_frames.processors.fallback import vendor_health
from twilio_frames.processors.fallback.vendor_health import VendorHealth
from twilio_frames.protocol.violations import BreakKind
from twilio_frames.server.dialing.placing import check_key
from twilio_frames.server.incoming import problem
from twilio_frames.server.state import STATE, ServerState

__all__ = ["measured", "metrics_text"]

_SHOW_SECS = 1.0
TURNED_AWAY = ("busy", "line", "queue", "elsewhere")
"""What a call gets for which there is no line."""


async def metrics_text(request: web.Request) -> web.Response:
    """``GET /metrics``: for those who may place a call, as all that tells of them."""
    check_key(request, {})
    kept = request.app[STATE].metrics
    if not kept.is_on:
        raise problem(web.HTTPNotFound, _what_is_missing())
    # It reads the files of all processes, for which no call is to wait.
    text, kind = await asyncio.to_thread(kept.text, request.headers.get("Accept", ""))
    return web.Response(body=text, headers={"Content-Type": kind})


def _what_is_missing() -> str:
    if is_available():
        return "expected metrics=True (TWILIO_FRAMES_METRICS) for /metrics, got none"
    return str(MissingExtraError("prometheus_client", "metrics"))


class _Vendors:
    """Follows the vendors of this process."""

    def __init__(self, kept: KeptMetrics):
        self._kept = kept
        self._known: set[VendorHealth] = set()

    def succeeded(self, vendor: VendorHealth) -> None:
        if vendor not in self._known:
            self._known.add(vendor)
            for kind in FailureKind:
                self._kept.count(metrics.FAILURES, vendor.role.value, vendor.name, kind, by=0)
        self._kept.count(metrics.SUCCESSES, vendor.role.value, vendor.name)

    def first_byte(self, vendor: VendorHealth, seconds: float) -> None:
        self._kept.observe(metrics.FIRST_BYTE, seconds, vendor.role.value, vendor.name)

    def failed(self, vendor: VendorHealth, kind: FailureKind) -> None:
        self._kept.count(metrics.FAILURES, vendor.role.value, vendor.name, kind.value)


class _Watch:
    """Follows the event loop, and shows with it how the server stands."""

    def __init__(self, state: ServerState):
        self._state = state
        self._shown_at = 0.0

    def looked(self, late_secs: float) -> None:
        self._state.metrics.observe(metrics.LAG, max(0.0, late_secs))
        if (now := time.monotonic()) - self._shown_at >= _SHOW_SECS:
            self._shown_at = now
            self.show()

    def show(self) -> None:
        kept, state = self._state.metrics, self._state
        kept.show(metrics.WORKERS, 1, __version__)
        kept.show(metrics.DRAINING, state.switchboard.draining)
        kept.show(metrics.REGISTERLESS, state.fleet.is_out_of_reach)
        kept.show(metrics.CALLS_UP, len(state.switchboard))
        kept.show(metrics.WAITING, len(state.waiting))
        kept.show(metrics.MOST_CALLS, state.settings.max_calls)


def _begin_at_zero(kept: KeptMetrics) -> None:
    """Has the first of each count: Prometheus sees no growth in what it sees first at 1."""
    known = {
        metrics.ENDED: CallEndReason,
        metrics.TURNED_AWAY: TURNED_AWAY,
        metrics.GAPS: [kind.value for kind in BreakKind],
        metrics.GAP_SECONDS: [kind.value for kind in BreakKind],
        metrics.SWITCHES: VendorRole,
    }
    for metric, values in known.items():
        for value in values:
            kept.count(metric, value, by=0)


async def measured(app: web.Application) -> AsyncIterator[None]:
    """Has a server measure itself while it runs."""
    state = app[STATE]
    if state.metrics.is_on:
        watch = _Watch(state)
        watch.show()
        _begin_at_zero(state.metrics)
        vendor_health.VENDORS.follower = _Vendors(state.metrics)
        state.lag.follow = watch.looked
        state.lag.start()
    yield
    state.lag.stop()
