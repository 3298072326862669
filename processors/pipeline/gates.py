"""What a pipeline is made of, and who may hold the bot's speech back on its way to the output."""

from collections.abc import Iterator

from pipecat.frames.frames import InputAudioRawFrame, OutputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline, PipelineSink, PipelineSource
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.ai_service import AIService
from pipecat.services.llm_service import LLMService
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_output import BaseOutputTransport

from twilio_frames.frames import CallerPausedFrame, CallerSpeakingFrame

__all__ = ["is_followed", "parts_around", "parts_in", "speech_gates", "voice_in"]

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

_DEAF = (
    "pipecat.pipeline.",
    "pipecat.processors.aggregators.llm_response_universal",
    "twilio_frames.processors.",
)


def parts_in(processor: FrameProcessor) -> Iterator[FrameProcessor]:
    """The processors inside of one, a pipeline say, in order, those inside of them too."""
    for one in processor.processors:
        yield one
        yield from parts_in(one)


def parts_around(
    processor: FrameProcessor,
) -> tuple[list[FrameProcessor], list[FrameProcessor]]:
    """The processors ahead of one and behind it, those inside of others too.

    Args:
        processor: One that has been set up. One that stands inside of another that does not name
            its parts has nobody around it.
    """
    line = list(parts_in(processor.pipeline_worker.pipeline))
    if processor not in line:
        return [], []
    place = line.index(processor)
    return line[:place], line[place + 1 :]


def is_followed(output: FrameProcessor) -> bool:
    """Whether anybody behind an output may make something of what comes there again and again.

    That is audio of the caller's, audio that was heard, and how the caller goes on. A memory does
    not, nor does what this package has there. Whoever has the worker tell of frames that reached
    the pipeline's end does.

    Args:
        output: Of a pipeline that is being started.
    """
    kinds = (InputAudioRawFrame, OutputAudioRawFrame, CallerSpeakingFrame, CallerPausedFrame)
    told_of = output.pipeline_worker.reached_downstream_types
    if any(issubclass(kind, one) or issubclass(one, kind) for kind in kinds for one in told_of):
        return True
    ahead, behind = parts_around(output)
    is_alone = all(type(one).__module__.startswith(_DEAF) for one in behind)
    return not is_alone or not (ahead or behind)


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


def voice_in(pipeline: FrameProcessor) -> FrameProcessor | None:
    """What speaks, and does not think: interrupted there, a function of the model goes on.

    Args:
        pipeline: The bot's pipeline.

    Returns:
        A TTS service, or what has it in its branches; None where whoever thinks speaks too.
    """
    for one in _steps(pipeline):
        parts = [one, *parts_in(one)]
        if any(isinstance(part, TTSService) for part in parts):
            return None if any(isinstance(part, LLMService) for part in parts) else one
    return None


def _steps(pipeline: FrameProcessor) -> Iterator[FrameProcessor]:
    """What stands one behind the other; branches count as one step."""
    for one in pipeline.processors:
        if isinstance(one, Pipeline):
            yield from _steps(one)
        elif not isinstance(one, PipelineSource | PipelineSink):
            yield one
