"""Whole calls with a realtime model: what the caller heard is what the model believes it said."""

import asyncio
from itertools import repeat

import pytest
from loguru import logger
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies

from tests.vendors.faults import bad_day
from tests.vendors.realtime_rig import (
    APOLOGY,
    FILLER,
    Make,
    RealtimeBot,
    ours,
)
from twilio_frames.frames import VendorRole
from twilio_frames.processors.vendor_health import VENDORS
from twilio_frames.services.realtime import PhoneOpenAIRealtimeLLMService
from twilio_frames.testing import (
    Caller,
    CallerOptions,
    CallResult,
    LineConditions,
    LoopWatch,
    Phone,
)
from twilio_frames.testing.vendors import (
    Drop,
    FailedReply,
    FunctionCall,
    Garbage,
    Hang,
    Pacing,
    RealtimeServer,
    Refusal,
    Slow,
    SpokenReply,
)
from twilio_frames.testing.voice import audible_samples

GREETING = SpokenReply.of("Good morning, bakery.")
LONG = SpokenReply.of("We have rye bread and wheat bread and buns and little rolls.")
TALK = SpokenReply.of(f"{LONG.text} {LONG.text}")
ANSWER = SpokenReply.of("We open at seven.")
QUESTION = "And when do you open tomorrow?"
TOLERANCE_MS = 15


async def ask_when_bot_is_done(caller: Caller) -> None:
    await caller.wait_for_bot(silence=0.6)
    await caller.say(QUESTION)
    await caller.wait_for_bot(silence=0.6)


async def until_heard(caller: Caller, reply: SpokenReply) -> None:
    """Waits until the beginning of a reply has been heard."""
    begin = loud_part(reply.mulaw[:1600])
    assert await caller.wait_until(lambda: begin in loud_part(caller.heard_so_far), seconds=15)


def loud_part(mulaw: bytes) -> bytes:
    """Audio without its silence: a busy machine makes holes in it."""
    return mulaw.replace(b"\xff", b"")


def place(sound: bytes, result: CallResult) -> int:
    """Where a sound was heard first, silence apart; -1 if it was not."""
    return loud_part(result.heard_bot).find(loud_part(sound[:1600]))


def first_cut(result: CallResult) -> float:
    """Milliseconds of the bot's speech that were heard before the first cut, holes apart."""
    end = 0
    for span in result.heard_spans:
        if span.begin != end:
            break
        end = span.end
    return end / 8


def heard(reply: SpokenReply, result: CallResult) -> bool:
    """Whether a reply was heard whole, bit for bit."""
    return loud_part(reply.mulaw) in loud_part(result.heard_bot)


