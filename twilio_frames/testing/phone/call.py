"""A call that is over, for a test to look at."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from twilio_frames.errors import CallFailedError
from twilio_frames.testing.callers.hearing import Heard, HeardWord, Hearing
from twilio_frames.testing.logs.log import CallLog
from twilio_frames.testing.results.result import CallResult
from twilio_frames.testing.scripts.checks import Check, judge
from twilio_frames.testing.scripts.script import Limits


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
        bot_errors: What the bot raised on it, where ``keep_errors`` was asked for.
    """

    result: CallResult
    log: CallLog = field(repr=False)
    checks: tuple[Check, ...] = ()
    hearing: Hearing = field(default_factory=Hearing, repr=False)
    bot_errors: tuple[BaseException, ...] = ()

    def __repr__(self) -> str:
        """What was said, and how it ended: what somebody wants to see whose assertion failed."""
        return f"<PhoneCall: {self.result.outline()}>"

    @property
    def words(self) -> list[HeardWord] | None:
        """The bot's words that the caller heard; None if the bot's words are not known.

        They are known of every bot in this process that speaks over a ``TwilioTransport``: taken
        where it speaks, and looked for in what the caller heard.
        """
        return self.hearing.words(self.result.heard_bot)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The expectations that were not met."""
        return tuple(check for check in self.checks if not check.passed)

    def heard(self, phrase: str) -> Heard:
        """Whether the caller heard these words, one after another; true if so.

        Capitals and punctuation do not matter. Where the bot's words are not known, the local
        recogniser guesses; it takes some tenths of the call's time. The result says so, and how
        sure it is: ``call.heard("hello").is_guess``, ``.sureness``.

        Raises:
            MissingExtraError: If the recogniser is needed and the ``local`` extra not installed.
            ConfigurationError: If it does not know how to pronounce a word; it names the word.
        """
        return self.hearing.has_heard_in_thread(phrase, self.result.heard_bot)

    def judge(self, limits: Limits) -> tuple[Check, ...]:
        """Judges the whole call; gives what was not within the limits."""
        checks = judge(self.result, limits, self.log.entries)
        return tuple(check for check in checks if not check.passed)
