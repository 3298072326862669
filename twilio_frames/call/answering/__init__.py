"""What a bot does about whoever answers the call it has placed."""

from dataclasses import dataclass, field
from enum import Enum

from twilio_frames.answering import Answer, AnsweredBy, AnswerPhrases, AnswerReason
from twilio_frames.errors import ConfigurationError
from twilio_frames.errors.settings import check_settings
from twilio_frames.processors.clips import Clip
from twilio_frames.processors.greeting import Greeting

__all__ = [
    "Answer",
    "AnswerAction",
    "AnswerPhrases",
    "AnswerPolicy",
    "AnswerReason",
    "AnsweredBy",
]

Spoken = Clip | Greeting | str
"""What is said: a clip, a :class:`twilio_frames.processors.greeting.Greeting`, or a text."""


class AnswerAction(Enum):
    """What is done about an answer, if nothing is said to it."""

    GO_ON = "go on"
    """The bot goes on as with a person."""
    HANG_UP = "hang up"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPolicy:
    """What a bot does about whoever has answered.

    Parameters:
        voicemail: A message that is left behind the beep, before the bot hangs up; or an action.
        screening: What a machine is told that asks who is calling, and why: name and purpose. Then
            whoever it puts through is waited for. Or an action.
        ivr: What is done about a menu.
        announcement: About a recording that takes no message.
        fax: About a fax machine.
        unknown: Where nothing tells, or nobody has spoken.
        first_word_secs: How long the callee's first word is waited for, before the bot speaks.
        longest_hold_secs: How long nothing that the bot says is heard while it is not known who
            has answered; then it goes on as with ``unknown``.
        change_secs: For so long what was decided may be changed.
        greeting_secs: How long a machine's greeting may take, until the message is begun.
        no_beep_secs: Silence behind which a message begins without a beep.
        put_through_secs: How long a screener may take to put the call through.
        phrases: What tells machines and people apart by their words.

    Raises:
        ConfigurationError: A time is not positive, or a text is empty.
    """

    voicemail: Spoken | AnswerAction = AnswerAction.HANG_UP
    screening: Spoken | AnswerAction = AnswerAction.GO_ON
    ivr: AnswerAction = AnswerAction.GO_ON
    announcement: AnswerAction = AnswerAction.HANG_UP
    fax: AnswerAction = AnswerAction.HANG_UP
    unknown: AnswerAction = AnswerAction.GO_ON
    first_word_secs: float = 2.0
    longest_hold_secs: float = 6.0
    change_secs: float = 20.0
    greeting_secs: float = 60.0
    no_beep_secs: float = 2.5
    put_through_secs: float = 45.0
    phrases: AnswerPhrases = field(default_factory=AnswerPhrases)

    def __post_init__(self) -> None:
        check_settings(self, above_zero=[name for name in self.__slots__ if name.endswith("_secs")])
        for name in ("voicemail", "screening"):
            said = getattr(self, name)
            if isinstance(said, str) and not said.strip():
                raise ConfigurationError(
                    f"expected a text, a clip, a Greeting or an AnswerAction at {name}, got an "
                    "empty text: AnswerAction.HANG_UP says nothing"
                )

    def for_answer(self, answered_by: AnsweredBy) -> Spoken | AnswerAction:
        """What is done about it."""
        match answered_by:
            case AnsweredBy.HUMAN:
                return AnswerAction.GO_ON
            case AnsweredBy.VOICEMAIL:
                return self.voicemail
            case AnsweredBy.SCREENING:
                return self.screening
            case AnsweredBy.IVR:
                return self.ivr
            case AnsweredBy.ANNOUNCEMENT:
                return self.announcement
            case AnsweredBy.FAX:
                return self.fax
            case AnsweredBy.UNKNOWN:
                return self.unknown
