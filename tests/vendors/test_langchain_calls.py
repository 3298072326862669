"""Whole calls with a LangChain chain, OpenAI's real client in it, and a server with bad days."""

import asyncio
from itertools import repeat
from typing import Any

from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_openai import ChatOpenAI
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.utils.errors import ErrorCategory
from pydantic import SecretStr

from tests.vendors.faults import bad_day
from tests.vendors.openai_bot import SORRY, ThinkingBot, talking
from twilio_frames.processors.replies.filler import FILLERS
from twilio_frames.services.langchain import PhoneLangchainProcessor
from twilio_frames.services.retry_policy import ReplyPolicy
from twilio_frames.testing import Phone
from twilio_frames.testing.vendors import Drop, EarlyEnd, Garbage, Hang, OpenAIServer, Refusal, Slow

OPEN = "We are open until six."
BYE = "You are welcome."
LONG = "Good morning. We are open until six."
PROMPT = ChatPromptTemplate.from_messages([MessagesPlaceholder("history"), ("human", "{input}")])


class ChainBot(ThinkingBot):
    """Thinks with a chain.

    Args:
        server: Whom the chain asks.
        client: Arguments of its client.
        options: Arguments of the processor.
    """

    def __init__(
        self, server: OpenAIServer, *, client: dict[str, Any] | None = None, **options: Any
    ):
        super().__init__(server, **options)
        self._client = client or {}

    async def mind(self) -> FrameProcessor:
        # It reads the certificates of all authorities, which holds up the event loop.
        model = await asyncio.to_thread(
            ChatOpenAI,
            model="gpt-4.1",
            base_url=self.server.base_url,
            api_key=SecretStr("sk-of-the-tests"),
            **self._client,
        )
        return PhoneLangchainProcessor(PROMPT | model, **self.options)


@bad_day(
    "langchain",
    "the connection drops before the reply begins; too many requests (429), or a server error "
    "(500), once each",
    "Nothing: LangChain's client asks again, and the reply comes a moment later.",
)
async def test_passing_trouble_of_a_chain_is_not_heard(phone: Phone):
    faults = [Drop(), None, Refusal(status=429, retry_after=0.3), Refusal(status=500)]
    async with OpenAIServer([OPEN, OPEN, BYE], faults=faults) as server:
        bot = ChainBot(server, filler_after=None)
        async with talking(phone, bot) as talk:
            await talk.ask("Are you open?", OPEN)
            await talk.ask("Thank you.", BYE)
    assert len(server.visits) == 5
    assert not bot.errors


@bad_day(
    "langchain",
    "every connection drops before the reply begins",
    "An apology; the next turn is tried anew.",
)
async def test_chain_without_connection_is_apologized_for(phone: Phone):
    async with OpenAIServer([BYE] * 3, faults=repeat(Drop(), 2)) as server:
        bot = ChainBot(server, client={"max_retries": 1})
        async with talking(phone, bot) as talk:
            await talk.ask("Are you open?", SORRY)
            await talk.ask("Thank you.", BYE)
    (error,) = bot.errors
    assert "expected the chain to respond, it raised" in error.error


@bad_day(
    "langchain",
    "the connection drops in mid-reply",
    "What had come, and an apology behind it; the next turn is answered.",
)
async def test_chain_that_breaks_off_is_apologized_for(phone: Phone):
    async with OpenAIServer([LONG, OPEN], token_seconds=0.05, faults=[Drop(after=6)]) as server:
        bot = ChainBot(server)
        async with talking(phone, bot) as talk:
            await talk.ask("Are you open?", f"Good morning. We are open {SORRY}")
            await talk.ask("Pardon?", OPEN)
            await bot.remembers(
                "user: Are you open?",
                f"assistant: Good morning. We are open \N{EM DASH} {SORRY}",
                "user: Pardon?",
                f"assistant: {OPEN}",
            )
    # The chain was told what was heard.
    assert server.asked[1].messages[1]["content"].endswith(SORRY)
    assert len(bot.errors) == 1


@bad_day(
    "langchain",
    "the reply ends in the middle as if it were whole, as behind a proxy whose server died",
    "What had come, and an apology behind it; the next turn is answered.",
)
async def test_chain_without_an_end_is_apologized_for(phone: Phone):
    faults = [EarlyEnd(after=6)]
    async with OpenAIServer([LONG, OPEN], token_seconds=0.05, faults=faults) as server:
        bot = ChainBot(server)
        async with talking(phone, bot) as talk:
            await talk.ask("Are you open?", f"Good morning. We are open {SORRY}")
            await talk.ask("Pardon?", OPEN)
    (error,) = bot.errors
    assert "why its answer ended" in error.error


