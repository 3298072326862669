import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames import frames
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    ControlFrame,
    EndFrame,
    Frame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMContextFrame,
    SpeechControlParamsFrame,
    STTMetadataFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection
from pipecat.turns.user_start import MinWordsUserTurnStartStrategy, VADUserTurnStartStrategy
from pipecat.workers.runner import WorkerRunner

from tests.transport.bots import Tap
from tests.waiting import time_passes
from twilio_frames.frames import (
    BotHeldFrame,
    CallerPausedFrame,
    CallerSpeakingFrame,
    NoWordsFrame,
    ResumeFrame,
    WordsAwaitedFrame,
)
from twilio_frames.local.recognition.recogniser import UNINTELLIGIBLE as NOT_UNDERSTOOD
from twilio_frames.processors.context import (
    InterruptBy,
    PhoneContextAggregator,
    phone_turn_strategies,
)
from twilio_frames.processors.turns.backchannels import Backchannels
from twilio_frames.processors.turns.starts import UNINTELLIGIBLE, ConfirmedUserTurnStartStrategy

ON, OFF = VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame


def words(text: str) -> TranscriptionFrame:
    return TranscriptionFrame(text, "", "", finalized=True)


def interim(text: str) -> InterimTranscriptionFrame:
    return InterimTranscriptionFrame(text, "", "")


class Conversation:
    """A caller before a context aggregator, and a tap on either side of it."""

    def __init__(self, strategy: ConfirmedUserTurnStartStrategy):
        self.before, self.after = Tap(), Tap()
        self.context = PhoneContextAggregator(
            turn_strategies=phone_turn_strategies(confirmation=strategy)
        )
        self.worker = PipelineWorker(
            Pipeline([self.before, self.context.user(), self.after]), enable_rtvi=False
        )
        self._sent = 0

    async def happens(self, *frames: Frame) -> None:
        """Lets things happen one after the other, and waits until all have been dealt with."""
        for frame in frames:
            await self.worker.queue_frame(frame)
            await self.worker.queue_frame(Waypoint())
            self._sent += 1
            await self.after.wait_for(Waypoint, count=self._sent)

    def interruptions(self) -> int:
        return len(self.after.frames(InterruptionFrame))

    def resumptions(self) -> int:
        return len(self.after.frames(ResumeFrame))

    def said(self) -> list[str]:
        messages = self.context.context.get_messages()
        return [message.get("content") for message in messages]  # pyright: ignore[reportAttributeAccessIssue, reportReturnType] They are plain dicts.


@dataclass
class Waypoint(ControlFrame):
    """Tells that what was sent before it has arrived."""

    interruptible: bool = field(default=False, init=False)


@asynccontextmanager
async def conversation(
    *, confirm_secs: float = 30.0, words_secs: float | None = 30.0, **kwargs
) -> AsyncIterator[Conversation]:
    strategy = ConfirmedUserTurnStartStrategy(
        confirm_secs=confirm_secs, words_secs=words_secs, **kwargs
    )
    made = Conversation(strategy)
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(made.worker)
    running = asyncio.create_task(runner.run())
    await made.happens(SpeechControlParamsFrame(vad_params=VADParams(stop_secs=0.0)))
    try:
        yield made
    finally:
        await made.worker.queue_frame(EndFrame())
        async with asyncio.timeout(10):
            await running


async def test_silent_bot_is_spoken_to_at_once():
    async with conversation() as call:
        await call.happens(ON())
        assert call.interruptions() == 1


async def test_onset_alone_interrupts_nothing():
    async with conversation() as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), CallerSpeakingFrame(0.16))
        assert call.interruptions() == 0


async def test_speech_that_lasts_interrupts():
    async with conversation(confirm_secs=0.8) as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), CallerSpeakingFrame(0.79))
        assert call.interruptions() == 0
        await call.happens(CallerSpeakingFrame(0.8))
        assert call.interruptions() == 1


async def test_speech_that_lasts_interrupts_by_the_clock():
    async with conversation(confirm_secs=0.05) as call:
        await call.happens(BotStartedSpeakingFrame(), ON())
        await call.after.wait_for(InterruptionFrame)
        assert call.resumptions() == 0


@pytest.mark.parametrize("heard", [interim("wait"), words("no, wait")])
async def test_words_interrupt(heard: Frame):
    async with conversation() as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), heard)
        assert call.interruptions() == 1


async def test_words_without_voice_interrupt():
    async with conversation() as call:
        await call.happens(BotStartedSpeakingFrame(), words("excuse me"))
        assert call.interruptions() == 1


async def test_interrupting_words_reach_the_context():
    async with conversation() as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), OFF(), words("make it large"))
        await call.after.wait_for(LLMContextFrame)
        assert call.said() == ["make it large"]


@pytest.mark.parametrize("heard", ["Uh-huh.", "okay, right", UNINTELLIGIBLE])
async def test_listening_noises_are_false_alarms(heard: str):
    async with conversation() as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), interim(heard), OFF(), words(heard))
        assert (call.resumptions(), call.interruptions()) == (1, 0)
        assert [d for f, d in call.before.seen if isinstance(f, ResumeFrame)] == [
            FrameDirection.UPSTREAM
        ]


