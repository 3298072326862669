"""One Silero model for all calls of a process, run on many calls' audio at once.

Pipecat builds a model per call (some 40 ms on the event loop, 11 MB) and runs it per call, each
time on a thread of its own. Here the model is built once, off the event loop, and the windows that
calls hand in while it is busy go through it together: it takes any number of streams at once and
gives each the same probability as if it had been alone.

The model is the one ``pipecat-ai`` carries; the ``silero-vad`` package, which pulls in PyTorch, is
not needed.
"""

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import NamedTuple

import numpy as np
import onnxruntime

SAMPLE_RATE = 8000
WINDOW = 256
"""Samples the model looks at in one step, 32 ms."""
_CONTEXT = 32
_STATE_SHAPE = (2, 128)
_LARGEST_BATCH = 64
# Silence and music leave a state in which speech is under-reported, so the state of a stream that
# has been clearly quiet is renewed about every two seconds, as Pipecat does.
_RESET_WINDOWS = 63
_QUIET_WINDOWS = 5
_QUIET_PROBABILITY = 0.1


class StreamState:
    """What the model remembers of one call between two windows."""

    def __init__(self) -> None:
        self.reset()
        self._quiet = 0

    def reset(self) -> None:
        """Forgets everything."""
        self.recurrent = np.zeros(_STATE_SHAPE, dtype=np.float32)
        self.context = np.zeros(_CONTEXT, dtype=np.float32)
        self._windows = 0

    def note(self, probability: float) -> None:
        """Takes in a window's probability, and renews the state when that is due."""
        self._windows += 1
        self._quiet = self._quiet + 1 if probability < _QUIET_PROBABILITY else 0
        if self._windows >= _RESET_WINDOWS and self._quiet >= _QUIET_WINDOWS:
            self.reset()


class _Window(NamedTuple):
    state: StreamState
    samples: np.ndarray
    probability: "asyncio.Future[float]"


@functools.cache
def _session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = 1
    model = resources.files("pipecat.audio.vad.data").joinpath("silero_vad.onnx").read_bytes()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@functools.cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="silero")


def probabilities(states: list[StreamState], windows: list[np.ndarray]) -> list[float]:
    """How likely each window holds speech; moves the states on. Blocks for the model.

    Args:
        states: What the model remembers of each stream.
        windows: One window a stream: 256 samples at 8 kHz, float32 from -1 to 1.
    """
    audio = np.stack(
        [
            np.concatenate((state.context, window))
            for state, window in zip(states, windows, strict=True)
        ]
    )
    recurrent = np.stack([state.recurrent for state in states], axis=1)
    inputs = {"input": audio, "state": recurrent, "sr": np.array(SAMPLE_RATE, dtype=np.int64)}
    output, moved_on = _session().run(None, inputs)
    speech = np.asarray(output)[:, 0].tolist()
    for number, state in enumerate(states):
        state.recurrent = np.asarray(moved_on)[:, number]
        state.context = audio[number, -_CONTEXT:]
        state.note(speech[number])
    return speech


class SileroBatch:
    """The door to the model for the calls of one event loop.

    What is handed in while the model runs is run together as soon as it is free.
    """

    def __init__(self) -> None:
        self._waiting: list[_Window] = []
        self._runner: asyncio.Task[None] | None = None

    async def probability(self, state: StreamState, samples: np.ndarray) -> float:
        """How likely a window holds speech. One window of a stream at a time."""
        window = _Window(state, samples, asyncio.get_running_loop().create_future())
        self._waiting.append(window)
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name="silero-batch")
        return await window.probability

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch = self._waiting[:_LARGEST_BATCH]
                del self._waiting[:_LARGEST_BATCH]
                states, samples = [w.state for w in batch], [w.samples for w in batch]
                try:
                    found = await loop.run_in_executor(_executor(), probabilities, states, samples)
                except BaseException as error:
                    for window in batch:
                        if not window.probability.done():
                            window.probability.set_exception(error)
                    raise
                for window, probability in zip(batch, found, strict=True):
                    if not window.probability.done():
                        window.probability.set_result(probability)
        finally:
            self._runner = None


_batches: "dict[asyncio.AbstractEventLoop, SileroBatch]" = {}


def shared_batch() -> SileroBatch:
    """The batch of the running event loop."""
    loop = asyncio.get_running_loop()
    for old in [known for known in _batches if known.is_closed()]:
        del _batches[old]
    return _batches.setdefault(loop, SileroBatch())


async def warm_up() -> None:
    """Builds the model, off the event loop, if it is not built yet."""
    loop = asyncio.get_running_loop()
    silence = np.zeros(WINDOW, dtype=np.float32)
    await loop.run_in_executor(_executor(), probabilities, [StreamState()], [silence])
