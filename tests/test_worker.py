"""What a worker is told of the phone, and what it keeps of what it is told."""

from collections.abc import Iterator

import pytest
from loguru import logger
from pipecat.observers.turn_tracking_observer import TurnTrackingObserver
from pipecat.pipeline.parallel_pipeline import ParallelPipeline
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.utils.tracing.setup import is_tracing_available

from twilio_frames.call import Call, phone_worker
from twilio_frames.errors import ConfigurationError
from twilio_frames.worker import check_options, worker_for


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    texts: list[str] = []
    number = logger.add(lambda message: texts.append(message.record["message"]), level="WARNING")
    yield texts
    logger.remove(number)


def rates(params: PipelineParams | None = None) -> tuple[int, int]:
    kept = phone_worker(Pipeline([IdentityFilter()]), params=params).params
    return kept.audio_in_sample_rate, kept.audio_out_sample_rate


def test_rates_that_are_not_named_are_the_phones():
    assert rates() == rates(PipelineParams(enable_metrics=True)) == (8000, 8000)
    assert rates(PipelineParams(audio_out_sample_rate=24000)) == (8000, 24000)
    # As given, though it is Pipecat's own default.
    assert rates(PipelineParams(audio_in_sample_rate=16000)) == (16000, 8000)


def test_params_are_kept_and_not_written_to():
    params = PipelineParams(
        enable_metrics=True, enable_heartbeats=True, start_metadata={"shop": "7"}
    )
    kept = phone_worker(Pipeline([IdentityFilter()]), params=params).params

    assert (kept.enable_metrics, kept.enable_heartbeats) == (True, True)
    assert kept.start_metadata == {"shop": "7"}
    assert params.audio_in_sample_rate == PipelineParams().audio_in_sample_rate


def test_turns_are_tracked_only_for_whoever_needs_them():
    plain = phone_worker(Pipeline([IdentityFilter()]))
    traced = phone_worker(Pipeline([IdentityFilter()]), enable_tracing=True)
    asked = phone_worker(Pipeline([IdentityFilter()]), enable_turn_tracking=True)

    assert plain.turn_tracking_observer is None
    assert isinstance(traced.turn_tracking_observer, TurnTrackingObserver)
    assert isinstance(asked.turn_tracking_observer, TurnTrackingObserver)


def test_audio_of_turns_gets_the_turns():
    buffer = AudioBufferProcessor(enable_turn_audio=True)
    within = ParallelPipeline([IdentityFilter(), buffer], [IdentityFilter()])

    assert phone_worker(Pipeline([within])).turn_tracking_observer is not None


def test_tracing_without_turns_is_refused():
    with pytest.raises(ConfigurationError, match="Leave enable_turn_tracking out"):
        phone_worker(Pipeline([IdentityFilter()]), enable_tracing=True, enable_turn_tracking=False)


def test_tracing_without_opentelemetry_is_said(warnings: list[str]):
    phone_worker(Pipeline([IdentityFilter()]), enable_tracing=True)

    assert [("pipecat-ai[tracing]" in text) for text in warnings] == (
        [] if is_tracing_available() else [True]
    )


def test_option_that_is_none_names_its_neighbour():
    with pytest.raises(ConfigurationError, match=r"no option 'observer': did you"):
        phone_worker(Pipeline([IdentityFilter()]), observer=[])
    check_options(Call.run, ["greeting", "idle_timeout_secs"])
    with pytest.raises(ConfigurationError, match=r"Call.run\(\) has .*'greting': did .*'greeting'"):
        check_options(Call.run, ["greting"])


def test_worker_has_its_options_already():
    worker = phone_worker(Pipeline([IdentityFilter()]))

    assert worker_for(worker, {}) is worker
    with pytest.raises(ConfigurationError, match="got a worker: give them to phone_worker"):
        worker_for(worker, {"idle_timeout_secs": 3})
