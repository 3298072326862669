"""What a frame of the pipeline amounts to in a call log, and what of it may stand there."""

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from pipecat.frames import frames as pipecat_frames
from pipecat.frames.frames import (
    AggregatedTextFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    ErrorFrame,
    Frame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    InputDTMFFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    MetricsFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import FramePushed
from pipecat.processors.frame_processor import FrameDirection

from twilio_frames.calllog.writer import Line
from twilio_frames.frames import (
    AudioGapFrame,
    BotHeldFrame,
    CallAwayFrame,
    CallBackFrame,
    CallEndedFrame,
    CallStartedFrame,
    DigitsWantedFrame,
    MarkReachedFrame,
    MarkSentFrame,
    ResumeFrame,
    VendorSwitchedFrame,
)
from twilio_frames.processors.clips import SpeakClipFrame, context_of
from twilio_frames.processors.words import HeardTextFrame
from twilio_frames.report.lines import Kind

_NAME_LENGTH = 40
_MOST_KNOWN = 256
"""Frames that are remembered, to tell those that come again."""
# Known to Pipecat since 1.13.
_BACKCHANNEL: type = getattr(pipecat_frames, "UserBackchannelFrame", CallEndedFrame)

_PLAIN: dict[type[Frame], Kind] = {
    UserStartedSpeakingFrame: Kind.TURN_STARTED,
    UserStoppedSpeakingFrame: Kind.TURN_STOPPED,
    BotStartedSpeakingFrame: Kind.BOT_STARTED,
    BotStoppedSpeakingFrame: Kind.BOT_STOPPED,
    ResumeFrame: Kind.RESUMED,
    InterruptionFrame: Kind.INTERRUPTED,
}
"""Frames of which nothing but their time is of interest."""

_TELLING = (
    *_PLAIN,
    *(
        CallAwayFrame,
        CallBackFrame,
        AudioGapFrame,
        CallEndedFrame,
        CallStartedFrame,
        InputDTMFFrame,
        MarkReachedFrame,
    ),
    *(MarkSentFrame, TranscriptionFrame, VADUserStartedSpeakingFrame),
    *(VADUserStoppedSpeakingFrame, _BACKCHANNEL, LLMFullResponseEndFrame),
    *(LLMFullResponseStartFrame, LLMTextFrame, FunctionCallInProgressFrame),
    *(FunctionCallResultFrame, AggregatedTextFrame, BotHeldFrame, TTSAudioRawFrame),
    DigitsWantedFrame,
    *(TTSStartedFrame, TTSStoppedFrame, ErrorFrame, MetricsFrame, VendorSwitchedFrame),
)

# Pipecat's metrics by their class: what they are called in a log, and the field with the seconds.
_METRICS = {
    "TTFBMetricsData": ("ttfb", "value"),
    "ProcessingMetricsData": ("processing", "value"),
    "TextAggregationMetricsData": ("text_aggregation", "value"),
    "TTFAMetricsData": ("ttfa", "ttfa"),
    "TTFATMetricsData": ("ttfat", "ttfat"),
}
_NUMBER = re.compile(r"\+?\d(?:[ ().\-/]{0,2}\d){4,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPrivacy:
    """Switches for what a log holds of what was said and pressed.

    Telephone numbers stand in no log: neither parameter values nor, in texts, anything of five
    digits or more.

    Parameters:
        words: Whether what was said is written down; else only how many words it was.
        digits: Whether the keys that were pressed are; else only that one was.
    """

    words: bool = False
    digits: bool = False

    def text(self, text: str) -> dict[str, Any]:
        """A text as fields of a line."""
        fields: dict[str, Any] = {"words": len(text.split())}
        if self.words:
            fields["text"] = without_long_numbers(text)
        return fields

    def digit(self, digit: str) -> dict[str, Any]:
        """A key as fields of a line."""
        return {"digit": digit} if self.digits else {}


def without_long_numbers(text: str) -> str:
    """The text with a dot in the place of each digit of numbers of five digits or more."""
    return _NUMBER.sub(lambda number: re.sub(r"\d", "\N{BULLET}", number[0]), text)


class FrameLines:
    """Makes lines of frames; keeps what it takes to tell the first of something from the rest.

    Args:
        privacy: What may be written down.
    """

    def __init__(self, privacy: LogPrivacy):
        self._privacy = self._usual_privacy = privacy
        self._telling: dict[type, bool] = {}
        self._contexts: dict[str, int] = {}
        self._llm_pieces: int | None = None
        self._awaits_audio = False
        self._clips: set[str] = set()
        self._known: OrderedDict[int, None] = OrderedDict()

    def may_tell(self, kind: type[Frame]) -> bool:
        """Whether frames of a class can amount to a line. Quick: most frames do not."""
        telling = self._telling.get(kind)
        if telling is None:
            telling = self._telling[kind] = issubclass(kind, _TELLING)
        return telling

    def is_news(self, data: FramePushed) -> bool:
        """Whether a frame can amount to a line, and was not seen before."""
        frame = data.frame
        if not self.may_tell(type(frame)):
            return False
        # What is broadcast goes both ways, as two frames.
        is_copy = frame.broadcast_sibling_id is not None
        if (is_copy and data.direction is FrameDirection.UPSTREAM) or frame.id in self._known:
            return False
        self._known[frame.id] = None
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return True

    def of(self, frame: Frame) -> list[Line]:
        """The lines a frame amounts to, without their time; mostly one, sometimes none."""
        if isinstance(frame, DigitsWantedFrame):
            self._privacy = LogPrivacy() if frame.is_private else self._usual_privacy
            return []
        if (plain := _PLAIN.get(type(frame))) is not None:
            return [{"kind": plain}]
        if isinstance(frame, MetricsFrame):
            return _measured(frame)
        line = self._of_caller(frame) or self._of_bot(frame) or self._of_line(frame)
        return [line] if line else []

    def _of_caller(self, frame: Frame) -> Line | None:
        match frame:
            case VADUserStartedSpeakingFrame():
                return {"kind": Kind.VAD_STARTED, "after": round(frame.start_secs, 3)}
            case VADUserStoppedSpeakingFrame():
                return {"kind": Kind.VAD_STOPPED, "after": round(frame.stop_secs, 3)}
            case TranscriptionFrame():
                return {"kind": Kind.TRANSCRIPT, **self._privacy.text(frame.text)}
            case InputDTMFFrame():
                return {"kind": Kind.DIGIT, **self._privacy.digit(frame.button.value)}
            case _ if isinstance(frame, _BACKCHANNEL) and (text := getattr(frame, "text", None)):
                return {"kind": Kind.BACKCHANNEL, **self._privacy.text(text)}
            case _:
                return None

    def _of_bot(self, frame: Frame) -> Line | None:
        match frame:
            case HeardTextFrame() | AggregatedTextFrame():
                return self._spoken(frame)
            case LLMFullResponseStartFrame() | LLMTextFrame() | LLMFullResponseEndFrame():
                return self._reply(frame)
            case TTSStartedFrame():
                # A clip has its audio already.
                self._awaits_audio = frame.context_id not in self._clips
                return {"kind": Kind.TTS_STARTED, "context": self._number(frame.context_id)}
            case SpeakClipFrame():
                return self._clip(frame)
            case TTSAudioRawFrame() if self._awaits_audio:
                self._awaits_audio = False
                return {"kind": Kind.TTS_AUDIO, "context": self._number(frame.context_id)}
            case TTSStoppedFrame():
                return {"kind": Kind.TTS_STOPPED, "context": self._number(frame.context_id)}
            case BotHeldFrame(left_secs=left):
                return {"kind": Kind.HELD, "left": None if left is None else round(left, 3)}
            case FunctionCallInProgressFrame() | FunctionCallResultFrame():
                return self._function(frame)
            case _:
                return None

    def _spoken(self, frame: AggregatedTextFrame) -> Line | None:
        is_heard = isinstance(frame, HeardTextFrame)
        if is_heard:
            # What stands for a cut in the assistant's memory was not heard.
            tells = any(map(str.isalnum, frame.text))
        else:
            tells = frame.will_be_spoken and not isinstance(frame, TTSTextFrame)
        if not tells:
            return None
        line: Line = {"kind": Kind.WORD if is_heard else Kind.SAID}
        return line | {"context": self._number(frame.context_id), **self._privacy.text(frame.text)}

    def _clip(self, frame: SpeakClipFrame) -> Line | None:
        """A clip's words once: on its way to the output, or, said ahead of that, as it begins."""
        context_id = context_of(frame)
        if context_id in self._clips:
            return None
        self._clips.add(context_id)
        if not frame.clip.text.strip():
            return None
        line: Line = {"kind": Kind.SAID, "context": self._number(context_id)}
        return line | self._privacy.text(frame.clip.text)

    def _reply(self, frame: Frame) -> Line | None:
        match frame:
            case LLMFullResponseStartFrame():
                self._llm_pieces = 0
                return {"kind": Kind.LLM_STARTED}
            case LLMTextFrame(text=text) if text.strip():
                is_first = self._llm_pieces == 0
                self._llm_pieces = (self._llm_pieces or 0) + 1
                return {"kind": Kind.LLM_TEXT} if is_first else None
            case LLMFullResponseEndFrame() if self._llm_pieces is not None:
                pieces, self._llm_pieces = self._llm_pieces, None
                return {"kind": Kind.LLM_STOPPED, "pieces": pieces}
            case _:
                return None

    def _function(self, frame: FunctionCallInProgressFrame | FunctionCallResultFrame) -> Line:
        # Neither arguments nor result: both hold what was said.
        line: Line = {
            "kind": Kind.FUNCTION_STARTED,
            "name": frame.function_name[:_NAME_LENGTH],
            "id": self._number(frame.tool_call_id),
        }
        if isinstance(frame, FunctionCallResultFrame):
            failed = getattr(frame, "error", None) is not None
            line |= {"kind": Kind.FUNCTION_ENDED, "failed": failed}
        return line

    def _of_line(self, frame: Frame) -> Line | None:
        match frame:
            case CallStartedFrame():
                return _started(frame)
            case CallEndedFrame(reason=reason, detail=detail):
                return {"kind": Kind.ENDED, "reason": reason.value, "detail": detail}
            case CallAwayFrame(detour=detour):
                return {"kind": Kind.AWAY, "for": [type(verb).__name__ for verb in detour.verbs]}
            case CallBackFrame():
                return _back(frame)
            case MarkSentFrame():
                return {"kind": Kind.MARK_SENT, **_mark(frame.mark), "position": frame.position}
            case MarkReachedFrame(position=position, flushed=flushed):
                fields = {"position": position, "flushed": flushed}
                return {"kind": Kind.MARK_REACHED, **_mark(frame.mark), **fields}
            case AudioGapFrame(kind=what, milliseconds=milliseconds):
                return {"kind": Kind.GAP, "what": what.value, "seconds": milliseconds / 1000}
            case ErrorFrame():
                return _error(frame)
            case VendorSwitchedFrame(role=role, vendor=vendor, successor=successor):
                why = None if frame.failure is None else frame.failure.value
                fields = {"role": role.value, "vendor": vendor, "successor": successor}
                return {"kind": Kind.SWITCHED, **fields, "failure": why}
            case _:
                return None

    def _number(self, context_id: str | None) -> int | None:
        """A small number that stands for an id; ids of services are long, and say nothing."""
        if context_id is None:
            return None
        return self._contexts.setdefault(context_id, len(self._contexts))


def _started(frame: CallStartedFrame) -> Line:
    return {
        "kind": Kind.CALL,
        "call_sid": frame.call_sid,
        "stream_sid": frame.stream_sid,
        "tracks": list(frame.tracks),
        # Not their values, which may be telephone numbers.
        "parameters": sorted(name[:_NAME_LENGTH] for name in frame.parameters),
    }


def _back(frame: CallBackFrame) -> Line:
    # Of what Twilio said, no digits and no numbers.
    statuses = [one["DialCallStatus"] for one in frame.results if "DialCallStatus" in one]
    return {
        "kind": Kind.BACK,
        "stream_sid": frame.stream_sid,
        "seconds": round(frame.away_secs, 3),
        "dialled": [status[:_NAME_LENGTH] for status in statuses],
    }


def _mark(name: str) -> Line:
    return {"mark": without_long_numbers(name[:_NAME_LENGTH])}


def _error(frame: ErrorFrame) -> Line:
    # Not its text, which may hold what was said.
    category = getattr(frame, "category", None)
    cause = getattr(frame, "exception", None)
    return {
        "kind": Kind.ERROR,
        "processor": frame.processor.name if frame.processor else None,
        "category": None if category is None else str(category),
        "exception": None if cause is None else type(cause).__name__,
    }


def _measured(frame: MetricsFrame) -> list[Line]:
    lines: list[Line] = []
    for data in frame.data:
        what, field = _METRICS.get(type(data).__name__, ("", ""))
        seconds = getattr(data, field, None) if what else None
        if seconds:
            fields = {"processor": data.processor, "what": what, "seconds": round(seconds, 4)}
            lines.append({"kind": Kind.MEASURED, **fields})
    return lines