async def test_mulaw_passes_bit_for_bit(phone: Phone, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(VENDORS, "_vendors", {})
    async with RealtimeServer(replies=[GREETING, ANSWER], hears=["when do you open"]) as server:
        bot = RealtimeBot(server)
        call = await phone.ring(bot, ask_when_bot_is_done)
        turn = server.memory[1]

    health = VENDORS.of(VendorRole.REALTIME, "openairealtime")
    assert health.successes == 2
    assert 0 < (health.first_byte(0.95) or 0) < 3
    assert heard(GREETING, call.result)
    assert heard(ANSWER, call.result)
    sent = bot.caller_audio()
    begin = sent.find(turn.audio)
    loud = audible_samples(sent)
    assert begin >= 0
    assert begin < loud[0] < loud[-1] < begin + len(turn.audio)
    assert len(turn.audio) < loud[-1] - loud[0] + 8 * 1500
    assert [item.role for item in server.memory] == ["assistant", "user", "assistant"]
    assert bot.context.get_messages() == [
        {"role": "assistant", "content": GREETING.text},
        {"role": "user", "content": "when do you open"},
        {"role": "assistant", "content": ANSWER.text},
    ]
    assert server.session.refused == bot.told == []


def stock(server: RealtimeServer) -> OpenAIRealtimeLLMService:
    """Pipecat's own service, with turns that are decided here."""
    session = events.SessionProperties(
        audio=events.AudioConfiguration(input=events.AudioInput(turn_detection=False))
    )
    settings = OpenAIRealtimeLLMService.Settings(session_properties=session)
    return OpenAIRealtimeLLMService(
        api_key="secret", base_url=server.realtime_url, settings=settings
    )


async def truncation_error(phone: Phone, make: Make, at: float, delay: float) -> float:
    """Milliseconds of its speech that the model believes were heard and were not, in one call.

    What may be the simulator's own fault, being late, is taken off.
    """

    async def caller(caller: Caller) -> None:
        await caller.wait_until_bot_speaks(for_seconds=at)
        await caller.start_saying(QUESTION)
        await server.asked_for("conversation.item.truncate", seconds=30)
        await caller.wait(0.3)

    options = CallerOptions(line=LineConditions.one_way(delay))
    async with RealtimeServer(replies=[TALK, ANSWER]) as server:
        result = (await phone.ring(RealtimeBot(server, make), caller, options=options)).result
        told = server.memory[0].truncated_ms
    assert told is not None
    error = told - first_cut(result)
    late_ms = 0.0 if result.is_trustworthy else 1000 * result.clock_worst
    logger.info(f"{make.__name__}, {delay:g} s, {at:g} s: {error:.0f} ms off, late {late_ms:.0f}")
    return max(0.0, abs(error) - late_ms)


async def test_model_believes_what_was_heard(phone: Phone):
    errors = await asyncio.gather(
        truncation_error(phone, ours(), 0.6, 0.0),
        truncation_error(phone, ours(), 1.3, 0.15),
        truncation_error(phone, stock, 1.0, 0.15),
    )
    assert max(errors[:2]) <= TOLERANCE_MS
    assert errors[2] > 10 * TOLERANCE_MS


async def memory_after_interruption(phone: Phone, at: float) -> None:
    async def caller(caller: Caller) -> None:
        await caller.wait_until_bot_speaks(for_seconds=at)
        await caller.say(QUESTION)
        await caller.wait_for_bot(silence=0.6)

    async with RealtimeServer(replies=[LONG, ANSWER], hears=["when do you open"]) as server:
        bot = RealtimeBot(server)
        result = (await phone.ring(bot, caller)).result

    words = LONG.said_before(round(8 * first_cut(result)))
    remembered = bot.said[0].removesuffix("\N{EM DASH}").split()
    assert remembered == LONG.text.split()[: len(remembered)]
    late_words = 0 if result.is_trustworthy else round(4 * result.clock_worst)
    assert abs(len(remembered) - len(words)) <= 1 + late_words
    assert abs(len(server.memory[0].words) - len(words)) <= 1 + late_words
    assert heard(ANSWER, result)
    assert [message["role"] for message in bot.messages] == ["assistant", "user", "assistant"]


async def test_memory_is_right_to_the_word(phone: Phone):
    await asyncio.gather(*(memory_after_interruption(phone, at) for at in (0.5, 1.1, 2.3)))


async def test_cough_leaves_no_trace(phone: Phone):
    async def caller(caller: Caller) -> None:
        await caller.wait_until_bot_speaks(for_seconds=0.6)
        await caller.say("Hm.")
        await caller.wait_for_bot(silence=0.6)

    async with RealtimeServer(replies=[LONG]) as server:
        bot = RealtimeBot(server)
        result = (await phone.ring(bot, caller)).result

    assert len(result.heard_spans) > 1, "the bot paused"
    assert bot.said == [LONG.text]
    kinds = {event["type"] for event in server.session.events}
    assert kinds == {"session.update", "response.create"}
    assert not server.session.heard


async def test_server_may_take_the_turns(phone: Phone):
    """It hears everything, and interrupts and answers by itself."""
    session = events.SessionProperties(
        audio=events.AudioConfiguration(
            input=events.AudioInput(turn_detection=events.TurnDetection())
        )
    )
    settings = PhoneOpenAIRealtimeLLMService.Settings(session_properties=session)

    async def caller(caller: Caller) -> None:
        await caller.wait_until_bot_speaks(for_seconds=1.0)
        await caller.say(QUESTION)
        await caller.wait_for_bot(silence=0.6)

    pacing = Pacing(pace=1.3)
    async with RealtimeServer(replies=[LONG, ANSWER], hears=["when"], pacing=pacing) as server:
        bot = RealtimeBot(server, ours(settings=settings), strategies=ExternalUserTurnStrategies())
        result = (await phone.ring(bot, caller)).result

    first = server.memory[0]
    assert first.status == "incomplete"
    assert first.truncated_ms is not None
    late_ms = 0.0 if result.is_trustworthy else 1000 * result.clock_worst
    assert abs(first.truncated_ms - first_cut(result)) <= TOLERANCE_MS + late_ms
    assert heard(ANSWER, result)
    assert len(server.session.heard) > 8000
    assert not server.events("input_audio_buffer.commit")
    assert bot.messages[1:] == [
        {"role": "user", "content": "when"},
        {"role": "assistant", "content": ANSWER.text},
    ]


async def test_function_is_called_in_mid_call(phone: Phone):
    async def opening_hours(params: FunctionCallParams) -> None:
        await params.result_callback({"opens": params.arguments["day"]})

    call = FunctionCall("opening_hours", {"day": "Monday"})
    async with RealtimeServer(replies=[GREETING, call, ANSWER], hears=["when"]) as server:
        bot = RealtimeBot(server, functions={"opening_hours": opening_hours})
        result = (await phone.ring(bot, ask_when_bot_is_done)).result

    kinds = [item.kind for item in server.memory]
    assert kinds == ["message", "message", "function_call", "function_call_output", "message"]
    assert server.memory[3].text == '{"opens": "Monday"}'
    assert heard(ANSWER, result)
    assert server.session.refused == []


async def test_event_loop_is_never_held_up(phone: Phone):
    async with RealtimeServer(replies=[GREETING, ANSWER]) as server:
        bot = RealtimeBot(server)
        async with phone.desk(bot) as desk:
            # The first call of a process imports and loads what all others use.
            await desk.ring(None)
            async with LoopWatch() as watch, desk.call() as caller:
                await caller.wait(0.8)
                await caller.say(QUESTION)
                await caller.wait(1.0)

    # A busy machine lets others run; that is no fault of the call's.
    blocks = [block for block in watch.blocks if block.cpu_seconds > 0.02]
    assert not blocks, "\n".join(map(str, blocks))


async def test_greeting_is_soon(phone: Phone):
    async with RealtimeServer(replies=[GREETING], pacing=Pacing(latency=0.0)) as server:
        result = (await phone.ring(RealtimeBot(server), None)).result

    late = 0.0 if result.is_trustworthy else 10.0
    assert result.first_audio is not None
    assert result.first_audio < 1.0 + late


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
    "A filler, an apology when the tries are used up; the next turn tries again and is answered.",
)
async def test_dead_vendor_is_apologised_for(phone: Phone, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("twilio_frames.services.realtime_link._LONGEST_DELAY", 0.4)
    faults = [Refusal(status=503)] * 7

    async def caller(caller: Caller) -> None:
        apology = loud_part(APOLOGY[:1600])
        await caller.wait_until(lambda: apology in loud_part(caller.heard_so_far), seconds=20)
        await ask_when_bot_is_done(caller)

    async with RealtimeServer(replies=[ANSWER], faults=faults) as server:
        bot = RealtimeBot(server, ours(**QUICK))
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
    monkeypatch.setattr("twilio_frames.services.realtime_replies._RETRY_SECONDS", 0.1)
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
