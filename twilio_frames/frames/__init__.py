"""What a phone call adds to Pipecat's frames.

Digits are Pipecat's own ``InputDTMFFrame``; a raised or dropped line is Pipecat's
``ClientConnectedFrame`` and, with its reason, :class:`CallEndedFrame`.
"""

# Other rooms import from here what is not public, too.
# ruff: noqa: F401
# pyright: reportUnusedImport=false

from twilio_frames.frames.call import (
    Act,
    AnsweredByFrame,
    CallActionFrame,
    CallActionUrgentFrame,
    CallAwayFrame,
    CallBackFrame,
    CallEndedFrame,
    CallEndReason,
    CallStartedFrame,
    DetourFrame,
    DigitsWantedFrame,
    RecordingFrame,
    SaidSoFarFrame,
)
from twilio_frames.frames.line import (
    AudioGapFrame,
    BacklogFrame,
    HeardAudioFrame,
    HeardSoundFrame,
    MarkReachedFrame,
    MarkSentFrame,
    MulawInputFrame,
    MulawOutputFrame,
    SendMarkFrame,
)
from twilio_frames.frames.speech import (
    BotHeldFrame,
    CallerPausedFrame,
    CallerSpeakingFrame,
    FailureKind,
    HoldFrame,
    NoWordsFrame,
    ReplyHeardFrame,
    ReplyStartedFrame,
    ResumeFrame,
    ServiceStopFrame,
    SpeechBrokenOffFrame,
    SpeechCutFrame,
    SpeechLeftOutFrame,
    TurnLikelyOverFrame,
    TurnTranscriptionFrame,
    VendorRole,
    VendorSwitchedFrame,
    WordBrokenOffFrame,
    WordsAwaitedFrame,
)

__all__ = [
    "AnsweredByFrame",
    "BotHeldFrame",
    "CallActionFrame",
    "CallActionUrgentFrame",
    "CallAwayFrame",
    "CallBackFrame",
    "CallEndReason",
    "CallEndedFrame",
    "CallStartedFrame",
    "DetourFrame",
    "FailureKind",
    "MarkReachedFrame",
    "MarkSentFrame",
    "MulawInputFrame",
    "MulawOutputFrame",
    "NoWordsFrame",
    "RecordingFrame",
    "SendMarkFrame",
    "SpeechCutFrame",
    "TurnTranscriptionFrame",
    "VendorRole",
    "VendorSwitchedFrame",
]