@bad_day("langchain", "the key is rejected (401)", "An apology in each turn, without a wait.")
async def test_rejected_key_of_a_chain_is_apologized_for(phone: Phone):
    async with OpenAIServer([OPEN], keys={"sk-another"}) as server:
        bot = ChainBot(server, filler_after=0.5)
        async with talking(phone, bot) as talk:
            await talk.ask("Are you open?", SORRY)
            await talk.ask("Hello?", SORRY)
    # Such a key is not tried twice.
    assert len(server.visits) == 2
    assert [error.category for error in bot.errors] == [ErrorCategory.APPLICATION] * 2
    assert "AuthenticationError (HTTP 401)" in bot.errors[0].error
    assert "sk-" not in bot.errors[0].error


@bad_day(
    "langchain",
    "the server refuses for ever, with 429 or with 500",
    "An apology; the next turn is tried anew.",
)
async def test_lasting_refusal_of_a_chain_is_apologized_for(phone: Phone):
    faults = [*repeat(Refusal(status=429, retry_after=0.1), 2), *repeat(Refusal(status=500), 2)]
    async with OpenAIServer([BYE], faults=faults) as server:
        bot = ChainBot(server, client={"max_retries": 1}, filler_after=None)
        async with talking(phone, bot) as talk:
            await talk.ask("Are you open?", SORRY)
            await talk.ask("Hello?", SORRY)
            await talk.ask("Thank you.", BYE)
    assert ["HTTP 429" in error.error for error in bot.errors] == [True, False]
    assert ["HTTP 500" in error.error for error in bot.errors] == [False, True]
    # The turns that failed are part of the conversation.
    assert [message["content"] for message in server.asked[0].messages] == [
        *("Are you open?", SORRY, "Hello?", SORRY, "Thank you.")
    ]


@bad_day(
    "langchain",
    "nothing comes (hang)",
    "A filler and, after 6 s without a first word, an apology; where the client has a time limit "
    "that is shorter, a filler and the reply.",
)
async def test_hanging_chain_is_apologized_for(phone: Phone):
    client, policy = {"timeout": 0.6, "max_retries": 9}, ReplyPolicy(answer_secs=2.0)
    async with OpenAIServer([OPEN, OPEN, *repeat(BYE, 9)], faults=[Hang()]) as server:
        bot = ChainBot(server, client=client, policy=policy, filler_after=0.4)
        async with talking(phone, bot) as talk:
            await talk.ask("Are you open?", f"{FILLERS[0]} {OPEN}")
            server.go_wrong(*repeat(Hang(), 9))
            await talk.ask("Thank you.", f"{FILLERS[1]} {SORRY}")
            server.go_wrong()
            await talk.ask("Hello?", BYE)
    (error,) = bot.errors
    assert "expected the first words within 2 s, got none" in error.error


@bad_day(
    "langchain",
    "the reply hangs in mid-reply",
    "What had come, a pause of 4 s at most, and an apology; the next turn is answered.",
)
async def test_chain_that_hangs_in_mid_reply_is_apologized_for(phone: Phone):
    async with OpenAIServer([LONG, BYE], faults=[Hang(after=6)]) as server:
        bot = ChainBot(server, policy=ReplyPolicy(next_words_secs=0.5))
        async with talking(phone, bot) as talk:
            await talk.ask("Are you open?", f"Good morning. We are open {SORRY}")
            await talk.ask("Thank you.", BYE)
            await server.was_broken_off()
    (error,) = bot.errors
    assert "expected the next words within 0.5 s, got none" in error.error


@bad_day(
    "langchain",
    "the first word of the reply comes late",
    "One filler, then the reply.",
)
async def test_slow_chain_brings_one_filler(phone: Phone):
    async with OpenAIServer([OPEN, BYE], faults=[Slow(seconds=2.5)]) as server:
        bot = ChainBot(server, filler_after=0.5)
        async with talking(phone, bot) as talk:
            await talk.ask("Are you open?", f"{FILLERS[0]} {OPEN}")
            await talk.ask("Thank you.", BYE)
    # The chain never learns of it.
    contents = [message["content"] for message in server.asked[1].messages]
    assert contents == ["Are you open?", OPEN, "Thank you."]
    assert not bot.errors


@bad_day(
    "langchain",
    "garbage among the events of the stream",
    "What had come, and an apology behind it; the next turn is answered.",
)
async def test_garbage_for_a_chain_is_apologized_for(phone: Phone):
    async with OpenAIServer([LONG, BYE], faults=[Garbage(after=6)]) as server:
        bot = ChainBot(server)
        async with talking(phone, bot) as talk:
            await talk.ask("Are you open?", f"Good morning. We are open {SORRY}")
            await talk.ask("Thank you.", BYE)
    assert len(bot.errors) == 1
