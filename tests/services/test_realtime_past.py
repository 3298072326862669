"""What a session is told of what was said before it."""

from typing import Any

import pytest
from pipecat.frames.frames import InterruptionFrame, LLMContextFrame
from pipecat.processors.aggregators.llm_context import LLMContext

from tests.services.realtime_rig import running
from twilio_frames.frames import MulawOutputFrame
from twilio_frames.services.realtime.history_replay import HistoryReplay, is_written
from twilio_frames.services.realtime.speech import ModelSpeech, SpokenItem
from twilio_frames.testing.vendors import Pacing, RealtimeServer

ASKED: Any = {"role": "user", "content": "What is there?"}


def lost(text: str = "One two three four.", *, heard_ms: int | None = None) -> SpokenItem:
    """A second of the model's, lost in the middle."""
    return SpokenItem(
        text, 0, "response", 8000, text, is_lost=True, is_broken_off=True, heard_ms=heard_ms
    )


@pytest.mark.parametrize(
    ("heard_ms", "text"),
    [(None, "One two three four."), (0, ""), (450, "One two"), (1000, "One two three four.")],
)
def test_words_are_laid_by_their_letters(heard_ms: int | None, text: str):
    assert lost(heard_ms=heard_ms).heard_text == text


def test_model_goes_on_unless_it_was_cut():
    item = lost()
    past = HistoryReplay.of([ASKED], [item], "What is there?", is_owed=True)
    roles = [message["role"] for message in past.messages]

    assert roles == ["user", "assistant", "developer"]
    item.heard_ms = 450
    assert past.messages == [ASKED, {"role": "assistant", "content": "One two"}]
    item.heard_ms = 0
    assert past.messages == [ASKED]


def test_words_that_the_context_lacks_are_told():
    past = HistoryReplay.of([], [lost()], "What is there?", is_owed=False)
    assert past.messages[0] == ASKED
    assert len(past.messages) == 2


def test_nothing_is_told_twice():
    written = [ASKED, {"role": "assistant", "content": "One two three four."}]
    assert HistoryReplay.of(written, [lost()], "What is there?", is_owed=True).messages == written


def test_words_may_stand_in_two_messages():
    said = [{"role": "user", "content": "Stop."}, {"role": "user", "content": "When?"}]

    assert is_written("Stop. When?", said)
    assert not is_written("Stop. When?", [*said, {"role": "assistant", "content": "At seven."}])


async def test_clock_counts_from_what_was_lost_on(monkeypatch: pytest.MonkeyPatch):
    """If nobody tells what was heard, none of the bot's speech has been."""
    monkeypatch.setattr(ModelSpeech, "CUT_SECS", 0.1)
    async with RealtimeServer(replies=["One two three."], pacing=Pacing(pace=50.0)) as server:
        async with running(server) as (worker, _, behind):
            await worker.queue_frame(LLMContextFrame(LLMContext([ASKED])))
            await behind.wait_for(MulawOutputFrame)
            await server.asked_for("response.create")
            server.drop()
            await server.asked_for("conversation.item.create", 2)
            assert "One" in (server.memory[0].text or "")
            await worker.queue_frame(InterruptionFrame())
            await server.asked_for("conversation.item.delete")

    assert [item.text for item in server.memory[:1]] == ["What is there?"]
    assert server.session.refused == []
