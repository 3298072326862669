"""What is heard of whoever answers: when there is sound, and the tones."""

from dataclasses import dataclass

import numpy as np

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw
from twilio_frames.audio.tones import Tone, ToneDetector

__all__ = ["AnswerEar", "Spell"]

_STEP = SAMPLE_RATE // 50
_STEP_SECS = _STEP / SAMPLE_RATE
_TOLD_AFTER = 0.1
"""Seconds: a tone is told when there is so much silence behind it."""


@dataclass(frozen=True, slots=True)
class _Sound:
    """What counts as sound; ``bench/answering.py`` measures what comes of it.

    Parameters:
        least: Root mean square of 16-bit samples: -41 dB, above a quiet line's noise.
        above_noise: How many times as loud as the noise: 10 dB.
        most_noise: What is louder is no noise: -29 dB.
        rise: By how much the noise is taken to rise in 20 ms, as a share of it: 3 dB a second.
        steps: So many in a row make a sound: 60 ms. What is shorter is a click.
        joins_secs: A pause that is shorter is one between words.
        steady_secs: Sound that does not change for so long is a tone, and nothing that is said.
    """

    least: float = 300.0
    above_noise: float = 3.2
    most_noise: float = 1200.0
    rise: float = 0.007
    steps: int = 3
    joins_secs: float = 0.5
    steady_secs: float = 0.2


_SOUND = _Sound()


@dataclass(slots=True)
class Spell:
    """Some sound without a longer pause in it; seconds from the beginning of the stream."""

    began_at: float
    ended_at: float
    level: float = 0.0
    """The loudest of it: root mean square of 16-bit samples."""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.ended_at - self.began_at


class AnswerEar:
    """Follows the sound of whoever answers."""

    def __init__(self) -> None:
        self._tones = ToneDetector()
        self._unheard = b""
        self._noise = 30.0
        self._loud_steps = 0
        self._sounded_at = 0.0
        self.spells: list[Spell] = []
        """When there was sound that is no tone; the last one may go on."""
        self.tones: list[tuple[Tone, float]] = []
        """The tones, and when each had been heard."""

    def write(self, mulaw: bytes, at: float) -> None:
        """Takes what was heard.

        Args:
            mulaw: It.
            at: When it began, seconds from the beginning of the stream.
        """
        begun = at - len(self._unheard) / SAMPLE_RATE
        self._unheard += mulaw
        whole = len(self._unheard) // _STEP * _STEP
        audio, self._unheard = self._unheard[:whole], self._unheard[whole:]
        samples = np.frombuffer(decode_mulaw(audio), dtype=np.int16).astype(np.float64)
        for step, part in enumerate(samples.reshape(-1, _STEP)):
            now = begun + (step + 1) * _STEP_SECS
            for tone in self._tones.write(audio[step * _STEP : (step + 1) * _STEP]):
                self._take(tone, now)
            if (steady := self._tones.steady_secs) >= _SOUND.steady_secs:
                self._take_back(now - steady - 4 * _STEP_SECS)
                self._loud_steps = 0
                self._sounded_at = now
            else:
                self._listen(float(np.sqrt(np.mean(part**2))), now)

    def _listen(self, level: float, now: float) -> None:
        self._noise = min(max(level, 10.0), self._noise * (1 + _SOUND.rise), _SOUND.most_noise)
        is_loud = level > max(_SOUND.least, _SOUND.above_noise * self._noise)
        self._loud_steps = self._loud_steps + 1 if is_loud else 0
        if self._loud_steps < _SOUND.steps:
            return
        self._sounded_at = now
        began = now - self._loud_steps * _STEP_SECS
        if self.spells and began - self.spells[-1].ended_at < _SOUND.joins_secs:
            self.spells[-1].ended_at = now
        else:
            self.spells.append(Spell(began, now))
        self.spells[-1].level = max(self.spells[-1].level, level)

    def _take(self, tone: Tone, now: float) -> None:
        self.tones.append((tone, now))
        self._take_back(now - (tone.ended_at - tone.began_at) - _TOLD_AFTER)

    def _take_back(self, began_at: float) -> None:
        """Takes back that something was said: it was a tone, and is known to be one only now."""
        while self.spells and self.spells[-1].ended_at > began_at:
            spell = self.spells[-1]
            spell.ended_at = max(spell.began_at, began_at)
            if spell.seconds >= _SOUND.steps * _STEP_SECS:
                return
            self.spells.pop()

    @property
    def said_secs(self) -> float:
        """How long there was sound so far that is no tone."""
        return sum(spell.seconds for spell in self.spells)

    def silent_secs(self, now: float) -> float:
        """How long nothing has been heard, be it a tone."""
        return now - self._sounded_at
