"""Smart Turn on the phone: whether a caller who has fallen silent is done, by how they sounded.

The model is Pipecat's Smart Turn v3, which ``pipecat-ai`` carries. Pipecat builds it per call, on
the event loop (40 to 90 ms, 29 MB); here it is built once for all calls of the process, off the
event loop, and asked on one or two threads. When too many calls ask at once, or an answer takes too
long, there is none, and the turn ends by the length of the pause.
"""

import functools
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from pipecat.audio.turn.base_turn_analyzer import BaseTurnAnalyzer, EndOfTurnState
from pipecat.audio.turn.smart_turn.base_smart_turn import SmartTurnParams
from pipecat.metrics.metrics import MetricsData, TurnMetricsData

from twilio_frames import pipecat_internals
from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.errors import ConfigurationError
from twilio_frames.model_threads import ModelThreads, ThreadsBusyError

if TYPE_CHECKING:
    from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3

__all__ = ["PhoneSmartTurn", "SmartTurnPool", "probability_of_end", "shared_pool", "warm_up"]

LONGEST_SECS = 8.0
"""The model hears no more than the last so much of a turn."""

_BYTES_PER_SAMPLE = 2
_SLACK = SAMPLE_RATE * _BYTES_PER_SAMPLE
_building = threading.Lock()


@functools.cache
def _built() -> "LocalSmartTurnAnalyzerV3":
    from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3

    model = LocalSmartTurnAnalyzerV3(sample_rate=SAMPLE_RATE)
    model.set_sample_rate(SAMPLE_RATE)
    return model


def _model() -> "LocalSmartTurnAnalyzerV3":
    # Two threads may ask for it at once, and functools.cache would let both build one.
    with _building:
        return _built()


def probability_of_end(samples: np.ndarray) -> float:
    """How likely a turn is over that sounds like this. Blocks for the model, some 0.1 s.

    Args:
        samples: The turn to its end and 0.2 s of silence: 8 kHz, float32 from -1 to 1.
    """
    return pipecat_internals.probability_of_end(_model(), samples)


class SmartTurnPool:
    """The threads on which the model answers, for all calls of a process.

    Args:
        predict: The model: samples in, probability out; runs on the threads.
        threads: How many answers are worked out at once.
        most_waiting: How many more may wait for a thread; who comes then gets no answer.
    """

    def __init__(
        self,
        predict: Callable[[np.ndarray], float] = probability_of_end,
        *,
        threads: int | None = None,
        most_waiting: int = 4,
    ):
        self._predict = predict
        self._threads = ModelThreads("smart-turn", threads=threads, most_waiting=most_waiting)

    async def ask(self, pcm: bytes, *, time_limit: float) -> float | None:
        """How likely the turn is over; None if that cannot be told in time.

        Args:
            pcm: The turn so far, 16-bit mono PCM at 8 kHz.
            time_limit: Seconds that the answer may take, waiting for a thread included.
        """
        try:
            return await self._threads.run(partial(self._answer, pcm), time_limit=time_limit)
        except (ThreadsBusyError, TimeoutError):
            return None

    def _answer(self, pcm: bytes) -> float:
        return self._predict(np.frombuffer(pcm, dtype=np.int16).astype(np.float32) / 32768)

    def close(self) -> None:
        """Lets the threads go once they are done."""
        self._threads.close()


@functools.cache
def shared_pool() -> SmartTurnPool:
    """The pool of the process."""
    return SmartTurnPool()


async def warm_up() -> None:
    """Builds the model, off the event loop, if it is not built yet, and has it answer once."""
    if not _built.cache_info().currsize:
        silence = bytes(SAMPLE_RATE * _BYTES_PER_SAMPLE)
        await shared_pool().ask(silence, time_limit=10.0)


