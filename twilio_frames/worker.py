"""A Pipecat worker for a pipeline that talks over the telephone."""

from collections.abc import Callable, Iterable
from inspect import signature
from typing import Any

from loguru import logger
from pipecat.pipeline.base_pipeline import BasePipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.utils.tracing.setup import is_tracing_available

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.calllog.direct import add_observers
from twilio_frames.errors import ConfigurationError
from twilio_frames.errors.settings import check_known
from twilio_frames.processors.pipeline.gates import parts_in

__all__ = ["check_options", "phone_worker", "worker_for"]

_RATES: dict[str, Any] = {"audio_in_sample_rate": SAMPLE_RATE, "audio_out_sample_rate": SAMPLE_RATE}


def phone_worker(pipeline: BasePipeline, **options: Any) -> PipelineWorker:
    """Make a worker for a pipeline that talks over the telephone.

    Audio is 8 kHz both ways, so nothing is resampled. RTVI is off: nobody at the other end reads
    it. So is turn tracking, which costs time on every frame of every call, unless something needs
    it: tracing, or an ``AudioBufferProcessor`` in the pipeline. Pipecat's idle time-out is off too:
    the transport itself notices a line that is dead.

    Args:
        pipeline: The bot's pipeline, with the transport's input and output in it.
        options: More arguments of ``PipelineWorker``; they win over what is set here. Of ``params``
            so do the fields that are given: sample rates that are not are the phone's. A
            :class:`twilio_frames.calllog.CallLog` may be among its ``observers``.

    Raises:
        ConfigurationError: If tracing is asked for without the turn tracking it consists of, or an
            option is none.
    """
    check_options(phone_worker, options)
    observers = options.pop("observers", None) or []
    defaults: dict[str, Any] = {
        "enable_rtvi": False,
        "enable_turn_tracking": _needs_turns(pipeline, options),
        "idle_timeout_secs": None,
    }
    params = _at_phone_rates(options.pop("params", None))
    worker = PipelineWorker(pipeline, **(defaults | options), params=params)
    add_observers(worker, observers)
    return worker


def worker_for(pipeline: BasePipeline | PipelineWorker, options: dict[str, Any]) -> PipelineWorker:
    """Gives the worker of a pipeline, or the one that was made for it already.

    Raises:
        ConfigurationError: If such a one is to have options.
    """
    if not isinstance(pipeline, PipelineWorker):
        return phone_worker(pipeline, **options)
    if options:
        raise ConfigurationError(
            f"expected a pipeline beside {', '.join(sorted(options))}, got a worker: give them to "
            "phone_worker()"
        )
    return pipeline


def check_options(function: Callable[..., object], options: Iterable[str]) -> None:
    """Refuses an option that neither ``PipelineWorker`` has nor the function that hands it on.

    Raises:
        ConfigurationError: Names it, and what it may have been meant for.
    """
    known = {*signature(function).parameters, *signature(PipelineWorker).parameters}
    check_known(f"{function.__qualname__}()", options, known)


def _at_phone_rates(params: PipelineParams | None) -> PipelineParams:
    if params is None:
        return PipelineParams(**_RATES)
    missing = {name: rate for name, rate in _RATES.items() if name not in params.model_fields_set}
    return params.model_copy(update=missing)


def _needs_turns(pipeline: BasePipeline, options: dict[str, Any]) -> bool:
    traces = bool(options.get("enable_tracing"))
    if traces and options.get("enable_turn_tracking") is False:
        raise ConfigurationError(
            "expected turn tracking beside enable_tracing=True, got enable_turn_tracking=False: "
            "Pipecat's spans are those of turns. Leave enable_turn_tracking out"
        )
    if traces and not is_tracing_available():
        logger.warning(
            "enable_tracing=True has no effect: OpenTelemetry is not installed. "
            "Run pip install 'pipecat-ai[tracing]'"
        )
    return traces or any(isinstance(one, AudioBufferProcessor) for one in parts_in(pipeline))
