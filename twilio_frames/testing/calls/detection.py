"""Answering-machine detection: who picked up, by the sound of it. Pure.

It judges what the answering party says by the measures Twilio documents for its own: speech that is
longer than a threshold is a machine's, shorter speech with silence behind it a human's, no speech
at all is unknown. A machine's greeting ends with a beep or with silence. Twilio's real engine is
trained, and is right in some 94 % of the cases; this one does what its parameters say.

Source: https://www.twilio.com/docs/voice/answering-machine-detection
"""

from dataclasses import dataclass

import numpy as np

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw

_FAX_TONES = (1100, 2100)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sound:
    """How speech, noise and tones are told apart, 20 ms at a time.

    Parameters:
        frame_milliseconds: How much is judged at a time.
        loud: Root mean square of 16-bit samples above which it is more than noise: -41 dB.
        tone_share: Share of the power in one narrow band that makes it a tone.
        lowest_beep: In steps of 50 Hz; below it a hummed vowel would pass for a tone.
        beep_milliseconds: How long a beep lasts at least.
        fax_milliseconds: How long a fax sounds at least.
        end_silence_factor: A greeting without a beep is over after so many times the silence that
            ends speech.
    """

    frame_milliseconds: int = 20
    loud: int = 300
    tone_share: float = 0.9
    lowest_beep: int = 8
    beep_milliseconds: int = 160
    fax_milliseconds: int = 500
    end_silence_factor: int = 2


_SOUND = _Sound()


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionRules:
    """The parameters of machine detection, with Twilio's defaults; milliseconds.

    Parameters:
        waits_for_end: Whether a machine is reported when its greeting is over
            (``DetectMessageEnd``), or at once (``Enable``).
        timeout: After which nobody knows.
        speech: Speech that lasts longer is a machine's.
        speech_end: Silence behind speech that ends it.
        silence: Silence at the beginning after which nobody knows.
        callback: Where the verdict is told; empty where the call waits for it.
    """

    waits_for_end: bool = False
    timeout: int = 30_000
    speech: int = 2400
    speech_end: int = 1200
    silence: int = 5000
    callback: str = ""
    callback_method: str = "POST"


class Detector:
    """Listens until it knows.

    Args:
        rules: The measures.
    """

    def __init__(self, rules: DetectionRules):
        self._rules = rules
        self._speech_began: int | None = None
        self._last_sound = 0
        self._tone: int | None = None
        self._tone_length = 0
        self._is_machine = False
        self._has_beeped = False
        self._unheard = bytearray()
        self.milliseconds = 0
        """How much it has heard."""
        self.verdict: str | None = None
        """Twilio's ``AnsweredBy``, once it is known."""

    def write(self, caller: bytes, bot: bytes) -> None:
        """Takes what the answering party said, mu-law."""
        self._unheard += caller
        size = _SOUND.frame_milliseconds * SAMPLE_RATE // 1000
        while len(self._unheard) >= size and self.verdict is None:
            frame = bytes(self._unheard[:size])
            del self._unheard[:size]
            self._listen(np.frombuffer(decode_mulaw(frame), dtype=np.int16).astype(np.float64))

    def _listen(self, samples: "np.ndarray") -> None:
        self.milliseconds += _SOUND.frame_milliseconds
        is_loud = bool(np.sqrt(np.mean(samples**2)) > _SOUND.loud)
        self._follow_tone(_pitch(samples) if is_loud else None)
        if self._has_beeped and not self._tone_length:
            self.verdict = "machine_end_beep"
        elif self._tone_length:
            self._judge_tone()
        elif is_loud:
            if self._speech_began is None:
                self._speech_began = self.milliseconds - _SOUND.frame_milliseconds
            self._last_sound = self.milliseconds
        if self.verdict is None:
            self._judge_speech()
        if self.verdict is None and self.milliseconds >= self._rules.timeout:
            self.verdict = "unknown"

    def _follow_tone(self, pitch: int | None) -> None:
        if pitch is None:
            self._tone, self._tone_length = None, 0
        elif pitch == self._tone:
            self._tone_length += _SOUND.frame_milliseconds
        else:
            self._tone, self._tone_length = pitch, _SOUND.frame_milliseconds

    def _judge_tone(self) -> None:
        is_fax = any(abs((self._tone or 0) - fax) <= 50 for fax in _FAX_TONES)
        if is_fax and self._speech_began is None and self._tone_length >= _SOUND.fax_milliseconds:
            self.verdict = "fax"
        elif self._is_machine and self._tone_length >= _SOUND.beep_milliseconds:
            self._has_beeped = True

    def _judge_speech(self) -> None:
        rules = self._rules
        if self._speech_began is None:
            if not self._tone_length and self.milliseconds >= rules.silence:
                self.verdict = "unknown"
            return
        silence = self.milliseconds - self._last_sound
        if not self._is_machine and self._last_sound - self._speech_began > rules.speech:
            self._is_machine = True
            if not rules.waits_for_end:
                self.verdict = "machine_start"
        elif not self._is_machine and silence >= rules.speech_end:
            self.verdict = "human"
        elif self._is_machine and silence >= _SOUND.end_silence_factor * rules.speech_end:
            self.verdict = "machine_end_silence"


def _pitch(samples: "np.ndarray") -> int | None:
    """The frequency of a frame that is one clear tone, in steps of 50 Hz; None for any other."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    peak = int(np.argmax(spectrum))
    if (
        peak < _SOUND.lowest_beep
        or spectrum[peak - 2 : peak + 3].sum() < _SOUND.tone_share * spectrum.sum()
    ):
        return None
    return peak * SAMPLE_RATE // len(samples)
