"""What this package uses of Pipecat, and of its vendors' services, that has no public name.

Each function says what it is needed for, and which public way is missing. Names that a subclass
fills in (``_connect`` of a service, say) stand in the subclass; a test lists them, and names the
one of either kind that a new Pipecat does not have any more.

Nothing here is done at import, and no module of Pipecat's is changed.
"""

# pyright: reportPrivateUsage=false, reportAttributeAccessIssue=false

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipecat.processors.frame_processor import FrameDirection

if TYPE_CHECKING:
    import numpy as np
    from deepgram import AsyncDeepgramClient
    from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
    from pipecat.audio.vad.vad_analyzer import VADAnalyzer, VADParams
    from pipecat.frames.frames import Frame, InputAudioRawFrame
    from pipecat.observers.base_observer import BaseObserver
    from pipecat.pipeline.parallel_pipeline import ParallelPipeline
    from pipecat.pipeline.service_switcher import ServiceSwitcherStrategy
    from pipecat.pipeline.worker import PipelineWorker
    from pipecat.pipeline.worker_observer import WorkerObserver
    from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregator
    from pipecat.processors.audio.vad_processor import VADProcessor
    from pipecat.processors.frame_processor import FrameProcessor
    from pipecat.services.cartesia.tts import CartesiaTTSService
    from pipecat.services.deepgram.stt import DeepgramSTTService
    from pipecat.services.google.stt import GoogleSTTService
    from pipecat.services.llm_service import LLMService
    from pipecat.services.openai.base_llm import BaseOpenAILLMService
    from pipecat.services.stt_service import SegmentedSTTService, STTService
    from pipecat.services.tts_service import TTSService
    from pipecat.turns.user_mute import BaseUserMuteStrategy
    from pipecat.turns.user_turn_processor import UserTurnProcessor
    from pipecat.turns.user_turn_strategies import UserTurnStrategies
    from pipecat.utils.base_object import BaseObject

    Write = Callable[..., Awaitable[Any]]


# Events: every part of Pipecat's that has its own registers and calls them by these.


def register_event_handlers(owner: "BaseObject", *names: str) -> None:
    """Lets an object have events of these names: only handlers are added in public."""
    for name in names:
        owner._register_event_handler(name)


async def call_event_handler(owner: "BaseObject", name: str, *args: Any) -> None:
    """Tells an object's event to its handlers: nothing public does."""
    await owner._call_event_handler(name, *args)


# Pipelines.


def is_set_up(processor: "FrameProcessor") -> bool:
    """Whether Pipecat's own ``setup`` has run: without it a processor lets no frame through.

    The public property raises instead.
    """
    return getattr(processor, "_task_manager", None) is not None


def observer_of(worker: "PipelineWorker") -> "WorkerObserver | None":
    """What hands a worker's steps to its observers: a worker only takes more of these."""
    return getattr(worker, "_observer", None)


def set_observer(worker: "PipelineWorker", observer: "WorkerObserver") -> None:
    """Puts another one in its place, before the worker runs."""
    worker._observer = observer


def observers_of(observer: "WorkerObserver") -> "Sequence[BaseObserver]":
    """The observers that it was given: it can only be asked to forget one."""
    return observer._observers


def tell_first(observer: "WorkerObserver", new: "BaseObserver") -> None:
    """Has one told that comes to a running pipeline as its first; Pipecat 1.12 tells it nothing."""
    if observer._proxies is not None and new not in observer._proxies:
        observer._proxies[new] = observer._create_proxy(new)


def name_trace(worker: "PipelineWorker", name: str) -> None:
    """Names a worker's trace that has no name: in public it gets one where the worker is made."""
    observer = worker.turn_trace_observer
    if observer is not None and observer._conversation_id is None:
        observer._conversation_id = name


async def push_behind_branches(pipeline: "ParallelPipeline", frame: "Frame") -> None:
    """Pushes a frame as a branch does, in order with what they push; ``push_frame`` overtakes."""
    await pipeline._parallel_push_frame(frame, FrameDirection.DOWNSTREAM)


