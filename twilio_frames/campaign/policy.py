"""What a campaign may do, and what each outcome of a call leads to. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from twilio_frames.campaign.hours import CallingHours
from twilio_frames.errors import ConfigurationError
from twilio_frames.errors.settings import check_settings

__all__ = ["CampaignPolicy", "Outcome", "Retry"]


class Outcome(StrEnum):
    """What came of a call, or why there was none."""

    ANSWERED = "answered"
    MACHINE = "machine"
    """Machine detection said so."""
    FAX = "fax"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    FAILED = "failed"
    """Twilio could not connect it, or lost it."""
    CANCELED = "canceled"
    """It was called off before anybody answered."""
    REFUSED = "refused"
    """Twilio would not call this number at all."""
    DO_NOT_CALL = "do-not-call"
    """The number is on a do-not-call list."""
    NOT_ALLOWED = "not-allowed"
    """The number is none that may be called, such as one of premium rate, or far away."""
    INVALID = "invalid"
    """It is no phone number."""
    NO_HOURS = "no-hours"
    """There is no hour at which it may be called, or its time zone is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often a number is called again after an outcome, and how much later.

    Parameters:
        times: So often at most.
        after_secs: Seconds from the end of one call to the next.
    """

    times: int
    after_secs: float

    def __post_init__(self):
        check_settings(self)


def _retries() -> Mapping[Outcome, Retry]:
    return {
        Outcome.BUSY: Retry(times=2, after_secs=10 * 60),
        Outcome.NO_ANSWER: Retry(times=2, after_secs=2 * 3600),
        Outcome.MACHINE: Retry(times=1, after_secs=4 * 3600),
        Outcome.FAILED: Retry(times=1, after_secs=3600),
        Outcome.CANCELED: Retry(times=1, after_secs=3600),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignPolicy:
    """How fast a campaign calls, when, and how often.

    Parameters:
        calls_per_second: Calls placed in a second; Twilio's default for an account is 1, and what
            is more waits in Twilio's queue, where nobody looks at the time of day.
        at_once: Calls that ring or are up at a time. Where the account may have fewer (error
            10004), the campaign goes on with as many as it may.
        hours: When people may be called.
        retries: By outcome, how often a number is called again; those that are left out are final.
        most_attempts: Calls of one number, whatever came of them.
        on_machine: ``talk`` to let the bot go on with a machine that was detected, ``hang-up`` to
            end the call then.
        settle_secs: How long after a request that Twilio left unanswered a call may still come of
            it: only then, and after a look at the account's calls, is the number called again.
    """

    calls_per_second: float = 1.0
    at_once: int = 10
    hours: CallingHours = field(default_factory=CallingHours)
    retries: Mapping[Outcome, Retry] = field(default_factory=_retries)
    most_attempts: int = 3
    on_machine: str = "talk"
    settle_secs: float = 30.0

    def __post_init__(self):
        check_settings(
            self, above_zero=("calls_per_second",), at_least={"at_once": 1, "most_attempts": 1}
        )
        if self.on_machine not in ("talk", "hang-up"):
            raise ConfigurationError("expected on_machine to be talk or hang-up")

    def wait_after(self, outcomes: Sequence[Outcome]) -> float | None:
        """How long after the last of some calls a number is called again; None: no more.

        Args:
            outcomes: What came of its calls so far, at least one.
        """
        retry = self.retries.get(outcomes[-1])
        if retry is None or len(outcomes) >= self.most_attempts:
            return None
        return retry.after_secs if outcomes.count(outcomes[-1]) <= retry.times else None
