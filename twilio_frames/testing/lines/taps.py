"""Those who listen to both sides of a line: recordings, forks, machine detection. Pure."""

from typing import Protocol


class Tap(Protocol):
    """Gets what was said and what was heard, as it passes."""

    def write(self, caller: bytes, bot: bytes) -> None:
        """Takes what both sides said in the same stretch of time, mu-law."""
        ...


class Taps:
    """All taps of one line, as one."""

    def __init__(self) -> None:
        self._taps: list[Tap] = []

    def add(self, tap: Tap) -> None:
        """Lets somebody listen from here on."""
        self._taps.append(tap)

    def remove(self, tap: Tap) -> None:
        """Does so no longer; nothing if it did not."""
        if tap in self._taps:
            self._taps.remove(tap)

    def write(self, caller: bytes, bot: bytes) -> None:
        """Hands a stretch of both sides to everybody."""
        for tap in tuple(self._taps):
            tap.write(caller, bot)
