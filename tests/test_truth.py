"""What the bot remembers is what the caller heard: a few calls of ``bench/truth.py``."""

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))

from truth_talks import Findings  # pyright: ignore[reportMissingImports]
from truth_trial import SCENARIOS, Trial  # pyright: ignore[reportMissingImports]
from truth_words import (  # pyright: ignore[reportMissingImports]
    Author,
    are_in_order,
    compare,
    edge_of,
    gaps,
    heard_words,
    said,
    sound,
)

SILENCE = b"\xff"
# Real calls at real pace on whatever machine this is: run with `pytest -m truth`.
in_real_time = pytest.mark.truth
UNTIMED = (
    *("sentences", "spoken", "untimed answer"),
    *("realtime answer", "slow realtime answer", "realtime noise"),
)
CUT = [name for name in SCENARIOS if name not in ("alarms", "grunts")]


@pytest.fixture(scope="module")
def found() -> dict[str, Findings]:
    """Two points of each scenario, all at once."""
    trial = Trial(list(SCENARIOS), points=2, sides=["ours"], at_once=len(SCENARIOS))
    return asyncio.run(trial.run())["ours"]


@in_real_time
@pytest.mark.parametrize("name", SCENARIOS)
def test_calls_go_well(found, name):
    assert not found[name].errors


@in_real_time
@pytest.mark.parametrize("name", CUT)
def test_cut_reply_is_remembered_as_heard(found, name):
    # Words that only their letters place may be off by one.
    allowed = 1 if name in UNTIMED else 0
    for memory in found[name].cut:
        assert memory.words_off <= allowed, (memory.heard, memory.remembered)
        assert memory.is_ordered


@in_real_time
@pytest.mark.parametrize("name", SCENARIOS)
def test_whole_reply_is_remembered_whole(found, name):
    for memory in [*found[name].whole, *found[name].alarmed]:
        assert memory.is_right, (memory.heard, memory.remembered)
        assert memory.heard == memory.said
        assert not memory.repeated
        assert not memory.beside


@in_real_time
@pytest.mark.parametrize("name", SCENARIOS)
def test_both_sides_are_remembered_in_the_order_in_which_they_were_heard(found, name):
    assert all(found[name].turns)


@pytest.mark.parametrize("name", ["answer", "slow answer by words", "protected", "keys"])
async def test_llm_is_asked_with_what_was_heard_in_order(name):
    """In virtual time."""
    trial = Trial([name], points=2, sides=["ours"], is_here=True)
    tried = (await trial.run())["ours"][name]

    assert not tried.errors
    assert tried.turns == [True, True]
    assert all(memory.is_right for memory in [*tried.cut, *tried.whole])


@in_real_time
def test_no_stall_is_heard(found):
    assert found["stalls"].gaps
    assert max(found["stalls"].gaps) == 0


@in_real_time
def test_goodbye_is_heard_to_the_end(found):
    goodbyes = [heard for name in SCENARIOS for heard in found[name].goodbyes]

    assert len(goodbyes) == len(SCENARIOS)
    assert all(goodbyes)


# What follows is about the measuring itself.


@pytest.fixture
def words():
    return said(Author(1).reply(6, 4))


def test_author_never_repeats_a_word():
    author = Author(2)
    spoken = [word.text for _ in range(50) for word in said(author.reply(6, 5))]

    assert len(set(spoken)) == len(spoken)


def test_words_are_told_by_their_ends(words):
    audio = sound(words)
    third = len(sound(words[:2])) + len(words[2].mulaw)

    for end, count in ((third, 3), (third - 1, 2), (len(audio), len(words))):
        ear = SILENCE * 500 + audio[:end] + SILENCE * 500
        heard = heard_words(ear, words)
        assert [one.word for one in heard] == words[:count]
    assert heard[-1].ended_at == 500 + len(audio)


def test_hole_in_a_word_is_a_gap(words):
    audio = sound(words)
    middle = len(sound(words[:4])) + 200

    whole = heard_words(audio, words)
    holed = heard_words(audio[:middle] + SILENCE * 80 + audio[middle:], words)

    assert max(gaps(whole)) == 0
    assert max(gaps(holed)) == pytest.approx(0.01)


def test_hole_in_the_end_of_a_word_is_no_loss(words):
    audio = sound(words)
    end = len(sound(words[:4])) - words[3].pause - 7
    heard = heard_words(audio[:end] + SILENCE * 80 + audio[end:], words)

    assert [one.word for one in heard] == words


def test_word_said_twice_is_noticed(words):
    heard = heard_words(sound(words[:3]) + sound(words[2:]), words)

    assert compare([], words, heard).repeated == (words[2].text,)


def test_memory_is_compared_word_by_word(words):
    heard = heard_words(sound(words[:4]), words)
    texts = [word.written for word in words]

    def memory(*written: str):
        return compare([" ".join(written)], words, heard)

    assert memory(*texts[:4], "—").is_right
    assert memory(*texts[:4], "—").beside == "—"
    assert memory(*texts[:5]).extra == (words[4].text,)
    assert memory(*texts[:3]).missing == (words[3].text,)
    assert memory(*texts[:4], texts[3]).extra == (words[3].text,)
    assert not memory(texts[1], texts[0], *texts[2:4]).is_right
    assert compare([texts[0]], words[1:], [], words[:1]).extra == (words[0].text,)


def test_distance_to_the_edge_of_a_word(words):
    audio = sound(words)
    end = len(sound(words[:1])) + len(words[1].mulaw)

    def edge(at: int) -> float | None:
        ear = audio[:at] + SILENCE * 500
        return edge_of(ear, words, heard_words(ear, words))

    assert edge(len(audio)) is None
    assert edge(end - 8) == pytest.approx(-0.001)
    if not words[1].pause:
        assert edge(end + 8) == pytest.approx(0.001)


def test_cut_at_the_very_end_of_a_word_is_told_apart(words):
    heard = heard_words(sound(words[:4]), words)

    def is_on_edge(count: int, edge: float | None) -> bool:
        text = " ".join(word.written for word in words[:count])
        return compare([text], words, heard, edge=edge).is_on_edge

    assert is_on_edge(3, 0.004)
    assert is_on_edge(5, -0.004)
    assert not is_on_edge(3, 0.005)
    assert not is_on_edge(3, None)
    assert not is_on_edge(2, 0.001)
    assert not is_on_edge(4, 0.001)


def test_order_of_both_sides_is_judged(words):
    texts = [word.written for word in words]
    two, four, rest = " ".join(texts[:2]), " ".join(texts[:4]), " ".join(texts[4:])
    names = [word.text for word in words]

    def is_right(*turns: tuple[str, str], asked: int | None = None) -> bool:
        place = asked if asked is not None else turns.index(("user", "No.")) + 1
        return are_in_order(turns, [turns[:place]], "No.", names[:2], words)

    assert is_right(
        ("assistant", two), ("user", "No."), ("assistant", f"{texts[2]} {texts[3]} {rest}")
    )
    assert is_right(("assistant", four), ("user", "No."), ("assistant", rest))
    assert not is_right(("user", "No."), ("assistant", f"{four} {rest}"))
    assert not is_right(
        ("assistant", texts[0]), ("user", "No."), ("assistant", " ".join(texts[1:]))
    )
    # The LLM was asked without.
    assert not is_right(("assistant", four), ("user", "No."), ("assistant", rest), asked=1)
