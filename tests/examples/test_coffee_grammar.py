import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import pytest

from twilio_frames.examples.coffee_shop import menu
from twilio_frames.examples.coffee_shop.grammar import coffee_grammar
from twilio_frames.examples.coffee_shop.understanding import understand


@dataclass
class Choice:
    """Alternatives, each a sequence of words, names of rules and further choices."""

    said: list[list["str | Choice"]] = field(default_factory=lambda: [[]])
    weights: list[float] = field(default_factory=lambda: [1.0])


def read_rule(tokens: Iterator[str]) -> Choice:
    """The alternatives up to the bracket that closes them."""
    choice = Choice()
    for token in tokens:
        match token[0]:
            case ")" | "]":
                break
            case "|":
                choice.said.append([])
                choice.weights.append(1.0)
            case "/":
                choice.weights[-1] = float(token.strip("/"))
            case "(":
                choice.said[-1].append(read_rule(tokens))
            case "[":
                choice.said[-1].append(Choice([[read_rule(tokens)], []], [1.0, 1.0]))
            case _:
                choice.said[-1].append(token)
    return choice


@cache
def rules() -> dict[str, Choice]:
    tokens = r"<\w+>|/[\d.]+/|[\w']+|[()\[\]|]"
    return {
        f"<{name}>": read_rule(iter(re.findall(tokens, body)))
        for name, body in re.findall(r"<(\w+)> = (.*);", coffee_grammar())
    }


class Speaker:
    """Says what the grammar can generate, at random but with the grammar's weights."""

    def __init__(self, seed: int):
        self._random = random.Random(seed)

    def say(self, rule: str) -> str:
        return " ".join(self._words(rules()[f"<{rule}>"])).replace("_", " ")

    def _words(self, part: "str | Choice") -> list[str]:
        if isinstance(part, str):
            named = rules().get(part)
            return self._words(named) if named else [] if part == "<NULL>" else [part]
        (said,) = self._random.choices(part.said, part.weights)
        return [word for inner in said for word in self._words(inner)]


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_heard_is_read(seed: int):
    speaker = Speaker(seed)

    heard = [speaker.say("utterance") for _ in range(200)]

    assert [words for words in heard if not understand(words).understood] == []


@pytest.mark.parametrize("seed", range(5))
def test_order_heard_names_its_drink(seed: int):
    speaker = Speaker(seed)

    heard = [speaker.say("order") for _ in range(100)]

    assert [words for words in heard if not understand(words).order.drink] == []


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        ("drink", menu.DRINKS),
        ("size", menu.SIZES),
        ("roast", menu.ROASTS),
        ("shots", menu.SHOTS),
    ],
)
def test_rule_speaks_of_its_slot_alone(rule: str, values: dict[str, str]):
    speaker = Speaker(0)

    readings = [understand(speaker.say(rule)) for _ in range(50)]

    assert all(len(reading.order.slots()) == 1 for reading in readings)
    assert {getattr(reading.order, rule) for reading in readings} <= set(values.values())


def test_sentences_differ():
    speaker = Speaker(0)

    assert len({speaker.say("utterance") for _ in range(50)}) > 40
