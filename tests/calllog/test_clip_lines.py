"""A clip has its words in the log as what a speech service says does."""

from twilio_frames.audio import mulaw_silence
from twilio_frames.calllog.frames import FrameLines, LogPrivacy
from twilio_frames.processors.clips import Clip, SpeakClipFrame, frames_on
from twilio_frames.report.lines import Kind


def lines_of(frame: SpeakClipFrame, *, words: bool = True) -> list[dict[str, object]]:
    lines = FrameLines(LogPrivacy(words=words, digits=False))
    # Its way to the output is of no interest; behind that it begins to be heard.
    return [*lines.of(frame), *(line for due, _ in frames_on(frame) for line in lines.of(due))]


def test_clip_is_said_once_and_heard_word_by_word():
    frame = SpeakClipFrame(Clip(mulaw=mulaw_silence(1.0), text="Good morning."))
    lines = lines_of(frame)

    said = {"kind": Kind.SAID, "context": 0, "words": 2, "text": "Good morning."}
    assert [line for line in lines if line["kind"] == Kind.SAID] == [said]
    words = [line for line in lines if line["kind"] == Kind.WORD]
    assert [line["context"] for line in words] == [0, 0]


def test_words_of_a_clip_may_stay_out_of_the_log():
    frame = SpeakClipFrame(Clip(mulaw=mulaw_silence(1.0), text="Good morning."))
    (said,) = (line for line in lines_of(frame, words=False) if line["kind"] == Kind.SAID)

    assert said == {"kind": Kind.SAID, "context": 0, "words": 2}


def test_clip_without_a_text_says_nothing():
    frame = SpeakClipFrame(Clip(mulaw=mulaw_silence(1.0), text=""))

    assert Kind.SAID not in [line["kind"] for line in lines_of(frame)]
