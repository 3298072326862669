"""One Silero model for all calls of a process, run on many calls' audio at once.

Pipecat builds a model per call (some 40 ms on the event loop, 11 MB) and runs it per call, each
time on a thread of its own. Here the model is built once, off the event loop, and the windows that
calls hand in within 10 ms go through it together: it takes any number of streams at once
and gives each the same probability as if it had been alone. One call alone never waits for that.

:class:`PhoneVADAnalyzer` makes of it when one call's caller speaks.
"""

import asyncio
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from pipecat.audio.vad.vad_analyzer import VADAnalyzer, VADParams, VADState

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.audio.echo import BotAtEar
from twilio_frames.audio.echo_gate import EchoGate, Heard
from twilio_frames.pipecat_internals import set_vad_params
from twilio_frames.processors.endpointing import (
    ECHO_MARGIN,
    LIKELY_CONFIDENCE,
    LIKELY_SECS,
    phone_vad_params,
)
from twilio_frames.processors.silero_model import (
    WINDOW,
    StreamState,
    in_rounds,
    is_built,
    probabilities,
)

_WINDOW_SECS = WINDOW / SAMPLE_RATE
_WINDOW_BYTES = WINDOW * 2


@dataclass(frozen=True, slots=True)
class _Batching:
    """How windows are judged together; ``bench/message_costs.py`` measures what one costs.

    Parameters:
        largest: Requests that are run together.
        interval_secs: From one batch to the next: each costs a way to the thread and back.
        at_once: So few windows are judged without the thread: the way there and back takes 0.3 ms,
            as one window does, and eight together take 0.7 ms.
    """

    largest: int = 64
    interval_secs: float = 0.010
    at_once: int = 8


_BATCHING = _Batching()

MOST_WINDOWS = 8
"""Windows of one stream in a batch: audio that came late is caught up with, but not all at once."""


class _Request(NamedTuple):
    state: StreamState
    windows: Sequence[np.ndarray]
    done: "Callable[[list[float]], None]"
    failed: "Callable[[BaseException], None]"


@functools.cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="silero")


async def _found(
    states: Sequence[StreamState], windows: Sequence[Sequence[np.ndarray]]
) -> list[list[float]]:
    if is_built() and sum(map(len, windows)) <= _BATCHING.at_once:
        return in_rounds(states, windows)
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_executor(), in_rounds, states, windows)


