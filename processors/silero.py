"""One Silero model for all calls of a process, run on many calls' audio at once.

Pipecat builds a model per call (some 40 ms on the event loop, 11 MB) and runs it per call, each
time on a thread of its own. Here the model is built once, off the event loop, and the windows that
calls hand in within 10 ms go through it together: it takes any number of streams at once
and gives each the same probability as if it had been alone. One call alone never waits for that.

The model is the one ``pipecat-ai`` carries; the ``silero-vad`` package, which pulls in PyTorch, is
not needed.
"""

import asyncio
import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from typing import NamedTuple

import numpy as np
import onnxruntime

SAMPLE_RATE = 8000
WINDOW = 256
"""Samples the model looks at in one step, 32 ms."""
_CONTEXT = 32
_STATE_SHAPE = (2, 128)


@dataclass(frozen=True, slots=True)
class _Batching:
    """How windows are judged together; ``bench/message_costs.py`` measures what one costs."""

    largest: int = 64
    """Requests that are run together."""
    interval_secs: float = 0.010
    """Seconds from one batch to the next: each costs a way to the thread and back, large or small.
    """
    at_once: int = 8
    """So few windows are judged without the thread: the way there and back takes 0.3 ms, as one
    window does, and eight together take 0.7 ms."""


_BATCHING = _Batching()

MOST_WINDOWS = 8
"""Windows of one stream in a batch: audio that came late is caught up with, but not all at once."""


class StreamState:
    """What the model remembers of one call between two windows."""

    _RESET_WINDOWS = 63
    """Silence and music leave a state in which speech is under-reported, so the state of a stream
    that has been clearly quiet is renewed about every two seconds, as Pipecat does."""
    _QUIET_WINDOWS = 5
    """So many windows in a row are clearly quiet."""
    _QUIET_PROBABILITY = 0.1
    """Each of them less likely speech than this."""

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
        self._quiet = self._quiet + 1 if probability < self._QUIET_PROBABILITY else 0
        if self._windows >= self._RESET_WINDOWS and self._quiet >= self._QUIET_WINDOWS:
            self.reset()


class _Request(NamedTuple):
    state: StreamState
    windows: Sequence[np.ndarray]
    found: "asyncio.Future[list[float]]"


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


def probabilities(states: Sequence[StreamState], windows: Sequence[np.ndarray]) -> list[float]:
    """How likely each window holds speech; moves the states on. Blocks for the model.

    Args:
        states: What the model remembers of each stream.
        windows: One window a stream: 256 samples at 8 kHz, float32 from -1 to 1.
    """
    audio = np.empty((len(states), _CONTEXT + WINDOW), dtype=np.float32)
    recurrent = np.empty((2, len(states), 128), dtype=np.float32)
    for number, (state, window) in enumerate(zip(states, windows, strict=True)):
        audio[number, :_CONTEXT] = state.context
        audio[number, _CONTEXT:] = window
        recurrent[:, number] = state.recurrent
    inputs = {"input": audio, "state": recurrent, "sr": np.array(SAMPLE_RATE, dtype=np.int64)}
    output, moved_on = map(np.asarray, _session().run(None, inputs))
    speech = output[:, 0].tolist()
    for number, state in enumerate(states):
        state.recurrent = moved_on[:, number]
        state.context = audio[number, -_CONTEXT:]
        state.note(speech[number])
    return speech


def _in_rounds(
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


async def _found(
    states: Sequence[StreamState], windows: Sequence[Sequence[np.ndarray]]
) -> list[list[float]]:
    if _session.cache_info().currsize and sum(map(len, windows)) <= _BATCHING.at_once:
        return _in_rounds(states, windows)
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_executor(), _in_rounds, states, windows)


class SileroBatch:
    """The door to the model for the calls of one event loop.

    What is handed in within a short time, or while the model runs, is run together.
    """

    def __init__(self) -> None:
        self._waiting: list[_Request] = []
        self._next_batch_at = 0.0
        self._runner: asyncio.Task[None] | None = None

    async def judge(self, state: StreamState, windows: Sequence[np.ndarray]) -> list[float]:
        """How likely each of a stream's next windows holds speech.

        Args:
            state: What the model remembers of the stream; one call of this at a time for each.
            windows: One to :data:`MOST_WINDOWS` windows, as :func:`probabilities` takes them.
        """
        request = _Request(state, windows, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name="silero-batch")
        return await request.found

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                await self._let_more_come(loop)
                batch = self._waiting[: _BATCHING.largest]
                del self._waiting[: _BATCHING.largest]
                states, windows = [each.state for each in batch], [each.windows for each in batch]
                try:
                    found = await _found(states, windows)
                except BaseException as error:
                    for request in batch:
                        if not request.found.done():
                            request.found.set_exception(error)
                    raise
                for request, speech in zip(batch, found, strict=True):
                    if not request.found.done():
                        request.found.set_result(speech)
        finally:
            self._runner = None

    async def _let_more_come(self, loop: asyncio.AbstractEventLoop) -> None:
        pause = self._next_batch_at - loop.time()
        if pause > 0 and len(self._waiting) < _BATCHING.largest:
            await asyncio.sleep(pause)
        self._next_batch_at = loop.time() + _BATCHING.interval_secs


_batches: "dict[asyncio.AbstractEventLoop, SileroBatch]" = {}


def shared_batch() -> SileroBatch:
    """The batch of the running event loop."""
    loop = asyncio.get_running_loop()
    batch = _batches.get(loop)
    if batch is None:
        for old in [known for known in _batches if known.is_closed()]:
            del _batches[old]
        batch = _batches[loop] = SileroBatch()
    return batch


async def warm_up() -> None:
    """Builds the model, off the event loop, if it is not built yet."""
    loop = asyncio.get_running_loop()
    silence = np.zeros(WINDOW, dtype=np.float32)
    await loop.run_in_executor(_executor(), probabilities, [StreamState()], [silence])
