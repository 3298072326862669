"""Names the settings by which audio goes astray in a pipeline, or is converted for nothing.

The audio of a call ends at a recogniser that lets none pass, which spares every processor behind it
fifty frames a second. A VAD, a turn analyzer or a recorder that stands behind hears nothing, and
says nothing about it.

Audio of any rate is brought to the line's, once. But what is asked for at a rate that the line does
not have costs time, traffic and quality on its way, and a recogniser that is told another rate than
it hears understands nothing. Two VADs tell of all speech twice. Each is said once per kind of
service and process.
"""

from collections.abc import Iterator
from itertools import takewhile

from loguru import logger
from pipecat.audio.vad.vad_controller import VADController
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregator
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_input import BaseInputTransport
from pipecat.turns.user_stop import DeferredUserTurnStopStrategy, TurnAnalyzerUserTurnStopStrategy
from pipecat.turns.user_turn_controller import UserTurnController

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.pipecat_internals import passes_audio
from twilio_frames.processors.pipeline.gates import parts_in

__all__ = [
    "advise_on_audio",
    "advise_on_ends",
    "advise_on_recognisers",
    "advise_on_speech",
    "advise_on_vads",
    "forget_advice",
]

_BEFORE = "Put it ahead of the recogniser"
# By the names of Pipecat's classes; a subclass is meant too.
_BETTER = {
    "CartesiaTTSService": (
        "take twilio_frames.services.cartesia.PhoneCartesiaTTSService, which speaks mu-law as the "
        "line does, or set sample_rate=8000"
    ),
}
_AT_ITS_ONLY_RATE = frozenset({"OpenAITTSService", "GeminiTTSService"})
# They take all audio for audio of 16 kHz, whatever rate they are told.
_HEAR_ONLY = 16_000
_HEARS_ONLY_THAT: dict[str, str] = {
    "WhisperSTTService": "twilio_frames.services.whisper.PhoneWhisperSTTService",
    "MoonshineSTTService": "",
    "TogetherSTTService": "",
}
_USUAL = (
    "set sample_rate=8000 at the service, or leave it out and give the worker "
    "PipelineParams(audio_out_sample_rate=8000), as phone_worker() does"
)

_LISTENERS = (STTService, VADProcessor, LLMUserAggregator)

_told: set[tuple[str, str | int]] = set()


def advise_on_audio(output: FrameProcessor) -> None:
    """Warns of what wants audio behind a recogniser that lets none pass; once for each pair.

    Args:
        output: The pipeline's output, once everything ahead of it has started.
    """
    keeper: STTService | None = None
    for one in _in_order(output):
        for wanting, way in _wants_audio(one):
            if keeper is not None:
                who = type(keeper).__name__
                _tell(
                    (wanting, who),
                    f"{wanting} gets no audio: {who} ahead of it lets none pass. {way}, or give "
                    f"{who} audio_passthrough=True",
                )
        if isinstance(one, STTService) and not passes_audio(one):
            keeper = one


def _wants_audio(processor: FrameProcessor) -> Iterator[tuple[str, str]]:
    if isinstance(processor, VADProcessor | AudioBufferProcessor):
        yield type(processor).__name__, _BEFORE
    if not isinstance(processor, LLMUserAggregator):
        return
    for part in vars(processor).values():
        if isinstance(part, VADController):
            yield (
                "the vad_analyzer of LLMUserAggregatorParams",
                "Leave it out, and put PhoneVAD() ahead of the recogniser",
            )
        if isinstance(part, UserTurnController) and _analyzes_turns(part):
            yield (
                "TurnAnalyzerUserTurnStopStrategy",
                "Take phone_turn_strategies(), and PhoneVAD(endpointing=Endpointing.SMART_TURN) "
                "ahead of the recogniser",
            )


def advise_on_ends(pipeline: FrameProcessor, hears: FrameProcessor, speaks: FrameProcessor) -> None:
    """Warns where a transport's output is in no pipeline, or its input is not though some listen.

    Args:
        pipeline: The pipeline.
        hears: The transport's input.
        speaks: Its output.
    """
    if speaks.previous is None:
        _tell(
            ("output", ""),
            "`call.transport.output()` is not in the pipeline: nobody hears the bot; put it behind "
            "the voice",
        )
    if hears.previous is None and any(isinstance(one, _LISTENERS) for one in parts_in(pipeline)):
        _tell(
            ("input", ""),
            "`call.transport.input()` is not in the pipeline: the bot does not hear the caller; "
            "put it first",
        )


def advise_on_vads(vad: FrameProcessor) -> None:
    """Warns where another VAD than one tells of the same speech.

    Args:
        vad: The one, once its pipeline is made.
    """
    who = type(vad).__name__
    for one in _in_order(vad):
        for other in () if one is vad else _vads(one):
            _tell(
                (who, other),
                f"{who} and {other} both tell when the caller speaks: recognisers give all words "
                f"twice, and the LLM is asked twice. Leave one of them out; {who} alone does",
            )


