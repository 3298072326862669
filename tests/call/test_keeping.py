"""What is kept of a call, where, and when."""

import asyncio
import json
from typing import Any

import pytest
from pipecat.processors.aggregators.llm_context import LLMContext

from tests.call.resuming_rig import ASKED, GREETED, RUNS, Kept, heard, reply
from twilio_frames.call.keeping import CallKeeper, Place
from twilio_frames.call.resuming import Resumed


async def test_a_place_that_is_slow_holds_up_no_other():
    kept = Kept(ASKED)
    asked = 0

    async def hang(*_: object) -> bool:
        nonlocal asked
        asked += 1
        return await asyncio.Event().wait()

    places = [Place(save=hang, is_found=lambda: True), *kept.places]
    line: Any = kept.line
    keeper = kept.keeper = CallKeeper("CA1", {}, kept.state, places, line)
    keeper.begin(kept.context)
    await kept.happens(*reply("One two."), *heard("One"))
    assert json.loads(kept.progress)["heard"] == 1
    await kept.happens(*heard("two."))
    assert json.loads(kept.progress)["heard"] == 2
    assert asked == 1
    await keeper.close()


async def test_what_cannot_be_kept_is_kept_with_the_next_word_and_not_handed_over():
    kept = Kept(ASKED)
    await kept.happens()
    kept.is_gone = True
    kept.context.add_message({"role": "assistant", "content": "Yes."})
    await kept.happens(*reply("One ", "two."))
    assert not await kept.handed_over(0.1)
    kept.is_gone = False
    await kept.happens(*heard("One"))
    resumed = await kept.resumed()
    assert list(resumed.messages) == kept.context.messages


async def test_a_function_that_ran_is_told_of_as_one_of_which_nothing_is_known():
    kept = Kept(RUNS)
    await kept.happens()
    resumed = await kept.resumed()
    (function,) = resumed.functions
    assert (function.name, function.arguments, function.key) == ("order", "{}", "CA1:call-1")
    context = LLMContext()
    resumed.restore(context)
    assert "not known whether" in json.dumps(context.messages[-1])


async def test_the_state_that_a_bot_asks_to_be_kept_is():
    kept = Kept()
    await kept.happens()
    before = kept.snapshots
    kept.state["cups"] = 2
    kept.state["gone"] = 1
    del kept.state["gone"]
    resumed = await kept.resumed()
    assert kept.snapshots == before + 1
    assert dict(resumed.state) == {"cups": 2}
    with pytest.raises(TypeError):
        kept.state["now"] = object()


async def test_with_each_word_only_what_is_small_is_written():
    kept = Kept(ASKED)
    await kept.happens(*reply("One two three."))
    before = kept.snapshots
    for word in ("One", "two"):
        await kept.happens(*heard(word))
    assert kept.snapshots == before
    assert json.loads(kept.progress)["heard"] == 2


async def test_a_long_memory_is_cut_at_its_oldest_turns():
    long = [{"role": "user", "content": f"{number} " + "x" * 1000} for number in range(400)]
    kept = Kept([GREETED[0], *long])
    await kept.happens()
    resumed = await kept.resumed()
    assert kept.snapshot is not None
    assert len(kept.snapshot) < 200_000
    assert resumed.messages[0] == GREETED[0]
    assert resumed.messages[-1] == long[-1]


async def test_what_no_json_can_hold_is_left_out():
    kept = Kept([*ASKED, {"role": "user", "content": object()}])
    await kept.happens()
    assert list((await kept.resumed()).messages) == ASKED


@pytest.mark.parametrize(
    "snapshot", [None, b"", b"{}", b"\xff", b'{"version": 99, "messages": []}', b"[]"]
)
def test_what_cannot_be_read_is_as_if_it_was_not_there(snapshot: bytes | None):
    assert Resumed.read(snapshot, b"", "CA1") is None


def test_a_call_of_which_nothing_was_heard_begins_as_a_new_one():
    assert not Resumed().has_begun
    assert not Resumed(messages=(GREETED[0],)).has_begun
    assert Resumed(heard="Hel").has_begun
    assert Resumed(caller_spoke=True).has_begun
