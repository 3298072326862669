"""Makes the automaton of a grammar small, so that a search through it is quick.

Pocketsphinx copies a rule wherever it is named and joins the copies with empty transitions; most
of a search is then spent on copies of the same words. Here the empty transitions are taken out,
equal beginnings are joined, then equal ends. What sentences there are, and how much likelier one
is than another, stays the same. Pure: nothing here listens.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["Automaton", "Transition", "read_automaton"]

_UNLIKELY = -math.inf

Transition = tuple[int, int, float, str | None]
"""From a state to another, the natural logarithm of how likely, and the word or nothing."""

_Mixture = frozenset[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Automaton:
    """States, transitions between them, and where sentences end.

    Args:
        start: The first state.
        transitions: In any order.
        finals: States where a sentence may end, each with the logarithm of how likely.
    """

    start: int
    transitions: tuple[Transition, ...]
    finals: Mapping[int, float]

    @property
    def repeats(self) -> bool:
        """Whether some sentences have no greatest length."""
        following: dict[int, list[int]] = defaultdict(list)
        waiting: dict[int, int] = defaultdict(int)
        for source, target, _, word in self.transitions:
            if source != target or word is not None:
                following[source].append(target)
                waiting[target] += 1
        states = set(following) | set(waiting)
        ready = [state for state in states if not waiting[state]]
        passed = 0
        while ready:
            passed += 1
            for target in following[ready.pop()]:
                waiting[target] -= 1
                if not waiting[target]:
                    ready.append(target)
        return passed < len(states)

    def smallest(self) -> "Automaton":
        """The same sentences with as few states as possible; itself if sentences repeat."""
        if self.repeats:
            return self
        return _ends_joined(_Joining(self).joined())


def read_automaton(lines: Iterable[str]) -> Automaton:
    """Reads pocketsphinx's text form of an automaton, in which empty transitions have no word."""
    start = final = 0
    transitions: list[Transition] = []
    for line in lines:
        match line.split():
            case ["START_STATE", state]:
                start = int(state)
            case ["FINAL_STATE", state]:
                final = int(state)
            case ["TRANSITION", source, target, likelihood, *word]:
                likely = float(likelihood)
                logarithm = math.log(likely) if likely > 0 else _UNLIKELY
                transitions.append((int(source), int(target), logarithm, word[0] if word else None))
            case _:
                pass
    return Automaton(start, tuple(transitions), {final: 0.0})


@dataclass(slots=True)
class _Joining:
    """Follows all states that the same words lead to as if they were one."""

    automaton: Automaton
    empty: dict[int, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    spoken: dict[int, list[tuple[str, float, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def __post_init__(self) -> None:
        for source, target, likely, word in self.automaton.transitions:
            if word is not None:
                self.spoken[source].append((word, likely, target))
            elif source != target:
                self.empty[source].append((target, likely))

    def joined(self) -> Automaton:
        _, first = self._mixture({self.automaton.start: 0.0})
        numbers = {first: 0}
        queue = [first]
        transitions: list[Transition] = []
        finals: dict[int, float] = {}
        while queue:
            mixture = queue.pop()
            source = numbers[mixture]
            for state, likely in mixture:
                if state in self.automaton.finals:
                    ending = likely + self.automaton.finals[state]
                    finals[source] = max(ending, finals.get(source, _UNLIKELY))
            for word, targets in self._words_from(mixture).items():
                likely, target = self._mixture(targets)
                if target not in numbers:
                    numbers[target] = len(numbers)
                    queue.append(target)
                transitions.append((source, numbers[target], likely, word))
        return Automaton(0, tuple(transitions), finals)

    def _words_from(self, mixture: _Mixture) -> dict[str, dict[int, float]]:
        words: dict[str, dict[int, float]] = defaultdict(dict)
        for state, before in mixture:
            for word, likely, target in self.spoken[state]:
                known = words[word].get(target, _UNLIKELY)
                words[word][target] = max(known, before + likely)
        return words

    def _mixture(self, states: Mapping[int, float]) -> tuple[float, _Mixture]:
        """The states, those reached without a word too; how likely the likeliest is, set apart."""
        reached = dict(states)
        open_ends = list(reached)
        while open_ends:
            state = open_ends.pop()
            for target, likely in self.empty[state]:
                if (total := reached[state] + likely) > reached.get(target, _UNLIKELY) + 1e-9:
                    reached[target] = total
                    open_ends.append(target)
        likeliest = max(reached.values())
        return likeliest, frozenset(
            (state, round(likely - likeliest, 4))
            for state, likely in reached.items()
            if self.spoken[state] or state in self.automaton.finals
        )


def _ends_joined(automaton: Automaton) -> Automaton:
    """Makes one state of all from which the same may follow. No word may be empty."""
    following: dict[int, list[tuple[str, float, int]]] = defaultdict(list)
    for source, target, likely, word in automaton.transitions:
        following[source].append((word or "", likely, target))
    joined: dict[int, int] = {}
    rest: dict[int, float] = {}
    numbers: dict[object, int] = {}
    transitions: list[Transition] = []
    finals: dict[int, float] = {}
    for state in _last_first(automaton.start, following):
        ends = [automaton.finals[state]] if state in automaton.finals else []
        # The likelihood of the best way on moves to the front, or equal ends would look different.
        ways = [(word, likely + rest[to], joined[to]) for word, likely, to in following[state]]
        best = rest[state] = max([*ends, *(likely for _, likely, _ in ways)], default=0.0)
        signature = (
            tuple(round(likely - best, 4) for likely in ends),
            frozenset((word, round(likely - best, 4), to) for word, likely, to in ways),
        )
        if signature in numbers:
            joined[state] = numbers[signature]
            continue
        number = joined[state] = numbers[signature] = len(numbers)
        transitions.extend((number, to, likely - best, word) for word, likely, to in ways)
        if ends:
            finals[number] = ends[0] - best
    return Automaton(joined[automaton.start], tuple(transitions), finals)


def _last_first(start: int, following: Mapping[int, list[tuple[str, float, int]]]) -> list[int]:
    """Every state behind all that may follow it."""
    order: list[int] = []
    done: set[int] = set()
    stack = [(start, False)]
    while stack:
        state, left = stack.pop()
        if left:
            order.append(state)
        elif state not in done:
            done.add(state)
            stack.append((state, True))
            stack.extend((target, False) for _, _, target in following[state])
    return order
