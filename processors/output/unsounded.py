"""Has a voice say once more what it made no sound of."""

import re
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

__all__ = ["SayAgain"]

_SPEAKABLE = re.compile(r"\w")


class SayAgain:
    """Texts that were to be spoken and made no sound: each is asked for once more.

    Args:
        say: Has a text spoken, by whichever voice is in use by now.
        report: Called when a text made no sound at the second time either.
    """

    def __init__(
        self, say: Callable[[str], Awaitable[None]], report: Callable[[], Awaitable[None]]
    ):
        self._say = say
        self._report = report
        self._asked: deque[str] = deque(maxlen=8)

    async def settle(self, texts: Sequence[str]) -> None:
        """Acts on texts that made no sound.

        Args:
            texts: What nobody heard, in order.
        """
        wanted = [text for text in texts if _SPEAKABLE.search(text)]
        again = [text for text in wanted if not self._was_asked(text)]
        if again:
            text = " ".join(again)
            self._asked.append(text)
            await self._say(text)
        if len(again) < len(wanted):
            await self._report()

    def forget(self) -> None:
        """Nothing of what was said so far matters any more: the caller has interrupted."""
        self._asked.clear()

    def _was_asked(self, text: str) -> bool:
        # What is left of a text ends as it does.
        return any(asked.endswith(text) for asked in self._asked)
