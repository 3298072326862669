"""Whatever a bot raises, and wherever, is its test's to see."""

import asyncio
import contextlib
from functools import partial

import pytest
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.processors.frame_processor import FrameProcessor

from tests.testing.mistaken_bots import (
    PriceListError,
    Raising,
    fastapi_app,
    speak,
    speaking,
    throw,
)
from tests.waiting import others_run
from twilio_frames.call import Call
from twilio_frames.errors import BotFailedError, CallFailedError
from twilio_frames.testing import Phone
from twilio_frames.transport import TwilioTransport


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
