"""What is remembered of replies that a voice makes no sound of, and who says them again."""

import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path

import pytest
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    LLMRunFrame,
    ManuallySwitchServiceFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
)
from pipecat.pipeline.service_switcher import ServiceSwitcher, ServiceSwitcherStrategyFailover
from pipecat.processors.aggregators.llm_context import LLMContextMessage
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService

from tests.pipecat_versions import UNTOLD_SENTENCE, unless_pipecat_112
from tests.vendors.faults import bad_day

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from truth_services import (  # pyright: ignore[reportMissingImports]
    Behaviour,
    TimedSpeaker,
    Timestamps,
)

from tests.memory.conversation import CUT, Bot, Look, Memory, Think, call, words_heard_of
from tests.memory.voices import SocketSpeaker, Voice
from tests.waiting import time_passes
from twilio_frames.audio import decode_mulaw
from twilio_frames.testing.known_speech import espeak_voice, said, sound

FIRST = "Bada gime lopu."
SECOND = "Rito fesu dabo keni."
THIRD = "Visa relo muta."
FOURTH = "Bolu deri faso."

# Each place with two kinds of voices; with ``-m truth`` the rest.
PLACES = [
    pytest.param(timestamps, behind, marks=pytest.mark.truth if (kind + behind) % 3 == 2 else [])
    for kind, timestamps in enumerate(Timestamps)
    for behind in (0, 1, 2)
]

QUESTION: LLMContextMessage = {"role": "user", "content": "Go on."}


class FailingVoice(TTSService):
    """Speaks a sentence at once, as services over HTTP do, or has none of it, or half.

    Args:
        share: How much of a text's sound there is, by how often it was asked for.
        is_finished: Whether a failure is for good.
        **options: Pipecat's.
    """

    def __init__(self, share: Callable[[str, int], float], *, is_finished: bool = False, **options):
        super().__init__(
            settings=TTSSettings(model=None, voice=None, language=None),
            push_start_frame=True,
            push_stop_frames=True,
            max_consecutive_zero_audio_contexts=0,
            **options,
        )
        self._share = share
        self._is_finished = is_finished
        self.asked: list[str] = []

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        mulaw = sound(said(text))
        share = self._share(text, self.asked.count(text))
        self.asked.append(text)
        for begin in range(0, round(share * len(mulaw)), 800):
            pcm = decode_mulaw(mulaw[begin : min(begin + 800, round(share * len(mulaw)))])
            yield TTSAudioRawFrame(pcm, 8000, 1, context_id=context_id)
        if share < 1 and self._is_finished:
            await self.push_error("503 from the vendor", force_treat_as_permanent=True)
        elif share < 1:
            yield ErrorFrame(error="503 from the vendor")


def bot_with(voice: FrameProcessor) -> Bot:
    return Bot(Voice.TEXT_LAST, Memory.OURS, make_voice=lambda _: voice)


async def replies(
    bot: Bot, *texts: str | Think, until: Callable[[], bool], messages: int = 1
) -> tuple[str, bytes]:
    """What is remembered of a reply, in so many messages, and the ear's side of it."""
    async with call(bot) as caller:
        bot.llm.replies.append(texts)
        await bot.queue(LLMRunFrame())
        await bot.ears.until(until)
        await bot.silence()
        await bot.remembers(lambda lines: len(lines) >= messages)
        lines = bot.lines()
        await caller.hang_up()
    assert all(line.startswith("assistant: ") for line in lines)
    return " ".join(line.removeprefix("assistant: ") for line in lines), caller.result.heard_bot


class PausingVoice(FailingVoice):
    """Rests in the middle of a sentence for so long that Pipecat takes it for spoken.

    Args:
        pause_secs: How long.
    """

    def __init__(self, pause_secs: float):
        super().__init__(lambda _text, _asked: 1.0, stop_frame_timeout_s=1.0)
        self._pause_secs = pause_secs

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        pieces = 0
        async for frame in super().run_tts(text, context_id):
            if text.startswith(SECOND) and pieces == 4:
                await time_passes(self._pause_secs)
            pieces += 1
            yield frame


@pytest.mark.parametrize("pause_secs", [0.5, 2.0, 4.0])
async def test_sentence_with_a_long_pause_is_remembered_whole(pause_secs: float):
    bot = bot_with(PausingVoice(pause_secs))

    remembered, ear = await replies(
        bot, FIRST, SECOND, THIRD, until=lambda: "muta." in " ".join(bot.ears.words)
    )

    text = f"{FIRST} {SECOND} {THIRD}"
    assert words_heard_of(ear, text) == text
    assert remembered == text


