"""Frames and processors that a bot brings along: keys, gates, branches, ends, settings."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.classifiers.base_classifier import (
    BaseClassifier,
    ChoiceResult,
    ClassifierQuestion,
    ClassifierResult,
)
from pipecat.extensions.voicemail.voicemail_detector import VoicemailDetector
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    Frame,
    InputDTMFFrame,
    InterruptionFrame,
    ManuallySwitchServiceFrame,
    StopFrame,
    TTSSpeakFrame,
    TTSUpdateSettingsFrame,
    VADParamsUpdateFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.parallel_pipeline import ParallelPipeline
from pipecat.pipeline.service_switcher import ServiceSwitcher, ServiceSwitcherStrategyManual
from pipecat.processors.consumer_processor import ConsumerProcessor
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.processors.frame_processor import FrameDirection
from pipecat.processors.producer_processor import ProducerProcessor
from pipecat.services.settings import TTSSettings

from tests.pipecat.features import Side, feature
from tests.pipecat.rig import Bot, Hearer, ToneTTS, calling
from tests.pipecat_versions import unless_pipecat_112
from tests.waiting import time_passes
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD


@feature("keys (`InputDTMFFrame`)", "each key, in order")
async def test_keys_arrive(side: Side):
    bot = Bot()
    async with calling(side, bot) as caller:
        await caller.press("12#")
        await bot.after.wait_for(InputDTMFFrame, count=3)
        await caller.hang_up()

    pressed = [f.button.value for f, _ in bot.after.seen if isinstance(f, InputDTMFFrame)]
    assert pressed == ["1", "2", "#"]


class Decides(BaseClassifier):
    def __init__(self, choice: str):
        super().__init__()
        self._choice = choice

    async def _ask(
        self,
        state: object,
        questions: Mapping[str, ClassifierQuestion],
        images: Sequence[Any] = (),
    ) -> tuple[dict[str, ClassifierResult], None]:
        sure = {self._choice: 1.0}
        answer = ChoiceResult(choice=self._choice, confidence=1.0, probabilities=sure)
        return dict.fromkeys(questions, answer), None


@feature("`VoicemailDetector`", "speech waits for its verdict: said to people, not to machines")
async def test_voicemail_gate_decides(side: Side):
    for choice, spells in (("conversation", 1), ("voicemail", 0)):
        detector, pair = VoicemailDetector(classifier=Decides(choice)), PhoneContextAggregator()
        ahead = [PhoneVAD(), Hearer(), detector.detector(), pair.user()]
        bot = Bot(ahead=[*ahead, ToneTTS(), detector.gate()], behind=[pair.assistant()])
        async with calling(side, bot) as caller:
            await bot.say("one two three")
            await caller.wait(1.0)
            before = len(bot.after.frames(BotStartedSpeakingFrame))
            await caller.say("You have reached Sam. Please leave a message.")
            await caller.wait(4)
            after = len(bot.after.frames(BotStartedSpeakingFrame))
            await caller.hang_up()

        assert (before, after) == (0, spells), choice


@feature("`ParallelPipeline`", "a voice in a branch is heard once")
async def test_branches_are_heard_once(side: Side):
    bot = Bot(ahead=[ParallelPipeline([ToneTTS()], [IdentityFilter()])])
    async with calling(side, bot) as caller:
        await bot.say("one two three")
        await bot.after.wait_for(BotStoppedSpeakingFrame)
        await caller.wait(0.5)
        await caller.hang_up()
        secs = sum(spell.seconds for spell in caller.bot_spells)

    assert 0.5 < secs < 0.75


@feature("`ProducerProcessor` and `ConsumerProcessor`", "what one takes, the other pushes")
async def test_consumer_pushes_what_was_produced(side: Side):
    async def is_key(frame: Frame) -> bool:
        return isinstance(frame, InputDTMFFrame)

    async def spoken(_: Frame) -> Frame:
        return TTSSpeakFrame("one two")

    producer = ProducerProcessor(filter=is_key, passthrough=True)
    consumer = ConsumerProcessor(
        producer=producer, transformer=spoken, direction=FrameDirection.DOWNSTREAM
    )
    bot = Bot(ahead=[producer, consumer, ToneTTS()])
    async with calling(side, bot) as caller:
        await caller.press("1")
        await bot.after.wait_for(BotStoppedSpeakingFrame)
        await caller.hang_up()

    assert len(bot.after.frames(BotStartedSpeakingFrame)) == 1


@feature("`ServiceSwitcher`", "the voice that was switched to speaks from then on")
async def test_switched_voice_speaks(side: Side):
    first, second = ToneTTS(), ToneTTS()
    switcher = ServiceSwitcher([first, second], strategy_type=ServiceSwitcherStrategyManual)
    bot = Bot(ahead=[switcher])
    async with calling(side, bot) as caller:
        await bot.say("one")
        await bot.after.wait_for(BotStoppedSpeakingFrame)
        await bot.queue(ManuallySwitchServiceFrame(service=second), TTSSpeakFrame("two"))
        await bot.after.wait_for(BotStoppedSpeakingFrame, count=2)
        await caller.hang_up()

    assert (first.texts, second.texts) == (["one"], ["two"])


@feature("`TTSUpdateSettingsFrame`", "the voice takes it in mid-call")
async def test_voice_takes_settings(side: Side):
    voice = ToneTTS()
    bot = Bot(ahead=[voice])
    async with calling(side, bot) as caller:
        await bot.queue(TTSUpdateSettingsFrame(delta=TTSSettings(voice="other")))
        await bot.say("one")
        await bot.after.wait_for(BotStoppedSpeakingFrame)
        await caller.hang_up()

    assert voice.voices == ["other"]


@feature("`VADParamsUpdateFrame`", "the VAD ends speech by the new pause")
async def test_vad_takes_params(side: Side):
    bot = Bot(ahead=[PhoneVAD()])
    async with calling(side, bot) as caller:
        await bot.queue(VADParamsUpdateFrame(params=VADParams(stop_secs=2.0)))
        await caller.say("I would like a large pizza please.")
        await caller.wait(1.5)
        too_soon = len(bot.after.frames(VADUserStoppedSpeakingFrame))
        await bot.after.wait_for(VADUserStoppedSpeakingFrame)
        await caller.hang_up()

    assert too_soon == 0


@feature("an `InterruptionFrame` of one's own", "the bot falls silent")
async def test_interruption_cuts(side: Side):
    bot = Bot(ahead=[ToneTTS()])
    async with calling(side, bot) as caller:
        await bot.say("one two three four five six seven eight nine ten " * 2)
        await bot.after.wait_for(BotStartedSpeakingFrame)
        await caller.wait(1.0)
        await bot.queue(InterruptionFrame())
        await bot.after.wait_for(BotStoppedSpeakingFrame)
        await caller.wait(0.5)
        await caller.hang_up()
        secs = sum(spell.seconds for spell in caller.bot_spells)

    assert 0.5 < secs < 1.6


@feature("speech with `interruptible = False`", "said to its end through an interruption")
@unless_pipecat_112("drops uninterruptible speech in its voice services")
async def test_protected_speech_is_said_to_its_end(side: Side):
    bot = Bot(ahead=[ToneTTS()])
    async with calling(side, bot) as caller:
        speech = TTSSpeakFrame("one two three four five six seven")
        speech.interruptible = False
        await bot.queue(speech)
        await bot.after.wait_for(BotStartedSpeakingFrame)
        await caller.wait(0.4)
        await bot.queue(InterruptionFrame())
        await bot.after.wait_for(BotStoppedSpeakingFrame)
        await caller.wait(0.5)
        await caller.hang_up()
        secs = sum(spell.seconds for spell in caller.bot_spells)

    assert 1.3 < secs < 1.6


@feature("`EndFrame`", "what was queued is heard, then the line is closed")
async def test_end_comes_behind_the_last_word(side: Side):
    bot = Bot(ahead=[ToneTTS()])
    async with calling(side, bot) as caller:
        await bot.queue(TTSSpeakFrame("one two three"), EndFrame())
        await caller.wait_for_end(seconds=10)
        secs = sum(spell.seconds for spell in caller.bot_spells)

    assert 0.5 < secs < 0.75


@feature("`CancelFrame`", "the line is closed at once")
async def test_cancellation_is_the_end(side: Side):
    bot = Bot(ahead=[ToneTTS()])
    async with calling(side, bot) as caller:
        await bot.say("one two three four five six seven eight nine ten")
        await bot.after.wait_for(BotStartedSpeakingFrame)
        await bot.queue(CancelFrame())
        await caller.wait_for_end(seconds=5)
        assert caller.result.seconds < 4


@feature("`StopFrame`", "the pipeline stops, and what was said before has been heard")
async def test_stop_comes_behind_the_last_word(side: Side):
    bot = Bot(ahead=[ToneTTS()])
    async with calling(side, bot) as caller:
        await bot.queue(TTSSpeakFrame("one two three"), StopFrame())
        await bot.after.wait_for(StopFrame)
        await time_passes(0.5)
        secs = sum(spell.seconds for spell in caller.bot_spells)
        await caller.hang_up()

    assert 0.5 < secs < 0.75
