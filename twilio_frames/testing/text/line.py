"""A line for text: the caller's words go in as they are written, the bot's come out as text.

The bot's words pass the ear one by one, and only while somebody listens, as they would pass a
telephone's: what has not passed has not been heard, and does not get into the bot's memory.
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    Frame,
    FunctionCallCancelFrame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    FunctionCallsStartedFrame,
    InputDTMFFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    StartFrame,
    SystemFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.frames import (
    Act,
    CallActionFrame,
    CallActionUrgentFrame,
    MarkReachedFrame,
    MarkSentFrame,
    SaidSoFarFrame,
    SendMarkFrame,
)
from twilio_frames.processors.clips import SpeakClipFrame, frames_on
from twilio_frames.processors.output.speech_gate import SpeechGateFrame
from twilio_frames.processors.replies.apology import APOLOGY
from twilio_frames.processors.replies.empty import EmptyReplies
from twilio_frames.processors.tts import PythonTTSService, SpeechChunk, SpokenWord
from twilio_frames.processors.words import HeardTextFrame

_WORD = bytes(2 * 80)


class TextMouth(FrameProcessor):
    """Where the caller's words come in: stands in the place of a transport's input.

    As that it is deaf once the pipeline is ending: what is said last is not interrupted any more.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.started = asyncio.Event()
        """Set once the pipeline runs."""
        self.is_deaf = False
        """Whether the caller is not listened to any more."""
        self.take_key: Callable[[str], bool] = lambda _: False
        """Is offered each key that is pressed; what it takes goes into no pipeline."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Passes everything on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, EndFrame | CancelFrame):
            self.is_deaf = True
        elif isinstance(frame, StartFrame):
            EmptyReplies.behind(self, APOLOGY)
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self.started.set()

    async def hear(self, frame: Frame) -> None:
        """Tells the bot what the caller says or presses, unless it is deaf."""
        is_taken = isinstance(frame, InputDTMFFrame) and self.take_key(frame.button.value)
        if not self.is_deaf and not is_taken:
            await self.push_frame(frame)


class TextPassage(FrameProcessor):
    """Stands in the place of what only deals with sound, and does nothing."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Passes everything on."""
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


class TextEnd(FrameProcessor):
    """Stands behind all others: what it sees, all have seen."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.interrupted = asyncio.Event()
        """Set when an interruption has gone through the whole pipeline."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Passes everything on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame):
            self.interrupted.set()
        await self.push_frame(frame, direction)


class TextVoice(PythonTTSService):
    """Stands in the place of a TTS service: gives its words at once, and as good as no sound."""

    gives_word_times = True

    async def synthesise(self, text: str) -> AsyncIterator[SpeechChunk]:
        """Gives each word a hundredth of a second of silence."""
        for word in text.split():
            words = (SpokenWord(text=word),)
            yield SpeechChunk(pcm=_WORD, sample_rate=SAMPLE_RATE, words=words)


