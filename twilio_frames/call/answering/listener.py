"""Listens to whoever has answered a call: at the line, and to what is transcribed."""

import asyncio
import time
from collections.abc import Callable

from pipecat.frames.frames import InterimTranscriptionFrame, TranscriptionFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed

from twilio_frames.answering import Answer, AnswerDecider, MachineVerdict
from twilio_frames.audio import mulaw_seconds
from twilio_frames.audio.tones import ToneKind
from twilio_frames.frames import MarkReachedFrame

__all__ = ["AnswerListener"]

_ECHO = 0.3
"""An echo is 10 dB quieter than the bot, at least, and the bot about as loud as anybody."""
_LONGEST_REST = 0.25
"""Seconds between two looks where no audio comes."""


class AnswerListener(BaseObserver):
    """Gives a decider what there is: a tap on the line, and an observer of the pipeline.

    Times are seconds from the first audio on.

    Args:
        decider: Decides.
        opened_at: From when the line counts, ``time.monotonic()``.
        on_answer: Called with what is decided.
    """

    def __init__(
        self, decider: AnswerDecider, *, opened_at: float, on_answer: Callable[[Answer], None]
    ):
        # Told of each frame once: by the processor that made it.
        super().__init__(observe_every_push=False)
        self.decider = decider
        self._opened_at = opened_at
        self._began_at: float | None = None
        self._on_answer = on_answer
        self.is_needed = False
        """Whether somebody waits for what is heard, though all is decided."""
        self._news = asyncio.Event()
        self._marks: set[str] = set()

    @property
    def now(self) -> float:
        """Seconds since the first audio; 0 before."""
        if self._began_at is None:
            return 0.0
        return time.monotonic() - self._opened_at - self._began_at

    def caller_audio(self, mulaw: bytes, at: float) -> None:
        """Hears whoever has answered."""
        if self._began_at is None:
            self._began_at = at
        begun = at - self._began_at
        if self._is_over(begun):
            return
        self.decider.hear(mulaw, begun)
        self.look(begun + mulaw_seconds(mulaw))

    def bot_audio(self, mulaw: bytes, at: float) -> None:
        """Leaves out what the bot says."""

    def line_ended(self, at: float) -> None:
        """Leaves the end to others."""

    async def on_push_frame(self, data: FramePushed) -> None:
        """Takes words and marks; Pipecat calls it."""
        if self._is_over(self.now):
            return
        match data.frame:
            case TranscriptionFrame(text=text):
                self.decider.take_words(text, self.now)
            case InterimTranscriptionFrame(text=text):
                self.decider.take_words(text, self.now, is_final=False)
            case MarkReachedFrame(mark=mark, flushed=False):
                self._marks.add(mark)
            case _:
                return
        self.look(self.now)

    def take_verdict(self, verdict: MachineVerdict) -> None:
        """Takes what Twilio's machine detection says."""
        self.decider.take_verdict(verdict, self.now)
        self.look(self.now)

    def _is_over(self, now: float) -> bool:
        return not self.is_needed and self.decider.is_settled(now)

    def look(self, now: float) -> None:
        """Sees whether something is decided by now."""
        if (answer := self.decider.decide(now)) is not None:
            self._on_answer(answer)
        self._news.set()

    async def until(self, is_true: Callable[[], bool], *, secs: float) -> bool:
        """Waits until something is true that is heard; False if it is not in time."""
        limit = time.monotonic() + secs
        while not is_true():
            left = limit - time.monotonic()
            if left <= 0:
                return False
            self._news.clear()
            try:
                async with asyncio.timeout(min(left, _LONGEST_REST)):
                    await self._news.wait()
            except TimeoutError:
                if self._began_at is None:
                    # A line that sends no silence: time goes on all the same.
                    self._began_at = time.monotonic() - self._opened_at
                self.look(self.now)
        return True

    def has_heard_mark(self, mark: str) -> bool:
        """Whether all that was said before a mark has been heard."""
        return mark in self._marks

    def silent_secs(self) -> float:
        """How long nothing was heard."""
        return self.decider.ear.silent_secs(self.now)

    def beeped_since(self, began_at: float) -> bool:
        """Whether a machine has beeped, and nothing was said behind it.

        A low beep, which by itself may be a tone of an exchange, counts: a machine is there.
        """
        ear = self.decider.ear
        beeps = [at for tone, at in ear.tones if tone.kind is not ToneKind.FAX and at > began_at]
        return bool(beeps) and (not ear.spells or ear.spells[-1].ended_at <= beeps[-1])

    def talks_since(self, began_at: float) -> float:
        """How long somebody talks without a pause who began after that, seconds.

        What is far quieter than what was said before is the bot's own echo.
        """
        spells = self.decider.ear.spells
        if not spells or spells[-1].began_at <= began_at:
            return 0.0
        before = max((one.level for one in spells if one.began_at <= began_at), default=0.0)
        return spells[-1].seconds if spells[-1].level > _ECHO * before else 0.0