class PhoneSmartTurn(BaseTurnAnalyzer):
    """Smart Turn for one call, by the model that all calls of the process share.

    Stands where Pipecat's ``LocalSmartTurnAnalyzerV3`` stands, and in a
    :class:`twilio_frames.processors.vad.PhoneVAD`, which hears the caller even where the audio ends
    at the speech recogniser. Holds the last 8 s at most, at 8 kHz, and resamples once it is asked.

    Args:
        params: Pipecat's: ``stop_secs`` is the silence after which a turn is over, whatever the
            model says; not looked at in a ``PhoneVAD``.
        threshold: The probability from which a turn counts as over.
        pause_secs: The silence after which a turn is over that the model did not answer for.
        time_limit: Seconds that an answer may take.
        pool: Where the model runs, by default where it does for every call.
    """

    def __init__(
        self,
        *,
        params: SmartTurnParams | None = None,
        threshold: float = 0.5,
        pause_secs: float = 0.6,
        time_limit: float = 0.35,
        pool: SmartTurnPool | None = None,
    ):
        super().__init__(sample_rate=SAMPLE_RATE)
        self._params = params or SmartTurnParams()
        self._threshold = threshold
        self._pause_secs = pause_secs
        self._time_limit = time_limit
        self._pool = pool
        self._audio = bytearray()
        self._has_spoken = False
        self._silence_secs = 0.0
        self._ends_after = self._params.stop_secs
        self._start_secs = 0.0

    @property
    def speech_triggered(self) -> bool:
        """Whether the caller has spoken since the last turn's end."""
        return self._has_spoken

    @property
    def params(self) -> SmartTurnParams:
        """Pipecat's parameters of Smart Turn."""
        return self._params

    @property
    def held_secs(self) -> float:
        """How much audio is held."""
        return len(self._audio) / (SAMPLE_RATE * _BYTES_PER_SAMPLE)

    def set_sample_rate(self, sample_rate: int) -> None:
        """Takes 8 kHz alone."""
        if sample_rate not in (0, SAMPLE_RATE):
            raise ConfigurationError(
                f"expected audio_in_sample_rate {SAMPLE_RATE}, as on the phone, got {sample_rate}: "
                "use LocalSmartTurnAnalyzerV3 beside other transports"
            )
        super().set_sample_rate(SAMPLE_RATE)

    def update_vad_start_secs(self, vad_start_secs: float) -> None:
        """Takes in how long the VAD takes to tell of speech."""
        self._start_secs = vad_start_secs

    def append_audio(self, buffer: bytes, is_speech: bool) -> EndOfTurnState:
        """Holds some audio; COMPLETE once the silence has been so long that no answer matters.

        Args:
            buffer: 16-bit mono PCM at 8 kHz.
            is_speech: Whether the caller speaks in it.
        """
        self._audio += buffer
        if is_speech:
            if not self._has_spoken:
                del self._audio[: -self._before_bytes() - len(buffer)]
            self._has_spoken, self._silence_secs = True, 0.0
            self._ends_after = self._params.stop_secs
        elif self._has_spoken:
            self._silence_secs += len(buffer) / (SAMPLE_RATE * _BYTES_PER_SAMPLE)
        self._forget_old()
        if self._has_spoken and self._silence_secs >= self._ends_after:
            self.clear()
            return EndOfTurnState.COMPLETE
        return EndOfTurnState.INCOMPLETE

    def _before_bytes(self) -> int:
        return _bytes(self._params.pre_speech_ms / 1000 + self._start_secs)

    def _longest_bytes(self) -> int:
        return _bytes(min(LONGEST_SECS, self._params.max_duration_secs))

    def _forget_old(self) -> None:
        most = self._longest_bytes() if self._has_spoken else self._before_bytes()
        # Some more is let come together, so that bytes are seldom moved.
        if len(self._audio) > most + _SLACK:
            del self._audio[:-most]

    async def analyze_end_of_turn(self) -> tuple[EndOfTurnState, MetricsData | None]:
        """Asks the model. No metrics mean no answer: it is for the pause to end the turn."""
        if not self._has_spoken:
            return EndOfTurnState.INCOMPLETE, None
        pcm = bytes(self._audio[-self._longest_bytes() :])
        began = time.perf_counter()
        pool = self._pool or shared_pool()
        probability = await pool.ask(pcm, time_limit=self._time_limit)
        if probability is None:
            self._ends_after = self._pause_secs
            return EndOfTurnState.INCOMPLETE, None
        metrics = TurnMetricsData(
            processor=type(self).__name__,
            is_complete=probability >= self._threshold,
            probability=probability,
            e2e_processing_time_ms=1000 * (time.perf_counter() - began),
        )
        if not metrics.is_complete:
            return EndOfTurnState.INCOMPLETE, metrics
        return EndOfTurnState.COMPLETE, metrics

    def clear(self) -> None:
        """Begins anew, with the next turn."""
        self._audio.clear()
        self._has_spoken = False
        self._silence_secs = 0.0
        self._ends_after = self._params.stop_secs


def _bytes(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE) * _BYTES_PER_SAMPLE
