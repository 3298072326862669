"""Tones that whoever answers a call may sound: a voicemail's beep, a fax, a line that is engaged.

Theory of operation
-------------------
No standard says how a voicemail beeps. What beeps have in common is that they are one pure tone of
one pitch, between a tenth of a second and one and a half, with nothing like it right before and
silence right behind. Each of the sounds that could be taken for one lacks something: a key, a US
ringing or busy tone is two tones at once; special information tones follow one another without a
pause; speech and music glide, or sound on. Tones of one pitch by which exchanges tell how a call
stands lie in a band of their own (ITU-T E.180, supplement 2): there a beep cannot be told from
them, and is called what it may be.

Each stretch of 40 ms is compared with the one sine that is nearest to it. Its *purity* is the share
of the power that this sine explains: 1 for a tone, 0.85 for one 7.5 dB above the noise, 0.6 or less
for two tones at once.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from twilio_frames.audio.mulaw import SAMPLE_RATE, decode_mulaw

__all__ = ["Tone", "ToneDetector", "ToneKind"]


class ToneKind(Enum):
    """What a tone is."""

    BEEP = "beep"
    """After it a machine records."""
    LINE = "line"
    """It is as low as the tones of exchanges: ringing, engaged, or a low beep."""
    FAX = "fax"
    """A fax machine or modem answers (ITU-T T.30, V.25), or calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tone:
    """A tone that was heard; times are seconds of audio since the detector's first.

    Parameters:
        kind: What it is.
        frequency: Its pitch, Hz.
        began_at: When it began.
        ended_at: When it ended; of a fax that goes on, up to where it was heard.
    """

    kind: ToneKind
    frequency: float
    began_at: float
    ended_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    """What makes a beep; ``bench/answering.py`` measures what is taken for one.

    Parameters:
        purity: Of each stretch of a tone.
        level: Root mean square of 16-bit samples below which nothing counts: -48 dB.
        lowest: Hz. Below it lies the pitch of voices, and no tone of interest.
        highest: Hz. Above it a telephone line lets nothing through.
        drift: By how much a pitch may differ from the tone's, as a share of it, and
        drift_hz: at least, Hz.
        shortest: Steps of a tone: 100 ms.
        longest: Steps of a beep: 1.6 s.
        gaps: Steps in a row in the middle of a tone that a click may spoil, or its edge.
        silence: Steps of silence behind a tone that end it for good.
        drop: Root mean square of silence, as a share of the tone's: 8 dB below it.
        apart: Steps between two tones that belong together: a melody, special information.
        line: Band of the tones of exchanges, Hz.
        answer: Band of a fax that answers, Hz, and
        answer_steps: steps after which it is one: 0.9 s.
        calling: Band of a fax that calls, Hz, and
        calling_steps: steps that it sounds: half a second.
        steady: Share of the power in one or two pitches that makes a steady sound.
    """

    purity: float = 0.85
    level: float = 130.0
    lowest: float = 380.0
    highest: float = 3000.0
    drift: float = 0.012
    drift_hz: float = 10.0
    shortest: int = 5
    longest: int = 80
    gaps: int = 2
    silence: int = 3
    drop: float = 0.4
    apart: int = 6
    line: tuple[float, float] = (380.0, 470.0)
    answer: tuple[float, float] = (2085.0, 2115.0)
    answer_steps: int = 45
    calling: tuple[float, float] = (1062.0, 1138.0)
    calling_steps: tuple[int, int] = (20, 27)
    steady: float = 0.95


_LIMITS = _Limits()
_STEP = SAMPLE_RATE // 50
_STRETCH = 2 * _STEP
_SPECTRUM = 1024
_LONG_STRETCH = 4 * _STEP
"""In half of it, two pitches that are as near as those of a US ring are not told apart."""
_HANN = np.hanning(_LONG_STRETCH)
_LOBE = 2
"""Places in the spectrum on each side of a pitch that it fills."""
_Samples = NDArray[np.float64]


