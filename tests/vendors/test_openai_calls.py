"""Whole calls with OpenAI's service, its real client, and a server that has bad days."""

import sys
from itertools import repeat
from pathlib import Path

from pipecat.utils.errors import ErrorCategory

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from truth_services import Behaviour, PythonSpeaker  # pyright: ignore[reportMissingImports]

from tests.vendors.faults import bad_day
from tests.vendors.openai_bot import SORRY, ThinkingBot, talking
from twilio_frames.processors.replies.filler import FILLERS
from twilio_frames.services.retry_policy import ReplyPolicy
from twilio_frames.testing import LoopWatch, Phone
from twilio_frames.testing.vendors import (
    Drop,
    EarlyEnd,
    FunctionCall,
    Garbage,
    Hang,
    OpenAIServer,
    Refusal,
    Slow,
)


def blocks_of_openai(watch: LoopWatch) -> list[str]:
    """Where the event loop was kept computing by the service or the SDK."""
    rooms = ("services/openai", "site-packages/openai", "httpx2", "services/function_calls")
    slow = [block for block in watch.blocks if block.cpu_secs > 0.02]
    return [str(block) for block in slow if any(room in block.stack for room in rooms)]


OPEN = "We are open until six."
BYE = "You are welcome."


async def test_replies_are_heard_while_they_stream(phone: Phone):
    reply = "Good morning. We are open until six."
    async with OpenAIServer([reply, BYE], token_seconds=0.3) as server:
        bot = ThinkingBot(server, tts=PythonSpeaker(Behaviour()))
        async with LoopWatch() as watch, talking(phone, bot) as talk:
            await talk.ask("Are you open?", "Good morning.")
            assert server.asked[0].finished_at is None
            await talk.hears(reply)
            await talk.ask("Thank you.", BYE)
            await bot.remembers(
                "user: Are you open?",
                f"assistant: {reply}",
                "user: Thank you.",
                f"assistant: {BYE}",
            )
    assert not blocks_of_openai(watch), blocks_of_openai(watch)
    # A connection was open before the first request.
    assert server.visits[0].path == "/v1/models/gpt-4.1"


async def test_bad_arguments_are_mended_by_the_model(phone: Phone):
    good = FunctionCall("order", {"drink": "latte", "size": "large"})

    def mend(messages):
        assert "size: 3 is not of type 'string'" in messages[-1]["content"]
        return good

    replies = [
        ["Let me order.", FunctionCall("order", '{"drink": "latte", "si')],
        FunctionCall("order", {"drink": "latte", "size": 3}),
        mend,
        "It is number seven.",
    ]
    async with OpenAIServer(replies) as server:
        bot = ThinkingBot(server)
        async with talking(phone, bot) as talk:
            await talk.ask("A huge latte.", "Let me order. It is number seven.")
            first, *_, order, result, last = bot.lines()
    assert bot.orders == [{"drink": "latte", "size": "large"}]
    assert "no JSON object" in server.asked[1].messages[-1]["content"]
    assert first == "user: A huge latte."
    assert (order, result) == ("calls order", 'tool: {"number": 7}')
    assert last.startswith("assistant: It is number")
    assert not bot.errors


async def test_arguments_that_stay_bad_bring_an_apology(phone: Phone):
    bad = FunctionCall("order", {"drink": "latte", "color": "red"})
    async with OpenAIServer([bad, bad, bad, BYE]) as server:
        bot = ThinkingBot(server)
        async with talking(phone, bot) as talk:
            await talk.ask("A latte.", SORRY)
            await talk.ask("Never mind.", BYE)
    assert bot.orders == []
    assert [error.category for error in bot.errors] == [ErrorCategory.APPLICATION]
    assert len(server.asked) == 4


async def test_failing_function_is_answered_in_words(phone: Phone):
    call = FunctionCall("order", {"drink": "latte", "size": "large"})
    sorry = "The machine is broken."
    async with OpenAIServer([call, sorry, call, "It takes too long."]) as server:
        bot = ThinkingBot(server, function_call_timeout_secs=0.3)
        bot.order_error = LookupError("no latte for the caller")
        async with talking(phone, bot, keep_errors=True) as talk:
            await talk.ask("A latte.", sorry)
            bot.order_error, bot.order_secs = None, 30.0
            await talk.ask("A latte, please.", "It takes too long.")
    assert "failed" in server.asked[1].messages[-1]["content"]
    assert [error.error for error in bot.errors] == [
        "Error executing function call [order]: LookupError"
    ]


