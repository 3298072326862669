"""What both sides sounded like: peaks to draw, from the recording or the log, and audio to play."""

import base64
import gzip
import wave
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from twilio_frames.audio import SAMPLE_RATE, encode_mulaw
from twilio_frames.errors import ConfigurationError
from twilio_frames.report.lines import LEVEL_STEP, Kind, number, text
from twilio_frames.report.reading import LoggedCall

_FULL_SCALE = 32124
_ZOOM = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """How loud both sides were, step by step.

    Parameters:
        step: Seconds between two values.
        caller: 0 to 255, the root of the amplitude, so that quiet speech shows.
        bot: The same.
    """

    step: float
    caller: np.ndarray = field(repr=False)
    bot: np.ndarray = field(repr=False)

    def zooms(self) -> list["Peaks"]:
        """The same ever coarser, each a quarter as long, the finest first."""
        found: list[Peaks] = [self]
        while len(found[-1].caller) > 400:
            last = found[-1]
            sides = (_coarser(last.caller, _ZOOM), _coarser(last.bot, _ZOOM))
            found.append(Peaks(step=last.step * _ZOOM, caller=sides[0], bot=sides[1]))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A call as it was heard.

    Parameters:
        path: Where it is.
        caller: Samples, 16 bit, 8 kHz.
        bot: The same.
    """

    path: Path
    caller: np.ndarray = field(repr=False)
    bot: np.ndarray = field(repr=False)

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.caller) / SAMPLE_RATE

    def peaks(self) -> Peaks:
        """How loud both sides were; finer for short calls."""
        step = 0.01 if self.seconds <= 900 else 0.04
        samples = round(step * SAMPLE_RATE)
        loud = [_loudness(_coarser(np.abs(side.astype(np.int32)), samples)) for side in self._sides]
        return Peaks(step=step, caller=loud[0], bot=loud[1])

    @property
    def _sides(self) -> tuple[np.ndarray, np.ndarray]:
        return self.caller, self.bot

    def packed(self) -> str:
        """All of it as text: mu-law, the caller's side and behind it the bot's, gzip, base64."""
        mulaw = b"".join(encode_mulaw(side.astype(np.int16).tobytes()) for side in self._sides)
        return base64.b64encode(gzip.compress(mulaw, 6, mtime=0)).decode()


def read_recording(path: Path) -> Recording:
    """Reads a recording as ``twilio_frames.transport.CallRecorder`` writes it.

    Raises:
        ConfigurationError: If it cannot be read, or is something else.
    """
    try:
        with wave.open(str(path), "rb") as file:
            form = (file.getframerate(), file.getnchannels(), file.getsampwidth())
            frames = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise ConfigurationError(
            f"expected a WAV file at {path}, got {error or 'none'}: name the recording of the call"
        ) from error
    if form != (SAMPLE_RATE, 2, 2):
        raise ConfigurationError(
            f"expected 8000 Hz, 2 channels, 16 bit at {path}, got {form[0]} Hz, {form[1]} "
            f"channels, {8 * form[2]} bit: name a recording with the caller left and the bot right"
        )
    both = np.frombuffer(frames[: len(frames) // 4 * 4], "<i2").reshape(-1, 2)
    return Recording(path=path, caller=both[:, 0].copy(), bot=both[:, 1].copy())


def logged_peaks(log: LoggedCall) -> Peaks:
    """How loud both sides were, as the log tells; empty if it does not."""
    lines = log.of(Kind.LEVELS)
    sides = {"caller": bytearray(), "bot": bytearray()}
    for line in lines:
        place = round(number(line, "begin") / LEVEL_STEP)
        for side, levels in sides.items():
            try:
                found = bytes.fromhex(text(line, side))
            except ValueError:
                continue
            levels.extend(bytes(max(0, place - len(levels))))
            levels[place : place + len(found)] = found
    length = max(map(len, sides.values()))
    padded = (np.frombuffer(bytes(each).ljust(length, b"\0"), np.uint8) for each in sides.values())
    caller, bot = padded
    return Peaks(step=LEVEL_STEP, caller=caller, bot=bot)


def _coarser(values: np.ndarray, by: int) -> np.ndarray:
    whole = -(-len(values) // by) * by
    padded = np.zeros(whole, values.dtype)
    padded[: len(values)] = values
    return padded.reshape(-1, by).max(axis=1) if whole else padded


def _loudness(amplitudes: np.ndarray) -> np.ndarray:
    return np.minimum(255, np.sqrt(amplitudes / _FULL_SCALE) * 255).astype(np.uint8)
