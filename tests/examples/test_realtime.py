import pytest

from twilio_frames.examples.realtime import INSTRUCTIONS, bot
from twilio_frames.testing import Caller, Phone
from twilio_frames.testing.vendors import FunctionCall, RealtimeServer, SpokenReply


async def test_library_tells_its_hours(phone: Phone, monkeypatch: pytest.MonkeyPatch):
    async def caller(caller: Caller) -> None:
        await caller.wait_for_bot(silence=0.6)
        await caller.say("Are you open on Sunday afternoon?")
        await caller.wait_for_bot(silence=0.6)

    hours = FunctionCall("opening_hours", {"day": "Sunday"})
    answer = SpokenReply.of("Closed, sorry.")
    async with RealtimeServer(replies=["Library.", hours, answer]) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "secret")
        monkeypatch.setenv("OPENAI_REALTIME_URL", server.realtime_url)
        call = await phone.ring(bot, caller)

    assert server.session.settings.values["instructions"] == INSTRUCTIONS
    assert [tool["name"] for tool in server.session.settings.values["tools"]] == ["opening_hours"]
    assert '{"hours": "closed"}' in [item.text for item in server.memory]
    # A busy machine makes holes in what is heard.
    assert answer.mulaw.replace(b"\xff", b"") in call.result.heard_bot.replace(b"\xff", b"")
