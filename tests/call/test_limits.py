"""A caller who says nothing is asked, and let go; a call that is too long is ended."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import FunctionCallParams

from tests.call.keyed_bots import clip
from tests.transport.bots import Tap
from tests.vendors.fallback_bot import Scribe
from twilio_frames.call import Call, SilencePolicy, TimeLimit, phone_worker
from twilio_frames.errors import ConfigurationError
from twilio_frames.frames import CallEndReason
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.pipecat_internals import tool_options
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.services.openai import PhoneOpenAILLMService
from twilio_frames.testing import Caller, Phone
from twilio_frames.testing.vendors import FunctionCall, OpenAIServer
from twilio_frames.twiml import Pause

Act = Callable[[Call], Coroutine[Any, Any, Any]]


class QuietBot:
    """Greets, and listens.

    Args:
        options: For ``call.run()``.
        act: What is done beside it.
        first: Processors in front.
    """

    def __init__(self, act: Act | None = None, *, first: Any = (), **options: Any):
        self.act, self.first, self.options = act, first, options
        self.said = Tap()
        self.reason: CallEndReason | None = None
        self.began = self.ended = 0.0

    async def __call__(self, call: Call) -> None:
        context = PhoneContextAggregator(LLMContext())
        ears = [call.transport.input(), PhoneVAD(), Scribe(*["wait I am still here"] * 4)]
        voice = [self.said, EspeakTTSService(), call.transport.output(), context.assistant()]
        acting = asyncio.create_task(self.act(call)) if self.act else None
        self.began = time.monotonic()
        self.reason = await call.run(
            Pipeline([*self.first, *ears, context.user(), *voice]),
            greeting=clip(1.0),
            **self.options,
        )
        self.ended = time.monotonic()
        if acting is not None:
            await acting

    @property
    def texts(self) -> list[str]:
        frames = self.said.frames(TTSSpeakFrame)
        return [frame.text for frame in frames if isinstance(frame, TTSSpeakFrame)]


ASKED, LAST = "Are you there?", "Goodbye."


def policy(**options: Any) -> SilencePolicy:
    return SilencePolicy(**{"ask_after": 4.0, "ask": ASKED, "last_words": LAST, **options})


async def rung(phone: Phone, bot: QuietBot, caller: Callable[[Caller], Awaitable[Any]]) -> Caller:
    async with phone.call(bot) as telephone:
        await caller(telephone)
        await telephone.wait_for_end(seconds=90)
    return telephone


async def nothing(_: Caller) -> None:
    pass


async def test_silent_caller_is_asked_and_let_go(phone: Phone):
    bot = QuietBot(silence=policy())

    caller = await rung(phone, bot, nothing)

    assert bot.texts == [ASKED, ASKED, LAST]
    assert bot.reason is CallEndReason.BOT_HUNG_UP
    spells = [(spell.began_at, spell.ended_at) for spell in caller.bot_spells]
    pauses = [after[0] - before[1] for before, after in itertools.pairwise(spells)]
    assert [pause for pause in pauses if pause > 2] == [pytest.approx(4.0, abs=0.5)] * 3


async def test_processor_does_the_same(phone: Phone):
    watch = policy(times=1, ask=("Hello?",), last_words=None).processor()
    bot = QuietBot(first=[watch])

    await rung(phone, bot, nothing)

    assert bot.texts == ["Hello?"]
    assert bot.reason is CallEndReason.BOT_HUNG_UP


async def test_each_question_may_be_another(phone: Phone):
    bot = QuietBot(silence=policy(ask=("Hello?", "Anybody?"), times=3, last_words=None))

    await rung(phone, bot, nothing)

    assert bot.texts == ["Hello?", "Anybody?", "Anybody?"]


async def test_caller_who_answers_is_asked_anew(phone: Phone):
    async def answers(caller: Caller) -> None:
        await caller.wait(7.0)
        await caller.say("Yes, yes, I am.")

    bot = QuietBot(silence=policy(times=1))

    await rung(phone, bot, answers)

    assert bot.texts == [ASKED, ASKED, LAST]


async def test_caller_who_speaks_over_the_last_words_is_listened_to(phone: Phone):
    long = "I cannot hear anybody on this line, so I am going to hang up now. Goodbye, and thanks."

    async def speaks_late(caller: Caller) -> None:
        await caller.wait(6.0)
        await caller.say("Yes, wait, I am still here.")

    bot = QuietBot(silence=policy(times=0, last_words=long))

    await rung(phone, bot, speaks_late)

    assert bot.texts == [long, long]


async def test_key_is_a_sign_of_life(phone: Phone):
    async def presses(caller: Caller) -> None:
        for _ in range(3):
            await caller.wait(3.0)
            await caller.press("1")

    bot = QuietBot(silence=policy(times=0, last_words=None))

    await rung(phone, bot, presses)

    assert bot.ended - bot.began == pytest.approx(9.6 + 4.0, abs=1.0)


async def test_nobody_is_asked_while_digits_are(phone: Phone):
    async def act(call: Call) -> None:
        await call.collect_digits(length=2, seconds_to_first=12.0)

    bot = QuietBot(act, silence=policy(times=0, last_words=None))

    await rung(phone, bot, nothing)

    assert bot.ended - bot.began == pytest.approx(1.0 + 12.0 + 4.0, abs=1.0)


async def test_nobody_is_asked_while_the_call_is_away(phone: Phone):
    async def act(call: Call) -> None:
        await call.detour(Pause(seconds=10))

    bot = QuietBot(act, silence=policy(times=0, last_words=None))

    await rung(phone, bot, nothing)

    assert 15.0 < bot.ended - bot.began < 18.0


async def test_nobody_is_asked_while_a_function_runs(phone: Phone):
    at: list[float] = []

    @tool_options(timeout_secs=60)
    async def look_up(params: FunctionCallParams) -> None:
        """Look something up."""
        await asyncio.sleep(12.0)
        at.append(time.monotonic())
        await params.result_callback("found")

    async with OpenAIServer([FunctionCall("look_up", {}), "Found it."]) as server:

        async def bot(call: Call) -> None:
            context = PhoneContextAggregator(LLMContext(tools=[look_up]))
            llm = PhoneOpenAILLMService(base_url=server.base_url, warm_up=False, filler_after=None)
            ears = [call.transport.input(), PhoneVAD(), Scribe("hello")]
            voice = [llm, said, EspeakTTSService(), call.transport.output()]
            pipeline = Pipeline([*ears, context.user(), *voice, context.assistant()])
            await call.run(pipeline, silence=policy(times=0))
            at.append(time.monotonic())

        said = Tap()
        async with phone.call(bot) as caller:
            await caller.say("Hello.")
            await caller.wait_for_end(seconds=60)

    found, ended = at
    assert 4.0 < ended - found < 9.0


async def test_what_comes_then_may_be_something_else(phone: Phone):
    done: list[float] = []

    async def then() -> None:
        done.append(time.monotonic())

    async def act(call: Call) -> None:
        await asyncio.wait({asyncio.create_task(call.line_ended())}, timeout=20)
        await call.hang_up()

    bot = QuietBot(act, silence=policy(times=0, then=then))

    await rung(phone, bot, nothing)

    assert len(done) == 1
    assert bot.texts == [LAST]


async def test_call_ends_in_time_with_a_warning(phone: Phone):
    limit = TimeLimit(secs=20.0, warn_secs=8.0, warning="Soon over.", last_words="Time is up.")
    bot = QuietBot(time_limit=limit)

    caller = await rung(phone, bot, nothing)

    assert bot.texts == ["Soon over.", "Time is up."]
    assert bot.reason is CallEndReason.TIME_LIMIT
    assert bot.ended - bot.began == pytest.approx(21.0, abs=1.0)
    begins = [spell.began_at for spell in caller.bot_spells]
    assert any(abs(begin - 12.0) < 1.0 for begin in begins)


async def test_last_words_do_not_wait_for_a_long_speech(phone: Phone):
    async def act(call: Call) -> None:
        await call.say("One, two, three, four, five, six, seven, eight, nine, ten. " * 3)

    limit = TimeLimit(secs=8.0, warn_secs=None, last_words="Time is up.")
    bot = QuietBot(act, time_limit=limit)

    await rung(phone, bot, nothing)

    assert bot.reason is CallEndReason.TIME_LIMIT
    assert bot.ended - bot.began < 11.0


async def test_call_that_is_away_ends_when_it_is_back(phone: Phone):
    async def act(call: Call) -> None:
        await call.detour(Pause(seconds=10))

    bot = QuietBot(act, first=[TimeLimit(secs=5.0, warn_secs=3.0).processor()])

    await rung(phone, bot, nothing)

    assert bot.reason is CallEndReason.BOT_HUNG_UP
    assert bot.texts == ["Our time is up. Goodbye."]
    assert 11.0 < bot.ended - bot.began < 17.0


async def test_worker_takes_no_limits(phone: Phone):
    errors: list[ConfigurationError] = []

    async def bot(call: Call) -> None:
        worker = phone_worker(Pipeline([call.transport.input(), call.transport.output()]))
        with pytest.raises(ConfigurationError, match="got a worker") as caught:
            await call.run(worker, silence=policy())
        errors.append(caught.value)
        await call.hang_up()

    async with phone.call(bot) as caller:
        await caller.wait_for_end()

    assert errors


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: SilencePolicy(ask_after=0), "expected ask_after above 0"),
        (lambda: SilencePolicy(times=-1), "expected times of at least 0"),
        (lambda: SilencePolicy(ask=()), "a text to ask with"),
        (lambda: TimeLimit(secs=0), "expected secs above 0"),
        (lambda: TimeLimit(secs=30), "expected a warning within the 30 s"),
    ],
)
def test_limits_that_make_no_sense_are_refused(make: Callable[[], object], text: str):
    with pytest.raises(ConfigurationError, match=text):
        make()
