"""STT, LLM and TTS whose words are known to the byte, the same for every bot that is tried.

The three kinds of TTS there are: with word timestamps through Pipecat's own mechanism, as
Cartesia's service has them; without, whole sentences; and this package's ``PythonTTSService``.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    StartFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings, ServiceSettings, STTSettings, TTSSettings
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from truth_words import Word, burst, pcm_of, said, sound

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.processors.tts import PythonTTSService, SpeechChunk, SpokenWord

CHUNK_SECS = 0.1
SPEED = 3.0
"""How much faster than it is played speech is made."""

LLM_WORD_SECS = 0.01
_VAD_SECS = 0.6
_INTERIM_SECS = 0.7


class Timestamps(Enum):
    """When a provider tells where a sentence's words are."""

    BEFORE = "before the audio"
    ALONG = "along with the audio"
    AFTER = "after the audio"


class Kind(Enum):
    """What a TTS service tells about its words."""

    TIMESTAMPS = "word timestamps"
    SENTENCES = "whole sentences"
    PYTHON = "PythonTTSService"
    REALTIME = "speech-to-speech model"


@dataclass(kw_only=True)
class Behaviour:
    """How one call's services behave; may be changed while it lasts.

    Parameters:
        kind: Which TTS it has.
        timestamps: When word timestamps come.
        sounds: What words sound like, mu-law, where it is not a burst.
        hiccup_at: Seconds of an utterance's audio after which the provider pauses, once; None
            for no pause.
        hiccup_secs: How long.
        transcript: What the recogniser makes of the caller's speech; nothing if empty.
        words_late: Seconds from the VAD's end of speech to the transcript.
        tells_interims: Whether the recogniser tells the first word while the caller speaks.
        second_part: What it makes of the same speech in a second transcript.
        second_late: Seconds from the first transcript to that.
        interrupt_by: What interrupts the bot, by the name of an ``InterruptBy``.
        is_muted: Whether the caller is not listened to while the bot speaks.
        silent_texts: How many texts the voice leaves without a sound.
        silent_behind: How many it speaks before those.
        replies: What the LLM will say.
    """

    kind: Kind = Kind.TIMESTAMPS
    timestamps: Timestamps = Timestamps.BEFORE
    sounds: dict[str, bytes] = field(default_factory=dict)
    hiccup_at: float | None = None
    hiccup_secs: float = 2.0
    transcript: str = ""
    words_late: float = 0.0
    tells_interims: bool = False
    second_part: str = ""
    second_late: float = 10.0
    interrupt_by: str = "CONFIRMED_SPEECH"
    is_muted: bool = False
    silent_texts: int = 0
    silent_behind: int = 0
    replies: deque[str] = field(default_factory=deque)

    def speaks_next(self) -> bool:
        """Whether the voice makes the next text's sound."""
        if self.silent_behind or not self.silent_texts:
            self.silent_behind = max(0, self.silent_behind - 1)
            return True
        self.silent_texts -= 1
        return False

    def voice(self, word: str) -> bytes:
        """What a word sounds like."""
        return self.sounds.get(word) or burst(word)


def _none_of(kind: type[ServiceSettings]) -> dict[str, Any]:
    """Pipecat asks for None in each setting that a service does not know."""
    return {f.name: None for f in fields(kind) if f.init and f.name != "extra"}


class Hearer(STTService):
    """Knows what was said when the VAD has heard silence, or some time after."""

    def __init__(self, behaviour: Behaviour, **kwargs: Any):
        settings = STTSettings(**_none_of(STTSettings))
        latency = behaviour.words_late and behaviour.words_late + _VAD_SECS
        super().__init__(settings=settings, ttfs_p99_latency=latency, **kwargs)
        self._behaviour = behaviour
        self.told = 0

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Makes nothing of the audio itself."""
        yield None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Takes the VAD's word for it."""
        await super().process_frame(frame, direction)
        if not self._behaviour.transcript:
            return
        if isinstance(frame, VADUserStoppedSpeakingFrame):
            self.create_task(self._tell())
        elif isinstance(frame, VADUserStartedSpeakingFrame) and self._behaviour.tells_interims:
            self.create_task(self._tell_interim())

    async def _tell(self) -> None:
        await asyncio.sleep(self._behaviour.words_late)
        await self._push(self._behaviour.transcript)
        if self._behaviour.second_part:
            await asyncio.sleep(self._behaviour.second_late)
            await self._push(self._behaviour.second_part)

    async def _tell_interim(self) -> None:
        await asyncio.sleep(_INTERIM_SECS)
        first, *_ = self._behaviour.transcript.split()
        await self.push_frame(InterimTranscriptionFrame(text=first, user_id="", timestamp=""))

    async def _push(self, text: str) -> None:
        self.told += 1
        words = TranscriptionFrame(text=text, user_id="", timestamp="", finalized=True)
        await self.push_frame(words)


