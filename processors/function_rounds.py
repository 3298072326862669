"""How often an LLM may call functions before the caller hears a word."""

from pipecat.frames.frames import (
    Frame,
    FunctionCallResultFrame,
    LLMContextFrame,
    UserStartedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection

from twilio_frames.processors.heard_text import HeardTextFrame

__all__ = ["FunctionRounds"]


class FunctionRounds:
    """Counts an LLM's rounds of function calls, and says when there are too many.

    A round is over when the LLM is asked anew with the results. It stands where these requests come
    by: between the LLM and the assistant's side of the memory, which makes them.

    Args:
        limit: How many rounds may follow one another without a word that is heard; None for any.
    """

    def __init__(self, limit: int | None):
        self._limit = limit
        self._rounds = 0
        self._has_results = False

    def note(self, frame: Frame) -> None:
        """Takes note of a frame that has gone downstream: results, words, the caller's turn."""
        match frame:
            case FunctionCallResultFrame():
                self._has_results = True
            case HeardTextFrame() if frame.append_to_context:
                self._rounds = 0
            case UserStartedSpeakingFrame():
                self._rounds, self._has_results = 0, False
            case _:
                pass

    def are_over(self, frame: Frame, direction: FrameDirection) -> bool:
        """Whether a frame asks for a round too many, and must not go on; it is the last then."""
        is_request = isinstance(frame, LLMContextFrame) and direction is FrameDirection.UPSTREAM
        if not is_request or not self._has_results:
            return False
        self._has_results = False
        self._rounds += 1
        if self._limit is None or self._rounds < self._limit:
            return False
        self._rounds = 0
        return True
