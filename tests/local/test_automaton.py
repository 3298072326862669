import math
import random

import pytest

from twilio_frames.local.recognition.automaton import Automaton, Transition, read_automaton

HALF = math.log(0.5)

FILE = """FSG_BEGIN <a.b>
NUM_STATES 4
START_STATE 0
FINAL_STATE 3
TRANSITION 0 1 0.5 a
TRANSITION 0 2 0.500000
TRANSITION 1 3 1.0 milk
TRANSITION 2 3 1.0 milk
FSG_END
"""


def sentences(automaton: Automaton) -> dict[tuple[str, ...], float]:
    """Every sentence, and how likely its likeliest way is beside the likeliest of all."""
    found: dict[tuple[str, ...], float] = {}
    ways: list[tuple[int, tuple[str, ...], float]] = [(automaton.start, (), 0.0)]
    while ways:
        state, words, likely = ways.pop()
        if state in automaton.finals:
            total = likely + automaton.finals[state]
            found[words] = max(found.get(words, -math.inf), total)
        for source, target, more, word in automaton.transitions:
            if source == state:
                ways.append((target, words if word is None else (*words, word), likely + more))
    return {words: likely - max(found.values()) for words, likely in found.items()}


def states(automaton: Automaton) -> set[int]:
    return {state for transition in automaton.transitions for state in transition[:2]}


def test_reads_words_and_empty_transitions():
    automaton = read_automaton(FILE.splitlines())
    assert automaton.finals == {3: 0.0}
    assert automaton.transitions[0] == (0, 1, pytest.approx(HALF), "a")
    assert automaton.transitions[1] == (0, 2, pytest.approx(HALF), None)


def test_equal_ends_become_one():
    automaton = read_automaton(FILE.splitlines()).smallest()
    assert len(states(automaton)) == 3
    assert sentences(automaton) == {
        ("a", "milk"): pytest.approx(0, abs=1e-3),
        ("milk",): pytest.approx(0, abs=1e-3),
    }


@pytest.mark.parametrize("seed", range(20))
def test_sentences_stay_the_same(seed: int):
    chance = random.Random(seed)
    transitions: list[Transition] = []
    for _ in range(24):
        source = chance.randrange(9)
        word = chance.choice(["a", "b", "c", None])
        transitions.append((source, chance.randint(source + 1, 9), -chance.random(), word))
    before = Automaton(0, tuple(transitions), {9: 0.0, 5: HALF})
    after = before.smallest()
    expected = sentences(before)
    assert sentences(after).keys() == expected.keys()
    for sentence, likely in sentences(after).items():
        assert likely == pytest.approx(expected[sentence], abs=0.01)
    assert all(word is not None for *_, word in after.transitions)


def test_no_word_is_followed_twice():
    automaton = Automaton(0, ((0, 1, HALF, "a"), (0, 2, HALF, "a"), (1, 3, 0.0, "b")), {2: 0, 3: 0})
    ways = [(source, word) for source, _, _, word in automaton.smallest().transitions]
    assert len(ways) == len(set(ways))


def test_endless_sentences_stay_as_they_are():
    loop = Automaton(0, ((0, 1, HALF, "a"), (1, 0, HALF, None)), {1: 0.0})
    assert loop.repeats
    assert loop.smallest() is loop