async def test_interruption_cancels_the_request(phone: Phone):
    story = " ".join(["Once upon a time there was a king."] * 8)
    async with OpenAIServer([story, BYE], token_seconds=0.1) as server:
        bot = ThinkingBot(server)
        async with talking(phone, bot) as talk:
            await talk.say("Tell me a story.")
            await talk.caller.wait_until_bot_speaks(for_seconds=1.0)
            await talk.say("Stop that, thank you.")
            broken = await server.was_broken_off()
            assert broken.finished_at is None
            await talk.caller.wait_for_bot()
            assert talk.heard()[-3:] == ["you", "are", "welcome"]
            # The connection of the reply is gone with it; another is open for the next.
            await server.visited(4)
    paths = [visit.path for visit in server.visits]
    assert paths.count("/v1/models/gpt-4.1") == 2
    user, cut, stop = server.asked[1].messages
    assert user["content"] == "Tell me a story."
    assert story.startswith(cut["content"].rstrip(" \N{EM DASH}")), cut
    assert len(cut["content"]) < len(broken.said)
    assert stop["content"] == "Stop that, thank you."


@bad_day(
    "openai",
    "the connection drops before the reply begins",
    "Nothing: the reply comes a moment later.",
)
async def test_drop_at_start_is_not_heard(phone: Phone):
    async with OpenAIServer([OPEN, OPEN, BYE], faults=[Drop()]) as server:
        bot = ThinkingBot(server)
        async with talking(phone, bot) as talk:
            await talk.ask("Are you open?", OPEN)
            await talk.ask("Thank you.", BYE)
    assert not bot.errors


@bad_day(
    "openai",
    "the connection drops in mid-reply",
    "A short pause; the sentence goes on, and no word comes twice.",
)
async def test_drop_in_mid_reply_is_joined(phone: Phone):
    replies = ["Good morning. We are open until six.", OPEN, BYE]
    async with OpenAIServer(replies, token_seconds=0.05, faults=[Drop(after=6)]) as server:
        bot = ThinkingBot(server)
        async with talking(phone, bot) as talk:
            await talk.ask("Are you open?", "Good morning. We are open until six.")
            await talk.ask("Thank you.", BYE)
            assert bot.lines()[1] == "assistant: Good morning. We are open until six."
    # It was told how far it had come; of the last word there might have been more.
    assert server.asked[1].messages[-2]["content"] == "Good morning. We are"
    assert not bot.errors


@bad_day(
    "openai",
    "the reply ends in the middle as if it were whole, as behind a proxy whose server died",
    "A short pause; the sentence goes on, and no word comes twice.",
)
async def test_reply_without_an_end_is_joined(phone: Phone):
    replies = ["Good morning. We are open until six.", OPEN, BYE]
    async with OpenAIServer(replies, token_seconds=0.05, faults=[EarlyEnd(after=6)]) as server:
        bot = ThinkingBot(server)
        async with talking(phone, bot) as talk:
            await talk.ask("Are you open?", "Good morning. We are open until six.")
            await talk.ask("Thank you.", BYE)
            assert bot.lines()[1] == "assistant: Good morning. We are open until six."
    assert not bot.errors


@bad_day(
    "openai",
    "the key is rejected (401)",
    "An apology in each turn, without a wait.",
)
async def test_rejected_key_is_apologized_for(phone: Phone):
    async with OpenAIServer([OPEN], keys={"sk-another"}) as server:
        bot = ThinkingBot(server)
        async with talking(phone, bot) as talk:
            await talk.ask("Are you open?", SORRY)
            await talk.ask("Hello?", SORRY)
            assert bot.llm is not None
            assert not bot.llm.is_usable
    (error,) = bot.errors
    assert error.category is ErrorCategory.AUTHENTICATION
    assert "401 (invalid_api_key)" in error.error
    assert "sk-" not in error.error


@bad_day(
    "openai",
    "too many requests (429), with `Retry-After` or without; or one server error (500)",
    "Nothing: the reply comes a moment later.",
)
async def test_passing_refusals_are_waited_out(phone: Phone):
    faults = [Refusal(status=429, retry_after=0.7), None, Refusal(status=429), Refusal(status=500)]
    async with OpenAIServer([OPEN, BYE], faults=faults) as server:
        bot = ThinkingBot(server, filler_after=None)
        async with talking(phone, bot) as talk:
            await talk.ask("Are you open?", OPEN)
            await talk.ask("Thank you.", BYE)
    first, second = [visit.at for visit in server.visits if visit.path.endswith("completions")][:2]
    assert second - first >= 0.7
    assert not bot.errors


