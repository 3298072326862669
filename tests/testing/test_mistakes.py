"""What a bot raises is the test's to see, and what a caller heard is never guessed from it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest
from pipecat.frames.frames import ErrorFrame
from pipecat.utils.errors import ErrorCategory

from tests.testing.bots import TinyBot, serving, tone
from tests.testing.mistaken_bots import (
    BOOKED,
    PriceListError,
    aiohttp_app,
    cashier,
    fail,
    fastapi_app,
    pricing,
    raising,
    stumbling,
    throw,
)
from twilio_frames.errors import CallFailedError, ConfigurationError
from twilio_frames.server import ServerSettings, create_app
from twilio_frames.testing import Phone
from twilio_frames.testing.phone.mistakes import mistake_of


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