async def test_backchannel_stays_out_of_the_context():
    async with conversation() as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), OFF(), words("uh-huh"))
        await call.happens(BotStoppedSpeakingFrame(), ON(), OFF(), words("a latte"))
        await call.after.wait_for(LLMContextFrame)
        assert call.said() == ["a latte"]


@pytest.mark.skipif(
    not hasattr(frames, "UserBackchannelFrame"), reason="Pipecat knows backchannels since 1.13"
)
async def test_backchannel_is_told_as_such():
    async with conversation() as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), OFF(), words("uh-huh"))
        told = await call.after.wait_for(frames.UserBackchannelFrame)
        assert isinstance(told, frames.UserBackchannelFrame)
        assert told.text == "uh-huh"


async def test_sound_without_words_is_a_false_alarm():
    async with conversation(words_secs=0.02) as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), OFF())
        await call.after.wait_for(ResumeFrame)
        assert call.interruptions() == 0


async def test_words_after_a_false_alarm_interrupt():
    async with conversation(words_secs=0.0) as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), OFF())
        await call.after.wait_for(ResumeFrame)
        await call.happens(words("hello?"))
        assert call.interruptions() == 1


async def test_yes_to_a_silent_bot_is_an_answer():
    async with conversation() as call:
        await call.happens(BotStartedSpeakingFrame(), BotStoppedSpeakingFrame())
        await call.happens(ON(), OFF(), words("yes"))
        await call.after.wait_for(LLMContextFrame)
        assert call.said() == ["yes"]


@pytest.mark.parametrize(("left_secs", "answers"), [(0.9, 1), (1.1, 0), (None, 0)])
async def test_yes_to_a_nearly_finished_bot_is_an_answer(left_secs: float | None, answers: int):
    async with conversation(nearly_done_secs=1.0) as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), BotHeldFrame(left_secs=left_secs))
        await call.happens(OFF(), words("yes"))
        assert (call.interruptions(), call.resumptions()) == (answers, 1 - answers)


async def test_bot_that_ends_meanwhile_is_answered():
    async with conversation() as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), BotStoppedSpeakingFrame())
        assert call.interruptions() == 1
        await call.happens(OFF(), words("yes"))
        await call.after.wait_for(LLMContextFrame)
        assert call.said() == ["yes"]


async def test_backchannel_may_go_on_into_words():
    async with conversation(confirm_secs=0.5) as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), words("okay"))
        await call.happens(CallerSpeakingFrame(0.6))
        assert (call.interruptions(), call.resumptions()) == (0, 0)
        await call.happens(words("but no milk"), OFF())
        await call.after.wait_for(LLMContextFrame)
        assert call.said() == ["okay but no milk"]


async def test_second_onset_awaits_its_own_words():
    async with conversation(words_secs=0.05) as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), OFF(), ON())
        await time_passes(0.1)
        assert call.resumptions() == 0
        await call.happens(OFF())
        await call.after.wait_for(ResumeFrame)


async def test_other_languages_have_other_backchannels():
    async with conversation(backchannels=Backchannels.of("de")) as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), OFF(), words("ja, genau"))
        assert (call.resumptions(), call.interruptions()) == (1, 0)


async def test_in_a_turn_all_words_count():
    async with conversation() as call:
        await call.happens(ON(), words("yes"), words("okay"), OFF())
        await call.after.wait_for(LLMContextFrame)
        assert call.said() == ["yes okay"]


def test_marker_is_the_recognisers():
    assert UNINTELLIGIBLE == NOT_UNDERSTOOD


def test_pipecats_own_can_be_chosen():
    by_voice = phone_turn_strategies(interrupt_by=InterruptBy.ANY_SPEECH).start or []
    by_words = phone_turn_strategies(interrupt_by=InterruptBy.WORDS, min_words=2).start or []

    assert isinstance(by_voice[0], VADUserTurnStartStrategy)
    assert isinstance(by_words[0], MinWordsUserTurnStartStrategy)


def pause(silence_secs: float, *, after: float = 0.2) -> CallerPausedFrame:
    return CallerPausedFrame(speech_secs=after, silence_secs=silence_secs)


async def test_sound_too_short_for_a_word_is_not_waited_for():
    async with conversation() as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), CallerSpeakingFrame(0.16))
        await call.happens(pause(0.192))
        assert call.resumptions() == 0
        await call.happens(pause(0.256))
        assert (call.resumptions(), call.interruptions()) == (1, 0)


async def test_sound_of_a_words_length_awaits_the_words():
    async with conversation() as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), CallerSpeakingFrame(0.16))
        await call.happens(*(pause(0.064 * n, after=0.288) for n in range(1, 9)), OFF())
        assert call.resumptions() == 0
        await call.happens(words("stop"))
        assert (call.resumptions(), call.interruptions()) == (0, 1)


