"""A stereo WAV file that is whole at every moment, written at any place.

Blocks for the disk; belongs on a thread.
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw
from twilio_frames.private_files import open_private

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_CHANNELS = 2
_FRAME_BYTES = 2 * _CHANNELS
LONGEST_SECS = ((1 << 32) - 1 - _HEADER.size) // (SAMPLE_RATE * _FRAME_BYTES)
"""What the sizes in a WAV header can hold, 37 hours."""


class StereoWav:
    """Two channels of telephone audio, 8 kHz, 16 bit; silence where nothing was written.

    Data is written before the header that counts it, and nothing waits in the process's memory: a
    process that is killed leaves a file that any player reads.

    Args:
        path: Where it is, for its owner alone to read; what was there is gone.

    Raises:
        OSError: If it cannot be written.
    """

    def __init__(self, path: Path):
        self.frames = 0
        """How long it is, in samples of one channel."""
        self._file: BinaryIO = os.fdopen(open_private(path), "w+b", buffering=0)
        try:
            self._write_header()
        except OSError:
            self._file.close()
            raise

    def write(self, channel: int, begin: int, mulaw: bytes) -> None:
        """Writes a stretch of one channel; the other one stays as it is.

        Args:
            channel: 0 is left, 1 is right.
            begin: The sample at which it begins.
            mulaw: The audio, of any length.

        Raises:
            OSError: If it cannot be written.
        """
        end = min(begin + len(mulaw), LONGEST_SECS * SAMPLE_RATE)
        if begin >= end:
            return
        there = self._read(begin, end)
        there[:, channel] = np.frombuffer(decode_mulaw(mulaw[: end - begin]), np.int16)
        self._write(_HEADER.size + begin * _FRAME_BYTES, there.tobytes())
        self.frames = max(self.frames, end)

    def save(self) -> None:
        """Counts in the header what has been written.

        Raises:
            OSError: If it cannot be written.
        """
        self._write_header()

    def end(self, frames: int) -> None:
        """Makes it so long, by silence or a cut, and closes it.

        Raises:
            OSError: If it cannot be written.
        """
        self.frames = min(frames, LONGEST_SECS * SAMPLE_RATE)
        with self._file:
            self._file.truncate(_HEADER.size + self.frames * _FRAME_BYTES)
            self._write_header()

    def close(self) -> None:
        """Closes it as it is."""
        self._file.close()

    def _read(self, begin: int, end: int) -> np.ndarray:
        frames = np.zeros((end - begin, _CHANNELS), "<i2")
        if begin < self.frames:
            self._file.seek(_HEADER.size + begin * _FRAME_BYTES)
            found = self._file.read((min(end, self.frames) - begin) * _FRAME_BYTES)
            there = np.frombuffer(found, "<i2").reshape(-1, _CHANNELS)
            frames[: len(there)] = there
        return frames

    def _write(self, at: int, data: bytes) -> None:
        self._file.seek(at)
        while data:
            # A disk that is nearly full takes a part, and refuses the next.
            data = data[self._file.write(data) :]

    def _write_header(self) -> None:
        size = self.frames * _FRAME_BYTES
        rate = SAMPLE_RATE * _FRAME_BYTES
        form = (1, _CHANNELS, SAMPLE_RATE, rate, _FRAME_BYTES, 16)
        header = (b"RIFF", _HEADER.size - 8 + size, b"WAVE", b"fmt ", 16, *form, b"data", size)
        self._write(0, _HEADER.pack(*header))
