"""A call leaves its stream for other TwiML, and comes back to the same bot."""

import asyncio
import wave
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from pipecat.frames.frames import (
    BotSpeakingFrame,
    InputAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline

from tests.transport.bots import Tap, speech
from twilio_frames.call import Call, DetourResult
from twilio_frames.errors import ConfigurationError, DetourError, RestError
from twilio_frames.frames import (
    CallAwayFrame,
    CallBackFrame,
    CallEndReason,
    DetourFrame,
)
from twilio_frames.report.reading import read_log
from twilio_frames.report.story import tell
from twilio_frames.server import ServerSettings, create_app
from twilio_frames.testing import Caller, Phone, SimulatedTwilio
from twilio_frames.testing.callers.parties import PartyScript
from twilio_frames.testing.calls.facts import StatusCallback
from twilio_frames.transport import CallRecorder
from twilio_frames.twiml import Dial, OtherTwiml, Pause, PlayDigits, Say

Act = Callable[[Call, "DetourBot"], Awaitable[object]]


class DetourBot:
    """Runs a pipeline of taps, and does in it what a test says; hangs up then."""

    def __init__(self, act: Act):
        self.act = act
        self.before, self.after = Tap(), Tap()
        self.reason: asyncio.Future[CallEndReason | None] = asyncio.Future()
        self.got: object = None
        self.call: Call

    async def __call__(self, call: Call) -> None:
        self.call = call
        parts = [call.transport.input(), self.before, call.transport.output(), self.after]
        acting = asyncio.create_task(self._act(call))
        reason = await call.run(Pipeline(parts))
        self.got = await acting
        self.reason.set_result(reason)

    async def _act(self, call: Call) -> object:
        try:
            return await self.act(call, self)
        except DetourError as error:
            return error
        finally:
            if call.end_reason is None:
                await call.hang_up()

    async def say(self, seconds: float) -> None:
        for frame in speech(seconds):
            await self.before.push_frame(frame)

    async def result(self) -> DetourResult:
        await asyncio.wait_for(self.reason, 60)
        assert isinstance(self.got, DetourResult), self.got
        return self.got

    async def error(self) -> DetourError:
        await asyncio.wait_for(self.reason, 60)
        assert isinstance(self.got, DetourError), self.got
        return self.got


def with_account(
    bot: DetourBot, account_sid: str | None = None
) -> Callable[[SimulatedTwilio], web.Application]:
    """A server with the simulated Twilio's REST API, or with another's account."""

    def app(twilio: SimulatedTwilio) -> web.Application:
        settings = ServerSettings(
            account_sid=account_sid or twilio.account_sid,
            auth_token=twilio.auth_token,
            api_url=twilio.rest_url,
        )
        return create_app(bot, settings)

    return app


def lengths(caller: Caller) -> list[float]:
    """Seconds of each stretch of the bot's audio that was heard, without the bot's own silence."""
    return [(span.end - span.begin) / 8000 for span in caller.result.heard_spans]


async def test_call_comes_back_to_the_same_bot(phone: Phone):
    async def act(call: Call, bot: DetourBot) -> DetourResult:
        await bot.say(1.0)
        result = await call.detour(PlayDigits(digits="12"))
        await bot.say(0.5)
        return result

    bot = DetourBot(act)
    async with phone.call(bot) as caller:
        await caller.wait_for_end(seconds=30)
        result = await bot.result()

    assert result.results == ()
    assert await bot.reason is CallEndReason.BOT_HUNG_UP
    (away,) = bot.after.frames(CallAwayFrame)
    (back,) = bot.after.frames(CallBackFrame)
    assert isinstance(away, CallAwayFrame)
    assert isinstance(back, CallBackFrame)
    assert back.detour is away.detour
    assert back.stream_sid.startswith("MZ")
    assert back.stream_sid != bot.call.stream_sid
    assert lengths(caller) == [pytest.approx(1.0, abs=0.03), pytest.approx(0.5, abs=0.03)]
    assert [span.stream for span in caller.result.heard_spans] == [0, 1]


async def test_what_is_said_meanwhile_waits(phone: Phone):
    async def act(call: Call, bot: DetourBot) -> DetourResult:
        detour = asyncio.create_task(call.detour(Pause(seconds=3)))
        await bot.after.wait_for(CallAwayFrame)
        await bot.say(1.0)
        return await detour

    bot = DetourBot(act)
    async with phone.call(bot) as caller:
        await caller.wait_for_end(seconds=30)
        result = await bot.result()

    assert 3.0 <= result.away_secs < 4.5
    assert lengths(caller) == [pytest.approx(1.0, abs=0.03)]


async def test_bot_hears_silence_meanwhile(phone: Phone):
    async def act(call: Call, bot: DetourBot) -> DetourResult:
        return await call.detour(Pause(seconds=2))

    bot = DetourBot(act)
    async with phone.call(bot) as caller:
        await caller.wait_for_end(seconds=30)
        await bot.result()

    seen = [frame for frame, _ in bot.before.seen]
    away = next(n for n, frame in enumerate(seen) if isinstance(frame, CallAwayFrame))
    back = next(n for n, frame in enumerate(seen) if isinstance(frame, CallBackFrame))
    meanwhile = [frame for frame in seen[away:back] if isinstance(frame, InputAudioRawFrame)]
    assert sum(len(frame.audio) for frame in meanwhile) / 16000 == pytest.approx(2.0, abs=0.5)
    assert not any(any(frame.audio) for frame in meanwhile)


def speaks(seconds: float) -> Callable[[Caller], Awaitable[None]]:
    """Somebody at another number, who stays on the line for so long."""

    async def script(caller: Caller) -> None:
        await caller.wait(seconds)

    return script


async def dial(call: Call, _: DetourBot) -> DetourResult:
    return await call.detour(Say(text="One moment."), Dial(targets=("+12125550123",), ring_secs=3))


@pytest.mark.parametrize(
    ("party", "status"),
    [(speaks(2.0), "completed"), (None, "busy"), ("nobody", "no-answer")],
    ids=["answered", "busy", "no answer"],
)
async def test_dial_tells_what_came_of_it(
    phone: Phone, party: PartyScript | str | None, status: str
):
    bot = DetourBot(dial)
    async with phone.desk(bot) as desk:
        rings = 60.0 if party == "nobody" else 0.0
        script = None if isinstance(party, str) else party
        desk.twilio.answer_with("+12125550123", script, rings_for=rings)
        async with desk.call() as caller:
            await caller.wait_for_end(seconds=30)
            result = await bot.result()

    assert result.get("DialCallStatus") == status
    assert await bot.reason is CallEndReason.BOT_HUNG_UP


async def test_verbs_behind_one_that_tells_are_done_as_well(phone: Phone):
    async def act(call: Call, _: DetourBot) -> DetourResult:
        return await call.detour(
            Dial(targets=("+12125550123",)), Pause(seconds=1), Dial(targets=("+12125550124",))
        )

    bot = DetourBot(act)
    async with phone.desk(bot) as desk:
        desk.twilio.answer_with("+12125550123", None)
        desk.twilio.answer_with("+12125550124", speaks(1.0))
        async with desk.call() as caller:
            await caller.wait_for_end(seconds=30)
            result = await bot.result()

    assert [one["DialCallStatus"] for one in result.results] == ["busy", "completed"]


async def test_caller_hangs_up_while_away(phone: Phone):
    async def act(call: Call, _: DetourBot) -> DetourResult:
        return await call.detour(Pause(seconds=30))

    bot = DetourBot(act)
    async with phone.desk(bot) as desk:
        told = StatusCallback(url=desk.base_url + "/status")
        async with desk.call(status_callback=told) as caller:
            await bot.after.wait_for(CallAwayFrame)
            await caller.hang_up()
            error = await bot.error()

    assert error.has_ended
    assert await bot.reason is CallEndReason.CALLER_HUNG_UP


async def test_call_that_does_not_come_back_has_a_bound(phone: Phone):
    async def act(call: Call, _: DetourBot) -> DetourResult:
        return await call.detour(Pause(seconds=60), within_secs=3.0)

    bot = DetourBot(act)
    async with phone.call(bot):
        error = await bot.error()

    assert error.has_ended
    assert await bot.reason is CallEndReason.NOT_BACK


async def test_second_detour_waits_for_the_first(phone: Phone):
    async def act(call: Call, bot: DetourBot) -> DetourResult:
        first = asyncio.create_task(call.detour(Pause(seconds=2)))
        await bot.after.wait_for(CallAwayFrame)
        second = await call.detour(Pause(seconds=1))
        assert first.done()
        return second

    bot = DetourBot(act)
    async with phone.call(bot) as caller:
        await caller.wait_for_end(seconds=30)
        await bot.result()

    assert len(bot.after.frames(CallBackFrame)) == 2


async def test_second_detour_may_be_refused(phone: Phone):
    async def act(call: Call, bot: DetourBot) -> DetourResult:
        first = asyncio.create_task(call.detour(Pause(seconds=2)))
        await bot.after.wait_for(CallAwayFrame)
        with pytest.raises(DetourError, match="makes no detour"):
            await call.detour(Pause(seconds=1), when_busy="refuse")
        return await first

    bot = DetourBot(act)
    async with phone.call(bot) as caller:
        await caller.wait_for_end(seconds=30)
        await bot.result()


async def test_processor_may_push_a_detour(phone: Phone):
    async def act(call: Call, bot: DetourBot) -> DetourResult:
        await bot.say(0.5)
        await bot.before.push_frame(DetourFrame(verbs=(Pause(seconds=1),)))
        await bot.say(0.5)
        await bot.after.wait_for(CallBackFrame)
        return DetourResult((), 0.0)

    bot = DetourBot(act)
    async with phone.call(bot) as caller:
        await caller.wait_for_end(seconds=30)
        await bot.result()

    assert lengths(caller) == [pytest.approx(0.5, abs=0.03)] * 2
    assert [span.stream for span in caller.result.heard_spans] == [0, 1]


@pytest.mark.parametrize("by_rest", [False, True], ids=["by close", "by REST"])
async def test_call_may_leave_before_it_has_said_all(phone: Phone, by_rest: bool):

    async def act(call: Call, bot: DetourBot) -> DetourResult:
        await bot.say(4.0)
        await bot.before.wait_for(BotSpeakingFrame, count=2)
        return await call.detour(Pause(seconds=1), at_once=True, by_rest=by_rest)

    bot = DetourBot(act)
    async with phone.call(with_account(bot)) as caller:
        await caller.wait_for_end(seconds=30)
        await bot.result()

    # Nothing of it is lost. There is no word here from whose end it could be taken up again.
    assert 4.0 <= sum(lengths(caller)) < 7.0
    assert {span.stream for span in caller.result.heard_spans} == {0, 1}


@pytest.mark.parametrize(
    ("verbs", "words"),
    [
        ((), "at least one verb"),
        ((Say(text="x" * 70_000),), "at most"),
    ],
)
async def test_what_twilio_would_refuse_never_leaves(phone: Phone, verbs: tuple, words: str):
    async def act(call: Call, bot: DetourBot) -> DetourResult:
        with pytest.raises(ConfigurationError, match=words):
            await call.detour(*verbs)
        assert not bot.after.frames(CallAwayFrame)
        return DetourResult((), 0.0)

    bot = DetourBot(act)
    async with phone.call(bot) as caller:
        await caller.wait_for_end(seconds=30)
        await bot.result()


async def test_detour_by_rest_needs_credentials(phone: Phone):
    async def act(call: Call, _: DetourBot) -> DetourResult:
        with pytest.raises(ConfigurationError, match="TWILIO_ACCOUNT_SID"):
            await call.detour(Pause(seconds=1), by_rest=True)
        return DetourResult((), 0.0)

    bot = DetourBot(act)
    settings = ServerSettings(auth_token=phone.auth_token)
    async with phone.call(create_app(bot, settings)) as caller:
        await caller.wait_for_end(seconds=30)
        await bot.result()


async def test_other_verbs_are_handed_through(phone: Phone):
    async def act(call: Call, _: DetourBot) -> DetourResult:
        return await call.detour(
            OtherTwiml(xml='<Gather numDigits="2" timeout="5"/>', takes_action=True)
        )

    bot = DetourBot(act)
    async with phone.call(bot) as caller:
        await bot.after.wait_for(CallAwayFrame)
        await caller.wait(0.3)
        await caller.press("42")
        await caller.wait_for_end(seconds=30)
        result = await bot.result()

    assert result.get("Digits") == "42"
    assert "Digits" not in repr(bot.after.frames(CallBackFrame))


async def test_refused_detour_leaves_the_call_where_it_was(phone: Phone):
    async def act(call: Call, bot: DetourBot) -> DetourResult:
        with pytest.raises(RestError):
            await call.detour(Pause(seconds=1), by_rest=True)
        await bot.say(1.0)
        # Nothing of it stands in the way of the next.
        return await call.detour(Pause(seconds=1))

    bot = DetourBot(act)
    async with phone.call(with_account(bot, "AC" + "2" * 32)) as caller:
        await caller.wait_for_end(seconds=30)
        await bot.result()

    assert lengths(caller) == [pytest.approx(1.0, abs=0.03)]


async def test_hang_up_is_found_out_by_rest_where_nobody_tells(phone: Phone):
    """An inbound call has a status callback only where the number's owner has set one."""

    async def act(call: Call, _: DetourBot) -> DetourResult:
        return await call.detour(Pause(seconds=100))

    bot = DetourBot(act)
    async with phone.call(with_account(bot)) as caller:
        await bot.after.wait_for(CallAwayFrame)
        await caller.hang_up()
        error = await bot.error()

    assert error.has_ended
    assert await bot.reason is CallEndReason.CALLER_HUNG_UP


async def test_log_and_recording_show_one_call_with_a_gap(phone: Phone, tmp_path: Path):
    async def act(call: Call, bot: DetourBot) -> DetourResult:
        await bot.say(1.0)
        result = await call.detour(Say(text="Wait."), Pause(seconds=3))
        await bot.say(1.0)
        return result

    class LoggedBot(DetourBot):
        async def __call__(self, call: Call) -> None:
            log, recorder = (
                call.keep_log(tmp_path / "call.jsonl"),
                CallRecorder(tmp_path / "call.wav"),
            )
            call.transport.add_tap(recorder)
            await super().__call__(call)
            assert await log.wait_until_written()
            assert await recorder.wait_until_written()

    bot = LoggedBot(act)
    async with phone.call(bot) as caller:
        await caller.wait_for_end(seconds=30)
        result = await bot.result()

    story = tell(read_log(tmp_path / "call.jsonl"))
    (away,) = story.away
    assert away.label == "away: Say, Pause"
    assert away.span.seconds == pytest.approx(result.away_secs, abs=0.1)
    before, behind = story.heard
    assert before.end <= away.span.begin + 0.1
    assert behind.begin >= away.span.end
    with wave.open(str(tmp_path / "call.wav")) as recording:
        seconds = recording.getnframes() / recording.getframerate()
    assert seconds == pytest.approx(story.seconds, abs=0.5)
