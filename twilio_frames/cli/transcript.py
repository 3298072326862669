"""A call as it goes, on the terminal: who speaks, when, and where known the words."""

import asyncio
from collections import deque
from typing import Any

from twilio_frames.cli.console import Console
from twilio_frames.testing import Caller
from twilio_frames.testing.ear import JOINING_PAUSE, Spell

_LOOK_EVERY = 0.05
_SPEAKS_ON_SECS = 3.0
"""For so long a caller's words wait for the end of what the bot says under them."""


class Transcript:
    """Writes both sides' turns while they happen.

    The bot's turns are written when they have ended, with the words that were heard, or their
    length where those are not known.

    Args:
        console: Where to write.
        knows_words: Whether the bot's words will come by :meth:`bot_heard`.
    """

    def __init__(self, console: Console, *, knows_words: bool = False):
        self._console = console
        self._knows_words = knows_words
        self._bot_words: deque[str] = deque(maxlen=100)
        self._utterances = 0
        self._spells = 0
        self._now = 0.0
        self.lines: list[dict[str, Any]] = []

    def bot_heard(self, text: str) -> None:
        """Takes words of the bot as they have been heard."""
        self._bot_words.append(text)

    def bot_understood(self, text: str) -> None:
        """Writes what the bot made of the caller's words."""
        self.lines.append({"time": round(self._now, 3), "speaker": "bot", "understood": text})
        self._console.turn(None, "", f"understood: {text or 'nothing'}", "faint")

    async def follow(self, caller: Caller) -> None:
        """Writes until the call is over."""
        while caller.is_connected:
            self.update(caller)
            await asyncio.sleep(_LOOK_EVERY)
        self.update(caller)

    def update(self, caller: Caller) -> None:
        """Writes what is new, in the order in which it began."""
        self._now = caller.now
        while self._write_next(caller):
            pass
        if self._bot_words and not caller.is_connected and caller.bot_spells:
            # Of a bot that spoke on over the caller.
            self._write(caller.bot_spells[-1].ended_at, "bot", " ".join(self._bot_words))
            self._bot_words.clear()

    def _write_next(self, caller: Caller) -> bool:
        """Writes the turn that began next; gives whether there may be more to write."""
        utterance = next(iter(caller.utterances[self._utterances :]), None)
        spell = next(iter(caller.bot_spells[self._spells :]), None)
        began = utterance.speech_began_at if utterance else None
        if spell is not None and (began is None or spell.began_at < began):
            return self._write_spell(spell, caller, waits=began)
        if utterance is None:
            return False
        # Whether the bot was being heard shows when the pause in which it began is over.
        if caller.is_connected and (began is None or caller.now - began < JOINING_PAUSE):
            return False
        self._utterances += 1
        if began is not None:
            over = any(each.began_at < began < each.ended_at for each in caller.bot_spells)
            words = f"{utterance.label}  (over the bot)" if over else utterance.label
            self._write(began, "caller", utterance.label, shown=words)
        return True

    def _write_spell(self, spell: Spell, caller: Caller, *, waits: float | None) -> bool:
        """Writes what the bot said in a spell, once it is over; gives whether that was so.

        Where it speaks on over the caller, what it said so far is written ahead of the caller.
        """
        is_going_on = spell is caller.bot_spells[-1] and caller.hears_bot and caller.is_connected
        if is_going_on and (waits is None or caller.now - waits < _SPEAKS_ON_SECS):
            return False
        self._spells += 1
        if not self._knows_words:
            more = ", and on" if is_going_on else ""
            self._console.turn(spell.began_at, "bot", f"speaks for {spell.seconds:.1f} s{more}")
        elif self._bot_words:
            self._write(spell.began_at, "bot", " ".join(self._bot_words))
            self._bot_words.clear()
        return True

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
