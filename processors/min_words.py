"""A turn that a number of words begins, and that late words begin as well."""

from pipecat.frames.frames import Frame, LLMMessagesAppendFrame, TranscriptionFrame
from pipecat.turns.types import ProcessFrameResult
from pipecat.turns.user_start import MinWordsUserTurnStartStrategy

from twilio_frames.processors.late_words import LateWords

__all__ = ["PhoneMinWordsUserTurnStartStrategy", "remembered"]


class PhoneMinWordsUserTurnStartStrategy(MinWordsUserTurnStartStrategy):
    """Begins the turn by a number of words while the bot is heard, and by any while it is not.

    Words of speech that was over before the bot began are not said over it, however late they come:
    they begin a turn where none of that speech were known yet, and else they are remembered.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._late = LateWords()

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        """Takes in what the bot and the caller do; STOP if the turn begins by it."""
        result = await self._take(frame)
        self._late.note(frame)
        return result

    async def _take(self, frame: Frame) -> ProcessFrameResult:
        if isinstance(frame, TranscriptionFrame) and frame.text.strip() and self._late.are_due:
            if self._late.are_owed:
                await self.trigger_user_turn_started()
                return ProcessFrameResult.STOP
            result = await super().process_frame(frame)
            if result is not ProcessFrameResult.STOP:
                await self.push_frame(remembered(frame))
            return result
        return await super().process_frame(frame)


def remembered(frame: TranscriptionFrame) -> LLMMessagesAppendFrame:
    """What puts words in the memory without asking the LLM about them."""
    return LLMMessagesAppendFrame([{"role": "user", "content": frame.text}], run_llm=False)
