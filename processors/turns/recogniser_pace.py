"""How long the caller's words take behind the end of their speech: as is stated, and shown."""

import time

from pipecat.frames.frames import (
    Frame,
    STTMetadataFrame,
    TranscriptionFrame,
    UserStartedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)

from twilio_frames.frames import TurnTranscriptionFrame

__all__ = ["ANSWER_SECS", "RecogniserPace"]

ANSWER_SECS = 1.0
"""So long behind a sound, at most, the caller hears nothing for its words' sake."""


class RecogniserPace:
    """Says how long words are waited for where the caller hears nothing meanwhile.

    A recogniser that says of itself that it may take long is not believed until its words have come
    late in this call: most sounds without words would cost the caller all that time.

    Args:
        stated_secs: How long it is taken to need until it says so itself.
    """

    def __init__(self, stated_secs: float):
        self.stated_secs = stated_secs
        """What it says of itself: the time within which 99 of 100 transcripts come."""
        self._quiet_since: float | None = None
        self._is_slow = False

    @property
    def secs(self) -> float:
        """How long behind the end of speech its words are worth a silence."""
        return self.stated_secs if self._is_slow else min(self.stated_secs, ANSWER_SECS)

    def note(self, frame: Frame) -> None:
        """Takes in what is said of the recogniser, and when its words come."""
        match frame:
            case STTMetadataFrame():
                self.stated_secs = frame.ttfs_p99_latency
            case VADUserStartedSpeakingFrame():
                self._quiet_since = None
            case VADUserStoppedSpeakingFrame():
                self._quiet_since = time.monotonic() - frame.stop_secs
            case TurnTranscriptionFrame():
                pass
            case TranscriptionFrame() if frame.text.strip():
                self._words_came()
            case UserStartedSpeakingFrame():
                # In silence, words alone begin a turn.
                self._words_came()
            case _:
                pass

    def _words_came(self) -> None:
        since = self._quiet_since
        late = since is not None and time.monotonic() - since > ANSWER_SECS
        self._is_slow = self._is_slow or late
