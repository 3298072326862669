"""The LangChain bot takes an order by phone, through the real client, on a bad day too."""

import pytest

from twilio_frames.examples.langchain_bot import bot, chain
from twilio_frames.testing import Caller, Phone
from twilio_frames.testing.vendors import OpenAIServer, Refusal


async def test_chain_takes_an_order(phone: Phone, monkeypatch: pytest.MonkeyPatch):
    async with OpenAIServer(["One large latte, then."], faults=[Refusal(status=401)]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        chain.cache_clear()

        async def caller(telephone: Caller) -> None:
            await telephone.wait_for_bot()
            await telephone.say("a large latte")
            await telephone.wait_until_bot_speaks(for_seconds=1.5)
            await telephone.say("a large latte")
            await telephone.wait_for_bot()

        call = await phone.ring(bot, caller)

    assert call.heard("what can I get you")
    assert call.heard("I'm sorry something")
    assert not call.heard("say that again")
    assert call.heard("one large latte then")
    greeting, order, apology, newest = server.asked[0].messages[1:]
    assert greeting["content"] == "Hello! What can I get you?"
    assert "large latte" in order["content"]
    assert "large latte" in newest["content"]
    # What was not heard is not remembered.
    assert apology["content"].startswith("I'm sorry, something")
    assert "again" not in apology["content"]