def keep_seen_ids(pipeline: "ParallelPipeline", ids: Any) -> None:
    """Has a parallel pipeline keep what it has seen in a set with a bound: its own has none."""
    pipeline._seen_ids = ids


def set_active_service(strategy: "ServiceSwitcherStrategy", service: "FrameProcessor") -> None:
    """Makes a service the active one: in public it is only read."""
    strategy._active_service = service


# Turns and memory.


def set_turn_strategies(
    part: "LLMUserAggregator | UserTurnProcessor", strategies: "UserTurnStrategies"
) -> None:
    """Changes whose turn it is by, before the pipeline runs: the public way needs it to run."""
    part._user_turn_controller._user_turn_strategies = strategies


def set_vad_params(analyzer: "VADAnalyzer", params: "VADParams") -> None:
    """Changes what a VAD's frames tell of it; the public way begins to listen anew."""
    analyzer._params = params


async def follow_vad_state(processor: "VADProcessor", audio: "InputAudioRawFrame") -> None:
    """Has a VAD's processor tell of the state it is in: in public it does where audio comes by."""
    await processor._vad_controller.process_frame(audio)


def probability_of_end(model: "LocalSmartTurnAnalyzerV3", samples: "np.ndarray") -> float:
    """Asks a model that calls share, which keeps nothing: the public way keeps a call's audio."""
    return float(model._predict_endpoint(samples)["probability"])


def add_mute_strategy(user: "LLMUserAggregator", strategy: "BaseUserMuteStrategy") -> None:
    """Has an aggregator ask one more before it listens: it takes them where it is made alone."""
    given = user._params.user_mute_strategies
    user._params = replace(user._params, user_mute_strategies=[*given, strategy])


def wrap_writes(
    user: "LLMUserAggregator",
    *,
    turn: "Callable[[Write], Write]",
    other: "Callable[[Write], Write]",
) -> None:
    """Has an aggregator write by way of something else, which may wait: no event comes before.

    Args:
        user: The end of a memory that writes what the caller said.
        turn: Makes of its way to write a turn another one.
        other: Makes of each other way to write another one.
    """
    user._push_aggregation = turn(user._push_aggregation)
    for name in ("_run_speculative_inference", "_maybe_recover_empty_user_turn"):
        setattr(user, name, other(getattr(user, name)))


def writes_by_response(user: "LLMUserAggregator") -> bool:
    """Whether a speech-to-speech model's response writes the turns: no property tells."""
    return bool(user._realtime_service_mode)


async def write_waiting_words(user: "LLMUserAggregator") -> None:
    """Writes the words that a speech-to-speech model's response waits for: only time does else."""
    waiting = user._realtime_handoff_flush_task
    if waiting is not None and not waiting.done():
        await user._realtime_handoff_flush_immediate()


# Recognisers.


def passes_audio(service: "STTService") -> bool:
    """Whether a recogniser lets the audio pass that it hears: no property tells."""
    return getattr(service, "_audio_passthrough", True)


def speaker_of(service: "STTService") -> str:
    """Whom the audio came from, which stands in transcripts: no property tells."""
    return service._user_id


def set_speaker(service: "STTService", user_id: str) -> None:
    """Notes whom the audio comes from, where the service takes it by a way of its own."""
    service._user_id = user_id


def utterance_so_far(service: "SegmentedSTTService") -> bytearray:
    """The audio of an utterance, and of the time before one, to be cut: it grows for ever else."""
    return service._audio_buffer


def is_in_utterance(service: "SegmentedSTTService") -> bool:
    """Whether that is an utterance's: no property tells."""
    return service._user_speaking


def deepgram_client(service: "DeepgramSTTService") -> "AsyncDeepgramClient":
    """Deepgram's client, as Pipecat made it of the settings: no property has it."""
    return service._client


