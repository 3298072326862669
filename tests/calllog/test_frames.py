from typing import Any

import pytest
from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.frames import frames as pipecat_frames
from pipecat.frames.frames import (
    AggregatedTextFrame,
    ErrorFrame,
    Frame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    InputAudioRawFrame,
    InputDTMFFrame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    MetricsFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSTextFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.metrics.metrics import LLMTokenUsage, LLMUsageMetricsData, TTFBMetricsData
from pipecat.processors.filters.identity_filter import IdentityFilter

from twilio_frames.calllog.frames import FrameLines, LogPrivacy
from twilio_frames.frames import (
    AudioGapFrame,
    BotHeldFrame,
    CallStartedFrame,
    FailureKind,
    MarkReachedFrame,
    MulawOutputFrame,
    VendorRole,
    VendorSwitchedFrame,
)
from twilio_frames.processors.clips import Clip, SpeakClipFrame, context_of
from twilio_frames.processors.words import HeardTextFrame
from twilio_frames.protocol import BreakKind, MediaFormat

OPEN = LogPrivacy(words=True, digits=True)


def lines_of(*frames: Frame, privacy: LogPrivacy = OPEN) -> list[dict[str, Any]]:
    maker = FrameLines(privacy)
    return [line for frame in frames if maker.may_tell(type(frame)) for line in maker.of(frame)]


def spoken(text: str) -> AggregatedTextFrame:
    frame = AggregatedTextFrame(text, "sentence", context_id="abc")
    frame.will_be_spoken = True
    return frame


def started(**parameters: str) -> CallStartedFrame:
    return CallStartedFrame(
        call_sid="CA1",
        stream_sid="MZ1",
        account_sid="AC1",
        parameters=parameters,
        media_format=MediaFormat(),
        tracks=("inbound",),
    )


@pytest.mark.parametrize(
    "frame",
    [
        InputAudioRawFrame(b"\0\0", 8000, 1),
        InterimTranscriptionFrame("a", "", ""),
        TTSTextFrame("a", "word"),
        AggregatedTextFrame("a", "sentence"),
        HeardTextFrame("\N{EM DASH}", "word"),
        LLMTextFrame(" "),
        LLMFullResponseEndFrame(),
        TTSAudioRawFrame(b"\0\0", 8000, 1),
    ],
)
def test_most_frames_tell_nothing(frame: Frame):
    assert lines_of(frame) == []


@pytest.mark.parametrize(
    ("frame", "line"),
    [
        (InterruptionFrame(), {"kind": "interrupted"}),
        (VADUserStoppedSpeakingFrame(stop_secs=0.6), {"kind": "vad_stopped", "after": 0.6}),
        (BotHeldFrame(left_secs=1.23456), {"kind": "held", "left": 1.235}),
        (BotHeldFrame(), {"kind": "held", "left": None}),
        (
            AudioGapFrame(kind=BreakKind.GAP, milliseconds=40),
            {"kind": "gap", "what": "gap", "seconds": 0.04},
        ),
        (
            MarkReachedFrame(mark="end", position=800, flushed=True),
            {"kind": "mark_reached", "mark": "end", "position": 800, "flushed": True},
        ),
        (
            HeardTextFrame("Hello,", "word", context_id="abc"),
            {"kind": "word", "context": 0, "words": 1, "text": "Hello,"},
        ),
        (
            spoken("Hello there."),
            {"kind": "said", "context": 0, "words": 2, "text": "Hello there."},
        ),
    ],
)
def test_frame_becomes_line(frame: Frame, line: dict[str, Any]):
    assert lines_of(frame) == [line]


@pytest.mark.skipif(
    not hasattr(pipecat_frames, "UserBackchannelFrame"), reason="Pipecat knows them since 1.13"
)
def test_backchannel_becomes_a_line():
    frame = pipecat_frames.UserBackchannelFrame(text="mhm", user_id="", timestamp="")

    assert lines_of(frame) == [{"kind": "backchannel", "words": 1, "text": "mhm"}]


def test_only_the_first_text_tells():
    lines = lines_of(
        LLMFullResponseStartFrame(), LLMTextFrame("Hi"), LLMTextFrame(" you"),
        LLMFullResponseEndFrame(),
    )  # fmt: skip

    assert [line["kind"] for line in lines] == ["llm_started", "llm_text", "llm_stopped"]
    assert lines[2]["pieces"] == 2


def test_only_the_first_audio_tells():
    lines = lines_of(
        TTSStartedFrame(context_id="abc"),
        MulawOutputFrame.of(b"\xff"),
        MulawOutputFrame.of(b"\xff"),
    )

    assert [line["kind"] for line in lines] == ["tts_started", "tts_audio"]


def test_words_can_stay_out():
    lines = lines_of(
        TranscriptionFrame("my secret", "", ""), spoken("your secret"), privacy=LogPrivacy()
    )

    assert lines == [
        {"kind": "transcript", "words": 2},
        {"kind": "said", "context": 0, "words": 2},
    ]


@pytest.mark.parametrize(("digits", "line"), [(True, {"digit": "5"}), (False, {})])
def test_digits_can_stay_out(digits: bool, line: dict[str, str]):
    frame = InputDTMFFrame(button=KeypadEntry.FIVE)

    assert lines_of(frame, privacy=LogPrivacy(digits=digits)) == [{"kind": "digit"} | line]


@pytest.mark.parametrize(
    ("text", "logged"),
    [
        ("call +1 (415) 555-0199 now", "call +• (•••) •••-•••• now"),
        ("it is 4155550199", "it is ••••••••••"),
        ("room 12, at 3:45", "room 12, at 3:45"),
    ],
)
def test_numbers_are_never_logged(text: str, logged: str):
    assert lines_of(TranscriptionFrame(text, "", ""))[0]["text"] == logged


def test_parameter_values_are_never_logged():
    line = lines_of(started(**{"from": "+14155550199", "token": "secret"}))[0]

    assert line["parameters"] == ["from", "token"]
    assert "secret" not in str(line)
    assert "0199" not in str(line)


def test_arguments_and_results_are_never_logged():
    arguments = {"function_name": "book", "tool_call_id": "xyz", "arguments": {"who": "Jane"}}
    lines = lines_of(
        FunctionCallInProgressFrame(**arguments),
        FunctionCallResultFrame(**arguments, result="Jane", error="Jane"),
    )

    assert lines == [
        {"kind": "function_started", "name": "book", "id": 0},
        {"kind": "function_ended", "name": "book", "id": 0, "failed": True},
    ]


def test_error_text_is_never_logged():
    frame = ErrorFrame("Jane said no", exception=ValueError("Jane"), processor=IdentityFilter())
    line = lines_of(frame)[0]

    assert "Jane" not in str(line)
    assert line["exception"] == "ValueError"
    assert line["processor"].startswith("IdentityFilter")


def test_timings_are_kept_and_usage_is_not():
    usage = LLMTokenUsage(prompt_tokens=1, completion_tokens=1, total_tokens=2)
    frame = MetricsFrame(
        data=[
            TTFBMetricsData(processor="LLM#0", value=0.25),
            TTFBMetricsData(processor="LLM#0", value=0.0),
            LLMUsageMetricsData(processor="LLM#0", value=usage),
        ]
    )

    assert lines_of(frame) == [
        {"kind": "measured", "processor": "LLM#0", "what": "ttfb", "seconds": 0.25}
    ]


def test_takeover_is_told():
    frame = VendorSwitchedFrame(
        role=VendorRole.LLM, vendor="openai", successor="local", failure=FailureKind.LATE
    )

    assert lines_of(frame) == [
        {
            "kind": "switched",
            "role": "llm",
            "vendor": "openai",
            "successor": "local",
            "failure": "late",
        }
    ]


@pytest.mark.parametrize("is_ahead", [True, False])
def test_words_of_a_clip_are_said_once(is_ahead: bool):
    """A greeting may be on the line before there is a pipeline to see it."""
    clip = SpeakClipFrame(Clip(mulaw=bytes(800), text="Hello, you."))
    seen = [clip.begun(), TTSStartedFrame(context_of(clip))]
    word = HeardTextFrame("Hello,", "word", context_id=context_of(clip))
    said, started, heard = lines_of(*([] if is_ahead else [clip]), *seen, word)

    assert said == {"kind": "said", "context": 0, "words": 2, "text": "Hello, you."}
    assert (started["kind"], heard["context"]) == ("tts_started", 0)


def test_words_of_a_clip_are_counted_in_private():
    clip = SpeakClipFrame(Clip(mulaw=bytes(800), text="Hello, you."))

    assert lines_of(clip, privacy=LogPrivacy()) == [{"kind": "said", "context": 0, "words": 2}]
    assert lines_of(SpeakClipFrame(Clip(mulaw=bytes(800), text=""))) == []


def test_clip_awaits_no_audio_of_a_service():
    clip = SpeakClipFrame(Clip(mulaw=bytes(800), text="Hello."))
    audio = TTSAudioRawFrame(bytes(320), 8000, 1)
    lines = lines_of(clip.begun(), TTSStartedFrame(context_of(clip)), audio)

    assert [line["kind"] for line in lines] == ["said", "tts_started"]
