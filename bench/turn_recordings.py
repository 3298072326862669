"""Recorded callers for ``turn_ends.py``: what they say, when they speak in it, and their words."""

import json
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw, encode_mulaw
from twilio_frames.processors.silero_model import WINDOW, StreamState, probabilities

_WINDOW_SECS = WINDOW / SAMPLE_RATE
_LINE_NOISE = 10 ** (-60 / 20) * 32768
_BEFORE_SECS = 0.3
_SPEECH = 0.6


@dataclass(frozen=True)
class Turn:
    """One turn of a caller.

    Parameters:
        name: The recording.
        pcm: 16-bit PCM at 8 kHz as it came through the telephone.
        spoken: Where speech begins and ends in it, pauses of 0.2 s and more left out; seconds.
        words: What is said.
    """

    name: str
    pcm: bytes
    spoken: tuple[tuple[float, float], ...]
    words: tuple[str, ...]

    @property
    def end(self) -> float:
        """When the caller is done."""
        return self.spoken[-1][1]

    @property
    def pauses(self) -> list[float]:
        """How long the caller is silent within the turn, each time."""
        return [b[0] - a[1] for a, b in zip(self.spoken, self.spoken[1:], strict=False)]


def read_turns(folder: Path, *, every: int = 1) -> list[Turn]:
    """The recordings of a folder, with ``manifest.json`` and ``orders.json`` beside them."""
    texts: dict[str, str] = {
        entry["file"]: entry["text"] for entry in json.loads((folder / "manifest.json").read_text())
    }
    orders = sorted(path.relative_to(folder).as_posix() for path in folder.glob("orders/*.wav"))
    # What was ordered is known, not the words it was ordered with.
    texts |= dict.fromkeys(orders[::every], "i would like to order a coffee with milk please")
    turns = [_read(folder, file, text) for file, text in texts.items()]
    return [turn for turn in turns if turn is not None]


def _read(folder: Path, file: str, text: str) -> Turn | None:
    with wave.open(str(folder / file)) as reader:
        samples = np.frombuffer(reader.readframes(reader.getnframes()), np.int16)
    return _on_the_line(file, samples, text.split())


def _on_the_line(name: str, samples: np.ndarray, words: Sequence[str]) -> Turn | None:
    """A recording with a second of the line around it, cut to what was said."""
    silence = np.zeros(SAMPLE_RATE, np.int16)
    line = np.concatenate([silence, samples, silence])
    noise = np.random.default_rng(1).normal(0, _LINE_NOISE, len(line))
    pcm = decode_mulaw(encode_mulaw((line + noise).clip(-32768, 32767).astype(np.int16).tobytes()))
    spoken = _speech(pcm)
    if not spoken:
        return None
    begin = round((spoken[0][0] - _BEFORE_SECS) * SAMPLE_RATE)
    end = round((spoken[-1][1] + 0.1) * SAMPLE_RATE)
    shifted = tuple((a - begin / SAMPLE_RATE, b - begin / SAMPLE_RATE) for a, b in spoken)
    return Turn(name, pcm[2 * begin : 2 * end], shifted, tuple(words))


def _speech(pcm: bytes) -> list[tuple[float, float]]:
    state, spoken = StreamState(), []
    samples = np.frombuffer(pcm, np.int16).astype(np.float32) / 32768
    for number in range(len(samples) // WINDOW):
        window = samples[number * WINDOW : (number + 1) * WINDOW]
        if probabilities([state], [window])[0] < _SPEECH:
            continue
        begin = number * _WINDOW_SECS
        if spoken and begin - spoken[-1][1] < 0.2:
            spoken[-1] = (spoken[-1][0], begin + _WINDOW_SECS)
        else:
            spoken.append((begin, begin + _WINDOW_SECS))
    # A click is no word.
    return [(a, b) for a, b in spoken if b - a >= 0.06]


def hesitating(turns: Sequence[Turn]) -> Iterator[Turn]:
    """The turns without pauses, with one made: at the quietest place around their middle.

    It lasts 0.5 to 1.1 s, and each turn's is as long as it was the last time.
    """
    random = np.random.default_rng(2)
    for turn in turns:
        if turn.pauses or turn.end < 2.0:
            continue
        samples = np.frombuffer(turn.pcm, np.int16)
        frame = SAMPLE_RATE // 50
        begin, end = int(len(samples) * 0.35), int(len(samples) * 0.65)
        levels = [
            float(np.abs(samples[at : at + frame].astype(float)).mean())
            for at in range(begin, end, frame)
        ]
        cut = begin + frame * int(np.argmin(levels)) + frame // 2
        secs = random.uniform(0.5, 1.1)
        noise = random.normal(0, _LINE_NOISE, round(secs * SAMPLE_RATE)).astype(np.int16)
        pcm = samples[:cut].tobytes() + noise.tobytes() + samples[cut:].tobytes()
        at = cut / SAMPLE_RATE
        spoken = ((turn.spoken[0][0], at), (at + secs, turn.end + secs))
        yield Turn(f"{turn.name}, hesitating", pcm, spoken, turn.words)
