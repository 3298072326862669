"""The model that tells speech: the one of Pipecat's, for all calls at once."""

import asyncio
import hashlib
from collections.abc import Sequence
from importlib import resources

import numpy as np
import pytest
from pipecat.audio.vad.silero import SileroOnnxModel, SileroVADAnalyzer

from tests.pipecat_versions import OLDER_MODEL, unless_pipecat_112
from tests.processors.silero_rig import spoken_sentence, windows
from twilio_frames.processors import silero_model
from twilio_frames.processors.silero import SileroBatch
from twilio_frames.processors.silero_model import WINDOW, StreamState, probabilities

SILERO_623 = "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3"
"""SHA-256 of ``silero_vad.onnx`` in the package ``silero-vad`` 6.2.3."""


@pytest.fixture(scope="module")
def sentence() -> bytes:
    return spoken_sentence()


def test_same_as_pipecats_model(sentence: bytes):
    path = resources.files("pipecat.audio.vad.data").joinpath("silero_vad.onnx")
    pipecat, ours = SileroOnnxModel(str(path), force_onnx_cpu=True), StreamState()

    for window in windows(sentence):
        (found,) = probabilities([ours], [window])
        assert found == pytest.approx(
            np.asarray(pipecat(window.astype(np.float32) / 32768, 8000)).item(), abs=1e-5
        )
        if not ours.recurrent.any():
            pipecat.reset_states()


@unless_pipecat_112(OLDER_MODEL)
def test_model_is_that_of_the_silero_package():
    model = resources.files("pipecat.audio.vad.data").joinpath("silero_vad.onnx")

    assert hashlib.sha256(model.read_bytes()).hexdigest() == SILERO_623


@unless_pipecat_112("renews the state of its Silero model by the clock")
def test_renewed_when_pipecats_is(sentence: bytes):
    pipecat, ours = SileroVADAnalyzer(sample_rate=8000), StreamState()
    pipecat.set_sample_rate(8000)

    for number, window in enumerate(windows(sentence)):
        (found,) = probabilities([ours], [window])
        pcm = window.tobytes()
        assert found == pytest.approx(np.asarray(pipecat.voice_confidence(pcm)).item(), abs=1e-5), (
            number
        )


def test_batches_change_nothing(sentence: bytes):
    alone, in_batch, other = StreamState(), StreamState(), StreamState()
    noise = np.random.default_rng(3).normal(0, 3000, WINDOW).astype(np.int16)

    for window in windows(sentence)[:60]:
        (single,) = probabilities([alone], [window])
        batched, _ = probabilities([in_batch, other], [window, noise])
        assert batched == pytest.approx(single, abs=1e-5)


def test_digital_silence_is_judged_once(sentence: bytes, monkeypatch: pytest.MonkeyPatch):
    """It brings every stream the same; behind a sentence, as soon as the state is a new one."""
    pieces = windows(bytes(60000) + sentence + bytes(60000))
    first, again = StreamState(), StreamState()
    expected = [probabilities([first], [window])[0] for window in pieces]
    asked: list[np.ndarray] = []

    def judged(states: Sequence[StreamState], some: Sequence[np.ndarray]) -> list[float]:
        asked.extend(some)
        return ask(states, some)

    ask = silero_model._judged  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(silero_model, "_judged", judged)
    assert [probabilities([again], [window])[0] for window in pieces] == expected
    silent = sum(not window.any() for window in asked)
    assert len(asked) - silent == sum(window.any() for window in pieces)
    assert silent <= 63
    assert (first.recurrent == again.recurrent).all()


async def test_many_calls_share_a_run(sentence: bytes, monkeypatch: pytest.MonkeyPatch):
    sizes: list[int] = []

    def counted(states: list[StreamState], samples: list[np.ndarray]) -> list[float]:
        sizes.append(len(states))
        return probabilities(states, samples)

    monkeypatch.setattr(silero_model, "probabilities", counted)
    batch, window = SileroBatch(), windows(sentence)[40]

    found = await asyncio.gather(*(batch.judge(StreamState(), [window]) for _ in range(20)))

    assert sum(sizes) == 20
    assert len(sizes) <= 3
    assert np.ptp(found) < 1e-5


@pytest.mark.parametrize("error", [RuntimeError("no model"), asyncio.CancelledError()])
async def test_failing_run_fails_only_its_own_batch_and_cancels_no_call(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
):
    def broken(*_: object) -> list[float]:
        raise error

    batch, window = SileroBatch(), np.ones(WINDOW, dtype=np.int16)
    with monkeypatch.context() as patch:
        patch.setattr(silero_model, "probabilities", broken)
        with pytest.raises(RuntimeError, match=r"no model|got CancelledError"):
            await batch.judge(StreamState(), [window])

    assert (await batch.judge(StreamState(), [window]))[0] < 0.5
