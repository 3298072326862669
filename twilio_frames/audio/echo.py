"""What the bot said, kept until its echo can no longer come back from the caller's telephone.

Twilio cancels no echo. What comes back is what was sent, later and quieter: a handset's echo is at
-30 dB and below, a speakerphone's at some -20 dB, after the line's delay and a little of the
room's. :mod:`twilio_frames.audio.echo_gate` tells it from a caller.

No I/O happens here; the time is passed in, in seconds of any monotonic clock.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from twilio_frames.audio.mulaw import SAMPLE_RATE, decibels, decode_mulaw, mean_amplitude, ulaw2lin

Samples = NDArray[np.float32]
"""16-bit amplitudes as ``float32``, 8000 a second."""

_PIECE = 160
_PIECE_SECS = _PIECE / SAMPLE_RATE


@dataclass(slots=True)
class _Sound:
    begin: int
    end: int
    mulaw: bytes


class EchoReference:
    """What the bot says, said and will say at the caller's ear, and how loud.

    Remembers what may still be heard as an echo, and no more than a minute of it.
    """

    _SILENT_RMS = 32.768
    """Mean amplitude, of 32,768: -60 dB. What is no louder leaves no echo."""
    _LONGEST_SECS = 60.0
    """How long what was played is remembered."""
    _MOST_SAMPLES = round(_LONGEST_SECS * SAMPLE_RATE)
    _SEAM = 80
    """Samples. What is played behind something else begins at its end, though clocks are read in
    between."""

    def __init__(self) -> None:
        pieces = round(self._LONGEST_SECS / _PIECE_SECS)
        self.audible: deque[float] = deque(maxlen=pieces)
        """When each 20 ms that are not silent begin to be played, as far as that matters still."""
        self._powers: deque[int] = deque(maxlen=pieces)
        self._sounds: deque[_Sound] = deque()

    def note(self, mulaw: bytes, plays_at: float) -> None:
        """Notes audio that was sent.

        Args:
            mulaw: The audio.
            plays_at: When it begins to be played, behind all that was noted before.
        """
        if self.audible and self.audible[-1] >= plays_at:
            self._cut_levels(plays_at)
        is_audible, pcm = False, ulaw2lin(mulaw, 2)
        for begin in range(0, len(mulaw), _PIECE):
            power = mean_amplitude(pcm[2 * begin : 2 * (begin + _PIECE)], 2)
            if power > self._SILENT_RMS:
                is_audible = True
                self.audible.append(plays_at + begin / SAMPLE_RATE)
                self._powers.append(power)
        if not is_audible:
            return
        place, sounds = round(plays_at * SAMPLE_RATE), self._sounds
        if sounds and place != (end := sounds[-1].end):
            place = end if abs(place - end) <= self._SEAM else place
            self._cut_sounds(place)
        sounds.append(_Sound(place, place + len(mulaw), mulaw))
        if sounds[0].end <= (before := place + len(mulaw) - self._MOST_SAMPLES):
            self._forget(before)

    def cut(self, at: float) -> None:
        """Forgets what would have been played from a time on: it was thrown away."""
        self._cut_levels(at)
        self._cut_sounds(round(at * SAMPLE_RATE))

    def _cut_levels(self, at: float) -> None:
        while self.audible and self.audible[-1] >= at:
            self.audible.pop()
            self._powers.pop()

    def _cut_sounds(self, at: int) -> None:
        while self._sounds and self._sounds[-1].begin >= at:
            self._sounds.pop()
        if self._sounds and self._sounds[-1].end > at:
            last = self._sounds[-1]
            last.mulaw, last.end = last.mulaw[: at - last.begin], at

    def _forget(self, before: int) -> None:
        while self._sounds and self._sounds[0].end <= before:
            self._sounds.popleft()

    def loudest(self, begin: float, end: float) -> float | None:
        """The level of the loudest 20 ms that were played in a stretch of time, dB of full scale.

        Args:
            begin: Where it begins.
            end: Where it ends.

        Returns:
            None if the bot was silent.
        """
        first = bisect_right(self.audible, begin - _PIECE_SECS)
        power = max(islice(self._powers, first, bisect_left(self.audible, end)), default=None)
        return None if power is None else decibels(power)

    def heard(self, until: float, reach: float) -> "BotAtEar | None":
        """What the bot was saying where its echo would be in audio of the caller's.

        What can no longer be in it is forgotten.

        Args:
            until: When that audio ends.
            reach: By how many seconds an echo comes later, at most.

        Returns:
            None if the bot was silent.
        """
        begin = until - reach
        while self.audible and self.audible[0] <= begin - _PIECE_SECS:
            self.audible.popleft()
            self._powers.popleft()
        level = self.loudest(begin, until)
        if level is None:
            return None
        self._forget(round((begin - 1.0) * SAMPLE_RATE))
        return BotAtEar(self, until, reach, level)

    def sound(self, begin: int, length: int) -> Samples:
        """What was played in a stretch of time, silence where nothing was.

        Args:
            begin: Its first sample, of 8000 a second.
            length: Samples.
        """
        found = np.zeros(length, np.float32)
        for sound in reversed(self._sounds):
            if sound.end <= begin:
                break
            first, last = max(begin, sound.begin), min(begin + length, sound.end)
            if first < last:
                mulaw = sound.mulaw[first - sound.begin : last - sound.begin]
                pcm = np.frombuffer(decode_mulaw(mulaw), np.int16)
                found[first - begin : last - begin] = pcm
        return found


@dataclass(frozen=True, slots=True)
class BotAtEar:
    """What the bot was saying while a piece of the caller's audio came to be.

    Parameters:
        reference: What it said.
        until: When the piece ends, seconds of the reference's clock.
        reach: By how many seconds an echo comes later, at most.
        level: How loud the bot was at its loudest where its echo would be, dB of full scale.
    """

    reference: EchoReference
    until: float
    reach: float
    level: float
