"""What the caller hears of a realtime model's bad days."""

from itertools import repeat

import pytest

from tests.vendors.faults import bad_day
from tests.vendors.realtime_rig import (
    ANSWER,
    APOLOGY,
    FILLER,
    GREETING,
    LONG,
    QUESTION,
    RealtimeBot,
    ask_when_bot_is_done,
    heard,
    loud_part,
    ours,
    place,
    until_heard,
)
from twilio_frames.services import RetryPolicy
from twilio_frames.services.realtime.pending_response import PendingResponse
from twilio_frames.testing import Caller, Phone
from twilio_frames.testing.callers.voice import audible_samples
from twilio_frames.testing.vendors import (
    CutReply,
    Drop,
    FailedReply,
    Garbage,
    Hang,
    RealtimeServer,
    Refusal,
    Slow,
)

QUICK = {"patience_secs": 0.6, "answer_secs": 1.2}


@bad_day("realtime", "the key is not taken (401)", "An apology, once; the line stays open.")
async def test_refused_key_is_told_once(phone: Phone):
    async def caller(caller: Caller) -> None:
        await caller.wait_for_bot(silence=0.6)
        await caller.say(QUESTION)
        await caller.wait(1.0)

    async with RealtimeServer(faults=repeat(Refusal(status=401))) as server:
        bot = RealtimeBot(server)
        result = (await phone.ring(bot, caller)).result

    assert loud_part(result.heard_bot).count(loud_part(APOLOGY[:1600])) == 1
    assert len(server.visits) == 1
    assert len(bot.told) == 1
    assert "401" in bot.told[0]
    assert "secret" not in bot.told[0]
    assert bot.llm is not None
    assert not bot.llm.is_usable


@bad_day("realtime", "429, then 500 at the start", "The greeting, a moment later.")
async def test_refused_connection_is_tried_again(phone: Phone):
    faults = [Refusal(status=429, retry_after=0.1), Refusal(status=500)]
    async with RealtimeServer(replies=[GREETING, ANSWER], faults=faults) as server:
        bot = RealtimeBot(server)
        result = (await phone.ring(bot, ask_when_bot_is_done)).result

    assert len(server.visits) == 3
    assert heard(GREETING, result)
    assert heard(ANSWER, result)
    assert bot.told == []


@bad_day(
    "realtime",
    "no connection at all",
    "A filler, an apology after a time; trying goes on, and the next turn is answered.",
)
async def test_dead_vendor_is_apologised_for(phone: Phone):
    retry = RetryPolicy(give_up_secs=2.0, longest_pause_secs=0.4)
    faults = [Refusal(status=503)] * 14

    async def caller(caller: Caller) -> None:
        apology = loud_part(APOLOGY[:1600])
        await caller.wait_until(lambda: apology in loud_part(caller.heard_so_far), seconds=20)
        await ask_when_bot_is_done(caller)

    async with RealtimeServer(replies=[ANSWER], faults=faults) as server:
        bot = RealtimeBot(server, ours(**QUICK, policy=retry))
        result = (await phone.ring(bot, caller)).result

    assert 0 <= place(FILLER, result) < place(APOLOGY, result)
    assert heard(ANSWER, result)
    assert len(bot.told) == 1
    assert "503" in bot.told[0]


@bad_day("realtime", "socket drops at the start", "The greeting, a moment later.")
async def test_drop_at_the_start(phone: Phone):
    async with RealtimeServer(replies=[GREETING, ANSWER], faults=[Drop()]) as server:
        bot = RealtimeBot(server)
        result = (await phone.ring(bot, ask_when_bot_is_done)).result

    assert heard(GREETING, result)
    assert heard(ANSWER, result)
    assert bot.told == []


@bad_day(
    "realtime", "socket drops while the caller speaks", "Nothing: every word of theirs is heard."
)
async def test_drop_in_mid_word(phone: Phone):
    async def caller(caller: Caller) -> None:
        await caller.wait_for_bot(silence=0.6)
        await caller.start_saying(QUESTION)
        await server.asked_for("input_audio_buffer.append", 8)
        server.drop()
        await caller.wait_for_bot(silence=0.6)

    async with RealtimeServer(replies=[GREETING, ANSWER], hears=["when do you open"]) as server:
        bot = RealtimeBot(server)
        result = (await phone.ring(bot, caller)).result

    assert len(server.sessions) == 2
    turn = next(item for item in server.memory if item.audio and item.role == "user")
    sent = bot.caller_audio()
    loud = audible_samples(sent)
    begin = sent.find(turn.audio)
    assert 0 <= begin < loud[0] < loud[-1] < begin + len(turn.audio)
    assert GREETING.text in (server.memory[0].text or "")
    assert heard(ANSWER, result)
    assert len(bot.said) == 2


