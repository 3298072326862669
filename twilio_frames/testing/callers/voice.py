"""The caller's mouth: what is said, cut into the 20 ms frames of the line. Pure."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from twilio_frames.audio import (
    MULAW_SILENCE,
    SAMPLE_RATE,
    decode_mulaw,
    encode_mulaw,
)

FRAME_BYTES = 160
"""Bytes, and samples, of one frame: 20 ms, as Twilio sends them."""

FRAME_SECS = FRAME_BYTES / SAMPLE_RATE

AUDIBLE = 100
"""Smallest 16-bit amplitude that counts as sound: -50 dB of full scale."""

_LEVELS = np.abs(np.frombuffer(decode_mulaw(bytes(range(256))), dtype=np.int16).astype(np.int32))
"""The 16-bit amplitude of each mu-law code."""

_SILENT_FRAME = bytes([MULAW_SILENCE]) * FRAME_BYTES


@dataclass(eq=False, slots=True)
class Utterance:
    """Something the caller says, and when.

    Parameters:
        mulaw: The audio, 8000 bytes a second.
        label: What it is called in transcripts: its words, or the name of its file.
        audible: The smallest 16-bit amplitude in it that counts as sound.
        began_at: Seconds on the line's clock where the audio began; None until then.
        ended_at: The same for its end.
    """

    mulaw: bytes = field(repr=False)
    label: str = field(repr=False)
    audible: int = AUDIBLE
    began_at: float | None = None
    ended_at: float | None = None
    _audible: tuple[int, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Finds where the sound begins and ends, for a file may have silence around it."""
        loud = audible_samples(self.mulaw, self.audible)
        whole = (0, len(self.mulaw))
        self._audible = (int(loud[0]), int(loud[-1]) + 1) if len(loud) else whole

    @property
    def speech_began_at(self) -> float | None:
        """Where the first sound of it was, seconds on the line's clock."""
        return None if self.began_at is None else self.began_at + self._audible[0] / SAMPLE_RATE

    @property
    def speech_ended_at(self) -> float | None:
        """Where the last sound of it was or, before it has ended, will be."""
        return None if self.began_at is None else self.began_at + self._audible[1] / SAMPLE_RATE


def audible_samples(mulaw: bytes, audible: int = AUDIBLE) -> "np.ndarray":
    """Indices of the samples that are loud enough to be heard."""
    return np.flatnonzero((audible < _LEVELS)[np.frombuffer(mulaw, dtype=np.uint8)])


class Voice:
    """A caller's side of the line, as an endless row of frames.

    Args:
        noise_level: Level of the background noise in dB of full scale, -60 for a quiet room;
            None for digital silence, which no real line has.
        seed: Makes the noise the same each time.
    """

    def __init__(self, *, noise_level: float | None = None, seed: int = 0):
        self._noise = _noise(noise_level, seed)
        self._waiting: deque[Utterance] = deque()
        self._saying: Utterance | None = None
        self._offset = 0
        self._frames = 0
        self._background_began = 0
        self.utterances: list[Utterance] = []

    @property
    def is_speaking(self) -> bool:
        """Whether something is being said, or waits to be said."""
        return self._saying is not None or bool(self._waiting)

    def say(self, utterance: Utterance) -> None:
        """Says it as soon as what is being said has ended."""
        self._waiting.append(utterance)

    def fall_silent(self) -> None:
        """Stops in the middle of the word, and forgets what waits to be said."""
        self._waiting.clear()
        if self._saying is not None:
            self._end_utterance(self._saying)

    def restart_background(self) -> None:
        """Has the background noise begin anew with the next frame."""
        self._background_began = self._frames + 1

    def next_frame(self) -> bytes:
        """The next 20 ms, mu-law."""
        now = self._frames * FRAME_SECS
        self._frames += 1
        if self._saying is not None and self._offset >= len(self._saying.mulaw):
            self._end_utterance(self._saying)
        if self._saying is None:
            if not self._waiting:
                return self._background()
            self._begin_utterance(self._waiting.popleft(), now)
        return self._next_of_utterance()

    def _begin_utterance(self, utterance: Utterance, now: float) -> None:
        utterance.began_at = now
        self._saying = utterance
        self._offset = 0
        self.utterances.append(utterance)

    def _end_utterance(self, utterance: Utterance) -> None:
        utterance.ended_at = (utterance.began_at or 0) + self._offset / SAMPLE_RATE
        self._saying = None

    def _next_of_utterance(self) -> bytes:
        assert self._saying is not None  # noqa: S101  # only called while something is said
        frame = self._saying.mulaw[self._offset : self._offset + FRAME_BYTES]
        self._offset += len(frame)
        frame = frame.ljust(FRAME_BYTES, bytes([MULAW_SILENCE]))
        if self._noise is None:
            return frame
        speech = np.frombuffer(decode_mulaw(frame), dtype=np.int16).astype(np.int32)
        mixed = speech + np.frombuffer(decode_mulaw(self._background()), dtype=np.int16)
        return encode_mulaw(mixed.clip(-32768, 32767).astype(np.int16).tobytes())

    def _background(self) -> bytes:
        if self._noise is None:
            return _SILENT_FRAME
        frame = self._frames - self._background_began
        begin = frame * FRAME_BYTES % len(self._noise)
        return self._noise[begin : begin + FRAME_BYTES]


def _noise(level: float | None, seed: int) -> bytes | None:
    """Some seconds of noise to go round in, mu-law."""
    if level is None:
        return None
    samples = np.random.default_rng(seed).standard_normal(5 * SAMPLE_RATE)
    pcm = (samples * 32768 * 10 ** (level / 20)).clip(-32768, 32767).astype(np.int16)
    return encode_mulaw(pcm.tobytes())
