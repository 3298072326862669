"""A stand-in for a Piper voice, and a tiny one that real Piper speaks with."""

import json
import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from twilio_frames.services.piper.voice import Sound

RATE = 16_000
SECS = 0.05
"""How long each phoneme of the stand-in lasts."""
# What is said in one breath, and what is read otherwise than it is written.
RUN_TOGETHER = {"of the": "ovthe", "on the": "onthe"}
SPELLED = {"$5.50": "five dollars fifty", "-": "", "the": "thi"}


class FakeVoice:
    """Says each letter for a twentieth of a second, and notes who had it speak."""

    sample_rate, gain = RATE, 32000.0

    def __init__(self) -> None:
        self.spoken: list[str] = []
        self.speeds: list[float] = []
        self.threads: set[str] = set()

    def phonemes(self, text: str) -> list[list[str]]:
        if " " in text:
            for written, said in RUN_TOGETHER.items():
                text = text.replace(written, said)
        said = " ".join(SPELLED.get(word, word) for word in text.split())
        sentences = said.replace(". ", ".|").replace("? ", "?|").split("|")
        return [list(sentence) for sentence in sentences if sentence]

    def speak(self, phonemes: Sequence[str], *, speed: float, speaker: int | None) -> Sound:
        self.spoken.append("".join(phonemes))
        self.speeds.append(speed)
        self.threads.add(threading.current_thread().name)
        if "boom" in self.spoken[-1]:
            raise ValueError("what was to be said")
        each = round(SECS * RATE / speed)
        samples = np.sin(np.arange(each * len(phonemes)) / 4).astype(np.float32)
        return Sound(samples=samples, starts=[each * place for place in range(len(phonemes))])


def make_tiny_voice(folder: Path, *, has_lengths: bool = True) -> Path:
    """Writes a voice that hums two hops of 256 samples for each number that it gets."""
    onnx: Any = import_module("onnx")
    helper, number = onnx.helper, onnx.TensorProto

    def constant(name: str, kind: int, *values: float) -> Any:
        return helper.make_tensor(name, kind, [len(values)], values)

    nodes = [
        helper.make_node("Cast", ["input"], ["ids"], to=number.FLOAT),
        helper.make_node("Mul", ["ids", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "width"], ["widths"]),
        helper.make_node("Ceil" if has_lengths else "Identity", ["widths"], ["w_ceil"]),
        helper.make_node("Mul", ["ids", "loudness"], ["levels"]),
        helper.make_node("Tile", ["levels", "times"], ["hum"]),
        helper.make_node("Reshape", ["hum", "flat"], ["output"]),
    ]
    inputs = [
        helper.make_tensor_value_info("input", number.INT64, ["batch", "phonemes"]),
        helper.make_tensor_value_info("input_lengths", number.INT64, ["batch"]),
        helper.make_tensor_value_info("scales", number.FLOAT, [3]),
    ]
    graph = helper.make_graph(
        nodes,
        "hum",
        inputs,
        [helper.make_tensor_value_info("output", number.FLOAT, [1, "samples"])],
        [
            constant("zero", number.FLOAT, 0.0),
            constant("width", number.FLOAT, 1.5),
            constant("loudness", number.FLOAT, 0.002),
            constant("times", number.INT64, 1, 512),
            constant("flat", number.INT64, 1, -1),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "hum.onnx"
    onnx.save(model, str(path))
    numbers = import_module("piper.phoneme_ids").DEFAULT_PHONEME_ID_MAP
    config = {
        "audio": {"sample_rate": 22050},
        "espeak": {"voice": "en-us"},
        "inference": {},
        "num_symbols": 256,
        "num_speakers": 1,
        "phoneme_id_map": numbers,
    }
    Path(f"{path}.json").write_text(json.dumps(config), "utf-8")
    return path
