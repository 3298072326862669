"""Has a voice say once more what it made no sound of."""

import re
from collections import deque
from collections.abc import Sequence

from pipecat.frames.frames import TTSSpeakFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.errors import ErrorCategory

__all__ = ["SayAgain"]

_SPEAKABLE = re.compile(r"\w")


class SayAgain:
    """Texts that were to be spoken and made no sound: each is asked for once more.

    Args:
        output: Behind the voice; pushes what asks for them, and reports what stays silent.
    """

    def __init__(self, output: FrameProcessor):
        self._output = output
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
            # Whichever TTS service is in use takes it on its way up.
            await self._output.push_frame(TTSSpeakFrame(text), FrameDirection.UPSTREAM)
        if len(again) < len(wanted):
            await self._output.push_error(
                "expected the TTS service to speak a text, got no sound, at the second time "
                "either: the caller has not heard it, and it is not remembered. Look at the "
                "service's errors",
                category=ErrorCategory.UNKNOWN,
            )

    def forget(self) -> None:
        """Nothing of what was said so far matters any more: the caller has interrupted."""
        self._asked.clear()

    def _was_asked(self, text: str) -> bool:
        # What is left of a text ends as it does.
        return any(asked.endswith(text) for asked in self._asked)
