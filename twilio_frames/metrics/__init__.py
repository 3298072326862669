"""What a server measures of itself and of its calls: ``docs/metrics.md`` says what to do about it.

No label holds what comes from a caller: neither numbers, nor words, nor ids of calls.
"""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["METRICS", "Kind", "Metric"]

PREFIX = "twilio_frames_"


class Kind(StrEnum):
    """What a metric is to Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, kw_only=True, eq=False)
class Metric:
    """One thing that is measured.

    Parameters:
        name: Its name, with the unit it is in.
        kind: What it is to Prometheus.
        told: What it is, in a sentence without its point.
        labels: By what it is told apart.
        buckets: Of a histogram: the upper bounds of all but the last.
    """

    name: str
    kind: Kind
    told: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def full_name(self) -> str:
        """The name that Prometheus knows."""
        return PREFIX + self.name


def _counter(name: str, told: str, *labels: str) -> Metric:
    return Metric(name=name, kind=Kind.COUNTER, told=told, labels=labels)


def _gauge(name: str, told: str, *labels: str) -> Metric:
    return Metric(name=name, kind=Kind.GAUGE, told=told, labels=labels)


def _seconds(name: str, told: str, buckets: tuple[float, ...], *labels: str) -> Metric:
    kind = Kind.HISTOGRAM
    return Metric(name=name + "_seconds", kind=kind, told=told, labels=labels, buckets=buckets)


# Bounds are close where somebody at the other end begins to notice.
_WAITS = (0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_QUICK = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0)
_LAGS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_LONG = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)

WORKERS = _gauge("workers", "Processes that are up", "version")
DRAINING = _gauge("workers_draining", "Processes that take no new calls, since they are to stop")
REGISTERLESS = _gauge("workers_without_register", "Processes that the register does not answer")
CALLS_UP = _gauge("calls_up", "Calls whose bot runs")
WAITING = _gauge("calls_waiting", "Calls that wait in the queue for a line")
MOST_CALLS = _gauge("calls_most", "How many calls may be up at once")
ENDED = _counter("calls_ended_total", "Calls that have ended, by how", "end_reason")
CALL = _seconds("call", "How long a bot had a call", _LONG)
TAKEOVERS = _counter("takeovers_total", "Calls taken over from a bot that was gone")
TURNED_AWAY = _counter("turned_away_total", "Times that there was no line for a call", "got")
QUEUE = _seconds("queue_wait", "How long a call waited for a line", _LONG, "outcome")
REFUSALS = _counter("refusals_total", "Requests and streams that were refused", "kind")

FIRST_AUDIO = _seconds("first_audio", "From the stream's opening to the bot at the ear", _WAITS)
ANSWER = _seconds("answer", "From the end of the caller's speech to the answer at the ear", _WAITS)
BARGE_IN = _seconds("barge_in", "From the onset of an interruption to silence at the ear", _QUICK)
HOLDS = _counter("holds_total", "Times that the bot fell silent since the caller might speak")
FALSE_ALARMS = _counter("false_alarms_total", "Holds after which the bot said on")
UNDERRUNS = _counter("underruns_total", "Holes that callers heard in the bot's sentences")
GAPS = _counter("caller_gaps_total", "Places where the caller's audio did not come as sent", "what")
GAP_SECONDS = _counter("caller_gap_seconds_total", "Seconds of the caller's audio in them", "what")

LAG = _seconds("loop_lag", "How late the event loop was, twenty times a second", _LAGS)
FIRST_BYTE = _seconds(
    "vendor_first_byte", "Until the first of a vendor's work came", _QUICK, "role", "vendor"
)
SUCCESSES = _counter("vendor_successes_total", "Work that a vendor did", "role", "vendor")
FAILURES = _counter(
    "vendor_failures_total", "Work that a vendor failed at", "role", "vendor", "failure"
)
SWITCHES = _counter("vendor_switches_total", "Times that another vendor took over", "role")

METRICS: tuple[Metric, ...] = tuple(
    each for each in tuple(globals().values()) if isinstance(each, Metric)
)
"""All of them."""
