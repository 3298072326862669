"""Writes local/recognition/telephone_band.py: what the telephone's band tells of the whole one.

Pocketsphinx's acoustic model knows speech up to 6.8 kHz, the telephone ends near 3.8 kHz. From
synthetic speech in both forms this fits the linear map that best guesses the model's features from
the telephone's. No recording of a person is used.

Needs the ``local`` extra and the command ``flite`` (https://github.com/festvox/flite; Debian's
package ``flite``), whose four voices are built from people's speech and so sound like them.

    python bench/telephone_band.py
"""

import subprocess
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

from twilio_frames.audio import decode_mulaw, encode_mulaw
from twilio_frames.local.recognition.cepstra import TELEPHONE_BANDS, cepstra, log_bands
from twilio_frames.local.synthesiser import Synthesiser

_TARGET = (
    Path(__file__).parents[1] / "twilio_frames" / "local" / "recognition" / "telephone_band.py"
)
_FLITE_VOICES = ("rms", "slt", "awb", "kal16")
_ESPEAK_VOICES = ("en-us", "en-us+f2")
_WIDE_RATE, _TELEPHONE_RATE = 16000, 8000
_SPEECH_LEVEL = 0.5
_ROOM_NOISE = 6
_RIDGE = 1e-3

# Every English sound in many surroundings, and a shop's words among them.
_SENTENCES = (
    "A cheap yellow jacket and a pair of thick wool socks lay beside the garden gate.",
    "We would rather wait for the next bus than walk through such heavy fog.",
    "Her uncle fixed the old wooden boat with tar, nails and a great deal of patience.",
    "Could you fetch five more chairs before the choir begins to sing?",
    "The judge usually measures his words when the jury looks confused.",
    "Three young foxes played at the edge of the frozen lake until noon.",
    "Please bring a large dark roast coffee with oat milk and a little brown sugar.",
    "Both sisters enjoy choosing fresh herbs and ripe peaches at the southern market.",
    "A loud thunderstorm woke the baby, so nobody slept much that night.",
    "He bought a bright blue shirt, a leather belt and twelve cotton handkerchiefs.",
    "Why does this vision of the future sound so vague and yet so pleasant?",
    "The engineer carefully checked each valve, pipe and gauge along the bridge.",
    "May I have a double shot iced mocha, and a small espresso with whole milk?",
    "Thousands of people watched the yacht race from the harbour wall.",
    "My father's village has a narrow road, a church and one quiet cafe.",
    "If the weather improves, they will plough the upper field on Thursday.",
)


def main() -> None:
    """Fits the map and writes the module."""
    pairs = [_pair(samples) for samples in _speech()]
    narrow, wide = (np.concatenate(side) for side in zip(*pairs, strict=True))
    damping = _RIDGE * len(narrow) * np.eye(TELEPHONE_BANDS)
    matrix = np.asarray(np.linalg.solve(narrow.T @ narrow + damping, narrow.T @ wide), np.float64)
    explained = 1 - (wide - narrow @ matrix).var(0) / wide.var(0)
    print(f"{len(narrow)} frames, share of variance explained: {np.round(explained, 2)}")
    _TARGET.write_text(_module(matrix), "utf-8")


def _speech() -> Iterator[npt.NDArray[np.int16]]:
    for sentence in _SENTENCES:
        for voice in _FLITE_VOICES:
            yield _flite(voice, sentence)
        for voice in _ESPEAK_VOICES:
            speech = Synthesiser(voice).synthesise(sentence).resampled(_WIDE_RATE)
            yield np.frombuffer(speech.pcm, np.int16)


def _flite(voice: str, sentence: str) -> npt.NDArray[np.int16]:
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(("flite", "-voice", voice, "-t", sentence, "-o", file.name), check=True)
        with wave.open(file.name) as reader:
            return np.frombuffer(reader.readframes(reader.getnframes()), np.int16)


def _pair(samples: npt.NDArray[np.int16]) -> tuple[npt.NDArray[np.float64], ...]:
    noise = np.random.default_rng(0).normal(0, _ROOM_NOISE, len(samples))
    wide = samples * _SPEECH_LEVEL + noise
    narrow = soxr.resample(wide, _WIDE_RATE, _TELEPHONE_RATE)
    pcm = np.clip(narrow, -32768, 32767).astype(np.int16).tobytes()
    heard = np.frombuffer(decode_mulaw(encode_mulaw(pcm)), np.int16)
    features = log_bands(heard, _TELEPHONE_RATE)
    targets = cepstra(log_bands(wide, _WIDE_RATE))
    frames = min(len(features), len(targets))
    return tuple(side[:frames] - side[:frames].mean(0) for side in (features, targets))


def _module(matrix: npt.NDArray[np.float64]) -> str:
    rows = "\n".join(f"    ({', '.join(f'{weight:.3f}' for weight in row)})," for row in matrix)
    return (
        '"""The map from the telephone\'s band to the acoustic model\'s features.\n\n'
        'Written by bench/telephone_band.py, which says how; not to be edited by hand.\n"""\n\n'
        '# ruff: noqa: E501\n\n__all__ = ["BAND_MAP"]\n\n# fmt: off\n'
        f"BAND_MAP = (\n{rows}\n)\n# fmt: on\n"
        '"""One row per band of the telephone, low to high, one column per cepstrum."""\n'
    )


if __name__ == "__main__":
    main()
