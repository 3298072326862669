"""What happened in a run, as somebody sees it who sees all; and what of it must never happen."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise, product

from tests.soak.line import Line
from tests.soak.stand_in import ASK, StandIn
from tests.soak.workers import Worker

__all__ = ["Ledger", "Run", "Talk"]

_BETWEEN_SECS = 1.5
"""How long a call is between two owners."""
_TWO_SECS = 3.0
"""How long a bot may live on beside the next one: its worker learns at the next renewal."""
_UNTOLD_SECS = 0.15
"""From the first sound of the caller's until the register knows that they speak."""
_TOLD_SECS = 4.0
"""How long a bot may take to learn of a callback, where the call has to find another one."""
_LATE_WORDS_SECS = 0.5
"""So much of what was heard ahead of a loss may come again: it was on its way to the register."""


@dataclass(slots=True, eq=False)
class Run:
    """One bot of a call.

    Parameters:
        worker: Who runs it.
        bot: The bot.
        stream_sid: Its stream.
        began_at: When.
        ended_at: When it ended; None while it lives, or if it was killed.
    """

    worker: Worker
    bot: StandIn
    stream_sid: str
    began_at: float
    ended_at: float | None = None

    @property
    def lives(self) -> bool:
        """Whether it believes that it has the call."""
        is_over = self.ended_at is not None or self.bot.call.end_reason is not None
        return not is_over and not self.worker.process.is_killed


@dataclass(slots=True, eq=False)
class Talk:
    """One call.

    Parameters:
        line: Twilio's side of it.
        runs: Its bots.
        ear: Words that were heard, and when.
        said: What the caller said, and when they began.
        idle_at: Which of it was said while the bot had nothing more to say.
        losses: When it lost its bot.
        crashes: How often its bot raised.
        two_since: Since when two bots have it.
        recordings: Recordings that were told of.
        taken: What of them was told to a worker, and when.
        excuse: Why it may have been lost.
    """

    line: Line
    runs: list[Run] = field(default_factory=list[Run])
    ear: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])
    said: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])
    whole: set[str] = field(default_factory=set[str])
    losses: list[float] = field(default_factory=list[float])
    crashes: int = 0
    two_since: float | None = None
    recordings: list[str] = field(default_factory=list[str])
    taken: list[tuple[tuple[str, str], float]] = field(
        default_factory=list[tuple[tuple[str, str], float]]
    )
    excuse: str = ""

    @property
    def run(self) -> Run | None:
        """The bot that has it now."""
        return next((one for one in reversed(self.runs) if one.lives), None)


