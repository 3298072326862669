"""Names who wants the caller's audio where none comes: behind a recogniser that keeps it.

The audio of a call ends at a recogniser that lets none pass, which spares every processor behind it
fifty frames a second. A VAD, a turn analyzer or a recorder that stands behind hears nothing, and
says nothing about it.
"""

from collections.abc import Iterator

from loguru import logger
from pipecat.audio.vad.vad_controller import VADController
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregator
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.stt_service import STTService
from pipecat.turns.user_stop import DeferredUserTurnStopStrategy, TurnAnalyzerUserTurnStopStrategy
from pipecat.turns.user_turn_controller import UserTurnController

from twilio_frames.pipecat_internals import passes_audio
from twilio_frames.processors.pipeline.parts import parts_in

__all__ = ["advise_on_audio", "forget_audio_advice"]

_BEFORE = "Put it ahead of the recogniser"
_told: set[tuple[str, str]] = set()


def advise_on_audio(output: FrameProcessor) -> None:
    """Warns of what wants audio behind a recogniser that lets none pass; once for each pair.

    Args:
        output: The pipeline's output, once everything ahead of it has started.
    """
    keeper: STTService | None = None
    for one in _in_order(output):
        for wanting, way in _wants_audio(one):
            if keeper is not None:
                _tell(wanting, type(keeper).__name__, way)
        if isinstance(one, STTService) and not passes_audio(one):
            keeper = one


def forget_audio_advice() -> None:
    """Lets everything be said once more, in a test say."""
    _told.clear()


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


def _analyzes_turns(turns: UserTurnController) -> bool:
    for stop in turns.user_turn_strategies.stop or []:
        inner = stop.inner if isinstance(stop, DeferredUserTurnStopStrategy) else stop
        if isinstance(inner, TurnAnalyzerUserTurnStopStrategy):
            return True
    return False


def _tell(wanting: str, keeper: str, way: str) -> None:
    if (wanting, keeper) not in _told:
        _told.add((wanting, keeper))
        logger.warning(
            f"{wanting} gets no audio: {keeper} ahead of it lets none pass. {way}, or give "
            f"{keeper} audio_passthrough=True"
        )


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
