"""Who has answered a call that was placed: by what is heard, what is said, and what Twilio says."""

from twilio_frames.answering.decider import AnswerDecider, AnswerLimits
from twilio_frames.answering.findings import Answer, AnsweredBy, AnswerReason, MachineVerdict
from twilio_frames.answering.phrases import AnswerPhrases

__all__ = [
    "Answer",
    "AnswerDecider",
    "AnswerLimits",
    "AnswerPhrases",
    "AnswerReason",
    "AnsweredBy",
    "MachineVerdict",
]
