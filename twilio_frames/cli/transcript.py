"""A call as it goes, on the terminal: who speaks, when, and where known the words."""

import asyncio
from collections import deque

from twilio_frames.cli.console import Console
from twilio_frames.testing import Caller

_LOOK_EVERY = 0.05


class Transcript:
    """Writes both sides' turns while they happen.

    Without words from the bot, its turns are written when they have ended, with their length.

    Args:
        console: Where to write.
        knows_words: Whether the bot's words will come by :meth:`bot_says`.
    """

    def __init__(self, console: Console, *, knows_words: bool = False):
        self._console = console
        self._knows_words = knows_words
        self._bot_words: deque[str] = deque(maxlen=100)
        self._utterances = 0
        self._spells = 0
        self.lines: list[dict[str, object]] = []

    def bot_says(self, text: str) -> None:
        """Takes the words of what the bot is about to say."""
        self._bot_words.append(text)

    def bot_understood(self, text: str) -> None:
        """Writes what the bot made of the caller's words."""
        self.lines.append({"time": None, "speaker": "bot", "understood": text})
        self._console.turn(None, "", f"understood: {text or 'nothing'}", "faint")

    async def follow(self, caller: Caller) -> None:
        """Writes until the call is over."""
        while caller.is_connected:
            self.update(caller)
            await asyncio.sleep(_LOOK_EVERY)
        self.update(caller)

    def update(self, caller: Caller) -> None:
        """Writes what is new."""
        for utterance in caller.utterances[self._utterances :]:
            self._utterances += 1
            began = utterance.speech_began_at or 0.0
            over = any(spell.began_at < began < spell.ended_at for spell in caller.bot_spells)
            words = f"{utterance.label}  (over the bot)" if over else utterance.label
            self._write(began, "caller", utterance.label, shown=words)
        for spell in caller.bot_spells[self._spells :]:
            is_last = spell is caller.bot_spells[-1]
            if not self._knows_words and is_last and caller.hears_bot and caller.is_connected:
                return
            self._spells += 1
            if not self._knows_words:
                self._console.turn(spell.began_at, "bot", f"speaks for {spell.seconds:.1f} s")
            elif self._bot_words:
                self._write(spell.began_at, "bot", " ".join(self._bot_words))
                self._bot_words.clear()

    def _write(self, time: float, speaker: str, words: str, *, shown: str = "") -> None:
        self.lines.append({"time": round(time, 3), "speaker": speaker, "words": words})
        self._console.turn(time, speaker, shown or words)
