"""One call's report, before it becomes a page, a picture or words."""

from dataclasses import dataclass
from pathlib import Path

from twilio_frames.report.answers import Answer, answers
from twilio_frames.report.finding import Finding
from twilio_frames.report.findings import findings
from twilio_frames.report.reading import LoggedCall, read_log
from twilio_frames.report.story import Story, tell
from twilio_frames.report.waves import Peaks, Recording, logged_peaks, read_recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What there is to say about a call.

    Parameters:
        story: What happened.
        answers: How long the caller waited, each time.
        findings: What went wrong, worst first.
        peaks: How loud both sides were.
        recording: The call as it was heard; None if there is none.
    """

    story: Story
    answers: list[Answer]
    findings: list[Finding]
    peaks: Peaks
    recording: Recording | None = None

    @property
    def seconds(self) -> float:
        """How long the call was."""
        heard = self.recording.seconds if self.recording else 0.0
        return max(self.story.seconds, heard)


def make_report(log: LoggedCall, recording: Recording | None = None) -> Report:
    """Finds out what there is to say about a call.

    Args:
        log: Its log.
        recording: The call as it was heard.
    """
    story = tell(log)
    found = answers(story)
    return Report(
        story=story,
        answers=found,
        findings=findings(story, found),
        peaks=recording.peaks() if recording else logged_peaks(log),
        recording=recording,
    )


def read_report(log: Path, audio: Path | None = None) -> Report:
    """The report of a call on disk.

    Args:
        log: Its log.
        audio: Its recording, as ``CallRecorder`` writes it.

    Raises:
        ConfigurationError: If one of them cannot be read.
    """
    return make_report(read_log(log), read_recording(audio) if audio else None)
