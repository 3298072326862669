"""The caller's ear: when the bot was heard to speak, to the sample. Pure."""

from dataclasses import dataclass

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.testing.callers.voice import audible_samples

JOINING_PAUSE = 0.3
"""Seconds; a shorter pause, as between words, does not end a spell of speech."""


@dataclass(slots=True)
class Spell:
    """A stretch of time in which the bot was heard.

    Parameters:
        began_at: Seconds on the line's clock where its first sound was.
        ended_at: Where its last sound was so far.
    """

    began_at: float
    ended_at: float

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.ended_at - self.began_at


class Ear:
    """Listens to the audio that is played to the caller."""

    def __init__(self):
        self._audio = bytearray()
        self._samples = 0
        self._is_broken_off = False
        self.spells: list[Spell] = []

    @property
    def audio(self) -> bytes:
        """All that was heard so far, silence included, mu-law."""
        return bytes(self._audio)

    @property
    def samples(self) -> int:
        """Samples heard so far."""
        return self._samples

    @property
    def now(self) -> float:
        """Seconds heard so far, which is the line's clock."""
        return self._samples / SAMPLE_RATE

    @property
    def silent_secs(self) -> float:
        """How long nothing has been heard; from the beginning, if nothing ever was."""
        return self.now - (self.spells[-1].ended_at if self.spells else 0.0)

    @property
    def is_hearing(self) -> bool:
        """Whether the bot is speaking, a pause between words included."""
        return bool(self.spells) and self.silent_secs < JOINING_PAUSE

    def break_off(self) -> None:
        """Ends the spell that is being heard: what follows is something new, however soon."""
        self._is_broken_off = True

    def hear(self, mulaw: bytes, *, from_bot: bool = True) -> None:
        """Takes in what is played next.

        Args:
            mulaw: The audio.
            from_bot: Whether any of it is the bot's; if not, it is known to be silence.
        """
        self._audio += mulaw
        if from_bot:
            self._listen(mulaw)
        self._samples += len(mulaw)

    def _listen(self, mulaw: bytes) -> None:
        loud = audible_samples(mulaw)
        if not len(loud):
            return
        first = (self._samples + int(loud[0])) / SAMPLE_RATE
        last = (self._samples + int(loud[-1]) + 1) / SAMPLE_RATE
        is_new = self._is_broken_off or not self.spells
        self._is_broken_off = False
        if not is_new and first - self.spells[-1].ended_at < JOINING_PAUSE:
            self.spells[-1].ended_at = last
        else:
            self.spells.append(Spell(began_at=first, ended_at=last))
