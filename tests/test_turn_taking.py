"""Whole calls: how turns end, and replies that begin before they do."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import numpy as np
import pytest
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.frames.frames import (
    Frame,
    InterimTranscriptionFrame,
    MetricsFrame,
    TranscriptionFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.metrics.metrics import TurnMetricsData
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import STTService

from tests.transport.bots import Tap
from tests.waiting import others_run
from twilio_frames.frames import CallerPausedFrame, CallerSpeakingFrame
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.context import PhoneContextAggregator, phone_turn_strategies
from twilio_frames.processors.endpointing import Endpointing
from twilio_frames.processors.llm import PythonLLMService
from twilio_frames.processors.turns import smart_turn
from twilio_frames.processors.turns.smart_turn import SmartTurnPool
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.server import Call
from twilio_frames.testing import Caller, Phone
from twilio_frames.testing.speech import to_one_utterance


class Recogniser(STTService):
    """Has a part of the turn's words after each pause, and the last of them at its end."""

    def __init__(self, *turns: list[str]):
        settings = STTSettings(model=None, language=None)
        super().__init__(settings=settings, ttfs_p99_latency=1.0, audio_passthrough=False)
        self._turns = list(turns)
        self._parts = 0
        self._is_told = False

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        yield None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case VADUserStartedSpeakingFrame():
                self._parts, self._is_told = 0, False
            case CallerSpeakingFrame():
                self._is_told = False
            case CallerPausedFrame() if frame.silence_secs > 0.15 and not self._is_told:
                self._is_told, self._parts = True, self._parts + 1
                await self.push_frame(InterimTranscriptionFrame(self._words(), "", ""))
            case VADUserStoppedSpeakingFrame():
                words = TranscriptionFrame(self._words(), "", "", finalized=True)
                self._turns.pop(0)
                await self.push_frame(words)
            case _:
                pass

    def _words(self) -> str:
        return " ".join(self._turns[0][: self._parts])


class Parrot(PythonLLMService):
    """Says the caller's words after them; notes when it is asked."""

    def __init__(self):
        super().__init__()
        self.asked: list[str] = []
        self.ends: list[int] = []
        """How often it had been asked when each turn ended."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, UserStoppedSpeakingFrame):
            self.ends.append(len(self.asked))
        await super().process_frame(frame, direction)

    async def respond(self, context: LLMContext) -> AsyncIterator[str]:
        heard = str(context.get_messages()[-1].get("content"))  # pyright: ignore[reportAttributeAccessIssue] They are plain dicts.
        self.asked.append(heard)
        yield f"You said: {heard}."


class Bot:
    """A bot with these parts, whose turns end so."""

    def __init__(self, recogniser: Recogniser, *, eager: bool = False, by: Endpointing):
        self.llm, self.tap = Parrot(), Tap()
        self.context = PhoneContextAggregator(turn_strategies=phone_turn_strategies(eager=eager))
        self._recogniser = recogniser
        self._by = by

    async def __call__(self, call: Call) -> None:
        transport = call.transport
        vad = PhoneVAD(endpointing=self._by)
        parts = [vad, self.tap, self._recogniser, self.context.user(), self.llm]
        voice = EspeakTTSService()
        out = [voice, transport.output(), self.context.assistant()]
        await call.run(Pipeline([transport.input(), *parts, *out]))

    def remembered(self) -> list[str]:
        messages = self.context.context.get_messages()
        return [message.get("content") for message in messages]  # pyright: ignore[reportAttributeAccessIssue, reportReturnType]

    def answers(self) -> list[TurnMetricsData]:
        """What Smart Turn said."""
        data = [each for frame in self.tap.frames(MetricsFrame) for each in frame.data]  # pyright: ignore[reportAttributeAccessIssue]
        return [each for each in data if isinstance(each, TurnMetricsData)]


def saying(*turns: str) -> Callable[[Caller], Awaitable[None]]:
    """A caller who speaks first, and waits for each answer."""

    async def talk(caller: Caller) -> None:
        for turn in turns:
            await caller.say(turn)
            await caller.wait_for_bot()

    return talk


async def test_withdrawn_reply_leaves_no_trace(phone: Phone):
    bot = Bot(
        Recogniser(["two coffees", "and a pot of tea"], ["nothing else"]),
        eager=True,
        by=Endpointing.PAUSE,
    )
    order = await to_one_utterance(["Two coffees", 0.4, "and a pot of tea"])

    async def talk(caller: Caller):
        await caller.say(order)
        await caller.wait_for_bot()
        await caller.say("Nothing else.")
        await caller.wait_for_bot()

    call = await phone.ring(bot, talk)

    wanted = "two coffees and a pot of tea"
    replies = [f"You said: {wanted}.", "You said: nothing else."]
    assert call.words is not None
    assert " ".join(word.text for word in call.words) == " ".join(replies)
    assert bot.remembered() == [wanted, replies[0], "nothing else", replies[1]]
    # The first of them was withdrawn; the other two were there before their turns had ended.
    assert bot.llm.asked == ["two coffees", wanted, "nothing else"]
    assert bot.llm.ends == [2, 3]


async def test_two_calls_share_a_model_off_the_loop(phone: Phone, monkeypatch: pytest.MonkeyPatch):
    built: list[str] = []
    asked: list[str] = []

    class Counted(LocalSmartTurnAnalyzerV3):
        def __init__(self, **kwargs):
            built.append(threading.current_thread().name)
            super().__init__(**kwargs)

        def _predict_endpoint(self, audio_array: np.ndarray) -> dict[str, Any]:
            asked.append(threading.current_thread().name)
            return super()._predict_endpoint(audio_array)

    module = "pipecat.audio.turn.smart_turn.local_smart_turn_v3"
    monkeypatch.setattr(f"{module}.LocalSmartTurnAnalyzerV3", Counted)
    smart_turn._built.cache_clear()  # pyright: ignore[reportPrivateUsage] As in a new process.
    bots = [Bot(Recogniser(["two coffees"]), by=Endpointing.SMART_TURN) for _ in range(2)]

    calls = await asyncio.gather(*(phone.ring(bot, saying("Two coffees.")) for bot in bots))
    smart_turn._built.cache_clear()  # pyright: ignore[reportPrivateUsage]

    assert [bot.llm.asked for bot in bots] == [["two coffees"]] * 2
    assert all(call.result.first_audio is not None for call in calls)
    assert len(built) == 1
    # Once to warm up, and then for the calls; a busy machine may leave one to the pause.
    assert len(asked) >= 2
    assert {name.split("_")[0] for name in built + asked} == {"smart-turn"}


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    may_answer, asked = threading.Event(), []

    def hang(samples: np.ndarray) -> float:
        asked.append(len(samples))
        may_answer.wait(30)
        return 0.99

    pool = SmartTurnPool(hang, threads=1, most_waiting=1)
    monkeypatch.setattr(smart_turn, "shared_pool", lambda: pool)
    monkeypatch.setattr(smart_turn, "warm_up", others_run)
    yield asked
    may_answer.set()
    pool.close()


async def test_call_goes_on_with_a_hung_model(phone: Phone, hung: list[int]):
    bot = Bot(Recogniser(["two coffees"], ["nothing else"]), by=Endpointing.SMART_TURN)

    call = await phone.ring(bot, saying("Two coffees.", "Nothing else."))

    assert hung
    assert bot.answers() == []
    assert bot.llm.asked == ["two coffees", "nothing else"]
    assert call.result.first_audio is not None