class Ledger:
    """Writes down what happens, and what is wrong with it."""

    def __init__(self) -> None:
        self.talks: dict[str, Talk] = {}
        self.wrong: list[str] = []
        self.events: list[str] = []
        self.counts: Counter[str] = Counter()
        self.troubles: list[tuple[float, float]] = []
        """When the register was in trouble, or a worker was halted."""
        self.halts: list[tuple[float, float]] = []
        """When a worker was halted."""
        self.emptied: list[tuple[float, float]] = []
        """When it had lost everything, and was not told all of it again."""
        self._began_at = asyncio.get_running_loop().time()

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return asyncio.get_running_loop().time() - self._began_at

    def note(self, event: str, *what: object) -> None:
        """Writes something down."""
        self.counts[event] += 1
        if event == "callback taken":
            sid, recording, status = map(str, what)
            self.talks[sid].taken.append(((recording, status), self.now))
        self.events.append(f"{self.now:9.3f}  {event}  {' '.join(map(str, what))}")

    def is_wrong(self, what: str) -> None:
        """Something happened that must not."""
        self.note("WRONG", what)
        self.wrong.append(what)

    def is_troubled(self, since: float, until: float) -> bool:
        """Whether there was trouble of the register's, or a halt, in some time."""
        return any(begin <= until and since <= end for begin, end in self.troubles)

    def is_one_trouble(self, since: float, until: float) -> bool:
        """Whether one and the same trouble lasted from one moment to another."""
        return any(begin <= since and until <= end for begin, end in self.troubles)

    def look(self, most_calls: int | None) -> None:
        """Sees whether any call has two bots, or a worker has let in more than it may."""
        living = [one for talk in self.talks.values() for one in talk.runs if one.lives]
        let_in = Counter(one.worker.name for one in living if one.bot.call.resumed is None)
        for name, count in let_in.items():
            if most_calls is not None and count > most_calls:
                self.is_wrong(f"{name} has let {count} calls in")
        for sid, talk in self.talks.items():
            living = [one for one in talk.runs if one.lives and not one.worker.process.is_halted]
            if len(living) < 2:
                talk.two_since = None
                continue
            talk.two_since = self.now if talk.two_since is None else talk.two_since
            late = self.now - talk.two_since
            if late > _TWO_SECS and not self.is_troubled(talk.two_since - 2, self.now):
                names = ", ".join(one.worker.name for one in living)
                self.is_wrong(f"{sid} has {len(living)} bots for {late:.1f} s, at {names}")
                talk.two_since = self.now + 1000

    def judge(self, talk: Talk) -> None:
        """Sees whether a call that is over went as it should."""
        sid, line = talk.line.call_sid, talk.line
        is_well = line.outcome in ("caller hung up", "bot hung up")
        if not is_well and not talk.excuse and not self._was_emptied_between(talk):
            self.is_wrong(f"{sid} is lost: {line.outcome!r} after {len(talk.runs)} bots")
        self._judge_words(sid, talk)
        if talk.runs and not talk.excuse:
            self._judge_memory(sid, talk)
        self._judge_recordings(sid, talk)

    def _was_emptied_between(self, talk: Talk) -> bool:
        """Whether all was forgotten while the call had no owner who could have told it again."""
        return any(
            begin - _BETWEEN_SECS <= loss <= end
            for loss in talk.losses
            for begin, end in self.emptied
        )

    def _judge_words(self, sid: str, talk: Talk) -> None:
        first: dict[str, float] = {}
        for word, at in talk.ear:
            if word == ASK:
                continue
            if word in first and not self._may_come_again(talk, first[word], at):
                self.is_wrong(f"{sid} heard {word} at {first[word]:.2f} and at {at:.2f}")
            group, letter = word[:-1], word[-1]
            before = chr(ord(letter) - 1)
            if letter != "a" and group + before not in first:
                self.is_wrong(f"{sid} heard {word} at {at:.2f} without {group}{before}")
            first.setdefault(word, at)
        self.counts["words"] += len(first)
        self.counts["words again"] += sum(word != ASK for word, _ in talk.ear) - len(first)
        for group in talk.whole:
            if group + "f" not in first:
                self.is_wrong(f"{sid} never heard the end of {group}")

    def _may_come_again(self, talk: Talk, first: float, again: float) -> bool:
        losses = [at for at in talk.losses if first <= at <= again]
        if not losses:
            return False
        since = losses[0] - first
        return since <= _LATE_WORDS_SECS or self.is_troubled(first - 1.5, again)

    def _judge_memory(self, sid: str, talk: Talk) -> None:
        messages = [m for m in talk.runs[-1].bot.context.messages if isinstance(m, dict)]
        known = Counter(str(m["content"]) for m in messages if m["role"] == "user")
        asked = [run.began_at for run in talk.runs if run.bot.asks]
        ended_at = talk.ear[-1][1] if talk.ear else 0.0
        for text, at in talk.said:
            if any(at <= loss < self._noted_at(at) for loss in talk.losses):
                # Its bot has not had the time to note that the caller speaks.
                continue
            if known[text] > 1:
                self.is_wrong(f"{sid} remembers {text} {known[text]} times")
            is_lost = not known[text] and not any(again > at for again in asked)
            if is_lost and ended_at > at + 4.0 and text != talk.runs[-1].bot.pending:
                self.is_wrong(f"{sid} has lost {text}, said at {at:.2f}, and does not ask")

    def _noted_at(self, at: float) -> float:
        """When it is known that a caller speaks who began at some moment."""
        ends = [end for begin, end in self.halts if begin <= at + _UNTOLD_SECS and at <= end]
        return max([at, *ends]) + _UNTOLD_SECS

    def _judge_recordings(self, sid: str, talk: Talk) -> None:
        for run in talk.runs:
            for told, count in Counter(run.bot.told).items():
                if count > 1:
                    self.is_wrong(f"{sid}: a bot is told of {told} {count} times")
        told = [one for run in talk.runs for one in run.bot.told]
        last = talk.runs[-1] if talk.runs else None
        for one, at in talk.taken:
            lasted = last is not None and (last.ended_at or self.now) > at + _TOLD_SECS
            if one not in told and lasted and not self.is_troubled(at - 6.0, at + _TOLD_SECS):
                self.is_wrong(f"{sid}: no bot is told of {one}, taken at {at:.2f}")
        for run, recording in product(talk.runs, talk.recordings):
            order = [status for name, status in run.bot.told if name == recording]
            if _out_of_order(order):
                self.is_wrong(f"{sid}: a bot is told of {recording}: {order}")


def _out_of_order(order: Iterable[str]) -> bool:
    return any(
        before == "completed" and after == "in-progress" for before, after in pairwise(order)
    )
