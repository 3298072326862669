"""A call as it was heard: a stereo WAV file, caller left, bot right."""

import os
import wave
from pathlib import Path

import numpy as np

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw
from twilio_frames.private_files import open_private


class Recording:
    """Writes both sides while they are heard; audio that was never played is not in it.

    Args:
        path: The file, 8 kHz, 16 bit, two channels of the same length.
    """

    def __init__(self, path: Path):
        self.path = path
        self._disk = os.fdopen(open_private(path), "wb")  # closed by close()
        self._caller: list[bytes] = []
        self._bot: list[bytes] = []
        self._file = wave.open(self._disk, "wb")  # noqa: SIM115  # closed by close()
        self._file.setnchannels(2)
        self._file.setsampwidth(2)
        self._file.setframerate(SAMPLE_RATE)

    def write(self, caller: bytes, bot: bytes) -> None:
        """Adds what was said and what was heard in the same stretch of time, mu-law."""
        self._caller.append(caller)
        self._bot.append(bot)
        # A second of audio, 32 kB, is written at once.
        if len(self._caller) >= 50:
            self._write_piece()

    def close(self) -> None:
        """Completes the file."""
        with self._disk:
            self._write_piece()
            self._file.close()

    def _write_piece(self) -> None:
        sides = [
            np.frombuffer(decode_mulaw(b"".join(side)), dtype=np.int16)
            for side in (self._caller, self._bot)
        ]
        self._caller.clear()
        self._bot.clear()
        self._file.writeframesraw(np.stack(sides, axis=1).astype("<i2").tobytes())
