"""Scripted callers against a small bot: what they do, and how they judge it."""

from collections.abc import Awaitable, Callable

import pytest

from tests.testing.bots import AUTH_TOKEN, TinyBot, serving, tone
from tests.waiting import time_passes
from twilio_frames.testing import CallEnd, Limits, Script, SimulatedTwilio
from twilio_frames.testing.callers.hearing import Hearing, KnownWord
from twilio_frames.testing.callers.performance import Performance
from twilio_frames.testing.scripts.script import Event, Expectation, ScriptTurn, SendAfter

STARTED = Event.BOT_STARTED_SPEAKING
SPEECH = tone(0.3, 700)

Reply = Callable[[TinyBot], Awaitable[None]]


def expect(event: Event, **how) -> tuple[Expectation, ...]:
    return (Expectation(event=event, **how),)


async def perform(
    bot: TinyBot, *turns: ScriptTurn, hearing: Hearing | None = None, **script
) -> tuple[Performance, CallEnd | None]:
    performance = Performance(Script(name="test", turns=turns, **script), hearing or Hearing())
    await performance.prepare()
    async with SimulatedTwilio(auth_token=AUTH_TOKEN) as twilio, serving(bot) as host:
        async with twilio.call(f"ws://{host}/stream") as caller:
            await performance.perform(caller)
        performance.judge(caller)
    return performance, caller.end


async def greet(bot: TinyBot):
    await bot.play(tone(0.2))


async def talk_on(bot: TinyBot):
    await bot.play(tone(20))


class Obedient(TinyBot):
    """Talks on, and falls silent when somebody speaks up."""

    def __init__(self, deaf_for: float = 0.0):
        super().__init__(talk_on)
        self._deaf_for = deaf_for

    async def _take(self, message: dict) -> None:
        await super()._take(message)
        payload = message.get("media", {}).get("payload", "")
        if payload and payload != "/" * 213 + "w==" and not self.said("cleared"):
            self.messages.append({"event": "cleared"})
            await time_passes(self._deaf_for)
            await self.send("clear")


async def test_what_is_met_passes():
    performance, _ = await perform(
        TinyBot(greet),
        ScriptTurn(expect=(*expect(STARTED, within=10), *expect(Event.BOT_STOPPED_SPEAKING))),
        limits=Limits(first_audio=10, flow=("ringing", "answered", "ended")),
    )

    assert performance.passed, performance.checks
    assert "it after" in performance.checks[0].got


async def test_silent_bot_fails_in_time():
    performance, _ = await perform(TinyBot(), ScriptTurn(expect=expect(STARTED, within=0.2)))

    (failed,) = [check for check in performance.checks if not check.passed]
    assert str(failed) == "expected bot_started_speaking within 200 ms, got nothing at turn 1"


async def test_late_bot_is_timed():
    async def dawdle(bot: TinyBot):
        await time_passes(0.5)
        await greet(bot)

    performance, _ = await perform(TinyBot(dawdle), ScriptTurn(expect=expect(STARTED, within=0.3)))

    assert not performance.passed
    milliseconds = int(performance.checks[0].got.split()[2])
    assert milliseconds >= 490


async def test_interruption_is_timed_from_the_first_sound():
    over = SendAfter(event=STARTED, delay=0.3)
    performance, _ = await perform(
        Obedient(),
        ScriptTurn(
            say=(SPEECH,), send_after=over, expect=expect(Event.BOT_INTERRUPTED, within=2.0)
        ),
    )

    assert performance.passed, performance.checks


async def test_bot_that_talks_on_was_not_interrupted():
    over = SendAfter(event=STARTED, delay=0.2)
    performance, _ = await perform(
        TinyBot(talk_on),
        ScriptTurn(
            say=(SPEECH,), send_after=over, expect=expect(Event.BOT_INTERRUPTED, within=0.3)
        ),
    )

    assert not performance.checks[0].passed


async def test_turn_waits_for_the_end_of_speech():
    bot = TinyBot(greet)
    performance, _ = await perform(
        bot,
        ScriptTurn(expect=expect(STARTED)),
        ScriptTurn(dtmf="5", expect=expect(STARTED, absent=True, within=0.3)),
    )

    assert performance.passed, performance.checks
    assert [message["dtmf"]["digit"] for message in bot.said("dtmf")] == ["5"]


async def test_absent_answer_that_comes_fails():
    class Answering(TinyBot):
        async def _take(self, message: dict) -> None:
            await super()._take(message)
            if message["event"] == "dtmf":
                await self.play(tone(0.2))

    performance, _ = await perform(
        Answering(), ScriptTurn(dtmf="1", expect=expect(Event.RESPONSE, absent=True, within=1.0))
    )

    assert not performance.checks[0].passed


async def test_caller_hangs_up_in_mid_word():
    bot = TinyBot()
    ended = expect(Event.CALL_ENDED, reason="caller hung up")
    performance, end = await perform(
        bot, ScriptTurn(say=(tone(5, 700),), hang_up_after=0.3, expect=ended)
    )

    assert (performance.passed, end) == (True, CallEnd.CALLER_HUNG_UP)
    loud = [m for m in bot.said("media") if m["media"]["payload"] != "/" * 213 + "w=="]
    assert 5 < len(loud) < 30


async def test_first_failure_ends_the_script():
    bot = TinyBot()
    turns = (
        ScriptTurn(expect=expect(STARTED, within=0.1)),
        ScriptTurn(dtmf="1"),
    )
    await perform(bot, *turns)
    assert not bot.said("dtmf")

    stubborn = TinyBot()
    await perform(stubborn, *turns, stop_on_failure=False)
    assert stubborn.said("dtmf")


async def test_end_of_the_call_is_told():
    async def hang_up(bot: TinyBot):
        assert bot.socket is not None
        await greet(bot)
        await time_passes(0.3)
        await bot.socket.close()

    performance, _ = await perform(
        TinyBot(hang_up),
        ScriptTurn(expect=expect(Event.CALL_ENDED, reason="caller hung up", within=5)),
    )

    assert performance.checks[0].got == "'bot hung up'"


async def test_warnings_fail_the_call():
    async def blunder(bot: TinyBot):
        await bot.send("nonsense")
        await greet(bot)

    performance, _ = await perform(
        TinyBot(blunder), ScriptTurn(expect=expect(Event.WARNING, code=31951))
    )

    assert performance.checks[0].passed
    assert [check.expected for check in performance.checks if not check.passed] == [
        "at most 0 warnings of Twilio's"
    ]


@pytest.mark.parametrize(
    ("wanted", "unwanted", "passed"),
    [("one two", "three", True), ("two one", None, False), (None, "two", False)],
)
async def test_words_of_a_response_are_judged(wanted, unwanted, passed):
    one, two = tone(0.2, 500), tone(0.2, 900)

    async def speak(bot: TinyBot):
        await bot.play(one + two)

    known = [KnownWord(text="One,", mulaw=one), KnownWord(text="two.", mulaw=two)]
    response = expect(Event.RESPONSE, text_contains=wanted, text_excludes=unwanted, within=1.0)
    performance, _ = await perform(
        TinyBot(speak), ScriptTurn(expect=response), hearing=Hearing(lambda: known)
    )

    assert performance.checks[0].passed is passed, performance.checks