class SileroBatch:
    """The door to the model for one event loop: what comes in a short time is run together."""

    def __init__(self) -> None:
        self._waiting: list[_Request] = []
        self._next_batch_at = 0.0
        self._runner: asyncio.Task[None] | None = None

    async def judge(self, state: StreamState, windows: Sequence[np.ndarray]) -> list[float]:
        """How likely each of a stream's next windows holds speech; see :meth:`submit`."""
        found: asyncio.Future[list[float]] = asyncio.get_running_loop().create_future()

        def done(speech: list[float]) -> None:
            if not found.done():
                found.set_result(speech)

        def failed(error: BaseException) -> None:
            if not found.done():
                found.set_exception(error)

        self.submit(state, windows, done, failed)
        return await found

    def submit(
        self,
        state: StreamState,
        windows: Sequence[np.ndarray],
        done: Callable[[list[float]], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Has a stream's next windows judged, and goes on meanwhile.

        Args:
            state: What the model remembers of the stream; one call of this at a time for each.
            windows: One to :data:`MOST_WINDOWS` windows, as :func:`probabilities` takes them.
            done: Called with how likely each holds speech, which may be at once; must not raise.
            failed: Called with what was raised instead.
        """
        known: list[float] = []
        for window in windows:
            if (probability := state.recall(window)) is None:
                break
            known.append(probability)
        if len(known) == len(windows):
            done(known)
            return
        tell = partial(_behind, known, done) if known else done
        self._waiting.append(_Request(state, windows[len(known) :], tell, failed))
        if self._runner is None:
            # No call's own task: it outlives the call that happens to begin it.
            running = self._run()
            self._runner = asyncio.create_task(running, name="silero-batch", context=Context())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                await self._let_more_come(loop)
                batch = self._waiting[: _BATCHING.largest]
                del self._waiting[: _BATCHING.largest]
                try:
                    found = await _found([r.state for r in batch], [r.windows for r in batch])
                except BaseException as error:
                    # A cancellation of this task is none of the calls that wait for it.
                    told = error if isinstance(error, Exception) else _no_answer(error)
                    for request in batch:
                        request.failed(told)
                    if not isinstance(error, Exception):
                        raise
                    continue
                for request, speech in zip(batch, found, strict=True):
                    request.done(speech)
        finally:
            self._runner = None

    async def _let_more_come(self, loop: asyncio.AbstractEventLoop) -> None:
        pause = self._next_batch_at - loop.time()
        if pause > 0 and len(self._waiting) < _BATCHING.largest:
            await asyncio.sleep(pause)
        self._next_batch_at = loop.time() + _BATCHING.interval_secs


def _no_answer(error: BaseException) -> Exception:
    return RuntimeError(f"expected the voice model's answer, got {type(error).__name__}")


def _behind(known: list[float], done: Callable[[list[float]], None], found: list[float]) -> None:
    done(known + found)


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
    if not is_built():
        loop = asyncio.get_running_loop()
        silence = np.zeros(WINDOW, dtype=np.int16)
        await loop.run_in_executor(_executor(), probabilities, [StreamState()], [silence])


class PhoneVADAnalyzer(VADAnalyzer):
    """Pipecat's VAD states, by one Silero model that all calls of the process share.

    Args:
        params: Thresholds and times; ``min_volume`` is not looked at.
        echo_margin: What is so many dB quieter than the bot was just before, and sounds as it did,
            is its echo, not speech; None to take everything as it sounds.
        likely_secs: How much sound it takes to think it likely that speech has begun.
        likely_confidence: How certain the model has to be of it all that while.
    """

    _OVER_WINDOWS: int = 3
    """So many windows without speech end what was only likely."""

    def __init__(
        self,
        *,
        params: VADParams | None = None,
        echo_margin: float | None = ECHO_MARGIN,
        likely_secs: float = LIKELY_SECS,
        likely_confidence: float = LIKELY_CONFIDENCE,
    ):
        self._state = VADState.QUIET
        self._likely_windows = _windows_of(likely_secs)
        self._likely_confidence = likely_confidence
        self._is_likely = False
        self._sure = 0
        self._silent = 0
        self._stream = StreamState()
        self._audio = bytearray()
        self._windows = 0
        self._spoken = 0
        self._gate = None if echo_margin is None else EchoGate(echo_margin)
        self._unsure: list[float] = []
        self.is_quiet = True
        """Whether nothing is heard that is speech, or may be."""
        self.bot: BotAtEar | None = None
        """What the bot was saying where its echo would be in the audio to come; None if silent."""
        params = params or phone_vad_params()
        self._pause_secs = params.stop_secs
        super().__init__(sample_rate=SAMPLE_RATE, params=params)

    @functools.cached_property
    def _batch(self) -> SileroBatch:
        return shared_batch()

    @property
    def pause_secs(self) -> float:
        """The silence that ends speech where nothing else is asked for."""
        return self._pause_secs

    def end_after(self, silence_secs: float) -> None:
        """Has so much silence end the speech that goes on; what it has been counts."""
        if silence_secs != self.params.stop_secs:
            # The VAD's frames tell of the silence that ended it by these.
            set_vad_params(self, self.params.model_copy(update={"stop_secs": silence_secs}))

    @property
    def speech_secs(self) -> float:
        """How much was said since the onset of speech, without pauses; 0.0 in silence."""
        if not (self.is_certain or self._is_likely):
            return 0.0
        return (self._spoken or len(self._unsure)) * _WINDOW_SECS

    @property
    def silence_secs(self) -> float:
        """How long it has been silent since."""
        return self._silent * _WINDOW_SECS

    @property
    def is_certain(self) -> bool:
        """Whether it is speech beyond doubt, rather than likely."""
        return self._state in (VADState.SPEAKING, VADState.STOPPING)

    def num_frames_required(self) -> int:
        """Samples the model looks at in one step."""
        return WINDOW

    def voice_confidence(self, buffer: bytes) -> float:
        """Not in use: the windows of all calls are judged together."""
        raise NotImplementedError("expected analyze_audio() to be called: it runs the shared model")

    def set_params(self, params: VADParams):
        """Takes other thresholds and times, and is quiet until it hears speech anew."""
        super().set_params(params)
        self._pause_secs = params.stop_secs
        self._state = VADState.QUIET
        self._is_likely, self.is_quiet = False, True
        self._windows = self._spoken = self._sure = self._silent = 0
        self._unsure = []

    async def analyze_audio(self, buffer: bytes) -> VADState:
        """The state after this audio.

        Args:
            buffer: 16-bit mono PCM at 8 kHz, of any length.
        """
        self._audio += buffer
        while len(windows := self._whole_windows()):
            self._take_all(windows, await self._batch.judge(self._stream, list(windows)))
        return self._state

    def hear(self, pcm: bytes, done: Callable[[BaseException | None], None]) -> bool:
        """Has audio judged, and goes on meanwhile.

        Args:
            pcm: 16-bit mono at 8 kHz, of any length.
            done: Called when all of it has been judged, and the state is the one after it, which
                may be at once; with what the model raised, if it did.

        Returns:
            False if no window is whole by it: there is nothing to wait for.
        """
        self._audio += pcm
        if len(self._audio) < _WINDOW_BYTES:
            return False
        windows = self._whole_windows()

        def judged(found: Sequence[float]) -> None:
            self._take_all(windows, found)
            if not self.hear(b"", done):
                done(None)

        self._batch.submit(self._stream, list(windows), judged, done)
        return True

    def _whole_windows(self) -> np.ndarray:
        whole = min(len(self._audio) // _WINDOW_BYTES, MOST_WINDOWS) * _WINDOW_BYTES
        windows = np.frombuffer(bytes(self._audio[:whole]), np.int16).reshape(-1, WINDOW)
        del self._audio[:whole]
        return windows

    def _take_all(self, windows: np.ndarray, found: Sequence[float]) -> None:
        left = len(self._audio) // 2
        for number, (window, probability) in enumerate(zip(windows, found, strict=True), start=1):
            self._take(window.tobytes(), probability, (len(windows) - number) * WINDOW + left)

    def _take(self, window: bytes, probability: float, samples_behind: int) -> None:
        """Takes a window for the caller's, or not; one that is unsure waits for what it will be."""
        heard = self._whose(window, probability, samples_behind)
        if heard in (Heard.UNSURE, Heard.LIKELY):
            self._unsure.append(probability)
            if heard is Heard.LIKELY and self._has_sure_end():
                self._is_likely, self.is_quiet = True, False
            return
        waiting, self._unsure = self._unsure, []
        confidence = self.params.confidence
        for earlier in [*waiting, probability]:
            speech = heard is Heard.CALLER and earlier >= confidence
            if self.is_quiet and not speech:
                # Nothing begins, and there is nothing to end: most of a call is so.
                self._silent += 1
                continue
            self._guess(speech=speech, is_sure=earlier >= self._likely_confidence)
            self._move_on(speech=speech)
            self.is_quiet = self._state is VADState.QUIET and not self._is_likely

    def _has_sure_end(self) -> bool:
        """Whether enough of what waits is almost certainly speech, to its end."""
        last = self._unsure[-self._likely_windows :]
        return len(last) == self._likely_windows and min(last) >= self._likely_confidence

    def _whose(self, window: bytes, probability: float, samples_behind: int) -> Heard:
        if self._gate is None:
            return Heard.CALLER
        # A short word is over before it is clear whose it was.
        is_speech = probability >= self.params.confidence or bool(self._unsure)
        until = self.bot.until - samples_behind / SAMPLE_RATE if self.bot else 0.0
        return self._gate.judge(window, self.bot, until, is_speech=is_speech)

    def _guess(self, *, speech: bool, is_sure: bool) -> None:
        """Finds out whether speech is likely, ahead of the VAD's states."""
        self._silent = 0 if speech else self._silent + 1
        self._sure = self._sure + 1 if speech and is_sure else 0
        if self._sure >= self._likely_windows:
            self._is_likely = True
        elif self._silent >= self._OVER_WINDOWS:
            self._is_likely = False

    def _move_on(self, *, speech: bool) -> None:
        pending = VADState.STARTING if speech else VADState.STOPPING
        settled = VADState.SPEAKING if speech else VADState.QUIET
        other = VADState.STOPPING if speech else VADState.STARTING
        wait = self.params.start_secs if speech else self.params.stop_secs
        self._spoken += speech
        if self._state in (settled, other):
            # Nothing new, or a change that did not last.
            self._settle(settled)
            return
        self._windows += 1
        done = self._windows >= _windows_of(wait)
        if done:
            self._settle(settled)
        else:
            self._state = pending

    def _settle(self, state: VADState) -> None:
        if state is VADState.QUIET and self.is_certain:
            self._is_likely = False
        self._state = state
        self._windows = 0
        if state is VADState.QUIET and not self._is_likely:
            self._spoken = 0


def _windows_of(secs: float) -> int:
    return max(1, round(secs / _WINDOW_SECS))
