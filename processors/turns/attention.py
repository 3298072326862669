"""When the caller is not listened to as usual: asked for digits, or away from the line."""

from weakref import WeakSet

from pipecat.frames.frames import Frame, TranscriptionFrame, UserIdleTimeoutUpdateFrame
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregator
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.turns.user_mute import BaseUserMuteStrategy

from twilio_frames.frames import CallAwayFrame, CallBackFrame, DigitsWantedFrame
from twilio_frames.processors.turns.muted_keys import PRESSED

__all__ = ["DigitsMuteStrategy", "IdleWhileAway"]

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


class IdleWhileAway:
    """Lets Pipecat's timer of an idle caller stand still while the call is away from its stream.

    Args:
        user: Whose timer.
        secs: How long it waits; 0 for ever.
    """

    def __init__(self, user: LLMUserAggregator, secs: float):
        self._user = user
        self._secs = secs
        self._own: set[int] = set()
        self._is_away = False
        user.add_event_handler("on_before_process_frame", self._takes)

    async def _takes(self, _: FrameProcessor, frame: Frame) -> None:
        match frame:
            case UserIdleTimeoutUpdateFrame():
                if frame.id in self._own:
                    self._own.discard(frame.id)
                    return
                self._secs = frame.timeout
                if self._is_away:
                    await self._set(0.0)
            case CallAwayFrame():
                self._is_away = True
                await self._set(0.0)
            case CallBackFrame():
                self._is_away = False
                await self._set(self._secs)
            case _:
                pass

    async def _set(self, secs: float) -> None:
        update = UserIdleTimeoutUpdateFrame(timeout=secs)
        self._own.add(update.id)
        await self._user.queue_frame(update)
