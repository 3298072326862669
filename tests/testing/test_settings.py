"""What can be set about the simulated Twilio: delays, disorder, and who answers a number."""

import time

import pytest

from tests.testing.bots import AUTH_TOKEN, TinyBot, Webhook, serving, tone
from tests.waiting import time_passes
from twilio_frames.errors import CallFailedError
from twilio_frames.testing import Caller, SimulatedTwilio, StartDelays
from twilio_frames.testing.calls.account import CallbackDisorder
from twilio_frames.testing.calls.facts import StatusCallback
from twilio_frames.testing.lines.line import LineClock
from twilio_frames.testing.lines.rooms import Room

ANNA = "+12125550101"
CONNECT = '<Connect><Stream url="/stream"/></Connect>'
DIAL = f"<Dial>{ANNA}</Dial>"


async def test_start_takes_as_long_as_measured():
    bot = TinyBot()
    async with (
        serving(bot, Webhook(CONNECT)) as host,
        SimulatedTwilio(auth_token=AUTH_TOKEN, delays=StartDelays.measured()) as twilio,
        twilio.call(f"http://{host}/twiml") as caller,
    ):
        await bot.wait_for("media")

    fetched, connected, heard = (
        caller.log.events(name)[0].time for name in ("twiml", "connected", "media")
    )
    assert 0.36 < connected - fetched < 0.6
    assert 0.18 < heard - connected < 0.4


@pytest.mark.parametrize(
    ("disorder", "arrived"),
    [
        (CallbackDisorder(), "012"),
        (CallbackDisorder(swapped=1.0), "102"),
        (CallbackDisorder(repeated=1.0), "001122"),
    ],
)
async def test_callbacks_come_as_set(disorder, arrived):
    status = Webhook()
    async with (
        serving(TinyBot(), Webhook(CONNECT), status) as host,
        SimulatedTwilio(auth_token=AUTH_TOKEN, disorder=disorder) as twilio,
    ):
        callback = StatusCallback(
            url=f"http://{host}/status", events=("ringing", "answered", "completed")
        )
        async with twilio.call(f"http://{host}/twiml", status_callback=callback):
            pass

    assert "".join(form["SequenceNumber"] for form in status.forms) == arrived


async def test_dialed_party_can_be_played_by_hand():
    async with (
        serving(webhook=Webhook(DIAL)) as host,
        SimulatedTwilio(auth_token=AUTH_TOKEN) as twilio,
        twilio.call(f"http://{host}/twiml") as caller,
    ):
        ringing = await twilio.wait_for_call()
        async with ringing.answer() as anna:
            await anna.say(tone(0.3))
            await caller.wait_for_bot(silence=0.1)
        await caller.wait_for_end()

    assert ringing.to_number == ANNA
    assert tone(0.3) in caller.result.heard_bot


async def test_caller_who_hangs_up_ends_the_dial():
    async def listen(caller: Caller) -> None:
        await caller.wait_for_end()

    async with (
        serving(webhook=Webhook(DIAL)) as host,
        SimulatedTwilio(auth_token=AUTH_TOKEN) as twilio,
    ):
        party = twilio.answer_with(ANNA, listen)
        async with twilio.call(f"http://{host}/twiml") as caller:
            await caller.wait(0.3)
        result = await party.wait_for_result(seconds=5)

    assert result.seconds == pytest.approx(0.3, abs=0.2)


async def test_failing_script_is_not_lost():
    async def expect_in_vain(caller: Caller) -> None:
        await caller.wait_until_bot_speaks(seconds=0.1)

    async with (
        serving(webhook=Webhook(DIAL)) as host,
        SimulatedTwilio(auth_token=AUTH_TOKEN) as twilio,
    ):
        party = twilio.answer_with(ANNA, expect_in_vain)
        async with twilio.call(f"http://{host}/twiml") as caller:
            await caller.wait_for_end()
        with pytest.raises(CallFailedError, match=r"waited 0\.1 s until the bot"):
            await party.wait_for_result()


async def test_stall_loses_nothing_in_a_room():
    said = tone(1.0)

    async def talk(caller: Caller) -> None:
        await caller.wait(0.1)
        await caller.say(said)
        await caller.wait(0.5)

    async with (
        serving(webhook=Webhook(DIAL)) as host,
        SimulatedTwilio(auth_token=AUTH_TOKEN) as twilio,
    ):
        twilio.answer_with(ANNA, talk)
        async with twilio.call(f"http://{host}/twiml") as caller:
            await caller.wait_until_bot_speaks(for_seconds=0.2)
            time.sleep(0.15)  # noqa: ASYNC251  # the stall is what is tested
            await caller.wait_for_end()

    heard = caller.result.heard_bot
    assert sum(byte != 0xFF for byte in heard) >= 0.98 * sum(byte != 0xFF for byte in said)


async def test_second_dial_goes_on_ringing():
    webhook = Webhook('<Dial action="/a" timeout="0">' + ANNA + "</Dial>", DIAL)
    async with (
        serving(webhook=webhook) as host,
        SimulatedTwilio(auth_token=AUTH_TOKEN) as twilio,
    ):
        async with twilio.call(f"http://{host}/twiml") as caller:
            await time_passes(0.2)
            assert caller.is_connected

    assert webhook.forms[1]["DialCallStatus"] == "no-answer"


async def test_failure_nobody_asked_for_is_raised_at_the_end():
    async def fail(caller: Caller) -> None:
        raise ZeroDivisionError

    async def ring() -> None:
        async with (
            serving(webhook=Webhook(DIAL)) as host,
            SimulatedTwilio(auth_token=AUTH_TOKEN) as twilio,
        ):
            twilio.answer_with(ANNA, fail)
            async with twilio.call(f"http://{host}/twiml") as caller:
                await caller.wait_for_end()

    with pytest.raises(ZeroDivisionError):
        await ring()


async def test_party_that_comes_too_late_is_sent_away():
    room = Room()
    room.leave(room.enter(LineClock()))

    assert room.enter(LineClock()).dismissed.is_set()
