"""When a number may be called: by the time of day where it is. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from phonenumbers import timezone

from twilio_frames.errors import ConfigurationError

__all__ = ["CallingHours", "zones_of"]

_UNKNOWN = "Etc/Unknown"
_HORIZON = timedelta(days=8)
"""A window that opens at all opens within a week, and no change of the clock moves it by a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallingHours:
    """The hours at which people may be called, by their own clock.

    What number is in which time zone, Google's libphonenumber knows. Where one may be in several,
    a mobile of Australia say, it must be a calling hour in all of them.

    Parameters:
        begin: The first moment of a day.
        end: The moment from which on nobody is called any more.
        days: Days of the week, 0 for Monday to 6 for Sunday.
        zone: The time zone of numbers whose own is not known, such as ``America/New_York``. None:
            those are not called.

    Raises:
        ConfigurationError: No moment is a calling hour, or there is no such time zone.
    """

    begin: time = time(9)
    end: time = time(20)
    days: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    zone: str | None = None

    def __post_init__(self):
        if not self.begin < self.end:
            raise ConfigurationError(
                f"expected calling hours that end behind their beginning, got {self.begin:%H:%M} "
                f"to {self.end:%H:%M}: name hours of one day"
            )
        if not self.days or not set(self.days) <= set(range(7)):
            raise ConfigurationError("expected days of the week from 0 (Monday) to 6 (Sunday)")
        if self.zone is not None:
            zone_named(self.zone)

    def next_open(self, zones: Sequence[str], now: float) -> float | None:
        """The first moment from now on at which it is a calling hour in all zones.

        Args:
            zones: Names of time zones; none for a number whose zone is not known.
            now: Seconds since 1970.

        Returns:
            Seconds since 1970; None if there is no such moment within a week.
        """
        names = tuple(zones) or ((self.zone,) if self.zone else ())
        if not names:
            return None
        moment, give_up = now, now + _HORIZON.total_seconds()
        while moment <= give_up:
            opened = max(self._open_in(zone_named(name), moment) for name in names)
            if opened <= moment:
                return moment
            moment = opened
        return None

    def _open_in(self, zone: ZoneInfo, moment: float) -> float:
        """The first moment from one on that is a calling hour in one zone."""
        today = datetime.fromtimestamp(moment, zone).date()
        for offset in range(_HORIZON.days + 1):
            day = today + timedelta(days=offset)
            if day.weekday() not in self.days:
                continue
            begin = datetime.combine(day, self.begin, zone).timestamp()
            if moment < datetime.combine(day, self.end, zone).timestamp():
                return max(begin, moment)
        return moment + _HORIZON.total_seconds() + 1


@lru_cache(maxsize=512)
def zone_named(name: str) -> ZoneInfo:
    """A time zone.

    Raises:
        ConfigurationError: There is none of that name, or the system has none at all.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigurationError(
            f"expected a time zone such as America/New_York, got {name[:60]!r}, which is not "
            "known here: see its spelling, and have the system's tzdata installed"
        ) from error


def zones_of(number: str) -> tuple[str, ...]:
    """The time zones in which a number in E.164 form may be; none where nobody knows."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return ()
    zones: tuple[str, ...] = timezone.time_zones_for_number(parsed)
    return () if _UNKNOWN in zones else zones
