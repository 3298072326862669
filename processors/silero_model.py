"""The Silero model, and what it remembers of each stream whose windows it is given.

It is the one that ``pipecat-ai`` carries; the ``silero-vad`` package, which pulls in PyTorch, is
not needed.
"""

import functools
from collections.abc import Sequence
from importlib import resources
from itertools import chain

import numpy as np
import onnxruntime

from twilio_frames.audio import SAMPLE_RATE

WINDOW = 256
"""Samples the model looks at in one step, 32 ms."""
_CONTEXT = 32
_RATE = np.array(SAMPLE_RATE, dtype=np.int64)
_STATE_SHAPE = (2, 1, 128)


class StreamState:
    """What the model remembers of one call between two windows."""

    _RESET_WINDOWS: int = 63
    """Silence and music leave a state in which speech is under-reported, so the state of a stream
    that has been clearly quiet is renewed about every two seconds, as Pipecat does."""
    _QUIET_WINDOWS: int = 5
    """So many windows in a row are clearly quiet."""
    _QUIET_PROBABILITY: float = 0.1
    """Each of them less likely speech than this."""

    def __init__(self) -> None:
        self.reset()
        self._quiet = 0

    def reset(self) -> None:
        """Forgets everything."""
        self.recurrent = np.zeros(_STATE_SHAPE, dtype=np.float32)
        self.context = np.zeros(_CONTEXT, dtype=np.int16)
        self._windows = 0
        self._is_silent = True

    def recall(self, window: np.ndarray) -> float | None:
        """What a window brings, where that is known without the model; moves the state on.

        From its beginning on, digital silence brings every stream the same: that of a caller who is
        muted, say, or whose line sends nothing while nobody speaks.
        """
        self._is_silent = self._is_silent and not window.any()
        if not self._is_silent or (known := _silence.get(self._windows)) is None:
            return None
        probability, self.recurrent = known
        self.note(probability)
        return probability

    def move_on(self, window: np.ndarray, probability: float, recurrent: np.ndarray) -> None:
        """Takes in what the model made of a window."""
        self.recurrent = recurrent
        self.context = window[-_CONTEXT:]
        if self._is_silent and self._windows < self._RESET_WINDOWS:
            _silence[self._windows] = probability, recurrent.copy()
        self.note(probability)

    def note(self, probability: float) -> None:
        """Takes in a window's probability, and renews the state when that is due."""
        self._windows += 1
        self._quiet = self._quiet + 1 if probability < self._QUIET_PROBABILITY else 0
        if self._windows >= self._RESET_WINDOWS and self._quiet >= self._QUIET_WINDOWS:
            self.reset()


_silence: dict[int, tuple[float, np.ndarray]] = {}
"""How likely each window of digital silence holds speech from a stream's beginning on, and the
state behind it; as far as any stream has come. The loop and the model's thread both write here."""


@functools.cache
def _session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = 1
    model = resources.files("pipecat.audio.vad.data").joinpath("silero_vad.onnx").read_bytes()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def is_built() -> bool:
    """Whether the model has been built, which takes some 40 ms."""
    return bool(_session.cache_info().currsize)


def probabilities(states: Sequence[StreamState], windows: Sequence[np.ndarray]) -> list[float]:
    """How likely each window holds speech; moves the states on. Blocks for the model.

    Args:
        states: What the model remembers of each stream.
        windows: One window a stream: 256 samples at 8 kHz, int16.
    """
    known = [state.recall(window) for state, window in zip(states, windows, strict=True)]
    asked = [number for number, probability in enumerate(known) if probability is None]
    found = iter(_judged([states[n] for n in asked], [windows[n] for n in asked]) if asked else ())
    return [next(found) if probability is None else probability for probability in known]


def _judged(states: Sequence[StreamState], windows: Sequence[np.ndarray]) -> list[float]:
    pairs = ((state.context, window) for state, window in zip(states, windows, strict=True))
    audio = np.concatenate(list(chain.from_iterable(pairs))).astype(np.float32)
    audio = audio.reshape(len(states), -1)
    audio *= np.float32(1 / 32768)
    recurrent = np.concatenate([state.recurrent for state in states], axis=1)
    inputs = {"input": audio, "state": recurrent, "sr": _RATE}
    output, moved_on = map(np.asarray, _session().run(None, inputs))
    speech = output[:, 0].tolist()
    for number, (state, window) in enumerate(zip(states, windows, strict=True)):
        state.move_on(window, speech[number], moved_on[:, number : number + 1])
    return speech


def in_rounds(
    states: Sequence[StreamState], windows: Sequence[Sequence[np.ndarray]]
) -> list[list[float]]:
    """The probabilities of several windows of each stream, one window of each at a time."""
    found: list[list[float]] = [[] for _ in states]
    for turn in range(max(map(len, windows))):
        numbers = [number for number, own in enumerate(windows) if len(own) > turn]
        speech = probabilities([states[n] for n in numbers], [windows[n][turn] for n in numbers])
        for number, probability in zip(numbers, speech, strict=True):
            found[number].append(probability)
    return found