class TextEar(FrameProcessor):
    """Where the bot's words come out: stands in the place of a transport's output.

    Args:
        mouth: Where what the line tells the bot comes in.
        **kwargs: Pipecat's own.
    """

    def __init__(self, mouth: TextMouth, **kwargs: Any):
        super().__init__(**kwargs)
        self._mouth = mouth
        self._room = 0.0
        self._held: deque[tuple[Frame, FrameDirection]] = deque()
        self._is_up = False
        self._is_hung_up = False
        self._first_words: list[SpeakClipFrame] = []
        self._words: list[str] = []
        self._is_speaking = False
        self._responding = False
        self._sounding = False
        self._functions: set[str] = set()
        self._response_due = False
        self._news = asyncio.Event()
        self.on_action: Callable[[Act], None] | None = None
        """Told of what the call is to do."""
        self.activity = 0
        """Grows with all that the bot does."""
        self.activity_before = 0
        """What it was at the last interruption."""

    @property
    def is_idle(self) -> bool:
        """Whether the bot neither speaks nor is about to: no response, function or word is due."""
        return not (
            self._held
            or self._responding
            or self._sounding
            or self._functions
            or self._response_due
        )

    @property
    def is_full(self) -> bool:
        """Whether as many words have been heard as were to be."""
        return self._room <= 0

    async def say_first(self, frame: SpeakClipFrame) -> None:
        """Says a clip, behind what has been said; kept until the pipeline is up."""
        if self._is_up:
            await self._say(frame)
            self._tell_news()
        else:
            self._first_words.append(frame)

    async def listen(self, words: float = math.inf) -> None:
        """Lets so many more words pass."""
        self._room = words
        while self._held and not self._must_wait(self._held[0][0]):
            await self._hear(*self._held.popleft())

    def stop_listening(self) -> None:
        """Lets no more words pass."""
        self._room = 0

    async def hang_up(self) -> None:
        """Lets no word be heard any more; what comes behind words is not kept back by them."""
        self._is_hung_up = True
        held, self._held = self._held, deque()
        for frame, direction in held:
            if not isinstance(frame, TTSTextFrame):
                await self._hear(frame, direction)

    def take_words(self) -> list[str]:
        """The words that were heard since they were last taken."""
        words, self._words = self._words, []
        return words

    @property
    def news(self) -> asyncio.Event:
        """Set when the bot does something more. Take it before looking at how things stand."""
        return self._news

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Lets words pass while somebody listens, and what comes behind a word behind it."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame):
            await self._interrupt(frame, direction)
        elif isinstance(frame, SystemFrame) or direction is FrameDirection.UPSTREAM:
            self._follow(frame)
            if isinstance(frame, SpeechGateFrame):
                frame.passed.set()
            if not isinstance(frame, TTSAudioRawFrame):
                await self.push_frame(frame, direction)
        elif isinstance(frame, SpeakClipFrame):
            await self._say(frame)
        else:
            await self._take(frame, direction)
        if isinstance(frame, StartFrame):
            self._is_up = True
            while self._first_words:
                await self._say(self._first_words.pop(0))
        self._tell_news()

    def _tell_news(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _say(self, frame: SpeakClipFrame) -> None:
        """Says a clip word by word, as a TTS service would."""
        for due, _ in frames_on(frame):
            await self._take(_said(due), FrameDirection.DOWNSTREAM)

    async def _take(self, frame: Frame, direction: FrameDirection) -> None:
        self._follow(frame)
        if isinstance(frame, TTSTextFrame) and self._is_hung_up:
            return
        if self._held or self._must_wait(frame):
            self._held.append((frame, direction))
        else:
            await self._hear(frame, direction)

    def _must_wait(self, frame: Frame) -> bool:
        return isinstance(frame, TTSTextFrame) and self.is_full

    def _follow(self, frame: Frame) -> None:
        """Notes what the bot is about to do, ahead of the words that wait to be heard."""
        match frame:
            case LLMFullResponseStartFrame():
                self._responding, self._response_due = True, False
                self.activity += 1
            case TTSStartedFrame():
                self._sounding = True
                self.activity += 1
            case FunctionCallsStartedFrame():
                self._functions |= {call.tool_call_id for call in frame.function_calls}
            case FunctionCallCancelFrame():
                self._functions.discard(frame.tool_call_id)
            case FunctionCallInProgressFrame() if not frame.cancel_on_interruption:
                # The conversation goes on without its result.
                self._functions.discard(frame.tool_call_id)
            case FunctionCallResultFrame():
                self._follow_result(frame)
            case CallActionUrgentFrame():
                self._act(frame.act)
            case _:
                pass

    def _act(self, act: Act | None) -> None:
        if act is not None and self.on_action is not None:
            self.on_action(act)

    def _follow_result(self, frame: FunctionCallResultFrame) -> None:
        properties = frame.properties
        if properties is None or properties.is_final:
            self._functions.discard(frame.tool_call_id)
        runs = properties.run_llm if properties else None
        if runs is None:
            runs = frame.run_llm
        if runs is None:
            runs = not self._functions
        self._response_due = self._response_due or bool(frame.result and runs)

    async def _hear(self, frame: Frame, direction: FrameDirection) -> None:
        match frame:
            case TTSTextFrame():
                await self._begin_to_speak()
                self._room -= 1
                self._words.append(frame.text)
            case TTSStoppedFrame():
                self._sounding = False
                await self._end_to_speak()
            case LLMFullResponseEndFrame():
                self._responding = False
            case SendMarkFrame():
                await self._reach(frame.mark)
                return
            case SaidSoFarFrame():
                frame.heard.set()
                if isinstance(frame, CallActionFrame):
                    self._act(frame.act)
            case EndFrame() | CancelFrame():
                await self._end_to_speak()
            case _:
                pass
        await self.push_frame(frame, direction)

    async def _reach(self, mark: str) -> None:
        await self.broadcast_frame(MarkSentFrame, mark=mark, position=0)
        await self._mouth.push_frame(MarkReachedFrame(mark=mark, position=0, flushed=False))

    async def _interrupt(self, frame: Frame, direction: FrameDirection) -> None:
        self._responding = self._sounding = self._response_due = False
        held, self._held = self._held, deque()
        await self._end_to_speak()
        await self.push_frame(frame, direction)
        self.activity_before = self.activity
        for waiting, way in held:
            if not waiting.interruptible:
                await self._hear(waiting, way)

    async def _begin_to_speak(self) -> None:
        if not self._is_speaking:
            self._is_speaking = True
            await self.broadcast_frame(BotStartedSpeakingFrame)

    async def _end_to_speak(self) -> None:
        if self._is_speaking:
            self._is_speaking = False
            await self.broadcast_frame(BotStoppedSpeakingFrame)


def _said(due: Frame) -> Frame:
    """What falls due of a clip, in its turn with all other frames: words are not ahead of them."""
    if not isinstance(due, HeardTextFrame):
        return due
    frame = TTSTextFrame(due.text, "word", context_id=due.context_id)
    frame.append_to_context, frame.interruptible = due.append_to_context, due.interruptible
    return frame
