"""How late an event loop is."""

import asyncio
from collections import deque
from collections.abc import Callable

__all__ = ["LoopLag"]

_STEP_SECS = 0.05
_STEPS = 100
"""Five seconds of steps: a stall counts until it is no news any more."""


class LoopLag:
    """Measures by how much a timer is late, again and again."""

    def __init__(self) -> None:
        self.follow: Callable[[float], None] | None = None
        """Is told for each step by how many seconds; set it before :meth:`start`."""
        self._late: deque[float] = deque(maxlen=_STEPS)
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Measures from now on; once."""
        if self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        self._set(loop, loop.time() + _STEP_SECS)

    def _set(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._timer = loop.call_at(due, self._look, loop, due)

    def _look(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        late = now - due
        # Who would have come in the steps that were missed would have been late, too.
        for missed in range(min(int(late / _STEP_SECS), _STEPS - 1) + 1):
            self._note(late - missed * _STEP_SECS)
        self._set(loop, now + _STEP_SECS)

    def _note(self, late: float) -> None:
        self._late.append(late)
        if self.follow is not None:
            self.follow(late)

    @property
    def p95_secs(self) -> float:
        """What all but a twentieth of the last seconds' steps were less late than."""
        if not self._late:
            return 0.0
        ordered = sorted(self._late)
        return ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)]

    def stop(self) -> None:
        """Measures no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
