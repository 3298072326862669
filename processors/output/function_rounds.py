"""What came of an LLM's functions, and how often it may call some before a word is heard."""

from dataclasses import dataclass
from typing import Any

from pipecat.frames.frames import (
    Frame,
    FunctionCallResultFrame,
    LLMContextFrame,
    SystemFrame,
    UserStartedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection

from twilio_frames.processors.words import HeardTextFrame

__all__ = ["FunctionRounds", "FunctionRoundsOverFrame", "named_result"]


@dataclass
class FunctionRoundsOverFrame(SystemFrame):
    """The LLM has called functions again and again, and is not asked any more in this turn.

    Goes upstream, in the place of the request. Whoever has an apology to make says it and reports
    the error, and does not pass it on; at the transport's input this has an end.

    Parameters:
        rounds: How many rounds there were without a word that was heard.
    """

    rounds: int = 0

    @property
    def reproach(self) -> str:
        """What the error says."""
        return (
            f"expected the LLM to say something, got {self.rounds} rounds of function calls in a "
            "row: it is not asked again in this turn. Look at what the functions answer, and see "
            "`TwilioParams.function_rounds_limit`"
        )


def named_result(result: Any) -> Any:
    """A result that is none by its look alone, such as an empty list, 0 or False, by its name.

    Pipecat's memory takes it for no result at all, and does not ask the LLM.
    """
    return result if result or result is None else {"result": result}


class FunctionRounds:
    """Counts an LLM's rounds of function calls, and says when there are too many.

    A round is over when the LLM is asked anew with the results. It stands where these requests come
    by: between the LLM and the assistant's side of the memory, which makes them.

    Args:
        limit: How many rounds may follow one another without a word that is heard; None for any.
    """

    def __init__(self, limit: int | None):
        self._limit = limit
        self.rounds = 0
        """How many rounds have followed one another without a word that was heard."""
        self._has_results = False

    def note(self, frame: Frame) -> None:
        """Takes note of a frame that has gone downstream: results, words, the caller's turn."""
        match frame:
            case FunctionCallResultFrame():
                self._has_results = True
            case HeardTextFrame() if frame.append_to_context:
                self.rounds = 0
            case UserStartedSpeakingFrame():
                self.rounds, self._has_results = 0, False
            case _:
                pass

    def are_over(self, frame: Frame, direction: FrameDirection) -> bool:
        """Whether a frame asks for a round too many, and must not go on; it is the last then."""
        is_request = isinstance(frame, LLMContextFrame) and direction is FrameDirection.UPSTREAM
        if not is_request or not self._has_results:
            return False
        self._has_results = False
        self.rounds += 1
        if self._limit is None or self.rounds < self._limit:
            return False
        self.rounds = 0
        return True
