"""Whether the caller can expect the bot to speak next."""

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    FunctionCallCancelFrame,
    FunctionCallResultFrame,
    FunctionCallsStartedFrame,
    InterruptionFrame,
    LLMRunFrame,
)

from twilio_frames.frames import ReplyHeardFrame, ReplyStartedFrame

__all__ = ["ReplyWatch"]


class ReplyWatch:
    """Follows the frames of a call, and knows whether something of the bot's is still to be heard.

    A reply is due from the end of the caller's turn until all of it was heard: while the LLM
    thinks, while functions run, between two sentences. Outputs that are not of this package do not
    tell when a reply was heard; there it is due until the bot falls silent.

    Pure: it is told what happens.
    """

    def __init__(self):
        self._is_owed = False
        self._replies = 0
        self._functions = 0
        self.is_new = True
        """Whether nobody has spoken yet, as in the moment before a greeting."""

    @property
    def is_due(self) -> bool:
        """Whether a reply is being made, or said."""
        return self._is_owed or self._replies > 0 or self._functions > 0

    def note(self, frame: Frame) -> None:
        """Takes in a frame."""
        match frame:
            case BotStartedSpeakingFrame():
                self.is_new = False
            case BotStoppedSpeakingFrame():
                self._is_owed = False
            case ReplyStartedFrame():
                self._is_owed = False
                self._replies += 1
            case ReplyHeardFrame():
                self._replies = max(0, self._replies - 1)
            case LLMRunFrame():
                self._is_owed = True
            case FunctionCallsStartedFrame():
                self._functions += len(frame.function_calls)
            case FunctionCallCancelFrame():
                self._functions = max(0, self._functions - 1)
            case FunctionCallResultFrame():
                self._take_result(frame)
            case InterruptionFrame():
                self.interrupted()
            case _:
                pass

    def _take_result(self, frame: FunctionCallResultFrame) -> None:
        properties = frame.properties
        if properties is not None and not properties.is_final:
            return
        self._functions = max(0, self._functions - 1)
        wants_no_reply = properties is not None and properties.run_llm is False
        self._is_owed = self._is_owed or not (wants_no_reply or frame.run_llm is False)

    def interrupted(self) -> None:
        """What was being made or said is dropped; functions may run on."""
        self._is_owed, self._replies = False, 0

    def turn_started(self) -> None:
        """The caller's turn has begun, which interrupts."""
        self.is_new = False
        self.interrupted()

    def turn_stopped(self, *, has_words: bool) -> None:
        """The caller's turn is over, and answered if there were words in it."""
        self._is_owed = self._is_owed or has_words
