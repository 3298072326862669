"""A bot that calls somebody does what is to be done about whoever answers."""

import asyncio

import pytest
from pipecat.pipeline.pipeline import Pipeline

from tests.answering.test_decider import speech
from tests.audio.test_tones import tone
from tests.call.answering_rig import (
    GREETING,
    MESSAGE,
    PURPOSE,
    REPLY,
    Outbound,
    answered,
    says,
)
from twilio_frames.answering import MachineVerdict
from twilio_frames.audio import mulaw_silence
from twilio_frames.call import Call
from twilio_frames.call.answering import AnswerAction, AnsweredBy, AnswerPolicy, AnswerReason
from twilio_frames.errors import ConfigurationError
from twilio_frames.frames import CallEndReason
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.testing import CallEnd, CallerOptions, LineConditions, Phone, Voicemail
from twilio_frames.testing.callers.parties import beep

LEAVE = AnswerPolicy(voicemail=MESSAGE, screening=PURPOSE)


async def first_of(out: Outbound) -> tuple[AnsweredBy, AnswerReason]:
    assert out.first is not None
    answer = await asyncio.wait_for(out.first, 30)
    return answer.answered_by, answer.reason


async def test_person_is_greeted_after_their_first_word(phone: Phone):
    async with answered(phone, LEAVE) as (caller, out):
        await caller.wait(0.5)
        await says(caller, out, 0.5, "Hello?")
        assert not caller.bot_spells
        await caller.wait_for_bot()

        assert await caller.has_heard(GREETING)
        assert out.memory == [("user", "Hello?"), ("assistant", GREETING)]
        assert out.model.asked == 0
        assert await first_of(out) == (AnsweredBy.HUMAN, AnswerReason.WORDS)
        assert 1.0 < caller.bot_spells[0].began_at < 2.5

        await says(caller, out, 0.5, "And now?")
        await caller.wait_for_bot()
        assert await caller.has_heard(REPLY)


async def test_silent_callee_is_greeted_after_two_seconds(phone: Phone):
    async with answered(phone, LEAVE) as (caller, out):
        await caller.wait_for_bot()

        assert 2.0 <= caller.bot_spells[0].began_at < 2.8
        assert await first_of(out) == (AnsweredBy.UNKNOWN, AnswerReason.SILENCE)


async def test_reply_waits_until_a_person_is_told(phone: Phone):
    async with answered(phone, AnswerPolicy(), greeting=None) as (caller, out):
        await says(caller, out, 0.5, "Hello?")
        await caller.wait_for_bot()

        assert await caller.has_heard(REPLY)
        assert out.memory[:2] == [("user", "Hello?"), ("assistant", REPLY)]


async def test_message_is_left_behind_the_beep(phone: Phone):
    async with answered(phone, LEAVE) as (caller, out):
        await says(caller, out, 2.0, "You've reached Bob.")
        await says(caller, out, 2.0, "Please leave a message after the beep.")
        await caller.wait(0.4)
        beeped = await caller.say(beep())
        assert await caller.wait_for_end() is CallEnd.BOT_HUNG_UP

        assert await caller.has_heard(MESSAGE)
        assert beeped.ended_at is not None
        assert beeped.ended_at + 0.1 < caller.bot_spells[0].began_at < beeped.ended_at + 1.2
        assert out.whos == ["voicemail"]
        assert out.model.asked == 0
        assert out.memory[-1] == ("assistant", MESSAGE)


async def test_message_is_left_once_over_a_line_with_an_echo(phone: Phone):
    message = f"{MESSAGE} {MESSAGE} {MESSAGE}"
    options = CallerOptions(line=LineConditions(echo_level=-15.0))
    async with answered(phone, AnswerPolicy(voicemail=message), options=options) as (caller, _):
        await Voicemail(greeting=speech(5))(caller)

        assert await caller.has_heard(message)
        (spell, *others) = [one for one in caller.bot_spells if one.seconds > 0.3]
        assert (others[-1] if others else spell).ended_at - spell.began_at < 9


async def test_message_is_heard_whole_at_last_over_a_loud_echo(phone: Phone):
    message = f"{MESSAGE} {MESSAGE}"
    options = CallerOptions(line=LineConditions(echo_level=-3.0))
    async with answered(phone, AnswerPolicy(voicemail=message), options=options) as (caller, _):
        await Voicemail(greeting=speech(5))(caller)

        assert await caller.has_heard(message)


async def test_message_is_left_where_nobody_transcribes(phone: Phone):
    async with answered(phone, LEAVE) as (caller, out):
        await Voicemail(greeting=speech(5))(caller)

        assert await caller.has_heard(MESSAGE)
        assert await first_of(out) == (AnsweredBy.VOICEMAIL, AnswerReason.LONG_SPEECH)


async def test_message_begins_without_a_beep_after_a_silence(phone: Phone):
    async with answered(phone, LEAVE) as (caller, _):
        await Voicemail(greeting=speech(5), has_beep=False)(caller)

        assert await caller.has_heard(MESSAGE)
        assert 7.5 < caller.bot_spells[0].began_at < 8.7


