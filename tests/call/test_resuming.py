"""What a bot makes of a call that it goes on with."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import pytest
from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    LLMRunFrame,
    TTSSpeakFrame,
    UserStartedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext

from tests.call.resuming_rig import ASKED, GREETED, RUNS, Kept, Worker, heard, reply, texts
from twilio_frames.call.resuming import Resumed
from twilio_frames.processors.replies.goodbye import Goodbye


async def test_what_is_left_of_a_sentence_is_said():
    kept = Kept(ASKED)
    await kept.happens(*reply("One ", "coffee, ", "coming up."), *heard("One", "coffee,"))
    resumed = await kept.resumed()
    assert (resumed.heard, resumed.rest) == ("One coffee,", "coming up.")
    assert texts(resumed.frames("Again?", has_memory=True)) == ["coming up."]
    context = LLMContext()
    resumed.restore(context)
    assert context.messages == [*ASKED, {"role": "assistant", "content": "One coffee,"}]
    assert dict(resumed.parameters) == {"from": "somebody"}


async def test_what_is_in_the_memory_is_no_longer_being_said():
    kept = Kept(ASKED)
    await kept.happens(*reply("One coffee."), *heard("One", "coffee."))
    kept.context.add_message({"role": "assistant", "content": "One coffee."})
    await kept.happens(TTSSpeakFrame("Anything else?"), *heard("Anything"))
    resumed = await kept.resumed()
    assert (resumed.heard, resumed.rest) == ("Anything", "else?")
    assert list(resumed.messages) == kept.context.messages


async def test_what_was_interrupted_is_not_said_again():
    kept = Kept(ASKED)
    spoken = UserStartedSpeakingFrame()
    await kept.happens(*reply("One coffee, coming up."), *heard("One"), spoken)
    await kept.happens(InterruptionFrame())
    resumed = await kept.resumed()
    assert (resumed.heard, resumed.rest, resumed.caller_spoke) == ("One", "", True)
    assert texts(resumed.frames("Again?", has_memory=True)) == ["Again?"]


@pytest.mark.parametrize(
    ("then", "is_ending", "says"),
    [
        (heard("Good"), True, ["bye."]),
        (heard("Good", "bye."), True, []),
        ([InterruptionFrame()], False, ["LLMRunFrame"]),
    ],
)
async def test_a_bot_that_was_about_to_hang_up_says_what_is_left_and_does(
    then: Sequence[Frame], is_ending: bool, says: list[str]
):
    kept = Kept(ASKED)
    worker: Any = Worker()
    goodbye = Goodbye(worker, worker.add, push=worker.add)
    await kept.happens(TTSSpeakFrame("Good bye."), goodbye.mark, *then)
    await goodbye.forget()
    resumed = await kept.resumed()
    assert resumed.is_ending is is_ending
    assert texts(resumed.go_on(LLMContext(), "Again?")) == says


async def test_a_reply_that_was_still_coming_is_gone_on_with_by_the_model():
    kept = Kept(ASKED)
    await kept.happens(*reply("One coffee, ", "com", is_whole=False), *heard("One"))
    resumed = await kept.resumed()
    assert [type(one) for one in resumed.frames("Again?", has_memory=True)] == [LLMRunFrame]
    context = LLMContext()
    resumed.restore(context)
    roles = [one["role"] for one in json.loads(json.dumps(context.messages))]
    assert roles == ["system", "assistant", "user", "assistant", "developer"]


@pytest.mark.parametrize(
    ("messages", "due"),
    [
        (ASKED, ["LLMRunFrame"]),
        (RUNS, ["LLMRunFrame"]),
        (GREETED, ["Again?"]),
        ([*ASKED, {"role": "assistant", "content": "Yes."}], ["Again?"]),
    ],
)
async def test_whoever_was_to_speak_next_does(messages: list[Any], due: list[str]):
    kept = Kept(messages)
    await kept.happens()
    resumed = await kept.resumed()
    assert texts(resumed.frames("Again?", has_memory=True)) == due
    assert texts(resumed.frames(None, has_memory=True)) == [one for one in due if one != "Again?"]


async def test_a_call_that_was_handed_over_goes_on_without_a_word():
    kept = Kept(GREETED)
    await kept.happens(TTSSpeakFrame("Hello."), *heard("Hello."))
    assert await kept.handed_over(1.0)
    resumed = await kept.resumed()
    assert resumed.is_planned
    assert resumed.frames("Again?", has_memory=True) == []


async def test_what_is_said_into_a_line_that_has_ended_is_not_said_on():
    """A bot that waits until each sentence was heard waits no longer then."""
    kept = Kept(GREETED)
    await kept.happens(TTSSpeakFrame("Hello."), *heard("Hello."))
    assert await kept.handed_over(1.0)
    await kept.happens(TTSSpeakFrame("One."), TTSSpeakFrame("Two."))
    assert (await kept.resumed()).rest == ""


async def test_sentences_that_are_laid_at_once_count_once():
    kept = Kept(GREETED)
    frames = [TTSSpeakFrame(f"{number}.") for number in range(100)]
    # Each processor passes all of them before the next one has the first.
    kept.observe(*frames)
    await kept.happens(*frames)
    assert (await kept.resumed()).rest.split() == [f"{number}." for number in range(100)]


async def test_a_hand_over_waits_for_the_end_of_a_sentence_but_not_for_ever():
    kept = Kept(ASKED)
    await kept.happens(*reply("One coffee."), *heard("One"))
    assert not kept.keeper.is_between_sentences
    assert await kept.handed_over(2.0)
    resumed = await kept.resumed()
    assert (resumed.rest, resumed.is_planned) == ("coffee.", True)


async def test_a_call_whose_line_ends_first_is_not_handed_over_and_nothing_more_is_kept():
    kept = Kept(ASKED)
    await kept.happens(*reply("One coffee."), *heard("One"))
    before = kept.progress
    handing_over = asyncio.create_task(kept.handed_over(60.0))
    await kept.happens()
    kept.keeper.line_ended()
    async with asyncio.timeout(1.0):
        assert not await handing_over
    assert kept.progress == before
    await kept.keeper.close()


async def test_what_a_bot_says_next_is_kept_back_as_soon_as_it_has_said_something():
    kept = Kept(GREETED)
    await kept.happens(TTSSpeakFrame("One two."), *heard("One"))
    handing_over = asyncio.create_task(kept.handed_over(5.0))
    await kept.happens()
    assert not kept.line.is_held
    # It says on at once, before anybody else has had a turn.
    kept.observe(*heard("two."))
    assert kept.line.is_held
    kept.observe(TTSSpeakFrame("Three."))
    assert await handing_over
    resumed = await kept.resumed()
    assert (resumed.heard, resumed.rest, resumed.is_planned) == ("One two.", "Three.", True)


@pytest.mark.parametrize(
    ("ends_after", "words"), [(None, 1), (0.2, 1), (0.4, 2), (0.7, 2), (0.9, 3)]
)
async def test_what_twilio_had_was_heard_until_the_stream_ended(
    ends_after: float | None, words: int
):
    kept = Kept(ASKED)
    said = ["One", "two", "three", "four."]
    kept.line.ahead = [
        (time.monotonic() + secs, word)
        for secs, word in zip((0.3, 0.8), heard("two", "three"), strict=True)
    ]
    ended = {"MZ1": time.time() + ends_after} if ends_after is not None else {}
    await kept.happens(*reply(" ".join(said)), *heard("One"))
    resumed = Resumed.read(kept.snapshot, kept.progress, "CA1", ended)
    assert resumed is not None
    assert (resumed.heard.split(), resumed.rest.split()) == (said[:words], said[words:])
    # What is cut is not heard.
    kept.line.ahead = []
    await kept.happens(InterruptionFrame())
    resumed = Resumed.read(kept.snapshot, kept.progress, "CA1", {"MZ1": time.time() + 9})
    assert resumed is not None
    assert (resumed.heard, resumed.rest) == ("One", "")
    await kept.keeper.close()


async def test_the_end_of_a_later_stream_tells_nothing_of_what_an_earlier_one_carried():
    """Its worker was killed as well, before it had written anything."""
    kept = Kept(ASKED)
    kept.line.ahead = [(time.monotonic() + 0.3, word) for word in heard("One")]
    await kept.happens(*reply("One two."))
    resumed = Resumed.read(kept.snapshot, kept.progress, "CA1", {"MZ2": time.time() + 9})
    assert resumed is not None
    assert (resumed.heard, resumed.rest) == ("", "One two.")
    await kept.keeper.close()


async def test_when_words_are_heard_is_written_as_soon_as_it_is_known():
    """A stream's first mark tells how late Twilio plays it."""
    kept = Kept(ASKED)
    await kept.happens(*reply("One two."))
    kept.line.word_sent()
    await asyncio.sleep(0.1)
    kept.line.ahead = [(time.monotonic() + 0.3, word) for word in heard("two")]
    await kept.happens(*heard("One"))
    resumed = Resumed.read(kept.snapshot, kept.progress, "CA1", {"MZ1": time.time() + 0.25})
    assert resumed is not None
    assert (resumed.heard, resumed.rest) == ("One two.", "")
    await kept.keeper.close()


async def test_a_word_is_written_down_when_it_is_sent():
    """So it is known however soon its worker is killed, be its mark on the way."""
    kept = Kept(ASKED)
    await kept.happens(*reply("One two three."))
    kept.line.ahead = [(time.monotonic() + 0.3, word) for word in heard("One")]
    kept.line.word_sent()
    await asyncio.sleep(0.1)
    kept.line.ahead = [(time.monotonic() + 0.3, word) for word in heard("two")]
    # The register learns of it with the next that is sent, and not by a write of its own.
    written = kept.progress
    await kept.happens(*heard("One"))
    assert kept.progress == written
    resumed = Resumed.read(kept.snapshot, written, "CA1", {"MZ1": time.time() + 0.25})
    assert resumed is not None
    assert (resumed.heard, resumed.rest) == ("One", "two three.")
    await kept.keeper.close()
