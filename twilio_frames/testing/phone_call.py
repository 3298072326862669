"""A call that is over, for a test to look at."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from twilio_frames.errors import CallFailedError
from twilio_frames.testing.checks import Check, judge
from twilio_frames.testing.hearing import HeardWord, Hearing
from twilio_frames.testing.log import CallLog
from twilio_frames.testing.result import CallResult
from twilio_frames.testing.script import Limits


class UnexpectedCallError(CallFailedError, AssertionError):
    """A call did not go as a script expected.

    Args:
        checks: Those that failed.
        result: What came of the call; it says whether the simulator kept time.
    """

    def __init__(self, checks: Sequence[Check], result: CallResult):
        warning = [] if result.is_trustworthy else [result.timekeeping.warning]
        super().__init__("\n".join([*(str(check) for check in checks), *warning]))
        self.checks = tuple(checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneCall:
    """A call that is over.

    Parameters:
        result: What came of it.
        log: Every message and event of it.
        checks: What came of a script's expectations.
    """

    result: CallResult
    log: CallLog = field(repr=False)
    checks: tuple[Check, ...] = ()
    hearing: Hearing = field(default_factory=Hearing, repr=False)

    @property
    def words(self) -> list[HeardWord] | None:
        """The bot's words that the caller heard; None if the bot's voice is not known.

        It is for bots that are given as such: their words are taken where they are spoken, and
        looked for in what the caller heard.
        """
        return self.hearing.words(self.result.heard_bot)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The expectations that were not met."""
        return tuple(check for check in self.checks if not check.passed)

    def heard(self, phrase: str) -> bool:
        """Whether the caller heard these words, one after another.

        Capitals and punctuation do not matter. Where the bot's voice is not known, the local
        recogniser listens; it takes some tenths of the call's time, and can be wrong.

        Raises:
            MissingExtraError: If the recogniser is needed and the ``local`` extra not installed.
            ConfigurationError: If it does not know how to pronounce a word; it names the word.
        """
        return self.hearing.has_heard_in_thread(phrase, self.result.heard_bot)

    def judge(self, limits: Limits) -> tuple[Check, ...]:
        """Judges the whole call; gives what was not within the limits."""
        checks = judge(self.result, limits, self.log.entries)
        return tuple(check for check in checks if not check.passed)