async def test_message_begins_anew_behind_the_right_beep(phone: Phone):
    async with answered(phone, LEAVE) as (caller, out):
        await says(caller, out, 2.0, "You've reached Bob.")
        await caller.say(beep())
        await caller.wait(0.5)
        await says(caller, out, 3.0, "Please leave a message after the tone.")
        await caller.wait(0.3)
        last = await caller.say(beep(0.6, 800))
        await caller.wait_for_end()

        assert last.ended_at is not None
        assert await caller.has_heard(MESSAGE, since=last.ended_at)


async def test_voicemail_is_hung_up_on_without_a_word(phone: Phone):
    async with answered(phone, AnswerPolicy()) as (caller, out):
        await says(caller, out, 1.5, "Please leave a message.")
        assert await caller.wait_for_end() is CallEnd.BOT_HUNG_UP

        assert not caller.bot_spells
        assert out.memory == []


@pytest.mark.parametrize(
    ("words", "who"),
    [
        ("The mailbox is full.", AnsweredBy.ANNOUNCEMENT),
        ("This number is not in service.", AnsweredBy.ANNOUNCEMENT),
    ],
)
async def test_announcement_is_hung_up_on(phone: Phone, words: str, who: AnsweredBy):
    async with answered(phone, LEAVE) as (caller, out):
        await says(caller, out, 1.5, words)
        assert await caller.wait_for_end() is CallEnd.BOT_HUNG_UP

        assert (await first_of(out))[0] is who
        assert not caller.bot_spells


async def test_fax_is_hung_up_on(phone: Phone):
    async with answered(phone, LEAVE) as (caller, out):
        await caller.start_saying(beep(4, 2100))
        assert await caller.wait_for_end() is CallEnd.BOT_HUNG_UP

        assert await first_of(out) == (AnsweredBy.FAX, AnswerReason.FAX_TONE)


async def test_menu_is_spoken_to_as_a_person_is(phone: Phone):
    async with answered(phone, LEAVE) as (caller, out):
        await says(caller, out, 2.0, "For sales, press one.")
        await caller.wait_for_bot()

        assert await caller.has_heard(GREETING)
        assert out.whos == ["ivr"]


async def test_screener_is_told_name_and_purpose_and_then_the_person_is_greeted(phone: Phone):
    async with answered(phone, LEAVE) as (caller, out):
        await says(caller, out, 3.0, "Please state your name and why you're calling.")
        await caller.wait_for_bot()
        assert await caller.has_heard(PURPOSE)
        assert not await caller.has_heard(GREETING)

        await says(caller, out, 2.0, "Thank you. Please stay on the line.")
        asked = caller.now
        await caller.wait(4)
        assert caller.bot_spells[-1].ended_at < asked
        await says(caller, out, 0.5, "Hello?")
        await caller.wait_for_bot()

        assert await caller.has_heard(GREETING, since=asked)
        assert out.whos == ["call screening", "human"]


async def test_screener_that_gives_a_voicemail_gets_the_message(phone: Phone):
    async with answered(phone, LEAVE) as (caller, out):
        await says(caller, out, 3.0, "Please state your name.")
        await caller.wait_for_bot()
        await says(caller, out, 3.0, "They are not available. Please leave a message.")
        await caller.say(beep())
        await caller.wait_for_end()

        assert await caller.has_heard(MESSAGE)
        assert out.whos == ["call screening", "voicemail"]


async def test_screener_is_hung_up_on_where_the_policy_says_so(phone: Phone):
    policy = AnswerPolicy(screening=AnswerAction.HANG_UP)
    async with answered(phone, policy) as (caller, out):
        await says(caller, out, 2.0, "Please state your name.")
        assert await caller.wait_for_end() is CallEnd.BOT_HUNG_UP

        assert not caller.bot_spells


async def test_person_taken_for_a_machine_gets_the_bot_back(phone: Phone):
    async with answered(phone, LEAVE) as (caller, out):
        await caller.say(speech(4.5))
        await caller.wait(0.8)
        await says(caller, out, 0.5, "Hello? Is anybody there?")
        await caller.wait_for_bot()

        assert await caller.has_heard(GREETING)
        assert out.whos == ["voicemail", "human"]
        assert caller.is_connected


async def test_person_who_picks_up_under_the_message_gets_the_bot_back(phone: Phone):
    async with answered(phone, LEAVE) as (caller, out):
        await says(caller, out, 2.0, "Please leave a message.")
        await caller.say(beep())
        await caller.wait_until_bot_speaks(for_seconds=0.5)
        await says(caller, out, 0.4, "Hello? I'm here.")
        await caller.wait_for_bot()

        assert not await caller.has_heard(MESSAGE)
        assert await caller.has_heard(GREETING)
        assert out.whos == ["voicemail", "human"]


async def test_machine_taken_for_a_person_gets_the_message(phone: Phone):
    async with answered(phone, LEAVE) as (caller, out):
        await says(caller, out, 0.6, "Hi.")
        await caller.wait(1.5)
        await says(caller, out, 3.0, "It's Bob. Please leave a message.")
        last = await caller.say(beep())
        await caller.wait_for_end()

        assert last.ended_at is not None
        assert await caller.has_heard(MESSAGE, since=last.ended_at)
        assert out.whos == ["human", "voicemail"]


