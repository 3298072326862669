"""Names the setting that spares a conversion of audio, once per kind of service and process.

Everything works without: audio of any rate is brought to the line's, once. But what is asked for at
a rate that the line does not have costs time, traffic and quality on its way, and a recogniser that
is told another rate than it hears understands nothing.
"""

from collections.abc import Iterator

from loguru import logger
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_input import BaseInputTransport

from twilio_frames.audio import SAMPLE_RATE

__all__ = ["advise_on_recognisers", "advise_on_speech", "forget_advice"]

# By the names of Pipecat's classes; a subclass is meant too.
_BETTER = {
    "CartesiaTTSService": (
        "take twilio_frames.services.cartesia.PhoneCartesiaTTSService, which speaks mu-law as the "
        "line does, or set sample_rate=8000"
    ),
}
_AT_ITS_ONLY_RATE = frozenset({"OpenAITTSService", "GeminiTTSService"})
_USUAL = (
    "set sample_rate=8000 at the service, or leave it out and give the worker "
    "PipelineParams(audio_out_sample_rate=8000), as phone_worker() does"
)

_told: set[tuple[str, int]] = set()


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
        who, told = type(service).__name__, service.sample_rate
        if told != heard:
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


def forget_advice() -> None:
    """Lets everything be said once more, in a test say."""
    _told.clear()


def _tell(about: tuple[str, int], text: str) -> None:
    if about not in _told:
        _told.add(about)
        logger.warning(text)


def _ahead_of(processor: FrameProcessor) -> Iterator[FrameProcessor]:
    """The processors ahead of one, the nearest first, those inside of others too."""
    before = processor.previous
    while before is not None:
        yield before
        yield from _inside(before)
        before = before.previous


def _inside(processor: FrameProcessor) -> Iterator[FrameProcessor]:
    for one in reversed(processor.processors):
        yield one
        yield from _inside(one)
