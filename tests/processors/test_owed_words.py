"""Words that a voice has yet to place when it is interrupted."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
    UserStartedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.tts_service import TTSService

from tests.pipecat_versions import UNTOLD_SENTENCE, unless_pipecat_112
from tests.processors.memory_rig import Talk, talk, words
from tests.transport.bots import tone
from tests.waiting import until
from twilio_frames.processors.fallback import TTSFallback
from twilio_frames.processors.output.owed_words import LONGEST_WAIT
from twilio_frames.protocol import Clear, SendMedia

CHUNK_SECS, WORD_SECS = 0.1, 0.3
# By the letters alone the first of these words takes most of the sound.
SENTENCE = "Extraordinarily I am up to it."


class SentenceTimesVoice(TTSService):
    """Tells where a sentence's words are when it has made all of its sound, or never.

    Args:
        pace: How many times faster than it is played speech is made.
        tells: Whether it does tell.
        silent: Sentences of which it makes no sound.
        hangs_at: How much speech it makes before it hangs, once.
        hangs_for: How long.
    """

    def __init__(
        self,
        *,
        pace: float = 3.0,
        tells: bool = True,
        silent: Sequence[str] = (),
        hangs_at: float = math.inf,
        hangs_for: float = 0.0,
    ):
        super().__init__(push_text_frames=False, push_start_frame=True)
        self._pace = pace
        self._tells = tells
        self._silent = silent
        self._hangs_at = hangs_at
        self._hangs_for = hangs_for
        self._asked: asyncio.Queue[tuple[str, str | None]] = asyncio.Queue(100)
        self._seconds = 0.0
        self._making: asyncio.Task[None] | None = None

    async def setup(self, setup):
        await super().setup(setup)
        self._making = self.create_task(self._make())

    async def cleanup(self):
        await super().cleanup()
        if self._making is not None:
            await self.cancel_task(self._making)

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        self._asked.put_nowait((context_id, text))
        yield None

    async def flush_audio(self, context_id: str | None = None) -> None:
        if context_id:
            self._asked.put_nowait((context_id, None))

    async def _make(self) -> None:
        while True:
            context_id, text = await self._asked.get()
            if text is None:
                stopped = TTSStoppedFrame(context_id=context_id)
                await self.append_to_audio_context(context_id, stopped)
                await self.remove_audio_context(context_id)
                self._seconds = 0.0
            elif text.strip() not in self._silent:
                await self._speak(text.split(), context_id)

    async def _speak(self, spoken: Sequence[str], context_id: str) -> None:
        began = self._seconds
        while self._seconds < began + WORD_SECS * len(spoken) - 0.01:
            if self._seconds >= self._hangs_at:
                self._hangs_at = math.inf
                await asyncio.sleep(self._hangs_for)
            await asyncio.sleep(CHUNK_SECS / self._pace)
            self._seconds += CHUNK_SECS
            if not self.audio_context_available(context_id):
                return
            audio = TTSAudioRawFrame(tone(CHUNK_SECS), 8000, 1, context_id=context_id)
            await self.append_to_audio_context(context_id, audio)
        if self._tells:
            times = [(word, began + WORD_SECS * n) for n, word in enumerate(spoken)]
            await self.add_word_timestamps(times, context_id)


class BehindVoice(FrameProcessor):
    """Right behind the voice.

    Args:
        lets_by: Whether interruptions come by.
    """

    def __init__(self, *, lets_by: bool = True):
        super().__init__()
        self._lets_by = lets_by
        self.interrupted = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        is_interruption = isinstance(frame, InterruptionFrame)
        if is_interruption:
            self.interrupted.set()
        if self._lets_by or not is_interruption:
            await self.push_frame(frame, direction)


@asynccontextmanager
async def speaking(
    *between: FrameProcessor, reply: str = SENTENCE, heard: float
) -> AsyncIterator[Talk]:
    """A bot in the middle of a reply, of which so many seconds have been heard."""
    async with talk(LLMContextAggregatorPair(LLMContext()), between=between) as made:
        texts = [LLMTextFrame(f"{word} ") for word in reply.split()]
        await made.happens(LLMFullResponseStartFrame(), *texts, LLMFullResponseEndFrame())
        await until(lambda: bool(made.line.of(SendMedia)), every=0.01)
        began, _ = made.line.of(SendMedia)[0]
        await asyncio.sleep(began + heard - time.monotonic())
        yield made


async def interrupt(made: Talk) -> str:
    """Interrupts; gives what is remembered of the reply."""
    await made.happens(InterruptionFrame())
    await until(lambda: bool(made.memory()), every=0.005)
    return made.memory()[0][1]


async def kept_for(voice: FrameProcessor, *, heard: float) -> float:
    """Seconds for which a voice keeps an interruption."""
    behind = BehindVoice()
    async with speaking(voice, behind, heard=heard) as made:
        began = time.monotonic()
        await made.happens(InterruptionFrame())
        await behind.interrupted.wait()
        return time.monotonic() - began


@pytest.mark.parametrize(
    ("heard", "expected"), [(0.5, "Extraordinarily —"), (0.75, "Extraordinarily I —")]
)
async def test_words_are_told_while_an_interruption_waits(heard: float, expected: str):
    async with speaking(SentenceTimesVoice(pace=2.5), heard=heard) as made:
        assert await interrupt(made) == expected


async def test_bot_is_silent_meanwhile():
    async with speaking(SentenceTimesVoice(pace=2.0), heard=0.7) as made:
        began = time.monotonic()
        await interrupt(made)

        ((cleared_at, _),) = made.line.of(Clear)
        assert cleared_at - began < 0.05
        assert all(sent_at <= cleared_at for sent_at, _ in made.line.of(SendMedia))


async def test_bot_stays_silent_where_all_it_had_was_heard_and_the_voice_goes_on_meanwhile():
    voice = SentenceTimesVoice(hangs_at=0.75, hangs_for=0.7)
    async with speaking(voice, heard=0.9) as made:
        sent = made.line.audio()
        assert await interrupt(made) == "Extraordinarily I —"
        assert made.line.audio() == sent


async def test_cut_is_marked_where_the_voice_hung_and_all_it_had_was_heard():
    voice = SentenceTimesVoice(hangs_at=0.75, hangs_for=5.0)
    async with speaking(voice, reply="One two three four five six.", heard=0.9) as made:
        assert await interrupt(made) == "One two three —"


async def test_nothing_is_waited_for_where_the_words_are_known():
    assert await kept_for(SentenceTimesVoice(pace=20.0), heard=0.75) < 0.05


async def test_no_longer_is_waited_than_until_the_words_are_known():
    # Its sentence takes 0.9 s to make.
    assert 0.1 < await kept_for(SentenceTimesVoice(pace=2.0), heard=0.75) < 0.25


@pytest.mark.parametrize("heard", [0.1, 0.75])
async def test_voice_that_does_not_tell_keeps_an_interruption_for_a_moment(heard: float):
    voice = SentenceTimesVoice(pace=1.2, tells=False)

    assert await kept_for(voice, heard=heard) == pytest.approx(LONGEST_WAIT, abs=0.05)


@unless_pipecat_112(UNTOLD_SENTENCE)
async def test_sound_is_of_the_sentence_that_is_told():
    silent, said = "Nothing of this sounds.", SENTENCE
    voice = SentenceTimesVoice(pace=2.0, silent=[silent])
    async with speaking(voice, reply=f"{silent} {said}", heard=0.75) as made:
        assert await interrupt(made) == "Extraordinarily I —"


async def test_llm_is_asked_with_what_was_told_then():
    async with speaking(SentenceTimesVoice(pace=2.0), heard=0.75) as made:
        await made.happens(UserStartedSpeakingFrame(), words("No."))
        asked = await made.mind.is_asked()

    assert asked == [("assistant", "Extraordinarily I —"), ("user", "No.")]


async def test_voices_that_stand_by_for_one_another_wait_once():
    def standing_by(first: TTSService) -> TTSFallback:
        return TTSFallback([first, SentenceTimesVoice()])

    async with speaking(standing_by(SentenceTimesVoice(pace=2.5)), heard=0.75) as made:
        assert await interrupt(made) == "Extraordinarily I —"
    mute = standing_by(SentenceTimesVoice(pace=1.2, tells=False))
    assert await kept_for(mute, heard=0.75) == pytest.approx(LONGEST_WAIT, abs=0.05)


async def test_bot_says_on_where_the_interruption_never_comes():
    behind = BehindVoice(lets_by=False)
    async with speaking(SentenceTimesVoice(pace=2.0), behind, heard=0.75) as made:
        await made.happens(InterruptionFrame())
        await behind.interrupted.wait()
        # What the voice has made by then.
        await made.ear.hears("up")