async def test_short_word_interrupts_when_it_is_known():
    async with conversation() as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), CallerSpeakingFrame(0.16), pause(0.3))
        assert (call.resumptions(), call.interruptions()) == (1, 0)
        await call.happens(OFF(), words("no"))
        assert call.interruptions() == 1
        await call.after.wait_for(LLMContextFrame)
        assert call.said() == ["no"]


async def test_speech_behind_a_cough_counts_though_the_vad_heard_no_end():
    async with conversation(confirm_secs=0.8) as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), CallerSpeakingFrame(0.16), pause(0.3))
        assert call.resumptions() == 1
        await call.happens(CallerSpeakingFrame(0.8))
        assert call.interruptions() == 1


async def test_second_cough_is_as_short_as_the_first():
    async with conversation() as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), CallerSpeakingFrame(0.16), pause(0.3))
        await call.happens(CallerSpeakingFrame(0.36), pause(0.3, after=0.4))
        assert (call.resumptions(), call.interruptions()) == (2, 0)


async def test_speech_behind_a_cough_is_a_turn_once_the_bot_is_silent():
    async with conversation() as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), CallerSpeakingFrame(0.16), pause(0.3))
        await call.happens(BotStoppedSpeakingFrame())
        assert call.interruptions() == 0
        await call.happens(CallerSpeakingFrame(0.3))
        assert call.interruptions() == 1


async def test_no_words_end_the_doubt():
    async with conversation() as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), CallerSpeakingFrame(0.4), OFF())
        assert call.resumptions() == 0
        await call.happens(NoWordsFrame())
        assert (call.resumptions(), call.interruptions()) == (1, 0)


@pytest.mark.parametrize("answer", [words("uh-huh"), words(UNINTELLIGIBLE), words(" ")])
async def test_answer_in_a_pause_ends_the_doubt(answer: Frame):
    async with conversation() as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), CallerSpeakingFrame(0.4))
        await call.happens(pause(0.064, after=0.4), answer)
        assert (call.resumptions(), call.interruptions()) == (1, 0)


async def test_answer_that_came_first_ends_the_doubt_in_the_pause():
    async with conversation() as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), CallerSpeakingFrame(0.4))
        await call.happens(words("okay"))
        assert call.resumptions() == 0
        await call.happens(pause(0.064, after=0.4))
        assert (call.resumptions(), call.interruptions()) == (1, 0)


async def test_answer_to_what_was_said_before_is_none():
    async with conversation() as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), CallerSpeakingFrame(0.3))
        await call.happens(words("okay"), CallerSpeakingFrame(0.4), pause(0.4, after=0.5), OFF())
        assert (call.resumptions(), call.interruptions()) == (0, 0)


async def test_quick_recogniser_is_not_waited_for_when_it_is_late():
    quick = STTMetadataFrame(service_name="quick", ttfs_p99_latency=0.3)
    async with conversation(words_secs=None) as call:
        await call.happens(quick, BotStartedSpeakingFrame(), ON(), interim("uh"))
        await call.happens(CallerSpeakingFrame(0.4), words("uh"), pause(0.1, after=0.4))
        assert call.resumptions() == 1
        await call.happens(OFF(), ON(), CallerSpeakingFrame(0.4), pause(0.28, after=0.4))
        assert call.resumptions() == 1
        await call.happens(pause(0.45, after=0.4))
        assert call.resumptions() == 2


async def test_yes_in_the_last_second_is_waited_for_however_short():
    async with conversation() as call:
        await call.happens(BotStartedSpeakingFrame(), BotHeldFrame(left_secs=0.5), ON())
        await call.happens(CallerSpeakingFrame(0.16), pause(0.3))
        assert call.resumptions() == 0
        await call.happens(words("yes"))
        assert (call.interruptions(), call.resumptions()) == (1, 0)


async def test_sound_that_was_no_speech_leaves_no_trace():
    async with conversation() as call:
        await call.happens(BotStartedSpeakingFrame(), CallerSpeakingFrame(0.064, False))
        await call.happens(BotHeldFrame(left_secs=0.5), CallerPausedFrame(0.1, 0.096, False))
        await call.happens(ON(), CallerSpeakingFrame(0.16), pause(0.3))
        assert (call.interruptions(), call.resumptions()) == (0, 1)


async def test_words_that_are_found_out_are_awaited():
    async with conversation(words_secs=0.0) as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), pause(0.13, after=0.4))
        await call.happens(WordsAwaitedFrame(30.0), OFF())
        await time_passes(0.1)
        assert (call.resumptions(), call.interruptions()) == (0, 0)
        await call.happens(words("stop"))
        assert (call.resumptions(), call.interruptions()) == (0, 1)


async def test_words_are_awaited_no_longer_than_is_worth_it():
    async with conversation() as call:
        await call.happens(BotStartedSpeakingFrame(), ON(), WordsAwaitedFrame(0.05))
        await call.after.wait_for(ResumeFrame)
        assert call.interruptions() == 0