@bad_day(
    "openai",
    "the server fails for ever (500), or asks for more time than there is (429)",
    "An apology; the next turn is tried anew.",
)
async def test_lasting_server_error_is_apologized_for(phone: Phone):
    async with OpenAIServer([BYE], faults=repeat(Refusal(status=500))) as server:
        bot = ThinkingBot(server, policy=ReplyPolicy(give_up_secs=0.5), filler_after=None)
        async with talking(phone, bot) as talk:
            await talk.ask("Are you open?", SORRY)
            assert len(server.visits) > 2
            server.go_wrong(Refusal(status=429, retry_after=60))
            await talk.ask("Hello?", SORRY)
            assert bot.llm is not None
            assert bot.llm.is_usable
            await talk.ask("Thank you.", BYE)
    categories = [error.category for error in bot.errors]
    assert categories == [ErrorCategory.SERVER, ErrorCategory.RATE_LIMIT]
    # The turns that failed are part of the conversation.
    assert [message["role"] for message in server.asked[0].messages] == [
        *("user", "assistant", "user", "assistant", "user")
    ]


@bad_day(
    "openai",
    "nothing comes (hang), once for one request and then for ever",
    "A filler, then the reply; where nothing ever comes, a filler and an apology.",
)
async def test_hang_is_given_up(phone: Phone):
    policy = ReplyPolicy(answer_secs=0.5, give_up_secs=1.5)
    async with OpenAIServer([OPEN, OPEN, *repeat(BYE, 9)], faults=[Hang()]) as server:
        bot = ThinkingBot(server, policy=policy, filler_after=0.4)
        async with talking(phone, bot) as talk:
            await talk.ask("Are you open?", f"{FILLERS[0]} {OPEN}")
            server.go_wrong(*repeat(Hang(), 9))
            await talk.ask("Thank you.", f"{FILLERS[1]} {SORRY}")
            server.go_wrong()
            await talk.ask("Hello?", BYE)
            await server.was_broken_off(2)
    (error,) = bot.errors
    assert "expected the first words within 0.5 s, got none" in error.error


@bad_day(
    "openai",
    "the reply hangs in its first sentence, or behind it",
    "A filler where nothing has been said, else a pause; then it goes on, and no word comes twice.",
)
async def test_hang_in_mid_reply_is_joined(phone: Phone):
    whole = "Good morning. We are open until six."
    faults = [Hang(after=2), None, Hang(after=5)]
    async with OpenAIServer([whole] * 4, faults=faults) as server:
        bot = ThinkingBot(server, policy=ReplyPolicy(next_words_secs=1.5), filler_after=0.4)
        async with talking(phone, bot) as talk:
            await talk.ask("Are you open?", f"{FILLERS[0]} {whole}")
            await talk.ask("Pardon?", whole)
            await bot.remembers(
                "user: Are you open?",
                f"assistant: {whole}",
                "user: Pardon?",
                f"assistant: {whole}",
            )
    assert not bot.errors


@bad_day(
    "openai",
    "the first word of the reply comes late",
    "One filler, then the reply.",
)
async def test_slow_first_token_brings_one_filler(phone: Phone):
    async with OpenAIServer([OPEN, BYE], faults=[Slow(seconds=2.5)]) as server:
        bot = ThinkingBot(server, filler_after=0.7)
        async with talking(phone, bot) as talk:
            await talk.ask("Are you open?", f"{FILLERS[0]} {OPEN}")
            await talk.ask("Thank you.", BYE)
    # The model never learns of it.
    contents = [message["content"] for message in server.asked[1].messages]
    assert contents == ["Are you open?", OPEN, "Thank you."]


@bad_day(
    "openai",
    "garbage among the events of the stream",
    "A short pause; the sentence goes on, and no word comes twice.",
)
async def test_garbage_is_not_heard(phone: Phone):
    whole = "Good morning. We are open until six."
    async with OpenAIServer([whole, whole, BYE], faults=[Garbage(after=5)]) as server:
        bot = ThinkingBot(server)
        async with talking(phone, bot) as talk:
            await talk.ask("Are you open?", whole)
            await talk.ask("Thank you.", BYE)
    assert not bot.errors
