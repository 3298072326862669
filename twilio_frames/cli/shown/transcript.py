"""A call as it goes, on the terminal: who speaks, when, and where known the words."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from twilio_frames.cli.shown.console import Console
from twilio_frames.testing import Caller
from twilio_frames.testing.callers.ear import JOINING_PAUSE, Spell
from twilio_frames.testing.callers.hearing import is_same_speech


@dataclass(frozen=True, slots=True)
class _Entry:
    """Something to write: when it began, whether it is whole, and what writes it."""

    began_at: float
    is_whole: bool
    write: Callable[[], None]
    is_bots: bool = False


class Transcript:
    """Writes both sides' turns while they happen, in the order in which they began.

    The bot's turns are written when they have ended, with the words that were heard, or their
    length where those are not known. What began meanwhile waits for that, but not for long: then
    what was heard of the turn so far is written, and the rest of it behind what waited.

    Args:
        console: Where to write.
        knows_words: Whether the bot's words will come by :meth:`bot_heard`.
        words_in: Gives the words that were heard between two times, where they are known.
    """

    def __init__(
        self,
        console: Console,
        *,
        knows_words: bool = False,
        words_in: Callable[[Caller, float, float], str] | None = None,
    ):
        self._console = console
        self._words_in = words_in
        self._knows_words = knows_words
        self._bot_words: deque[str] = deque(maxlen=100)
        self._understood: deque[tuple[float, str]] = deque(maxlen=100)
        self._taken = 0
        self._utterances = 0
        self._spells = 0
        self._told_until: float | None = None
        self._now = 0.0
        self.lines: list[dict[str, Any]] = []

    def bot_heard(self, text: str) -> None:
        """Takes words of the bot as they have been heard."""
        self._bot_words.append(text)

    def bot_understood(self, text: str) -> None:
        """Takes what the bot made of the caller's words; it is written behind them."""
        self._understood.append((self._now, text))

    def _take_understood(self, caller: Caller) -> None:
        """Takes what a bot of this process made of the caller's words, if it is something else."""
        told = caller.understood or ()
        for at, text in told[self._taken :]:
            said = [each.label for each in caller.utterances if (each.speech_began_at or at) < at]
            if not said or not is_same_speech(said[-1], text):
                self._understood.append((at, text))
        self._taken = len(told)

    async def follow(self, caller: Caller) -> None:
        """Writes until the call is over."""
        while caller.is_connected:
            self.update(caller)
            await asyncio.sleep(0.05)
        self.update(caller)

    def update(self, caller: Caller) -> None:
        """Writes what is new and has nothing before it that is not whole yet."""
        self._now = caller.now
        self._take_understood(caller)
        while (entries := self._entries(caller)) and self._write_first(entries):
            pass

    def _entries(self, caller: Caller) -> list[_Entry]:
        """What comes next of each sort, in the order of beginning."""
        sorts = (self._next_of_caller(caller), self._next_understood(), self._next_of_bot(caller))
        # Of what began at once, the caller's is first: the bot's is the rest of what was begun.
        return sorted(filter(None, sorts), key=lambda entry: entry.began_at)

    def _write_first(self, entries: Sequence[_Entry]) -> bool:
        """Writes the first; False if it has to wait."""
        first, others = entries[0], [each for each in entries[1:] if each.is_whole]
        if not first.is_whole:
            waiting = others[0].began_at if others else self._now
            # As long as a bot takes to fall silent when it is interrupted, and more.
            if not first.is_bots or self._now - waiting < 2.0:
                return False
            self._told_until = self._now
        first.write()
        return True

    def _next_of_caller(self, caller: Caller) -> _Entry | None:
        said = caller.utterances
        while not caller.is_connected and self._utterances < len(said):
            if said[self._utterances].speech_began_at is not None:
                break
            # It was never heard.
            self._utterances += 1
        if self._utterances >= len(said):
            return None
        began = said[self._utterances].speech_began_at
        if began is None:
            return None
        # Whether the bot was being heard shows when the pause in which it began is over.
        is_whole = not caller.is_connected or caller.now - began >= JOINING_PAUSE
        return _Entry(began, is_whole, lambda: self._write_caller(caller, began))

    def _write_caller(self, caller: Caller, began: float) -> None:
        label = caller.utterances[self._utterances].label
        self._utterances += 1
        over = any(spell.began_at < began < spell.ended_at for spell in caller.bot_spells)
        self._write(began, "caller", label, shown=f"{label}  (over the bot)" if over else label)

    def _next_understood(self) -> _Entry | None:
        return (
            _Entry(self._understood[0][0], True, self._write_understood)
            if self._understood
            else None
        )

    def _write_understood(self) -> None:
        time, text = self._understood.popleft()
        self.lines.append({"time": round(time, 3), "speaker": "bot", "understood": text})
        self._console.turn(None, "", f"understood: {text or 'nothing'}", "faint")

    def _next_of_bot(self, caller: Caller) -> _Entry | None:
        if self._spells >= len(caller.bot_spells):
            return None
        spell = caller.bot_spells[self._spells]
        is_last = spell is caller.bot_spells[-1]
        is_whole = not (is_last and caller.hears_bot and caller.is_connected)
        began = spell.began_at if self._told_until is None else self._told_until
        write = partial(self._write_bot, caller, began, spell, is_whole=is_whole)
        return _Entry(began, is_whole, write, is_bots=True)

    def _write_bot(self, caller: Caller, began: float, spell: Spell, *, is_whole: bool) -> None:
        """Writes a turn of the bot; of one that goes on, what was heard so far."""
        goes_on = began > spell.began_at
        ended = spell.ended_at if is_whole or self._told_until is None else self._told_until
        if is_whole:
            self._spells += 1
            self._told_until = None
        words = self._words_in(caller, began, ended) if self._words_in else ""
        if words:
            self._write(began, "bot", words)
        elif not self._knows_words:
            speaks = "speaks on" if goes_on else "speaks"
            self._console.turn(began, "bot", f"{speaks} for {max(0.0, ended - began):.1f} s")
        elif self._bot_words:
            self._write(began, "bot", " ".join(self._bot_words))
            self._bot_words.clear()

    def _write(self, time: float, speaker: str, words: str, *, shown: str = "") -> None:
        self.lines.append({"time": round(time, 3), "speaker": speaker, "words": words})
        self._console.turn(time, speaker, shown or words)

    def in_order(self) -> list[dict[str, Any]]:
        """The lines in the order in which what they tell of began."""
        return sorted(self.lines, key=lambda line: line["time"])

    def with_words(self, turns: list[dict[str, object]]) -> list[dict[str, object]]:
        """The turns of a result, with the words that the bot was heard to say in each."""
        said = [line for line in self.lines if line["speaker"] == "bot" and "words" in line]
        return [
            turn | {"words": _words_in(turn, said)} if _is_bots(turn) else turn for turn in turns
        ]


def _is_bots(turn: dict[str, object]) -> bool:
    return turn["speaker"] == "bot"


def _words_in(turn: dict[str, Any], said: list[dict[str, Any]]) -> str:
    began, ended = turn["began_at"] - 0.001, turn["ended_at"]
    return " ".join(line["words"] for line in said if began <= line["time"] <= ended)
