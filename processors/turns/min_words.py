"""A turn that a number of words begins, and that late words begin as well."""

import asyncio
import re
from dataclasses import replace

from pipecat.frames.frames import (
    Frame,
    InterimTranscriptionFrame,
    LLMMessagesAppendFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
)
from pipecat.turns.types import ProcessFrameResult
from pipecat.turns.user_start import MinWordsUserTurnStartStrategy

from twilio_frames.processors.turns.late_words import LateWords

__all__ = ["PhoneMinWordsUserTurnStartStrategy"]

PARTS_SECS = 2.0
"""Transcripts that follow each other within so long are parts of what was said in one breath."""


# Japanese, Chinese, Thai, Lao, Burmese and Khmer are written without spaces: so many letters there
# are about a word.
_KANA, _HAN = "\u3041-\u30ff\uff66-\uff9f", "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_THAI = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_WORD = re.compile(rf"[{_KANA}]{{1,3}}|[{_HAN}]{{1,2}}|[{_THAI}]{{1,4}}|[^\s{_KANA}{_HAN}{_THAI}]+")


class PhoneMinWordsUserTurnStartStrategy(MinWordsUserTurnStartStrategy):
    """Begins the turn by a number of words while the bot is heard, and by any while it is not.

    What is said in one breath counts as a whole, in however many transcripts the recogniser tells
    it. Words that were too few are forgotten after a while, or when the caller speaks again.

    Words of speech that was over before the bot began are not said over it, however late they come:
    they begin a turn where none of that speech were known yet, and else they are remembered.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._late = LateWords()
        self._too_few: list[str] = []
        self._forgetting: asyncio.Task[None] | None = None

    async def cleanup(self):
        """Waits for no more words."""
        await super().cleanup()
        await self._stop_forgetting()

    async def handle_user_turn_started(self):
        """The words were enough, or somebody else has begun the turn."""
        await super().handle_user_turn_started()
        await self._stop_forgetting()
        self._too_few.clear()

    async def trigger_reset_aggregation(self):
        """Keeps the words: more of them may come."""

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        """Takes in what the bot and the caller do; STOP if the turn begins by it."""
        result = await self._take(frame)
        self._late.note(frame)
        return result

    async def _take(self, frame: Frame) -> ProcessFrameResult:
        match frame:
            case VADUserStartedSpeakingFrame():
                await self._forget()
            case TranscriptionFrame() if frame.text.strip() and self._late.are_due:
                return await self._take_late(frame)
            case TranscriptionFrame() | InterimTranscriptionFrame():
                return await self._count(frame)
            case _:
                pass
        return await super().process_frame(frame)

    async def _take_late(self, frame: TranscriptionFrame) -> ProcessFrameResult:
        if self._late.are_owed:
            await self.trigger_user_turn_started()
            return ProcessFrameResult.STOP
        result = await self._count(frame)
        if result is not ProcessFrameResult.STOP:
            await self._forget()
            await self.push_frame(remembered(frame))
        return result

    async def _count(
        self, frame: TranscriptionFrame | InterimTranscriptionFrame
    ) -> ProcessFrameResult:
        text = parted(" ".join([*self._too_few, frame.text]))
        result = await super().process_frame(replace(frame, text=text))
        if isinstance(frame, TranscriptionFrame) and result is not ProcessFrameResult.STOP:
            self._too_few.append(frame.text)
            await self._stop_forgetting()
            self._forgetting = self.create_task(self._forget_soon(), "forget")
        return result

    async def _forget_soon(self) -> None:
        await asyncio.sleep(PARTS_SECS)
        self._forgetting = None
        await self._forget()

    async def _stop_forgetting(self) -> None:
        task, self._forgetting = self._forgetting, None
        if task is not None:
            await self.cancel_task(task)

    async def _forget(self) -> None:
        await self._stop_forgetting()
        if self._too_few:
            self._too_few.clear()
            await super().trigger_reset_aggregation()


def parted(text: str) -> str:
    """Parts words by spaces, as nearly as they can be told where they are written without."""
    return " ".join(word for word in _WORD.findall(text) if any(map(str.isalnum, word)))


def remembered(frame: TranscriptionFrame) -> LLMMessagesAppendFrame:
    """What puts words in the memory without asking the LLM about them."""
    return LLMMessagesAppendFrame([{"role": "user", "content": frame.text}], run_llm=False)
