"""A call given other TwiML, against the simulated Twilio's REST API."""

import asyncio

import pytest
from aiohttp import web
from pipecat.frames.frames import EndFrame
from pipecat.pipeline.pipeline import Pipeline

from tests.transport.bots import Tap, speech
from tests.waiting import others_run
from twilio_frames.call import Call
from twilio_frames.errors import ConfigurationError, RestError
from twilio_frames.frames import CallEndReason, CallStartedFrame
from twilio_frames.server import ServerSettings, create_app
from twilio_frames.testing import Caller, Phone, SimulatedTwilio

AFTERWARDS = "<Response><Say>One moment.</Say><Hangup/></Response>"


class TransferBot:
    """Says a second, then gives the call other TwiML in the way of the test."""

    def __init__(self, twiml: str = AFTERWARDS, *, ends_meanwhile: bool = False):
        self.twiml = twiml
        self.ends_meanwhile = ends_meanwhile
        self.ended: asyncio.Future[CallEndReason | None] = asyncio.Future()
        self.error: RestError | None = None

    async def __call__(self, call: Call) -> None:
        tap = Tap()
        pipeline = Pipeline([call.transport.input(), tap, call.transport.output()])
        acting = asyncio.create_task(self._act(call, tap))
        reason = await call.run(pipeline, begin_with=speech(0.3))
        await acting
        self.ended.set_result(reason)

    async def _act(self, call: Call, tap: Tap) -> None:
        await tap.wait_for(CallStartedFrame)
        redirecting = asyncio.create_task(call.redirect(twiml=self.twiml))
        if self.ends_meanwhile:
            await others_run()
            await tap.push_frame(EndFrame())
        try:
            await redirecting
        except RestError as error:
            self.error = error
            await call.hang_up()


async def wait_for_end(caller: Caller):
    await caller.wait_for_end(seconds=15)


async def reason_of(bot: TransferBot) -> CallEndReason | None:
    return await asyncio.wait_for(bot.ended, 15)


async def test_stop_that_was_asked_for_is_a_transfer(phone: Phone):
    bot = TransferBot()
    async with phone.call(bot) as caller:
        await wait_for_end(caller)

        assert await reason_of(bot) is CallEndReason.TRANSFERRED


async def test_end_of_the_pipeline_waits_for_the_transfer(phone: Phone):
    bot = TransferBot(ends_meanwhile=True)
    async with phone.call(bot) as caller:
        await wait_for_end(caller)

        assert await reason_of(bot) is CallEndReason.TRANSFERRED


async def test_refused_transfer_leaves_the_call_up(phone: Phone):
    bot = TransferBot()

    def with_a_strange_account(twilio: SimulatedTwilio) -> web.Application:
        settings = ServerSettings(
            auth_token=twilio.auth_token, account_sid="AC" + "2" * 32, api_url=twilio.rest_url
        )
        return create_app(bot, settings)

    async with phone.call(with_a_strange_account) as caller:
        await wait_for_end(caller)

        assert await reason_of(bot) is CallEndReason.BOT_HUNG_UP
    assert bot.error is not None


async def test_transfer_needs_credentials(phone: Phone):
    async def bot(call: Call) -> None:
        with pytest.raises(ConfigurationError, match="TWILIO_ACCOUNT_SID"):
            await call.redirect(twiml=AFTERWARDS)
        checked.set()

    checked = asyncio.Event()
    settings = ServerSettings(auth_token=phone.auth_token)
    async with phone.call(create_app(bot, settings)), asyncio.timeout(10):
        await checked.wait()