async def test_pause_in_a_sentence_that_is_cut_brings_none_of_its_words_back():
    bot = bot_with(PausingVoice(2.0))
    async with call(bot) as caller:
        bot.llm.replies += [(FIRST, SECOND), (THIRD,)]
        await bot.queue(LLMRunFrame())
        await bot.word("lopu")
        await bot.silence()
        await bot.interrupt()
        await bot.queue(LLMRunFrame())
        await bot.remembers(lambda lines: lines[-1:] == [f"assistant: {THIRD}"])
        lines = bot.lines()
        await caller.hang_up()

    assert SECOND.split()[-1] not in " ".join(lines)


@bad_day(
    "air",
    "the voice gives no sound for a sentence, once",
    "The sentence, behind the others; so it is remembered.",
)
async def test_sentence_that_failed_once_is_said_behind_the_others():
    voice = FailingVoice(lambda text, asked: text != SECOND or asked > 0)
    bot = bot_with(voice)
    memory, ear = await replies(
        bot, FIRST, SECOND, THIRD, until=lambda: "keni." in bot.ears.words, messages=2
    )

    assert memory == f"{FIRST} {THIRD} {SECOND}"
    assert words_heard_of(ear, memory) == memory


@bad_day(
    "air",
    "the voice gives no sound for a sentence, ever",
    "The others; it is not remembered as said.",
)
async def test_sentence_that_fails_for_good_is_not_remembered():
    voice = FailingVoice(lambda text, asked: text != SECOND)
    bot = bot_with(voice)
    memory, ear = await replies(
        bot, FIRST, SECOND, until=lambda: voice.asked == [FIRST, SECOND, SECOND]
    )

    assert memory == FIRST
    assert words_heard_of(ear, f"{FIRST} {SECOND}") == FIRST


async def test_first_sentence_that_fails_takes_no_other_ones_place():
    voice = FailingVoice(lambda text, asked: text != FIRST or asked > 0)
    bot = bot_with(voice)
    memory, ear = await replies(
        bot, FIRST, SECOND, until=lambda: "lopu." in bot.ears.words, messages=2
    )

    assert memory == f"{SECOND} {FIRST}"
    assert words_heard_of(ear, memory) == memory


@unless_pipecat_112(UNTOLD_SENTENCE)
@pytest.mark.parametrize(("timestamps", "behind"), PLACES)
async def test_sentence_that_a_voice_with_word_times_left_out(timestamps: Timestamps, behind: int):
    """One of three, of which there is sound when it is asked for again."""
    texts = [FIRST, SECOND, THIRD]
    behaviour = Behaviour(timestamps=timestamps, silent_texts=1, silent_behind=behind)
    bot = bot_with(TimedSpeaker(behaviour))
    left_out = texts.pop(behind)
    memory, ear = await replies(
        bot,
        *(FIRST, SECOND, THIRD),
        until=lambda: left_out.split()[-1] in bot.ears.words,
        messages=2,
    )

    assert memory == f"{' '.join(texts)} {left_out}"
    assert words_heard_of(ear, memory) == memory


@pytest.mark.parametrize(("timestamps", "behind"), PLACES)
async def test_sentences_in_a_row_that_a_voice_with_word_times_left_out(
    timestamps: Timestamps, behind: int
):
    """Pipecat drops the word times of what is said behind them."""
    texts = [FIRST, SECOND, THIRD, FOURTH]
    behaviour = Behaviour(timestamps=timestamps, silent_texts=2, silent_behind=behind)
    bot = bot_with(TimedSpeaker(behaviour))
    left_out = texts[behind : behind + 2]
    memory, ear = await replies(
        bot, *texts, until=lambda: left_out[1].split()[-1] in bot.ears.words, messages=2
    )

    said_at_once = [text for text in texts if text not in left_out]
    assert memory == " ".join([*said_at_once, *left_out])
    assert words_heard_of(ear, memory) == memory


@pytest.mark.parametrize("silent", [0, 1, 2])
async def test_sentence_without_a_sound_among_texts_ahead_of_their_audio(silent: int):
    """Nothing but their sound says which of them were spoken."""
    texts = [
        "The ferry leaves at noon.",
        "Sorry, we only take cash here.",
        "Both of the rooms have a shower.",
    ]
    voice = SocketSpeaker(say=espeak_voice(), is_silent=lambda text: text == texts[silent])
    bot = bot_with(voice)
    memory, _ = await replies(
        bot, *texts, until=lambda: bot.ears.words[-1:] == texts[silent].split()[-1:], messages=2
    )

    left = [text for text in texts if text != texts[silent]]
    assert memory == " ".join([*left, texts[silent]])


