"""What all stand-ins that hear have in common: where sound begins and ends in a stream. Pure.

Mu-law goes in, in pieces of any size. Time is the audio's own.
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Generic, TypeVar

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw, pcm_level

STEP = SAMPLE_RATE // 50
"""Bytes that are sound or silence together: 20 ms."""
_LOUD = -45.0
"""dB of full scale from which on they are sound."""
_SHORTEST_SPEECH = 0.1

_Told = TypeVar("_Told")


class SoundSteps(Generic[_Told]):
    """Listens to one stream, step by step; a subclass says what is told."""

    def __init__(self) -> None:
        self._audio = bytearray()
        self._heard = 0
        self._loud = 0
        self._began: int | None = None
        self._ended = 0

    @property
    def seconds(self) -> float:
        """How much audio has come."""
        return len(self._audio) / SAMPLE_RATE

    def take(self, mulaw: bytes) -> Iterator[_Told]:
        """Takes in some more audio; gives what there is to tell."""
        self._audio += mulaw
        while self._heard + STEP <= len(self._audio):
            step = bytes(self._audio[self._heard : self._heard + STEP])
            self._heard += STEP
            yield from self._step(begins=self._listen(step))

    @abstractmethod
    def _step(self, *, begins: bool) -> Iterator[_Told]:
        """What there is to tell behind a step; whether speech turned out to begin with it."""

    @property
    def _silence(self) -> float:
        """Seconds since the last sound."""
        return (self._heard - self._ended) / SAMPLE_RATE

    def _listen(self, step: bytes) -> bool:
        if pcm_level(decode_mulaw(step)) >= _LOUD:
            self._loud += STEP
            self._ended = self._heard
            if self._began is None and self._loud >= _SHORTEST_SPEECH * SAMPLE_RATE:
                self._began = self._heard - self._loud
                return True
        elif self._began is None and self._silence >= _SHORTEST_SPEECH:
            self._loud = 0
        return False

    def _end_speech(self) -> None:
        self._began, self._loud = None, 0
