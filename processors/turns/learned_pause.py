"""How long this caller pauses in the middle of what they say, learned while they speak.

A caller who is cut off goes on soon after. From that, and from the pauses that were waited out, the
silence that ends a turn grows at once; turns without such a pause take it back, step by step.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from twilio_frames.errors import ConfigurationError
from twilio_frames.errors.settings import check_settings

__all__ = ["LearnedPause", "PauseRange"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRange:
    """Within what the silence that ends a turn may be learned; seconds.

    Parameters:
        shortest: Never less, however swiftly the caller speaks.
        longest: Never more, however slowly.
        first: What a call begins with.
    """

    shortest: float = 0.4
    longest: float = 1.2
    first: float = 0.6

    def __post_init__(self) -> None:
        check_settings(self)
        if not 0.0 < self.shortest <= self.first <= self.longest:
            raise ConfigurationError(
                "expected 0 < shortest <= first <= longest, got "
                f"{self.shortest}, {self.first}, {self.longest}"
            )

    @classmethod
    def around(cls, secs: float) -> "PauseRange":
        """The range that begins with some pause, widened if that lies outside of it."""
        usual = cls()
        return cls(shortest=min(secs, usual.shortest), longest=max(secs, usual.longest), first=secs)


class LearnedPause:
    """The silence that ends one caller's turns.

    Args:
        within: Its range.
    """

    QUANTILE = 0.8
    """In which share of the caller's turns the longest pause is to be waited out."""
    MARGIN_SECS = 0.15
    """How much longer than that the silence is."""
    STEP_SECS = 0.05
    """By how much a turn lowers it at most."""
    REMEMBERED_TURNS = 12
    """How many turns are remembered, the newest."""
    _LATELY_TURNS = 4
    """For so many turns a caller who was cut off is given more time."""

    def __init__(self, within: PauseRange | None = None):
        self._within = within or PauseRange()
        self._pauses: deque[float] = deque(maxlen=self.REMEMBERED_TURNS)
        self._longest = 0.0
        self._secs = self._within.first
        self._turns = 0
        self._turns_since_cut: int | None = None
        self._cuts = 0

    @property
    def secs(self) -> float:
        """How much silence ends a turn of this caller."""
        return self._secs

    @property
    def pauses(self) -> tuple[float, ...]:
        """The longest pause within each turn that is remembered, the oldest first; seconds."""
        return tuple(self._pauses)

    @property
    def cuts(self) -> int:
        """How often the caller went on after their turn had been taken to be over."""
        return self._cuts

    @property
    def was_cut_off_lately(self) -> bool:
        """Whether the caller went on so in one of the last few turns."""
        return self._turns_since_cut is not None and self._turns_since_cut < self._LATELY_TURNS

    @property
    def turns(self) -> int:
        """How many turns were not cut off."""
        return self._turns

    def paused(self, secs: float) -> None:
        """The caller was silent within a turn, and went on before it was taken to be over."""
        self._longest = max(self._longest, secs)
        self._secs = max(self._secs, self._wanted([*self._pauses, self._longest]))

    def cut_off(self, secs: float) -> None:
        """The turn was taken to be over, and then the caller went on.

        Args:
            secs: How long they had been silent in all.
        """
        self._cuts += 1
        self._turns_since_cut = 0
        self._longest = max(self._longest, secs)
        self._secs = max(self._secs, self._bounded(secs + self.MARGIN_SECS))

    def turn_ended(self) -> None:
        """A turn was over when it was taken to be."""
        self._turns += 1
        if self._turns_since_cut is not None:
            self._turns_since_cut += 1
        self._pauses.append(self._longest)
        self._longest = 0.0
        self._secs = max(self._wanted(self._pauses), self._secs - self.STEP_SECS)

    def _wanted(self, pauses: Iterable[float]) -> float:
        """What these longest pauses of turns ask for."""
        ordered = sorted(pauses)
        rank = math.ceil(self.QUANTILE * len(ordered)) - 1
        return self._bounded(ordered[rank] + self.MARGIN_SECS)

    def _bounded(self, secs: float) -> float:
        return min(self._within.longest, max(self._within.shortest, secs))

    def __repr__(self) -> str:
        return f"LearnedPause({self._secs:.2f} s, {self._turns} turns, {self._cuts} cuts)"