def deepgram_options(service: "DeepgramSTTService") -> Callable[[], dict[str, Any]]:
    """What makes a stream's options of the settings: only Pipecat's own connection asks."""
    return service._build_connect_kwargs


def deepgram_address(client: "AsyncDeepgramClient") -> tuple[str, dict[str, str]]:
    """Where a client connects, and with which headers: Deepgram's client keeps it to itself."""
    wrapper = client._client_wrapper
    return wrapper.get_environment().production, wrapper.get_headers()


async def take_deepgram_results(service: "DeepgramSTTService", results: Any) -> None:
    """Makes frames of results: only Pipecat's own connection brings any."""
    await service._on_message(results)


def count_audio(service: "STTService", pcm: bytes) -> None:
    """Counts audio for the usage metrics, where the service sends it by a way of its own."""
    service._record_stt_audio_usage(pcm)


def google_location(service: Any) -> str:
    """The region that a service of Google's is asked in, as the settings have it by now."""
    return service._location or ""


def google_config(service: "GoogleSTTService") -> Any:
    """A stream's configuration, as Pipecat made it of the settings: no property has it."""
    return service._config


def google_language(service: "GoogleSTTService") -> Any:
    """The first language of the settings, by Google's name: no property has it."""
    return service._get_language_codes()[0]


async def trace_google_results(service: "GoogleSTTService", text: str, language: Any) -> None:
    """Tells a trace of final words: only Pipecat's own stream does."""
    await service._handle_transcription(text, is_final=True, language=language)


# Voices and models.


async def take_kept_text(service: "TTSService") -> str:
    """Takes what waits for the end of its sentence: only an end of the reply flushes it."""
    kept = await service._text_aggregator.flush()
    return kept.text if kept else ""


def frames_behind_text(service: "TTSService") -> "Sequence[Frame]":
    """Gives up the words that are missing of a text; what waited for them, to be pushed.

    Pipecat says those words when the audio context ends.
    """
    return service._aggregated_frame_sequencer.complete_spoken_slot()


def cartesia_address(service: "CartesiaTTSService") -> tuple[str, dict[str, str]]:
    """Where the service connects, and with which headers: only its own connection asks."""
    key, version = service._api_key, service._cartesia_version
    headers = {"X-API-Key": key, "Cartesia-Version": version, **service._extra_headers}
    return service._url, headers


def cartesia_request(service: "CartesiaTTSService") -> str:
    """A request for speech with the settings there are: only its own connection asks."""
    return service._build_msg()


def gives_words_with_spaces(service: "CartesiaTTSService") -> bool:
    """Whether the words of the language come with the spaces between them."""
    return service._word_timestamps_include_inter_frame_spaces()


def streams_tokens(service: "CartesiaTTSService") -> bool:
    """Whether texts come as pieces of sentences, spaces included: no property tells."""
    return service._is_streaming_tokens


def plain_words(service: "CartesiaTTSService", word: str, begin: float) -> list[str]:
    """A word without Cartesia's markup; none where it is no more than that."""
    return [plain for plain, _ in service._normalize_word_timestamps([word], [begin])]


def set_openai_client(service: "BaseOpenAILLMService", client: Any) -> None:
    """Gives it another client: in public it makes its own, once."""
    service._client = client


def openai_client(service: "BaseOpenAILLMService") -> Any:
    """OpenAI's client, as Pipecat made it: no property has it."""
    return service._client


def sync_tool_handlers(service: "LLMService[Any]", tools: Any) -> None:
    """Has a model's functions be those of a set: only a context frame does it in public."""
    service._sync_registered_tool_handlers(tools)


# Names whose place differs between the versions that this package runs with.


def tool_options(**options: Any) -> Callable[[Any], Any]:
    """Pipecat's decorator of that name, which moved in 1.14."""
    try:
        from pipecat.adapters.llm.schemas.direct_function import tool_options as decorate
    except ImportError:
        from pipecat.adapters.schemas.direct_function import tool_options as decorate
    return decorate(**options)
