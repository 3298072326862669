"""What ends a call by itself: marks that stay out, silence of the line, time, nobody to talk to."""

import math
from typing import NamedTuple

from twilio_frames.frames import CallEndReason
from twilio_frames.protocol import Playback
from twilio_frames.transport.params import TwilioParams

__all__ = ["LineChecks", "TooLate"]


class TooLate(NamedTuple):
    """Why a call ends."""

    reason: CallEndReason
    detail: str


class LineChecks:
    """Looks whether a call goes on, by what arrived and what is overdue.

    A line may suppress silence. So one on which nothing comes is asked whether it lives: a mark
    comes back at once where nothing is buffered, and else when that has been played.

    Args:
        params: Time limits.
        playback: Where the bot's audio stands.
        opened_at: When the call's first socket was taken over, by the clock of ``now``.
    """

    def __init__(self, params: TwilioParams, playback: Playback, opened_at: float):
        self._params = params
        self._playback = playback
        self._opened_at = opened_at
        self._asked_at = -math.inf
        self._ends_since: float | None = None
        self.started_at = math.inf
        """When the first stream began."""
        playback.last_received = opened_at
        self.away_until: float | None = None
        """Until when the call may be away from its stream; None while it is on it."""
        self.pipeline_is_up = False
        """Whether there is a pipeline that can hear and speak."""
        self.bot_ends_as = CallEndReason.BOT_HUNG_UP
        """Why the call will have ended, where the pipeline ends it."""
        self.was_dead_air = False
        """Whether the call ended because there was none in time."""

    def expect_end(self, now: float) -> None:
        """The pipeline has been asked to end: some time behind the last word it is over."""
        if self._ends_since is None:
            self._ends_since = now

    def come_back(self, now: float) -> None:
        """The call is on another stream; what it was away for was nobody's lateness."""
        self.away_until = None
        self._playback.last_received, self._asked_at = now, -math.inf
        if self._ends_since is not None:
            self._ends_since = now

    def too_late(self, now: float) -> TooLate | None:
        """Why the call ends now; None if it goes on."""
        if now - self._opened_at > (self._params.time_limit_secs or math.inf):
            return TooLate(CallEndReason.TIME_LIMIT, "the call was as long as calls may be")
        if self.away_until is not None:
            if now > self.away_until:
                return TooLate(CallEndReason.NOT_BACK, "the call did not come back in time")
            return None
        if self._playback.overdue(now) > self._params.mark_timeout_secs:
            return TooLate(CallEndReason.LINE_LOST, "marks stopped coming back")
        if self._is_dead_air(now):
            self.was_dead_air = True
            text = "nothing was said, and no pipeline was up in time"
            return TooLate(CallEndReason.ERROR, text)
        if self._is_past_its_end(now):
            text = "the pipeline did not let the end through"
            return TooLate(self.bot_ends_as, text)
        if self._is_dead(now):
            text = "nothing came any more, and no mark came back"
            return TooLate(CallEndReason.LINE_LOST, text)
        return None

    def is_to_be_asked(self, now: float) -> bool:
        """Whether the line has been silent for so long that it is asked; once for each silence."""
        if self._asked_at > self._playback.last_received or self._playback.is_cutting:
            return False
        if now - self._playback.last_received <= self._params.media_timeout_secs / 2:
            return False
        self._asked_at = now
        return True

    def _is_dead(self, now: float) -> bool:
        """Whether a line that was asked has not answered."""
        if self._asked_at <= self._playback.last_received:
            return False
        limit = self._params.media_timeout_secs
        # What has been sent is played first, and each piece of it sends a mark.
        asked_for = now - max(self._asked_at, self._playback.ends_at)
        waits_for = max(asked_for, self._playback.overdue(now))
        return now - self._playback.last_received > limit and waits_for > limit / 2

    def _is_dead_air(self, now: float) -> bool:
        limit = self._params.pipeline_timeout_secs
        if self.pipeline_is_up or limit is None:
            return False
        return now - max(self.started_at, self._playback.ends_at) > limit

    def _is_past_its_end(self, now: float) -> bool:
        if self._ends_since is None:
            return False
        return now - max(self._ends_since, self._playback.ends_at) > self._params.end_timeout_secs