@bad_day(
    "realtime",
    "socket drops in mid-reply",
    "What had come of the reply; then the model goes on from there.",
)
async def test_drop_in_mid_reply(phone: Phone):
    async with RealtimeServer(replies=[LONG, GREETING, ANSWER], faults=[Drop(after=9)]) as server:
        bot = RealtimeBot(server)
        result = (await phone.ring(bot, ask_when_bot_is_done)).result
        told = server.memory[0].text or ""

    assert loud_part(LONG.mulaw[: 8 * 850]) in loud_part(result.heard_bot)
    assert heard(GREETING, result)
    assert heard(ANSWER, result)
    assert "We have rye bread" in told
    assert "Go on from there" in told
    assert bot.said[0].startswith("We have rye bread")
    assert bot.told == []


@pytest.mark.parametrize("after", [0, 5])
@bad_day(
    "realtime",
    "the model falls silent, at the start or in mid-reply",
    "What had come, a filler if that takes long, and the answer of a new session.",
)
async def test_hang_is_bridged(phone: Phone, after: int):
    async with RealtimeServer(replies=[LONG, ANSWER], faults=[Hang(after=after)]) as server:
        bot = RealtimeBot(server, ours(**QUICK))

        wanted = LONG if after == 0 else ANSWER

        async def caller(caller: Caller) -> None:
            await until_heard(caller, wanted)
            await caller.wait_for_bot(silence=0.6)

        result = (await phone.ring(bot, caller)).result

    before = FILLER if after == 0 else LONG.mulaw
    assert 0 <= place(before, result) < place(wanted.mulaw, result)
    assert heard(wanted, result)
    assert len(server.sessions) == 2


@bad_day("realtime", "slow first byte", "A filler, then the answer.")
async def test_slow_answer_is_bridged(phone: Phone):
    async def caller(caller: Caller) -> None:
        await until_heard(caller, GREETING)
        await caller.wait_for_bot(silence=0.6)

    async with RealtimeServer(replies=[GREETING], faults=[Slow(seconds=1.5)]) as server:
        result = (await phone.ring(RealtimeBot(server, ours(patience_secs=0.6)), caller)).result

    assert 0 <= place(FILLER, result) < place(GREETING.mulaw, result)
    assert heard(GREETING, result)
    assert loud_part(result.heard_bot).count(loud_part(FILLER[:1600])) == 1
    assert len(server.sessions) == 1


@bad_day("realtime", "garbage between the events", "Nothing.")
async def test_garbage_is_passed_over(phone: Phone):
    async with RealtimeServer(replies=[GREETING, ANSWER], faults=[Garbage(after=3)]) as server:
        bot = RealtimeBot(server)
        result = (await phone.ring(bot, ask_when_bot_is_done)).result

    assert heard(GREETING, result)
    assert heard(ANSWER, result)
    assert len(server.sessions) == 1


@bad_day(
    "realtime",
    "the model fails in the middle of a call",
    "The answer, after two more tries; or an apology, and the next turn is answered.",
)
async def test_failed_answers_are_tried_again(phone: Phone, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(PendingResponse, "RETRY_SECS", 0.1)
    limited = FailedReply(code="rate_limit_exceeded", message="Slow down.")

    async def caller(caller: Caller) -> None:
        await ask_when_bot_is_done(caller)
        await ask_when_bot_is_done(caller)

    replies = [FailedReply(), limited, GREETING, limited, limited, limited, ANSWER]
    async with RealtimeServer(replies=replies) as server:
        bot = RealtimeBot(server)
        result = (await phone.ring(bot, caller)).result

    sounds = [GREETING.mulaw, APOLOGY, ANSWER.mulaw]
    places = [place(sound, result) for sound in sounds]
    assert 0 <= places[0] < places[1] < places[2]
    assert len(bot.told) == 1
    assert "rate_limit_exceeded" in bot.told[0]


@bad_day(
    "realtime",
    "the vendor withholds the rest of an answer, which ends well for all that",
    "What had come, and an apology; the next turn is answered.",
)
async def test_withheld_answer_is_apologized_for(phone: Phone):
    async def caller(caller: Caller) -> None:
        await ask_when_bot_is_done(caller)

    replies = [CutReply(spoken=GREETING), ANSWER]
    async with RealtimeServer(replies=replies) as server:
        bot = RealtimeBot(server)
        result = (await phone.ring(bot, caller)).result

    places = [place(sound, result) for sound in (GREETING.mulaw, APOLOGY, ANSWER.mulaw)]
    assert 0 <= places[0] < places[1] < places[2]
    (told,) = bot.told
    assert "content_filter" in told


async def test_answer_that_was_cut_to_length_is_one(phone: Phone):
    async def caller(caller: Caller) -> None:
        await ask_when_bot_is_done(caller)

    replies = [CutReply(spoken=GREETING, reason="max_output_tokens"), ANSWER]
    async with RealtimeServer(replies=replies) as server:
        bot = RealtimeBot(server)
        result = (await phone.ring(bot, caller)).result

    assert 0 <= place(GREETING.mulaw, result) < place(ANSWER.mulaw, result)
    assert bot.told == []
