"""What has no public name in Pipecat is there, and is used in one module alone."""

# pyright: reportPrivateUsage=false

import ast
import functools
import importlib
import inspect
import pkgutil
import sys
from typing import Any

import pytest
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregator

import twilio_frames
from tests.pipecat_versions import unless_pipecat_112
from twilio_frames import pipecat_internals

# By the class that has it; what pipecat_internals reads, writes and calls.
USED = {
    "pipecat.utils.base_object.BaseObject": {"_register_event_handler", "_call_event_handler"},
    "pipecat.processors.frame_processor.FrameProcessor": {"_task_manager"},
    "pipecat.pipeline.worker.PipelineWorker": {"_observer"},
    "pipecat.pipeline.worker_observer.WorkerObserver": {
        "_create_proxy",
        "_observers",
        "_proxies",
    },
    "pipecat.utils.tracing.turn_trace_observer.TurnTraceObserver": {"_conversation_id"},
    "pipecat.pipeline.parallel_pipeline.ParallelPipeline": {"_parallel_push_frame", "_seen_ids"},
    "pipecat.pipeline.service_switcher.ServiceSwitcherStrategy": {"_active_service"},
    "pipecat.processors.aggregators.llm_response_universal.LLMUserAggregator": {
        "_maybe_recover_empty_user_turn",
        "_push_aggregation",
        "_realtime_handoff_flush_immediate",
        "_realtime_handoff_flush_task",
        "_realtime_service_mode",
        "_run_speculative_inference",
        "_params",
        "_user_turn_controller",
    },
    "pipecat.turns.user_turn_processor.UserTurnProcessor": {"_user_turn_controller"},
    "pipecat.turns.user_turn_controller.UserTurnController": {"_user_turn_strategies"},
    "pipecat.audio.vad.vad_analyzer.VADAnalyzer": {"_params"},
    "pipecat.processors.audio.vad_processor.VADProcessor": {"_vad_controller"},
    "pipecat.audio.turn.smart_turn.local_smart_turn_v3.LocalSmartTurnAnalyzerV3": {
        "_predict_endpoint"
    },
    "pipecat.services.stt_service.STTService": {
        "_audio_passthrough",
        "_record_stt_audio_usage",
        "_user_id",
    },
    "pipecat.services.stt_service.SegmentedSTTService": {"_audio_buffer", "_user_speaking"},
    "pipecat.services.deepgram.stt.DeepgramSTTService": {
        "_build_connect_kwargs",
        "_client",
        "_on_message",
    },
    "deepgram.AsyncDeepgramClient": {"_client_wrapper"},
    "pipecat.services.google.stt.GoogleSTTService": {
        "_config",
        "_get_language_codes",
        "_handle_transcription",
        "_location",
    },
    "pipecat.services.google.tts.GoogleTTSService": {"_location"},
    "pipecat.services.tts_service.TTSService": {
        "_aggregated_frame_sequencer",
        "_is_streaming_tokens",
        "_text_aggregator",
    },
    "pipecat.services.cartesia.tts.CartesiaTTSService": {
        "_api_key",
        "_build_msg",
        "_cartesia_version",
        "_extra_headers",
        "_normalize_word_timestamps",
        "_url",
        "_word_timestamps_include_inter_frame_spaces",
    },
    "pipecat.services.llm_service.LLMService": {"_sync_registered_tool_handlers"},
    "pipecat.services.openai.base_llm.BaseOpenAILLMService": {"_client"},
}

