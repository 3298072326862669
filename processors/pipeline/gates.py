"""Who may hold the bot's speech back on its way to the output."""

from collections.abc import Iterator

from pipecat.pipeline.pipeline import Pipeline, PipelineSink, PipelineSource
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.ai_service import AIService
from pipecat.transports.base_output import BaseOutputTransport

from twilio_frames.processors.pipeline.parts import parts_in

__all__ = ["speech_gates"]

# By where their classes are: whoever has none of them need not import them.
_LET_THROUGH = (
    "twilio_frames.",
    "pipecat.processors.aggregators.",
    "pipecat.processors.audio.",
    "pipecat.processors.filters.identity_filter",
    "pipecat.processors.frameworks.rtvi",
    "pipecat.processors.logger",
    "pipecat.processors.metrics.",
)


def speech_gates(pipeline: FrameProcessor) -> list[str]:
    """What stands between the last service and the output, and may hold speech back.

    A voicemail detector's gate does, and a processor of one's own may; this package's own and those
    of Pipecat that let everything through do not.

    Args:
        pipeline: The bot's pipeline.

    Returns:
        Their classes' names, in the order of the pipeline.
    """
    ahead: list[FrameProcessor] = []
    for one in _steps(pipeline):
        if isinstance(one, BaseOutputTransport):
            break
        if isinstance(one, AIService) or any(isinstance(each, AIService) for each in parts_in(one)):
            ahead.clear()
        else:
            ahead.append(one)
    return [
        type(one).__name__ for one in ahead if not type(one).__module__.startswith(_LET_THROUGH)
    ]


def _steps(pipeline: FrameProcessor) -> Iterator[FrameProcessor]:
    """What stands one behind the other; branches count as one step."""
    for one in pipeline.processors:
        if isinstance(one, Pipeline):
            yield from _steps(one)
        elif not isinstance(one, PipelineSource | PipelineSink):
            yield one
