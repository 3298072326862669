"""What can be found out about who has answered."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Answer", "AnswerReason", "AnsweredBy", "MachineVerdict"]


class AnsweredBy(StrEnum):
    """Who, or what, has answered a call."""

    HUMAN = "human"
    """A person."""
    VOICEMAIL = "voicemail"
    """A machine that records a message."""
    SCREENING = "call screening"
    """A machine that asks who is calling, and why, before it puts the call through."""
    IVR = "ivr"
    """A menu, or a queue."""
    ANNOUNCEMENT = "announcement"
    """A recording that takes no message: the mailbox is full, the number is out of service."""
    FAX = "fax"
    """A fax machine or modem."""
    UNKNOWN = "unknown"
    """Nothing tells."""


class AnswerReason(StrEnum):
    """What an answer was told by."""

    WORDS = "what was said"
    SHORT_SPEECH = "short speech, and then a pause"
    LONG_SPEECH = "speech that is longer than a person's greeting"
    BEEP = "a beep"
    FAX_TONE = "the tone of a fax machine"
    TWILIO = "Twilio's machine detection"
    SPOKE_UP = "a person spoke where a machine was taken to be"
    SILENCE = "nobody has said a word"
    TIME_LIMIT = "nothing has told in time"
    HUNG_UP = "the call ended before anything told"


class MachineVerdict(StrEnum):
    """What Twilio's machine detection says, in its own words (``AnsweredBy``).

    Source: https://www.twilio.com/docs/voice/answering-machine-detection
    """

    HUMAN = "human"
    MACHINE_START = "machine_start"
    MACHINE_END_BEEP = "machine_end_beep"
    MACHINE_END_SILENCE = "machine_end_silence"
    MACHINE_END_OTHER = "machine_end_other"
    FAX = "fax"
    UNKNOWN = "unknown"

    @property
    def is_machine(self) -> bool:
        """Whether it is an answering machine's."""
        return self.value.startswith("machine")

    @property
    def is_over(self) -> bool:
        """Whether a machine's greeting is over."""
        return self.value.startswith("machine_end")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Who has answered, by what that was told, and how long it took.

    Parameters:
        answered_by: Who.
        reason: What it was told by.
        after_secs: When, seconds from the beginning of the stream.
        after_speech_secs: How long behind the end of what was said last; 0 while it goes on.
    """

    answered_by: AnsweredBy
    reason: AnswerReason
    after_secs: float
    after_speech_secs: float = 0.0