class Prompter(FrameProcessor):
    """Interrupts when it is told to, as the user aggregator does by itself."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Lets everything pass."""
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


class Replier(LLMService):
    """Says the next of the replies that were laid ready; nothing if there is none.

    It also notes when the pipeline took the bot to speak: times of the machine's monotonic clock.
    """

    def __init__(self, behaviour: Behaviour, **kwargs: Any):
        super().__init__(settings=LLMSettings(**_none_of(LLMSettings)), **kwargs)
        self._behaviour = behaviour
        self.started: list[float] = []
        self.stopped: list[float] = []
        self.interruptions = 0
        self.asked: list[list[tuple[str, str]]] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Replies to a context frame."""
        await super().process_frame(frame, direction)
        match frame:
            case BotStartedSpeakingFrame():
                self.started.append(time.monotonic())
            case BotStoppedSpeakingFrame():
                self.stopped.append(time.monotonic())
            case InterruptionFrame():
                self.interruptions += 1
            case _:
                pass
        if isinstance(frame, LLMContextFrame):
            self.asked.append(turns_of(frame.context))
            await self._reply()
        else:
            await self.push_frame(frame, direction)

    async def _reply(self) -> None:
        if not self._behaviour.replies:
            return
        await self.push_frame(LLMFullResponseStartFrame())
        for word in self._behaviour.replies.popleft().split():
            await asyncio.sleep(LLM_WORD_SECS)
            await self.push_frame(LLMTextFrame(f"{word} "))
        await self.push_frame(LLMFullResponseEndFrame())


def turns_of(context: LLMContext) -> list[tuple[str, str]]:
    """What was said in turn, by role; calls of functions left out."""
    return [
        (str(message.get("role")), content)
        for message in context.get_messages()
        if isinstance(message, dict) and isinstance(content := message.get("content"), str)
    ]


def speaker(behaviour: Behaviour) -> TTSService:
    """The TTS service of the kind that is wanted."""
    match behaviour.kind:
        case Kind.TIMESTAMPS:
            return TimedSpeaker(behaviour)
        case Kind.SENTENCES:
            return SentenceSpeaker(behaviour)
        case Kind.PYTHON:
            return PythonSpeaker(behaviour)
        case Kind.REALTIME:
            raise ValueError("a speech-to-speech model has no TTS service")


class _Chunks:
    """Cuts sound into the chunks in which a provider would send it, and pauses as it would.

    Args:
        behaviour: Of the call.
    """

    def __init__(self, behaviour: Behaviour):
        self._behaviour = behaviour
        self._seconds = 0.0

    def begin_utterance(self) -> None:
        """Counts from here to the hiccup."""
        self._seconds = 0.0

    async def of(self, mulaw: bytes) -> AsyncIterator[bytes]:
        """PCM, chunk by chunk, faster than it is played."""
        size = round(CHUNK_SECS * SAMPLE_RATE)
        for begin in range(0, len(mulaw), size):
            await self._wait()
            chunk = mulaw[begin : begin + size]
            self._seconds += len(chunk) / SAMPLE_RATE
            yield pcm_of(chunk)

    async def _wait(self) -> None:
        hiccup_at = self._behaviour.hiccup_at
        if hiccup_at is not None and self._seconds >= hiccup_at:
            self._behaviour.hiccup_at = None
            await asyncio.sleep(self._behaviour.hiccup_secs)
        await asyncio.sleep(CHUNK_SECS / SPEED)


@dataclass(frozen=True, slots=True)
class _Order:
    """A text for the provider to speak; None ends the context."""

    context_id: str
    text: str | None


class TimedSpeaker(TTSService):
    """Word timestamps by ``add_word_timestamps()``, audio from a task of its own."""

    def __init__(self, behaviour: Behaviour, **kwargs: Any):
        super().__init__(
            settings=TTSSettings(**_none_of(TTSSettings)),
            push_text_frames=False,
            push_start_frame=True,
            pause_frame_processing=False,
            **kwargs,
        )
        self._behaviour = behaviour
        self._chunks = _Chunks(behaviour)
        self._orders: asyncio.Queue[_Order] = asyncio.Queue(1000)
        self._spoken: dict[str, float] = {}
        self._provider: asyncio.Task[None] | None = None

    async def start(self, frame: StartFrame) -> None:
        """Connects to the provider, as it were."""
        await super().start(frame)
        self._provider = self.create_task(self._provide())

    async def cleanup(self) -> None:
        """Disconnects."""
        await super().cleanup()
        if self._provider is not None:
            await self.cancel_task(self._provider)
            self._provider = None

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Hands the text to the provider, whose answer comes by another way."""
        self._orders.put_nowait(_Order(context_id, text))
        yield None

    async def flush_audio(self, context_id: str | None = None) -> None:
        """Tells the provider that the context is complete."""
        wanted = context_id or self.get_active_audio_context_id()
        if wanted:
            self._orders.put_nowait(_Order(wanted, None))

    async def _provide(self) -> None:
        while True:
            order = await self._orders.get()
            if not self.audio_context_available(order.context_id):
                continue
            if order.text is None:
                stopped = TTSStoppedFrame(context_id=order.context_id)
                await self.append_to_audio_context(order.context_id, stopped)
                await self.remove_audio_context(order.context_id)
            elif self._behaviour.speaks_next():
                await self._speak(order.context_id, said(order.text, self._behaviour.voice))

    async def _speak(self, context_id: str, words: list[Word]) -> None:
        if context_id not in self._spoken:
            self._chunks.begin_utterance()
        began = self._spoken.get(context_id, 0.0)
        times = _times(words, began)
        self._spoken[context_id] = began + len(sound(words)) / SAMPLE_RATE
        when = self._behaviour.timestamps
        if when is Timestamps.BEFORE:
            await self.add_word_timestamps(times, context_id)
        seconds = began
        async for pcm in self._chunks.of(sound(words)):
            # What belongs to a context that was interrupted meanwhile is dropped.
            if not self.audio_context_available(context_id):
                return
            seconds += len(pcm) / 2 / SAMPLE_RATE
            if when is Timestamps.ALONG:
                due = [entry for entry in times if entry[1] < seconds]
                times = times[len(due) :]
                await self.add_word_timestamps(due, context_id)
            frame = TTSAudioRawFrame(pcm, self.sample_rate, 1, context_id=context_id)
            await self.append_to_audio_context(context_id, frame)
        if when is Timestamps.AFTER:
            await self.add_word_timestamps(times, context_id)


