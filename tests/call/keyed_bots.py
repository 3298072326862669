"""A bot that makes words of keys, with somebody beside it who asks for digits."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.dtmf_aggregator import DTMFAggregator
from pipecat.processors.aggregators.llm_context import LLMContext

from tests.transport.bots import Tap, tone
from tests.vendors.fallback_bot import Scribe
from twilio_frames.audio import encode_mulaw
from twilio_frames.call import Call, DigitsOutcome, DigitsResult
from twilio_frames.errors import ConfigurationError
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.clips import Clip
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.testing import Caller, Phone
from twilio_frames.transport import CallRecorder


def clip(seconds: float) -> Clip:
    """A prompt without a voice."""
    return Clip(text="Please enter your number.", mulaw=encode_mulaw(tone(seconds)))


def complete(digits: str) -> DigitsResult:
    return DigitsResult(outcome=DigitsOutcome.COMPLETE, digits=digits)


def presses(*keys: str, after: float = 1.0, pause: float = 0.0):
    async def caller(telephone: Caller) -> None:
        for number, each in enumerate(keys):
            await telephone.wait(pause if number else after)
            await telephone.press(each)

    return caller


class KeyedBot:
    """A pipeline that makes words of keys, and somebody who asks for digits beside it.

    Args:
        act: Asks; then the bot hangs up.
        words: What is understood of what the caller says.
        log: Where the call is written down; beside it, it is recorded.
    """

    def __init__(
        self,
        act: Callable[[Call], Awaitable[Any]],
        *,
        words: tuple[str, ...] = (),
        log: Path | None = None,
    ):
        self.act = act
        self.words = words
        self.log = log
        self.recorder: CallRecorder | None = None
        self.heard, self.after = Tap(), Tap()
        self.context = PhoneContextAggregator(LLMContext())
        self.result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.begin, self.late = asyncio.Event(), asyncio.Event()

    async def __call__(self, call: Call) -> None:
        if self.log is not None:
            call.keep_log(self.log, words=True, digits=True)
            self.recorder = CallRecorder(self.log.with_suffix(".wav"))
            call.transport.add_tap(self.recorder)
        ears = [PhoneVAD(), Scribe(*self.words)] if self.words else []
        voice = [EspeakTTSService(), call.transport.output(), self.after]
        before = [call.transport.input(), *ears, DTMFAggregator(timeout=0.3), self.heard]
        acting = asyncio.create_task(self._act(call))
        await call.run(Pipeline([*before, self.context.user(), *voice, self.context.assistant()]))
        await acting

    async def _act(self, call: Call) -> None:
        try:
            self.result.set_result(await self.act(call))
        except ConfigurationError as error:
            self.result.set_result(error)
        finally:
            if call.end_reason is None:
                await call.hang_up()

    async def come(self) -> Any:
        """What came of it."""
        return await asyncio.wait_for(self.result, 60)

    @property
    def memory(self) -> list[Any]:
        return self.context.context.get_messages()


async def asked(phone: Phone, bot: KeyedBot, caller: Callable[[Caller], Awaitable[Any]]) -> Any:
    async with phone.call(bot) as telephone:
        await caller(telephone)
        result = await bot.come()
        await telephone.wait_for_end(seconds=30)
    return result