def _vads(processor: FrameProcessor) -> Iterator[str]:
    if isinstance(processor, VADProcessor):
        yield f"another {type(processor).__name__}"
    elif isinstance(processor, LLMUserAggregator):
        for part in vars(processor).values():
            if isinstance(part, VADController):
                yield "the vad_analyzer of LLMUserAggregatorParams"


def _analyzes_turns(turns: UserTurnController) -> bool:
    for stop in turns.user_turn_strategies.stop or []:
        inner = stop.inner if isinstance(stop, DeferredUserTurnStopStrategy) else stop
        if isinstance(inner, TurnAnalyzerUserTurnStopStrategy):
            return True
    return False


def _in_order(processor: FrameProcessor) -> Iterator[FrameProcessor]:
    """The processors of a pipeline in order, those inside of others too."""
    first = processor
    while first.previous is not None:
        first = first.previous
    one: FrameProcessor | None = first
    while one is not None:
        yield one
        yield from parts_in(one)
        one = one.next


def advise_on_speech(output: FrameProcessor, sample_rate: int) -> None:
    """Warns of a TTS service whose audio has to be resampled, with the setting that spares it.

    Args:
        output: Who got the audio; the service is ahead of it.
        sample_rate: Of the audio, Hz.
    """
    if sample_rate == SAMPLE_RATE:
        return
    voices = [one for one in _ahead_of(output) if isinstance(one, TTSService)]
    likely = [voice for voice in voices if voice.sample_rate == sample_rate] or voices
    # The nearest one: whoever speaks last in a pipeline is heard.
    voice = likely[0] if likely else None
    names = {kind.__name__ for kind in type(voice).__mro__}
    if names & _AT_ITS_ONLY_RATE:
        return
    better = next((text for name, text in _BETTER.items() if name in names), _USUAL)
    who = type(voice).__name__ if voice else "the pipeline"
    _tell(
        (who, sample_rate),
        f"{who} gives audio of {sample_rate} Hz and a telephone has {SAMPLE_RATE}: it is resampled "
        f"here; to spare that, {better}",
    )


def advise_on_recognisers(output: FrameProcessor) -> None:
    """Warns of STT services that are told another rate than they hear, or than the line has.

    Args:
        output: The pipeline's output, once everything ahead of it has started.
    """
    ahead = list(_ahead_of(output))
    heard = next((one.sample_rate for one in ahead if isinstance(one, BaseInputTransport)), None)
    for service in ahead:
        if not isinstance(service, STTService) or not service.sample_rate or not heard:
            continue
        if getattr(service, "hears_line_audio", False):
            continue
        who, told = type(service).__name__, service.sample_rate
        names = [kind.__name__ for kind in type(service).__mro__]
        if only := next((name for name in names if name in _HEARS_ONLY_THAT), None):
            _advise_on_only_rate(who, heard, instead=_HEARS_ONLY_THAT[only])
        elif told != heard:
            _tell(
                (who, told),
                f"{who} is told to expect audio of {told} Hz and gets {heard}: it will understand "
                "little or nothing. Set sample_rate=8000 at the service, or leave it out and give "
                "the worker PipelineParams(audio_in_sample_rate=8000), as phone_worker() does",
            )
        elif told != SAMPLE_RATE:
            _tell(
                (who, told),
                f"{who} gets audio of {told} Hz, and a telephone has {SAMPLE_RATE}: the rest is "
                "made up, and sent to it for nothing. Leave out audio_in_sample_rate at "
                "TwilioParams, give the worker PipelineParams(audio_in_sample_rate=8000), as "
                "phone_worker() does, and set sample_rate=8000 at a service that has its own",
            )


def _advise_on_only_rate(who: str, heard: int, *, instead: str) -> None:
    if heard != _HEAR_ONLY:
        other = f"take {instead}, which hears the line's own audio, or " if instead else ""
        _tell(
            (who, heard),
            f"{who} takes all audio for {_HEAR_ONLY} Hz and gets {heard}: it will understand "
            f"little or nothing, and not say so. To change that, {other}give the transport "
            f"TwilioParams(audio_in_sample_rate={_HEAR_ONLY})",
        )


def forget_advice() -> None:
    """Lets everything be said once more, in a test say."""
    _told.clear()


def _tell(about: tuple[str, str | int], text: str) -> None:
    if about not in _told:
        _told.add(about)
        logger.warning(text)


def _ahead_of(processor: FrameProcessor) -> Iterator[FrameProcessor]:
    """The processors ahead of one, the nearest first, those inside of others too."""
    return reversed(list(takewhile(lambda one: one is not processor, _in_order(processor))))