def _times(words: list[Word], began: float) -> list[tuple[str, float]]:
    times: list[tuple[str, float]] = []
    for word in words:
        times.append((word.written, began))
        began += word.size / SAMPLE_RATE
    return times


class SentenceSpeaker(TTSService):
    """No timestamps: each sentence's text follows its audio."""

    def __init__(self, behaviour: Behaviour, **kwargs: Any):
        settings = TTSSettings(**_none_of(TTSSettings))
        super().__init__(settings=settings, push_start_frame=True, push_stop_frames=True, **kwargs)
        self._behaviour = behaviour
        self._chunks = _Chunks(behaviour)

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Speaks a sentence."""
        self._chunks.begin_utterance()
        async for pcm in self._chunks.of(sound(said(text, self._behaviour.voice))):
            yield TTSAudioRawFrame(pcm, self.sample_rate, 1, context_id=context_id)


class PythonSpeaker(PythonTTSService):
    """Names each word in the chunk in which it begins."""

    gives_word_times = True

    def __init__(self, behaviour: Behaviour, **kwargs: Any):
        super().__init__(**kwargs)
        self._behaviour = behaviour
        self._chunks = _Chunks(behaviour)

    async def synthesise(self, text: str) -> AsyncIterator[SpeechChunk]:
        """Speaks a text."""
        self._chunks.begin_utterance()
        words = said(text, self._behaviour.voice)
        waiting, seconds = deque(_times(words, 0.0)), 0.0
        async for pcm in self._chunks.of(sound(words)):
            end = seconds + len(pcm) / 2 / SAMPLE_RATE
            begun: list[SpokenWord] = []
            while waiting and waiting[0][1] < end:
                written, began = waiting.popleft()
                begun.append(SpokenWord(text=written, start=began - seconds))
            yield SpeechChunk(pcm=pcm, sample_rate=SAMPLE_RATE, words=tuple(begun))
            seconds = end
