"""What a phone call adds to Pipecat's frames.

Digits are Pipecat's own ``InputDTMFFrame``; a raised or dropped line is Pipecat's
``ClientConnectedFrame`` and, with its reason, :class:`CallEndedFrame`.
"""

from twilio_frames.frames.call import (
    AnsweredByFrame,
    CallActionFrame,
    CallAwayFrame,
    CallBackFrame,
    CallEndedFrame,
    CallEndReason,
    CallStartedFrame,
    DetourFrame,
    DigitsWantedFrame,
    RecordingFrame,
)
from twilio_frames.frames.call import (
    SaidSoFarFrame as SaidSoFarFrame,
)
from twilio_frames.frames.line import (
    AudioGapFrame,
    MarkReachedFrame,
    MarkSentFrame,
    MulawInputFrame,
    MulawOutputFrame,
    SendMarkFrame,
)
from twilio_frames.frames.line import (
    BacklogFrame as BacklogFrame,
)
from twilio_frames.frames.line import (
    HeardAudioFrame as HeardAudioFrame,
)
from twilio_frames.frames.line import (
    HeardSoundFrame as HeardSoundFrame,
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
    SpeechCutFrame,
    SpeechLeftOutFrame,
    TurnLikelyOverFrame,
    TurnTranscriptionFrame,
    VendorRole,
    VendorSwitchedFrame,
    WordsAwaitedFrame,
)
from twilio_frames.frames.speech import (
    ServiceStopFrame as ServiceStopFrame,
)
from twilio_frames.frames.speech import (
    SpeechBrokenOffFrame as SpeechBrokenOffFrame,
)
from twilio_frames.frames.speech import (
    WordBrokenOffFrame as WordBrokenOffFrame,
)

__all__ = [
    "AnsweredByFrame",
    "AudioGapFrame",
    "BotHeldFrame",
    "CallActionFrame",
    "CallAwayFrame",
    "CallBackFrame",
    "CallEndReason",
    "CallEndedFrame",
    "CallStartedFrame",
    "CallerPausedFrame",
    "CallerSpeakingFrame",
    "DetourFrame",
    "DigitsWantedFrame",
    "FailureKind",
    "HoldFrame",
    "MarkReachedFrame",
    "MarkSentFrame",
    "MulawInputFrame",
    "MulawOutputFrame",
    "NoWordsFrame",
    "RecordingFrame",
    "ReplyHeardFrame",
    "ReplyStartedFrame",
    "ResumeFrame",
    "SendMarkFrame",
    "SpeechCutFrame",
    "SpeechLeftOutFrame",
    "TurnLikelyOverFrame",
    "TurnTranscriptionFrame",
    "VendorRole",
    "VendorSwitchedFrame",
    "WordsAwaitedFrame",
]
