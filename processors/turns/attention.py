"""When the caller is not listened to as usual: asked for digits, muted, or away from the line."""

from weakref import WeakSet

from pipecat.frames.frames import (
    Frame,
    InputDTMFFrame,
    TranscriptionFrame,
    UserIdleTimeoutUpdateFrame,
    UserMuteStartedFrame,
    UserMuteStoppedFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregator
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.turns.user_mute import BaseUserMuteStrategy

from twilio_frames.frames import CallAwayFrame, CallBackFrame, DigitsWantedFrame
from twilio_frames.processors.turns.muted_keys import PRESSED

__all__ = ["DigitsMuteStrategy", "EndsUnderMute", "IdleTimer"]

_SERVED: "WeakSet[FrameProcessor]" = WeakSet()


class DigitsMuteStrategy(BaseUserMuteStrategy):
    """Keeps what the caller says while they are asked for digits out of the conversation.

    Whoever asks gets to read it, if they want to.
    """

    def __init__(self) -> None:
        super().__init__()
        self._wanted: DigitsWantedFrame | None = None

    def serve(self, user: LLMUserAggregator) -> None:
        """Notes whose strategy it is."""
        _SERVED.add(user)

    @staticmethod
    def serves(part: FrameProcessor) -> bool:
        """Whether an aggregator has such a strategy."""
        return part in _SERVED

    async def process_frame(self, frame: Frame) -> bool:
        """Whether digits are wanted; hands on the words that come meanwhile."""
        if isinstance(frame, DigitsWantedFrame):
            self._wanted = frame if frame.is_wanted else None
        elif (
            isinstance(frame, TranscriptionFrame)
            and PRESSED not in frame.metadata
            and self._wanted is not None
            and self._wanted.take_words is not None
        ):
            self._wanted.take_words(frame.text)
        return self._wanted is not None


class IdleTimer:
    """Keeps Pipecat's timer of an idle caller from running where they are not.

    It stands still while the call is away from its stream, and while digits are wanted, whose time
    is up to whoever wants them. A key that is pressed has it run anew.

    Args:
        user: Whose timer.
        secs: How long it waits; 0 for ever.
    """

    def __init__(self, user: LLMUserAggregator, secs: float):
        self._user = user
        self._secs = secs
        self._own: set[int] = set()
        self._is_away = self._digits_wanted = False
        user.add_event_handler("on_before_process_frame", self._takes)

    async def _takes(self, _: FrameProcessor, frame: Frame) -> None:
        match frame:
            case UserIdleTimeoutUpdateFrame() if frame.id in self._own:
                self._own.discard(frame.id)
                return
            case UserIdleTimeoutUpdateFrame():
                self._secs = frame.timeout
                if not (self._is_away or self._digits_wanted):
                    return
            case CallAwayFrame() | CallBackFrame():
                self._is_away = isinstance(frame, CallAwayFrame)
            case DigitsWantedFrame():
                self._digits_wanted = frame.is_wanted
            case InputDTMFFrame() if self._secs > 0:
                pass
            case _:
                return
        await self._set(0.0 if self._is_away or self._digits_wanted else self._secs)

    async def _set(self, secs: float) -> None:
        update = UserIdleTimeoutUpdateFrame(timeout=secs)
        self._own.add(update.id)
        await self._user.queue_frame(update)


class EndsUnderMute:
    """Tells the end of the speech in which a mute began, once the mute is over.

    Pipecat's aggregator drops it with what else comes under a mute. It would take the caller for
    one who speaks on, and their turn would not end before they have spoken again.

    Args:
        user: Who drops it.
    """

    def __init__(self, user: LLMUserAggregator):
        self._user = user
        self._is_muted = self._speaks = False
        self._end: VADUserStoppedSpeakingFrame | None = None
        user.add_event_handler("on_before_process_frame", self._takes)
        user.add_event_handler("on_after_push_frame", self._has_pushed)

    def _takes(self, _: FrameProcessor, frame: Frame) -> None:
        match frame:
            case VADUserStartedSpeakingFrame():
                self._end = None
                self._speaks = self._speaks or not self._is_muted
            case VADUserStoppedSpeakingFrame() if not self._is_muted:
                self._speaks = False
            case VADUserStoppedSpeakingFrame() if self._speaks:
                self._end = frame
            case _:
                pass

    async def _has_pushed(self, _: FrameProcessor, frame: Frame) -> None:
        if isinstance(frame, UserMuteStartedFrame | UserMuteStoppedFrame):
            self._is_muted = isinstance(frame, UserMuteStartedFrame)
        end = None if self._is_muted else self._end
        if end is not None:
            self._end, self._speaks = None, False
            await self._user.queue_frame(VADUserStoppedSpeakingFrame(stop_secs=end.stop_secs))
