"""A stand-in for a Whisper model, and a real one that is tiny and knows nothing."""

import json
import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from twilio_frames.services.whisper.features import Floats
from twilio_frames.services.whisper.model import Guess

SPECIAL = (
    "<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|transcribe|>",
    "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>", "<|0.00|>",
)  # fmt: skip


class FakeWhisper:
    """Guesses what the test says, and notes what it was asked."""

    bands = 80

    def __init__(self, *guesses: Guess | Exception, is_multilingual: bool = True):
        self.is_multilingual = is_multilingual
        self.guesses = list(guesses)
        self.frames: list[int] = []
        self.prompts: list[str] = []
        self.most_tokens: list[int] = []
        self.threads: set[str] = set()
        self.loudest: list[int] = []
        self.nobody = 0.0
        self.repeats_forbidden: list[bool] = []
        self._texts: list[str] = [*SPECIAL]

    def token(self, name: str) -> int | None:
        if name == "<|de|>" and not self.is_multilingual:
            return None
        return SPECIAL.index(name) if name in SPECIAL else None

    def tokens_of(self, text: str) -> list[int]:
        self._texts += text.split()
        return list(range(len(self._texts) - len(text.split()), len(self._texts)))

    def encode(self, features: Floats) -> None:
        self.frames.append(features.shape[1])
        self.loudest.append(int(np.argmax(features.max(axis=1))))

    def no_speech(self, encoded: None, prompt: Sequence[int]) -> float:
        assert SPECIAL.index("<|startofprev|>") not in prompt
        return self.nobody

    def guess(
        self, encoded: None, prompt: Sequence[int], most_tokens: int, *, no_repeats: bool = False
    ) -> Guess:
        self.repeats_forbidden.append(no_repeats)
        self.prompts.append(" ".join(self._texts[number] for number in prompt))
        self.most_tokens.append(most_tokens)
        self.threads.add(threading.current_thread().name)
        guess = self.guesses.pop(0) if self.guesses else said("heard")
        if isinstance(guess, Exception):
            raise guess
        return guess


def said(text: str, score: float = -0.1) -> Guess:
    return Guess(text=text, score=score, tokens=[hash(word) for word in text.split()])


def make_tiny_model(folder: Path) -> None:
    """Writes a model of one layer with weights by chance, in CTranslate2's format."""
    specs = import_module("ctranslate2.specs")
    spec: Any = specs.WhisperSpec(1, 2, 1, 2)
    random, width = np.random.default_rng(3), 16

    def weights(*shape: int) -> Any:
        return random.standard_normal(shape).astype(np.float32)

    def fill(part: Any, rows: int, columns: int) -> None:
        part.weight, part.bias = weights(rows, columns), weights(rows)

    def norm(part: Any) -> None:
        part.gamma, part.beta = np.ones(width, np.float32), np.zeros(width, np.float32)

    def attend(part: Any, *parts: int) -> None:
        norm(part.layer_norm)
        for linear, times in zip(part.linear, parts, strict=True):
            fill(linear, times * width, width)

    encoder, decoder = spec.encoder, spec.decoder
    encoder.conv1.weight, encoder.conv1.bias = weights(width, 80, 3), weights(width)
    encoder.conv2.weight, encoder.conv2.bias = weights(width, width, 3), weights(width)
    encoder.position_encodings.encodings = weights(1500, width)
    decoder.embeddings.weight = weights(len(SPECIAL) + 2, width)
    decoder.position_encodings.encodings = weights(448, width)
    decoder.projection.weight = decoder.embeddings.weight
    for side in (encoder, decoder):
        norm(side.layer_norm)
        for layer in side.layer:
            attend(layer.self_attention, 3, 1)
            norm(layer.ffn.layer_norm)
            fill(layer.ffn.linear_0, 4 * width, width)
            fill(layer.ffn.linear_1, width, 4 * width)
    attend(decoder.layer[0].attention, 1, 2, 1)
    words = ["a", "b", *SPECIAL]
    spec.register_vocabulary(words)
    spec.config.lang_ids, spec.config.alignment_heads = [4, 5], [(0, 0)]
    spec.config.suppress_ids = spec.config.suppress_ids_begin = []
    spec.validate()
    spec.optimize(quantization="int8")
    spec.save(str(folder))
    tokenizer = {
        "version": "1.0",
        "added_tokens": [
            {"id": number, "content": word, "special": True, "single_word": False,
             "lstrip": False, "rstrip": False, "normalized": False}
            for number, word in enumerate(words) if word in SPECIAL
        ],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "unk_token": "a",
                  "vocab": {word: number for number, word in enumerate(words)}},
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
