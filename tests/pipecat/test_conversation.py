"""Whole exchanges: functions, transcripts, summaries, wake phrases, settings of services."""

from typing import Any

from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    InterruptionFrame,
    LLMRunFrame,
    LLMSummarizeContextFrame,
    LLMUpdateSettingsFrame,
    STTUpdateSettingsFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.settings import LLMSettings, STTSettings
from pipecat.turns.user_start import WakePhraseUserTurnStartStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from tests.memory.conversation import LOOK_UP, Look, ScriptedLLM
from tests.pipecat.features import Side, feature
from tests.pipecat.rig import Bot, Hearer, ToneTTS, calling
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.stt import UtteranceSTTService
from twilio_frames.processors.vad import PhoneVAD

ORDER = "I would like a large pizza please."


class Summarizes(ScriptedLLM):
    """An LLM that can be asked beside the conversation."""

    def __init__(self):
        super().__init__()
        self.models: list[object] = []

    async def run_inference(self, *args: Any, **kwargs: Any) -> str | None:
        return "They talked about pizza."

    async def _update_settings(self, delta: LLMSettings) -> dict[str, Any]:
        self.models.append(delta.model)
        return await super()._update_settings(delta)


class Hears(UtteranceSTTService):
    """Hears its language."""

    async def transcribe(self, pcm: bytes) -> str | None:
        return f"in {self._settings.language}"


def conversing(hearer: Any = None, **given: Any) -> tuple[Bot, PhoneContextAggregator, Summarizes]:
    pair, llm = PhoneContextAggregator(**given), Summarizes()
    ahead = [PhoneVAD(), hearer or Hearer(), pair.user(), llm, ToneTTS()]
    return Bot(ahead=ahead, behind=[pair.assistant()]), pair, llm


@feature("function calls", "the result comes back, and the reply to it is heard")
async def test_functions_are_called(side: Side):
    bot, pair, llm = conversing()
    calls: list[str] = []

    async def look_up(params: FunctionCallParams) -> None:
        calls.append(params.function_name)
        await params.result_callback("ten")

    llm.register_function(LOOK_UP, look_up)
    llm.replies += [[Look()], ["ten pizzas are left"]]
    async with calling(side, bot) as caller:
        await bot.queue(LLMRunFrame())
        await bot.after.wait_for(BotStoppedSpeakingFrame)
        await caller.hang_up()

    assert calls == [LOOK_UP]
    assert llm.runs == 2
    assert any("ten" in str(message) for message in pair.context.messages)


@feature("`on_user_turn_stopped`, `on_assistant_turn_stopped`", "what each side said, in turn")
async def test_transcript_is_told(side: Side):
    bot, pair, llm = conversing()
    lines: list[str] = []

    @pair.user().event_handler("on_user_turn_stopped")
    async def on_user(_: object, strategy: object, message: Any):
        lines.append(f"user: {message.content}")

    @pair.assistant().event_handler("on_assistant_turn_stopped")
    async def on_assistant(_: object, message: Any):
        lines.append(f"bot: {message.content}")

    llm.replies += [["one large pizza"]]
    async with calling(side, bot) as caller:
        await caller.say(ORDER)
        await bot.after.wait_for(BotStoppedSpeakingFrame)
        await caller.wait(0.5)
        await caller.hang_up()

    assert lines == ["user: a large pizza please", "bot: one large pizza"]


@feature("`LLMSummarizeContextFrame`", "a summary takes the place of what was said")
async def test_context_is_summarized(side: Side):
    history: Any = [
        {"role": role, "content": f"{role} {number}"}
        for number in range(6)
        for role in ("user", "assistant")
    ]
    bot, pair, _ = conversing(context=LLMContext(history))
    async with calling(side, bot) as caller:
        await bot.queue(LLMSummarizeContextFrame())
        await caller.wait(1.0)
        await caller.hang_up()

    said = [str(message) for message in pair.context.messages]
    assert len(said) < 12
    assert any("They talked about pizza." in line for line in said)


@feature("`WakePhraseUserTurnStartStrategy`", "words with the phrase are a turn, others none")
async def test_wake_phrase_wakes(side: Side):
    for text, turns in (("a large pizza please", 0), ("hey bot a large pizza", 1)):
        wake = WakePhraseUserTurnStartStrategy(phrases=["hey bot"])
        strategies = UserTurnStrategies(start=[wake])
        bot, _, _ = conversing(Hearer(text), turn_strategies=strategies)
        async with calling(side, bot) as caller:
            await caller.say(ORDER)
            await caller.wait(1.5)
            found = len(bot.after.frames(UserStartedSpeakingFrame))
            await caller.hang_up()

        assert found == turns, text


@feature("`LLMUpdateSettingsFrame`", "the LLM takes it in mid-call")
async def test_llm_takes_settings(side: Side):
    bot, _, llm = conversing()
    llm.replies += [["yes"]]
    async with calling(side, bot) as caller:
        await bot.queue(LLMUpdateSettingsFrame(delta=LLMSettings(model="other")), LLMRunFrame())
        await bot.after.wait_for(BotStoppedSpeakingFrame)
        await caller.hang_up()

    assert llm.models == ["other"]


@feature("`STTUpdateSettingsFrame`", "the recogniser takes it in mid-call")
async def test_recogniser_takes_settings(side: Side):
    bot, pair, _ = conversing(Hears(ttfs_p99_latency=0.2))
    async with calling(side, bot) as caller:
        await bot.queue(STTUpdateSettingsFrame(delta=STTSettings(language="de")))
        await caller.say(ORDER)
        await bot.after.wait_for(UserStoppedSpeakingFrame)
        await caller.wait(0.5)
        await caller.hang_up()

    (message,) = pair.context.messages
    assert "in de" in str(message)
    assert len(bot.after.frames(InterruptionFrame)) <= 2
