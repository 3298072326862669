"""Which audio is whose, until it has been heard."""

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True)
class _Stretch:
    context_id: str | None
    begin: int
    end: int
    before: int
    """How much of the same utterance lies before it."""


class UtteranceAudio:
    """Follows utterances along the script; tells how much of each was heard when they are cut."""

    def __init__(self) -> None:
        self._stretches: deque[_Stretch] = deque()
        self._lengths: dict[str | None, int] = {}

    def add(self, context_id: str | None, begin: int, end: int, *, heard: int) -> None:
        """Notes audio.

        Args:
            context_id: The utterance it belongs to.
            begin: Where it begins in the script.
            end: Where it ends.
            heard: Up to where the script has been heard; what lies before is forgotten.
        """
        while self._stretches and self._stretches[0].end <= heard:
            self._stretches.popleft()
        last = self._stretches[-1] if self._stretches else None
        length = self._lengths.get(context_id, 0)
        goes_on = last is not None and (last.context_id, last.end) == (context_id, begin)
        if last is not None and goes_on and length:
            last.end = end
        else:
            self._stretches.append(_Stretch(context_id, begin, end, length))
        self._lengths[context_id] = length + end - begin

    def over(self, context_id: str | None) -> None:
        """Notes that an utterance has no more audio."""
        self._lengths.pop(context_id, None)

    def cut(self, heard: int) -> dict[str | None, int]:
        """Forgets everything; gives what was not heard to its end.

        Args:
            heard: Up to where the script was heard.

        Returns:
            How many bytes of each of these utterances were heard.
        """
        cuts: dict[str | None, int] = {}
        for stretch in self._stretches:
            if stretch.end > heard and stretch.context_id not in cuts:
                cuts[stretch.context_id] = stretch.before + max(0, heard - stretch.begin)
        self._stretches.clear()
        self._lengths.clear()
        return cuts