async def test_twilios_verdict_decides_where_nothing_else_does(phone: Phone):
    async with answered(phone, LEAVE) as (caller, out):
        await caller.start_saying(speech(2.8))
        await caller.wait(2.6)
        assert out.call is not None
        out.call.answers.take_verdict(MachineVerdict.MACHINE_START)
        await caller.wait(1.0)
        await caller.say(beep())
        await caller.wait_for_end()

        assert await caller.has_heard(MESSAGE)
        assert await first_of(out) == (AnsweredBy.VOICEMAIL, AnswerReason.TWILIO)


async def test_end_of_the_greeting_that_twilio_tells_begins_the_message(phone: Phone):
    async with answered(phone, LEAVE) as (caller, out):
        await caller.say(speech(5))
        assert out.call is not None
        out.call.answers.take_verdict(MachineVerdict.MACHINE_END_OTHER)
        await caller.wait_for_end()

        assert await caller.has_heard(MESSAGE)
        assert caller.bot_spells[0].began_at < 6.5


async def test_wrong_verdict_that_comes_late_changes_nothing(phone: Phone):
    async with answered(phone, LEAVE) as (caller, out):
        await says(caller, out, 0.5, "Hello?")
        await caller.wait_for_bot()
        assert out.call is not None
        out.call.answers.take_verdict(MachineVerdict.MACHINE_START)
        await says(caller, out, 0.5, "Who is this?")
        await caller.wait_for_bot()

        assert out.whos == ["human"]
        assert await caller.has_heard(REPLY)


async def test_nothing_is_held_for_longer_than_the_limit(phone: Phone):
    policy = AnswerPolicy(longest_hold_secs=3.0, voicemail=AnswerAction.GO_ON)
    async with answered(phone, policy) as (caller, out):
        await caller.start_saying(speech(8))
        assert await caller.wait_until(lambda: caller.hears_bot, seconds=10)

        assert 3.0 < caller.bot_spells[0].began_at < 3.8
        assert await first_of(out) == (AnsweredBy.UNKNOWN, AnswerReason.TIME_LIMIT)


async def test_who_rings_on_is_spoken_to_after_two_seconds(phone: Phone):
    async with answered(phone, LEAVE) as (caller, out):
        await caller.start_saying(b"".join([tone(2, 440, 480), mulaw_silence(4)] * 3))
        assert await caller.wait_until(lambda: caller.hears_bot, seconds=10)

        assert await first_of(out) == (AnsweredBy.UNKNOWN, AnswerReason.SILENCE)
        await caller.wait(8)
        assert out.whos == ["unknown"]


async def test_callee_who_hangs_up_leaves_nothing_behind(phone: Phone):
    async with answered(phone, LEAVE) as (caller, out):
        await out.up.wait()
        await caller.wait(0.5)
        await caller.hang_up()

        assert await first_of(out) == (AnsweredBy.UNKNOWN, AnswerReason.HUNG_UP)
        assert out.ended is not None
        assert await asyncio.wait_for(out.ended, 10) is CallEndReason.CALLER_HUNG_UP


async def test_voicemail_that_hangs_up_under_the_message(phone: Phone):
    async with answered(phone, LEAVE) as (caller, out):
        await says(caller, out, 2.0, "Please leave a message.")
        await caller.say(beep())
        await caller.wait_until_bot_speaks(for_seconds=0.5)
        await caller.hang_up()

        assert out.ended is not None
        assert await asyncio.wait_for(out.ended, 10) is CallEndReason.CALLER_HUNG_UP
        assert not await caller.has_heard(MESSAGE)
        assert out.memory[-1][0] == "assistant"
        assert out.memory[-1][1] != MESSAGE


async def test_line_without_a_sound_is_spoken_to_in_time(phone: Phone):
    async def bot(call: Call) -> None:
        pipeline = Pipeline(
            [call.transport.input(), EspeakTTSService(), call.transport.output()],
        )
        await call.run(pipeline, greeting=GREETING, answering=LEAVE)

    async with phone.text(bot) as talk:
        assert await talk.reply() == GREETING
        assert talk.call is not None
        answer = await talk.call.wait_for_answer()
        assert answer.reason is AnswerReason.SILENCE


async def test_what_an_action_is_called_may_be_said(phone: Phone):
    async with answered(phone, AnswerPolicy(voicemail="Go on")) as (caller, out):
        await says(caller, out, 2.0, "Please leave a message.")
        await caller.say(beep())
        assert await caller.wait_for_end() is CallEnd.BOT_HUNG_UP

        assert await caller.has_heard("Go on")


def test_empty_text_is_refused():
    with pytest.raises(ConfigurationError, match="at voicemail, got an empty text"):
        AnswerPolicy(voicemail=" ")
    with pytest.raises(ConfigurationError, match="at screening, got an empty text"):
        AnswerPolicy(screening="")


def test_times_are_positive():
    with pytest.raises(ConfigurationError, match="expected first_word_secs above 0, got 0"):
        AnswerPolicy(first_word_secs=0)