@dataclass(slots=True)
class _Run:
    """A tone that sounds, or has just ended; counted in steps."""

    began: int
    pitches: list[float]
    level: float
    is_alone: bool
    ended: int
    others: int = 0
    silent: int = 0
    is_told: bool = False

    @property
    def pitch(self) -> float:
        """Its pitch, in the middle of those that were measured."""
        return sorted(self.pitches)[len(self.pitches) // 2]

    @property
    def length(self) -> int:
        """How long it is; what it begins with was heard one step before it was pure."""
        return self.ended - self.began


class ToneDetector:
    """Listens for tones of one pitch, 20 ms at a time."""

    def __init__(self) -> None:
        self._unheard = bytearray()
        self._recent: _Samples = np.zeros(_LONG_STRETCH)
        self._steps = 0
        self._run: _Run | None = None
        self._last_tone_ended = -_LIMITS.apart - 1
        self._pitches: tuple[int, int] | None = None
        self._steady_steps = 0

    @property
    def steady_secs(self) -> float:
        """How long one pitch, or two at once, have sounded unchanged; 0 where that is not so.

        Speech and music glide; rings, dial tones, keys and hums do not.
        """
        return self._steady_steps * _STEP / SAMPLE_RATE

    def write(self, mulaw: bytes) -> list[Tone]:
        """Takes audio as it comes, and gives the tones that it completes.

        Args:
            mulaw: 8000 bytes a second, however they are cut.
        """
        self._unheard += mulaw
        whole = len(self._unheard) // _STEP * _STEP
        samples = np.frombuffer(decode_mulaw(bytes(self._unheard[:whole])), dtype=np.int16)
        del self._unheard[:whole]
        steps = samples.astype(np.float64).reshape(-1, _STEP)
        return [tone for step in steps if (tone := self._listen(step)) is not None]

    def _listen(self, step: _Samples) -> Tone | None:
        self._steps += 1
        self._recent = np.concatenate((self._recent[_STEP:], step))
        stretch = self._recent[-_STRETCH:]
        level = float(np.sqrt(np.mean(step**2)))
        pitch = _pitch(stretch) if level > _LIMITS.level else None
        self._follow_steady(_pitches(self._recent) if level > _LIMITS.level else None)
        run = self._run
        if run is None:
            self._begin(pitch, level)
            return None
        if pitch is not None and abs(pitch - run.pitch) <= _drift(run.pitch):
            return self._go_on(run, pitch, level)
        if level < _LIMITS.drop * run.level:
            return self._fall_silent(run)
        run.others += 1
        if run.others + run.silent > _LIMITS.gaps:
            self._end(run)
            self._begin(pitch, level)
        return None

    def _follow_steady(self, pitches: tuple[int, int] | None) -> None:
        before, self._pitches = self._pitches, pitches
        is_same = (
            pitches is not None
            and before is not None
            and all(abs(one - other) <= 1 for one, other in zip(pitches, before, strict=True))
        )
        self._steady_steps = self._steady_steps + 1 if is_same else 0

    def _begin(self, pitch: float | None, level: float) -> None:
        if pitch is None:
            return
        is_alone = self._steps - self._last_tone_ended > _LIMITS.apart
        began = self._steps - _STRETCH // _STEP
        self._run = _Run(began, [pitch], level, is_alone=is_alone, ended=self._steps)

    def _go_on(self, run: _Run, pitch: float, level: float) -> Tone | None:
        if len(run.pitches) < _LIMITS.longest:
            run.pitches.append(pitch)
        run.level = max(run.level, level)
        run.ended, run.others, run.silent = self._steps, 0, 0
        is_fax = _LIMITS.answer[0] <= run.pitch <= _LIMITS.answer[1]
        if run.is_told or not is_fax or run.length < _LIMITS.answer_steps:
            return None
        run.is_told = True
        return _tone(run, ToneKind.FAX)

    def _fall_silent(self, run: _Run) -> Tone | None:
        run.silent += 1
        if run.silent < _LIMITS.silence:
            return None
        self._end(run)
        kind = None if run.is_told or not run.is_alone else _kind(run)
        return None if kind is None else _tone(run, kind)

    def _end(self, run: _Run) -> None:
        self._run = None
        if run.length >= _LIMITS.shortest:
            self._last_tone_ended = run.ended


def _kind(run: _Run) -> ToneKind | None:
    pitch = run.pitch
    if not _LIMITS.shortest <= run.length <= _LIMITS.longest:
        return None
    shortest, longest = _LIMITS.calling_steps
    if _is_within(pitch, _LIMITS.calling) and shortest <= run.length <= longest:
        return ToneKind.FAX
    return ToneKind.LINE if _is_within(pitch, _LIMITS.line) else ToneKind.BEEP


def _pitches(stretch: _Samples) -> tuple[int, int] | None:
    """The two places in the spectrum at which all of a sound is; None if it is not.

    They are 12.5 Hz apart; one pitch is twice the same.
    """
    power = np.abs(np.fft.rfft(stretch * _HANN)) ** 2
    whole = float(power.sum())
    places: list[int] = []
    explained = 0.0
    for _ in range(2):
        place = int(np.argmax(power))
        places.append(place)
        around = slice(max(0, place - _LOBE), place + _LOBE + 1)
        explained += float(power[around].sum())
        power[around] = 0.0
        if explained >= _LIMITS.steady * whole:
            return min(places), max(places)
    return None


def _tone(run: _Run, kind: ToneKind) -> Tone:
    return Tone(
        kind=kind,
        frequency=run.pitch,
        began_at=run.began * _STEP / SAMPLE_RATE,
        ended_at=run.ended * _STEP / SAMPLE_RATE,
    )


def _is_within(pitch: float, band: tuple[float, float]) -> bool:
    return band[0] <= pitch <= band[1]


def _drift(pitch: float) -> float:
    return max(_LIMITS.drift_hz, _LIMITS.drift * pitch)


def _pitch(stretch: _Samples) -> float | None:
    """The pitch of a stretch that is one tone, None for any other."""
    spectrum = np.abs(np.fft.rfft(stretch, _SPECTRUM))
    peak = int(np.argmax(spectrum))
    if not 0 < peak < len(spectrum) - 1:
        return None
    # A parabola through the peak and its neighbours.
    left, top, right = np.log(spectrum[peak - 1 : peak + 2] + 1e-9)
    if not (curve := left - 2 * top + right):
        return None
    pitch = (peak + 0.5 * (left - right) / curve) * SAMPLE_RATE / _SPECTRUM
    if not _LIMITS.lowest <= pitch <= _LIMITS.highest:
        return None
    sine = np.exp(-2j * np.pi * pitch / SAMPLE_RATE * np.arange(len(stretch)))
    explained = 2 / len(stretch) * float(np.abs(np.dot(stretch, sine)) ** 2)
    return float(pitch) if explained >= _LIMITS.purity * float(np.dot(stretch, stretch)) else None
