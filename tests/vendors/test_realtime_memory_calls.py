"""What the caller heard is what the model believes it said, and what the memory holds."""

import asyncio

from loguru import logger
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies

from tests.vendors.realtime_rig import (
    ANSWER,
    LONG,
    QUESTION,
    Make,
    RealtimeBot,
    first_cut,
    heard,
    ours,
)
from twilio_frames.services.realtime import PhoneOpenAIRealtimeLLMService
from twilio_frames.testing import Caller, CallerOptions, LineConditions, Phone
from twilio_frames.testing.vendors import (
    Pacing,
    RealtimeServer,
    SpokenReply,
)

TALK = SpokenReply.of(f"{LONG.text} {LONG.text}")


TOLERANCE_MS = 15


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
