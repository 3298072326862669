"""A call written down as it goes, for a report."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipecat.observers.base_observer import BaseObserver, FramePushed

from twilio_frames import __version__
from twilio_frames.calllog.frames import FrameLines, LogPrivacy
from twilio_frames.calllog.line import LineNotes
from twilio_frames.calllog.writer import Line, LineWriter
from twilio_frames.processors.output.early_start import HAPPENED_AT
from twilio_frames.report.lines import FORMAT, VERSION, Kind
from twilio_frames.safe_logging import report_unforeseen
from twilio_frames.transport import TwilioTransport


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clock:
    """How often a log looks around, in seconds.

    Parameters:
        tick_secs: Between two looks.
        ticks_a_write: Looks between two writes.
        stall_secs: A look that is later tells that the process stood still.
        wind_up_secs: How long behind the end of its line a log is closed, if nobody does.
    """

    tick_secs: float = 0.25
    ticks_a_write: int = 4
    stall_secs: float = 0.05
    wind_up_secs: float = 15.0


_CLOCK = _Clock()


def _nobody_follows(_: Line) -> None:
    """Takes a line of a log that nobody looks at yet."""


class CallLog(BaseObserver):
    """Writes down what happens on a call, as JSON Lines: ``docs/call-log.md`` says how.

    A Pipecat observer; works with any pipeline. What the caller really heard, and the line's own
    doings, are in the log of a call that came over a ``TwilioTransport``.

    Lines wait in a bounded queue and are written on a thread that all logs share, so that nothing
    waits for the disk. What was dropped is counted in the last line. No audio is written.

    Example::

        log = CallLog("call.jsonl", transport=transport, words=True)
        worker = phone_worker(pipeline, observers=[log])

    Args:
        path: The file; what was there is gone. Its folder is made if need be.
        transport: The call's transport, where it is one of this package.
        words: Whether what was said is written down; else only how many words it was.
        digits: Whether the keys that were pressed are; else only that one was.
        follow: Called with each line as it is written down, for whoever looks on.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        transport: TwilioTransport | None = None,
        words: bool = False,
        digits: bool = False,
        follow: Callable[[Line], object] | None = None,
    ):
        # Told of each frame once: by the processor that made it.
        super().__init__(observe_every_push=False)
        self._writer = LineWriter(Path(path))
        self._frames = FrameLines(LogPrivacy(words=words, digits=digits))
        self._follow = follow or _nobody_follows
        self._opened_at = transport.opened_at if transport else time.monotonic()
        self._clock_offset: float | None = None
        self._line: LineNotes | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due_at = 0.0
        self._ticks = 0
        self._line_ended_at: float | None = None
        self._is_closed = False
        self._begin(words=words, digits=digits)
        if transport is not None:
            self._attach(transport)

    @property
    def dropped(self) -> int:
        """How many lines were lost because the disk was too slow, or could not be written."""
        return self._writer.dropped

    def _begin(self, *, words: bool, digits: bool) -> None:
        began = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"kind": Kind.LOG, "format": FORMAT, "version": VERSION, "package": __version__}
        self._note(line | {"began": began, "words": words, "digits": digits})

    def _attach(self, transport: TwilioTransport) -> None:
        self._line = LineNotes(
            self._note,
            opened_at=self._opened_at,
            underruns=lambda: transport.underruns,
            ended=self._line_has_ended,
        )
        transport.add_tap(self._line)
        transport.add_watcher(self._line)
        self._start_ticking()

    def _line_has_ended(self) -> None:
        self._line_ended_at = self.now

    @property
    def now(self) -> float:
        """Seconds on the log's clock."""
        return time.monotonic() - self._opened_at

    def _note(self, line: Line, at: float | None = None) -> None:
        t = self.now if at is None else at
        told: Line = {"t": round(t, 4), **line}
        self._writer.add(told)
        try:
            self._follow(told)
        except Exception as error:
            # Whoever looks on cannot hurt the call.
            self._follow = _nobody_follows
            report_unforeseen(error, "a call log's follower, who is told no more")

    async def on_push_frame(self, data: FramePushed) -> None:
        """Writes down a frame that tells something."""
        self.observe(data)

    def observe(self, data: FramePushed) -> None:
        """The same, at once."""
        if self._is_closed or not self._frames.is_news(data):
            return
        at = self._time_of(data)
        for line in self._frames.of(data.frame):
            self._note(line, at)
        if self._timer is None:
            self._start_ticking()

    def _time_of(self, data: FramePushed) -> float:
        """When a frame was pushed; that is some time ago if observers had to wait for their turn.

        A frame that waited for its pipeline to be up says itself when it fell due.

        The pipeline's clock runs as ours does, from another zero: the difference is the smallest
        that was seen.
        """
        now = self.now
        if (happened_at := data.frame.metadata.get(HAPPENED_AT)) is not None:
            return happened_at - self._opened_at
        if not data.timestamp:
            return now
        stamp = data.timestamp / 1_000_000_000
        offset = now - stamp
        if self._clock_offset is None or offset < self._clock_offset:
            self._clock_offset = offset
        return stamp + self._clock_offset

    def _start_ticking(self) -> None:
        self._due_at = self.now + _CLOCK.tick_secs
        self._timer = asyncio.get_running_loop().call_later(_CLOCK.tick_secs, self._tick)

    def _tick(self) -> None:
        late = self.now - self._due_at
        if late > _CLOCK.stall_secs:
            self._note({"kind": Kind.STALLED, "seconds": round(late, 3)}, self._due_at)
        if self._line is not None and self._line_ended_at is None:
            self._line.tick(self.now)
        self._ticks += 1
        if self._ticks % _CLOCK.ticks_a_write == 0:
            self._writer.flush()
        if self._line_ended_at is not None and self.now - self._line_ended_at > _CLOCK.wind_up_secs:
            # Nobody else closes the log of a call that never had a pipeline.
            self.close()
        else:
            self._start_ticking()

    async def cleanup(self) -> None:
        """Closes the log; Pipecat calls it when the pipeline is over."""
        await super().cleanup()
        self.close()

    def close(self) -> None:
        """Writes the last lines and closes the file; later ones are not taken."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        closing: Line = {"kind": Kind.CLOSED}
        if self._line is not None:
            self._line.close(self.now if self._line_ended_at is None else self._line_ended_at)
            closing["violations"] = dict(self._line.violations)
        if self._line_ended_at is not None:
            closing["line_ended"] = round(self._line_ended_at, 4)
        self._note(closing | {"dropped": self._writer.dropped})
        self._writer.end()

    async def wait_until_written(self, patience: float = 10.0) -> bool:
        """Waits until the log is whole on disk, once it is closed.

        Args:
            patience: Seconds to wait at most.

        Returns:
            False if it is not by then, or could not be written.
        """
        return await self._writer.wait_until_written(patience)
