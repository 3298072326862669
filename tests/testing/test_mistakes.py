"""What a bot raises is the test's to see, and what a caller heard is never guessed from it."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest
from aiohttp import web
from fastapi import FastAPI, WebSocket
from pipecat.frames.frames import ErrorFrame, LLMRunFrame, TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.utils.errors import ErrorCategory
from pipecat.workers.runner import WorkerRunner

from tests.testing.bots import TinyBot, serving, tone
from tests.waiting import others_run
from twilio_frames.call import Call
from twilio_frames.errors import BotFailedError, CallFailedError, ConfigurationError
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.llm import PythonLLMService
from twilio_frames.server import ServerSettings, create_app
from twilio_frames.testing import Phone
from twilio_frames.testing.phone.mistakes import mistake_of
from twilio_frames.transport import TwilioTransport

BOOKED = "Your table for two is booked."
Handle = Callable[[TwilioTransport], Awaitable[None]]


class PriceListError(Exception):
    """What a bot of these tests raises."""


async def raising(call: Call) -> None:
    raise PriceListError("no price list")


class Pricing(PythonLLMService):
    async def respond(self, context) -> AsyncIterator[str]:
        if context.get_messages():
            raise PriceListError("no price list")
        yield "What would you like?"


async def pricing(call: Call) -> None:
    context = PhoneContextAggregator()
    parts = [context.user(), Pricing(), EspeakTTSService(), call.transport.output()]
    pipeline = Pipeline([call.transport.input(), *parts, context.assistant()])
    await call.run(pipeline, begin_with=[LLMRunFrame()])


class Cashier(PythonLLMService):
    """Asks for digits where what it says for it would come behind them."""

    def __init__(self, call: Call):
        super().__init__(may_be_silent=True)
        self.call = call

    async def respond(self, context) -> AsyncIterator[str]:
        await self.call.collect_digits(length=4, prompt="Your PIN, please.")
        yield "Thank you."


async def cashier(call: Call) -> None:
    parts = [Cashier(call), EspeakTTSService(), call.transport.output()]
    context = PhoneContextAggregator()
    pipeline = Pipeline([call.transport.input(), context.user(), *parts])
    await call.run(pipeline, begin_with=[LLMRunFrame()])


class Raising(FrameProcessor):
    """Raises where the bot is to speak."""

    def __init__(self, error: BaseException):
        super().__init__()
        self._error = error

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSSpeakFrame):
            raise self._error
        await self.push_frame(frame, direction)


def speaking(call: Call, *parts: FrameProcessor) -> Awaitable[object]:
    line = [*parts, EspeakTTSService(), call.transport.output()]
    pipeline = Pipeline([call.transport.input(), *line])
    return call.run(pipeline, begin_with=[TTSSpeakFrame(BOOKED)])


async def stumbling(call: Call) -> None:
    await speaking(call, Raising(PriceListError("no price list")))


async def speak(transport: TwilioTransport) -> None:
    """A bot in an application of its own: nothing of this package but the transport."""
    parts = [transport.input(), EspeakTTSService(), transport.output()]
    params = PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000)
    worker = PipelineWorker(Pipeline(parts), params=params, idle_timeout_secs=None)
    await worker.queue_frame(TTSSpeakFrame(BOOKED))
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


async def fail(transport: TwilioTransport) -> None:
    await transport.wait_for_start()
    raise PriceListError("no price list")


def fastapi_app(handle: Handle = speak) -> FastAPI:
    app = FastAPI()

    @app.websocket("/stream")
    async def stream(websocket: WebSocket):
        await websocket.accept()
        await handle(TwilioTransport(websocket))

    return app


def aiohttp_app(handle: Handle = speak) -> web.Application:
    async def stream(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await handle(TwilioTransport(socket))
        return socket

    app = web.Application()
    app.router.add_get("/stream", stream)
    return app


@pytest.mark.parametrize("bot", [raising, stumbling])
async def test_call_raises_what_its_bot_does(phone: Phone, bot):
    with pytest.raises(PriceListError, match="no price list") as raised:
        await phone.ring(bot, listen_for_a_second)

    assert any("keep_errors" in note for note in raised.value.__notes__)
    assert __file__ in {str(entry.path) for entry in raised.traceback}


async def listen_for_a_second(caller) -> None:
    await caller.wait_until(lambda: False, seconds=1.0)


async def test_bots_exception_stands_before_what_came_of_it(phone: Phone):
    async def miss_the_greeting() -> None:
        async with phone.call(raising) as caller:
            await caller.wait_for_end()
            raise AssertionError("expected a greeting")

    with pytest.raises(PriceListError) as raised:
        await miss_the_greeting()

    assert isinstance(raised.value.__context__, AssertionError)


async def test_mistakes_are_kept_if_asked_for(phone: Phone):
    call = await phone.ring(raising, keep_errors=True)

    assert [type(error) for error in call.bot_errors] == [PriceListError]
    assert not call.heard("hello")
    assert not call.heard("hello").is_guess
    assert call.words == []


async def test_bot_of_somebodys_server_is_attended_to(phone: Phone):
    with pytest.raises(PriceListError):
        await phone.ring(
            lambda twilio: create_app(
                raising,
                ServerSettings(account_sid=twilio.account_sid, auth_token=twilio.auth_token),
            )
        )


@pytest.mark.parametrize("app", [fastapi_app, aiohttp_app])
async def test_words_are_known_in_any_application(phone: Phone, app):
    call = await phone.ring(app(), path="ws:/stream")

    assert call.heard("table for two")
    assert not call.heard("table for two").is_guess
    assert BOOKED in repr(call)
    assert BOOKED in repr(call.heard("good morning"))


@pytest.mark.parametrize("app", [fastapi_app, aiohttp_app])
async def test_application_raises_what_its_handler_does(phone: Phone, app):
    with pytest.raises(PriceListError):
        await phone.ring(app(fail), listen_for_a_second, path="ws:/stream")


async def test_words_of_another_process_are_a_guess(phone: Phone):
    async def greet(bot: TinyBot) -> None:
        await bot.play(tone(0.5))

    async with serving(TinyBot(greet)) as url:
        call = await phone.ring(f"ws://{url}/stream")

    heard = call.heard("hello")
    assert call.words is None
    assert heard.is_guess
    assert "guess" in repr(heard)


async def test_text_raises_what_the_bot_does(phone: Phone):
    with pytest.raises(PriceListError):
        async with phone.text(raising) as talk:
            await talk.reply()


async def test_text_raises_although_the_bot_apologizes(phone: Phone):
    async with phone.text(pricing) as talk:
        assert await talk.reply() == "What would you like?"
        with pytest.raises(PriceListError):
            await talk.say("A latte.")


async def test_text_does_not_wait_for_a_processor_that_raised(phone: Phone):
    with pytest.raises(PriceListError):
        async with phone.text(stumbling, time_limit=600) as talk:
            await talk.reply()


async def test_text_keeps_mistakes_if_asked_for(phone: Phone):
    async with phone.text(pricing, keep_errors=True) as talk:
        await talk.reply()
        assert "something went wrong" in await talk.say("A latte.")

    assert [type(error) for error in talk.bot_errors] == [PriceListError]


@pytest.mark.parametrize(
    ("category", "is_mistake"),
    [
        (ErrorCategory.APPLICATION, True),
        (ErrorCategory.CONNECTIVITY, False),
        (ErrorCategory.AUTHENTICATION, False),
        (ErrorCategory.UNKNOWN, False),
    ],
)
def test_failing_vendor_is_no_mistake(category, is_mistake):
    with pytest.raises(PriceListError) as raised:
        throw(PriceListError("no price list"))
    frame = ErrorFrame("failed", exception=raised.value, category=category)

    assert (mistake_of(frame) is raised.value) == is_mistake


def test_network_behind_a_chain_is_no_mistake():
    error = PriceListError("no answer")
    error.__cause__ = ConnectionResetError()

    frame = ErrorFrame("failed", exception=error, category=ErrorCategory.APPLICATION)
    assert mistake_of(frame) is None


def test_fatal_error_is_a_mistake():
    frame = ErrorFrame("no more")
    frame.fatal = True

    assert isinstance(mistake_of(frame), CallFailedError)


class OwnError(BaseException):
    """Kept from every ``except Exception`` on its way."""


NO_EXCEPTIONS = [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit, SystemExit, OwnError]


async def by_itself(call: Call, error: BaseException) -> None:
    raise error


async def by_a_processor(call: Call, error: BaseException) -> None:
    await speaking(call, Raising(error))


async def by_a_task_left_alone(call: Call, error: BaseException) -> None:
    async def work() -> None:
        raise error

    call.task = asyncio.create_task(work())  # pyright: ignore[reportAttributeAccessIssue]
    await speaking(call)


async def by_a_timer(call: Call, error: BaseException) -> None:
    asyncio.get_running_loop().call_later(0.0, throw, error)
    await speaking(call)


def throw(error: BaseException, *_: object) -> None:
    raise error


async def by_a_done_callback(call: Call, error: BaseException) -> None:
    task = asyncio.create_task(others_run())
    task.add_done_callback(lambda _: throw(error))
    await speaking(call)


async def by_an_event_handler(call: Call, error: BaseException) -> None:
    async def connected(*_: object) -> None:
        raise error

    call.transport.add_event_handler("on_client_connected", connected)
    await speaking(call)


async def by_an_events_function(call: Call, error: BaseException) -> None:
    call.transport.add_event_handler("on_call_ended", lambda *_: throw(error))
    await speaking(call)


async def by_a_task_of_pipecats(call: Call, error: BaseException) -> None:
    class Works(FrameProcessor):
        async def process_frame(self, frame, direction):
            await super().process_frame(frame, direction)
            if isinstance(frame, TTSSpeakFrame):
                self.create_task(self.work())
            await self.push_frame(frame, direction)

        async def work(self) -> None:
            raise error

    await speaking(call, Works())


WAYS = [
    by_itself, by_a_processor, by_a_task_left_alone, by_a_timer, by_a_done_callback,
    by_an_event_handler, by_an_events_function, by_a_task_of_pipecats,
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_whatever_a_bot_raises_is_its_tests(phone: Phone, way):
    with pytest.raises(PriceListError):
        await phone.ring(partial(way, error=PriceListError("no price list")))


@pytest.mark.parametrize("kind", NO_EXCEPTIONS)
@pytest.mark.parametrize("way", [by_itself, by_a_processor], ids=lambda way: way.__name__)
async def test_what_is_no_exception_is_its_tests(phone: Phone, way, kind):
    error = kind()
    call = await phone.ring(partial(way, error=error), keep_errors=True)

    assert call.bot_errors == (error,)


@pytest.mark.parametrize("way", [WAYS[0], *WAYS[2:]], ids=lambda way: way.__name__)
async def test_exit_anywhere_is_its_tests(phone: Phone, way):
    with pytest.raises(BotFailedError, match="SystemExit"):
        await phone.ring(partial(way, error=SystemExit(3)))


@pytest.mark.parametrize(
    ("way", "kind"),
    [(way, kind) for way in [*WAYS[:4], WAYS[-1]] for kind in (KeyboardInterrupt, PriceListError)]
    + [(way, asyncio.CancelledError) for way in WAYS[:2]],
)
async def test_in_writing_it_is_its_tests_as_well(phone: Phone, way, kind):
    error = kind()
    async with phone.text(partial(way, error=error), keep_errors=True) as talk:
        with contextlib.suppress(CallFailedError):
            await talk.reply()

    assert error in talk.bot_errors


@pytest.mark.parametrize(
    ("where", "kind"),
    [
        *[(where, kind) for where in ("task", "handler") for kind in (PriceListError, SystemExit)],
        ("handler", asyncio.CancelledError),
    ],
)
async def test_application_of_ones_own_has_it_in_its_test(phone: Phone, kind, where):
    error = kind()

    async def work() -> None:
        raise error

    async def handle(transport: TwilioTransport) -> None:
        await transport.wait_for_start()
        if where == "handler":
            raise error
        task = asyncio.create_task(work())
        await speak(transport)
        await asyncio.wait({task})

    with pytest.raises(PriceListError if kind is PriceListError else BotFailedError):
        await phone.ring(fastapi_app(handle), path="ws:/stream")


async def test_what_a_bot_catches_is_none_of_its_tests(phone: Phone):
    async def fail() -> None:
        raise PriceListError("no price list")

    async def bot(call: Call) -> None:
        task = asyncio.create_task(fail())
        waiting = asyncio.create_task(asyncio.Event().wait())
        waiting.add_done_callback(lambda done: done.result())
        await speaking(call)
        waiting.cancel()
        with contextlib.suppress(PriceListError):
            await task

    assert (await phone.ring(bot)).heard("table for two")


class Failing:
    """A test that fails while a call is up beside it."""

    def __init__(self) -> None:
        self._up = asyncio.Event()
        self.phone = Phone()

    async def listen(self, caller) -> None:
        await caller.wait_for_bot()
        self._up.set()
        await caller.wait(600)

    async def converse(self) -> None:
        async with self.phone.text(pricing) as talk:
            await talk.reply(cut_after=2)
            self._up.set()
            await asyncio.sleep(600)  # on a loop of its own, in real time, that is cancelled

    async def fail(self) -> None:
        await self._up.wait()
        raise PriceListError("one of them failed")


BESIDE: dict[str, Callable[[Failing], Awaitable[object]]] = {
    "bot": lambda test: test.phone.ring(pricing, test.listen),
    "asgi": lambda test: test.phone.ring(fastapi_app(), test.listen, path="ws:/stream"),
    "aiohttp": lambda test: test.phone.ring(aiohttp_app(), test.listen, path="ws:/stream"),
    "text": lambda test: test.converse(),
}


@pytest.mark.parametrize("beside", BESIDE)
def test_test_that_fails_beside_a_call_ends(beside):
    async def both() -> None:
        test = Failing()
        await asyncio.gather(BESIDE[beside](test), test.fail())

    raised: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(both())
        except PriceListError as error:
            raised.append(error)

    # In a thread, so that an event loop that never closes is a failure and not a standstill.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)

    assert not thread.is_alive()
    assert [str(error) for error in raised] == ["one of them failed"]


async def test_digits_that_would_hold_up_their_own_prompt_are_refused(phone: Phone):
    with pytest.raises(ConfigurationError, match=r"self\.create_task\("):
        await phone.ring(cashier)