# What subclasses fill in, in the place where they do.
FILLED_IN = {
    "calllog.direct._Distributor": {"_create_proxy", "_proxy_task_handler"},
    "local.tts.EspeakTTSService": {"_update_settings"},
    "processors.fallback.switch.Fallback": {"_make_pipeline_definitions"},
    "processors.turns.eager.PhoneTurnStopStrategy": {"_stop_secs_warned"},
    "services.cartesia.connection.CartesiaConnection": {"_connect", "_disconnect"},
    "services.deepgram.connection.DeepgramConnection": {
        "_connect",
        "_disconnect",
        "_do_reconnect",
    },
    "services.function_calls.ChecksFunctionCalls": {"_run_function_call"},
    "services.google.stt.PhoneGoogleSTTService": {"_stream_audio"},
    "services.google.tts.PhoneGoogleTTSService": {"_create_client", "_stream_tts"},
    "services.langchain.PhoneLangchainProcessor": {"_ainvoke"},
    "services.partial_speech.PartialSpeechTTSService": {"_record_context_audio_outcome"},
    "services.piper.PhonePiperTTSService": {"_update_settings"},
    "services.realtime.PhoneOpenAIRealtimeLLMService": {"_service_tools", "_update_settings"},
    "services.redacting.RedactingTTSService": {"_prepare_text_for_tts", "_synthesize_text"},
}


@functools.cache
def trees_of(module: str) -> dict[str, ast.AST]:
    """A module's classes by their names, and the module itself by none."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError):
        return {}
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return {"": tree, **{node.name: node for node in classes}}


def tree_of(part: Any) -> ast.AST:
    if inspect.ismodule(part):
        return trees_of(part.__name__)[""]
    return trees_of(part.__module__).get(part.__name__, ast.parse(""))


@functools.cache
def attributes_of(part: type) -> set[str]:
    """The private names that a class defines, or sets on itself."""
    nodes = [node for node in ast.walk(tree_of(part)) if isinstance(node, ast.Attribute)]
    is_set = {node.attr for node in nodes if isinstance(node.ctx, ast.Store)}
    return {name for name in is_set | set(vars(part)) if is_private(name)}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_abc_impl"


def used_in(part: Any) -> set[str]:
    nodes = [node for node in ast.walk(tree_of(part)) if isinstance(node, ast.Attribute)]
    return {node.attr for node in nodes if is_private(node.attr)}


def classes():
    for module in pkgutil.walk_packages(twilio_frames.__path__, "twilio_frames."):
        if not module.name.endswith("__main__"):
            for part in vars(importlib.import_module(module.name)).values():
                if inspect.isclass(part) and part.__module__ == module.name:
                    yield part


@pytest.mark.parametrize(
    ("owner", "name"), [(owner, name) for owner, names in USED.items() for name in sorted(names)]
)
def test_pipecat_still_has(owner: str, name: str):
    module, _, kind = owner.rpartition(".")
    found = getattr(importlib.import_module(module), kind)
    assert any(name in attributes_of(base) for base in found.__mro__), (
        f"{kind} has no {name} any more: see who asks for it in pipecat_internals.py"
    )


def test_list_is_complete():
    module: Any = pipecat_internals
    strings = {
        node.value
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and is_private(node.value)
    }
    assert used_in(module) | strings == set().union(*USED.values())


def test_aggregator_writes_as_it_is_wrapped():
    for name in ("_run_speculative_inference", "_maybe_recover_empty_user_turn"):
        assert inspect.iscoroutinefunction(getattr(LLMUserAggregator, name))
    parameters = inspect.signature(LLMUserAggregator._push_aggregation).parameters
    assert list(parameters) == ["self", "run_llm"]


def test_model_is_asked_as_it_expects():
    parameters = inspect.signature(LocalSmartTurnAnalyzerV3._predict_endpoint).parameters
    assert list(parameters) == ["self", "audio_array"]


@unless_pipecat_112("has fewer names to fill in")
def test_nothing_private_of_pipecats_is_used_elsewhere():
    found: dict[str, set[str]] = {}
    for part in classes():
        foreign = [base for base in part.__mro__[1:] if base.__module__.startswith("pipecat.")]
        if not foreign:
            continue
        theirs = set().union(*map(attributes_of, foreign))
        source = ast.unparse(tree_of(part))
        written = {name for name in attributes_of(part) if name in source}
        if names := (used_in(part) | written) & theirs:
            name = f"{part.__module__}.{part.__qualname__}".removeprefix("twilio_frames.")
            found[name] = names
    assert found == FILLED_IN