async def test_next_voice_says_what_the_one_before_it_had_no_sound_of():
    """Pipecat's switcher drops what the failed service was given."""
    failing = FailingVoice(lambda text, asked: text == FIRST, is_finished=True)
    other = FailingVoice(lambda text, asked: 1.0)
    switcher = ServiceSwitcher([failing, other], ServiceSwitcherStrategyFailover)
    bot = bot_with(switcher)
    memory, ear = await replies(
        bot, FIRST, SECOND, until=lambda: "keni." in bot.ears.words, messages=2
    )

    assert memory == f"{FIRST} {SECOND}"
    assert words_heard_of(ear, memory) == memory
    assert other.asked == [SECOND]


class BrokenSocket(SocketSpeaker):
    """Fails for good while it is at a text, by another way than that which the text takes."""

    def __init__(self, fails_at: str, **options):
        super().__init__(**options)
        self._fails_at = fails_at

    async def run_tts(self, text: str, context_id: str):
        if text == self._fails_at:
            self.create_task(self._fail())
            yield None
            return
        async for frame in super().run_tts(text, context_id):
            yield frame

    async def _fail(self) -> None:
        await time_passes(0.02)
        await self.disconnect()
        await self.push_error("401 from the vendor", force_treat_as_permanent=True)


def word_by_word(*texts: str) -> Iterator[str | Think]:
    """As an LLM has them that is slower than a service fails: the switch comes between words."""
    for word in " ".join(texts).split():
        yield from (word, Think(0.01))


@pytest.mark.parametrize("fails_at", [0, 1, 2])
@pytest.mark.parametrize("is_socket", [True, False])
async def test_next_voice_says_what_the_one_before_it_kept_of_a_sentence(
    fails_at: int, is_socket: bool
):
    texts = [FIRST, SECOND, THIRD, FOURTH]
    failing = FailingVoice(lambda text, asked: text != texts[fails_at], is_finished=True)
    first = BrokenSocket(texts[fails_at]) if is_socket else failing
    other = FailingVoice(lambda text, asked: 1.0)
    bot = bot_with(ServiceSwitcher([first, other], ServiceSwitcherStrategyFailover))
    last = texts[fails_at].split()[-1]
    memory, ear = await replies(
        bot, *word_by_word(*texts), until=lambda: last in bot.ears.words, messages=2
    )

    assert sorted(memory.split()) == sorted(" ".join(texts).split())
    assert words_heard_of(ear, memory) == memory
    assert other.asked[0] == texts[fails_at + 1]


class HangingVoice(FailingVoice):
    """Takes two seconds to fail."""

    async def run_tts(self, text: str, context_id: str):
        await time_passes(2.0)
        async for frame in super().run_tts(text, context_id):
            yield frame


async def test_next_voice_does_not_wait_for_one_that_hangs():
    first, other = HangingVoice(lambda text, asked: 0.0), FailingVoice(lambda text, asked: 1.0)
    bot = bot_with(ServiceSwitcher([first, other]))

    async def switch() -> None:
        await time_passes(0.06)
        await bot.queue(ManuallySwitchServiceFrame(service=other))

    async with call(bot) as caller:
        bot.llm.replies.append(tuple(word_by_word(FIRST, SECOND, THIRD)))
        await bot.queue(LLMRunFrame())
        await switch()
        await bot.word("lopu.")
        await bot.silence()
        await bot.remembers(lambda lines: "lopu." in " ".join(lines))
        lines = bot.lines()
        await caller.hang_up()

    memory = " ".join(line.removeprefix("assistant: ") for line in lines)
    assert sorted(memory.split()) == sorted(f"{FIRST} {SECOND} {THIRD}".split())


async def test_reply_of_which_no_word_was_heard_leaves_no_cut_mark():
    voice = FailingVoice(lambda text, asked: 1.0)
    bot = bot_with(voice)
    async with call(bot) as caller:
        await bot.queue(TTSSpeakFrame(SECOND))
        await bot.speaks(0.0)
        await bot.interrupt()
        await bot.silence()
        bot.llm.replies.append([FIRST])
        await bot.queue(LLMRunFrame())
        await bot.word("lopu.")
        await bot.silence()
        lines = bot.lines()
        await caller.hang_up()

    assert not words_heard_of(caller.result.heard_bot, SECOND)
    assert not any(CUT in line for line in lines)


@bad_day(
    "air",
    "a model that calls functions without end",
    "An apology, after 8 rounds without a word (`function_rounds_limit`).",
)
async def test_llm_that_calls_functions_without_end_is_not_asked_for_ever():
    voice = FailingVoice(lambda text, asked: 1.0)
    bot = bot_with(voice)
    bot.found.set()
    async with call(bot) as caller:
        bot.llm.replies.extend([[Look()]] * 100)
        await bot.queue(LLMRunFrame())
        await bot.word("again?")
        await caller.hang_up()

    assert bot.llm.runs == 8
    assert sum(line.startswith("calls ") for line in bot.lines()) == 8
