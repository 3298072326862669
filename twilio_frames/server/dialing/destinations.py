"""Which numbers a server may call: not those that cost whoever pays for the call a fortune.

Whoever gets hold of a dial key earns by having a server call numbers that pay their owner: premium
rate, satellites, personal numbers, far countries of the own dialling zone. So only numbers that are
known to be ordinary are called, and only in the country of the server's own number unless the
settings name others; whatever else only where the settings name how it begins.

What a number is and where, Google's libphonenumber knows (``phonenumbers``), which follows all
national numbering plans. Twilio's own geographic permissions
(https://www.twilio.com/docs/voice/security) are the second lock.
"""

import re
from collections.abc import Iterable

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberType

from twilio_frames.errors import ConfigurationError

__all__ = ["Destinations"]

_PREFIX = re.compile(r"\+(?:[1-9][0-9]{0,14})?")

_ORDINARY = (
    PhoneNumberType.FIXED_LINE,
    PhoneNumberType.MOBILE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE,
    PhoneNumberType.VOIP,
    PhoneNumberType.TOLL_FREE,
)
_NO_COUNTRY = phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY
_RANGE_DIGITS = 3
"""Digits behind the country code that name a range: an area code, or what costs more, +1900."""

_ZONES = {
    1: (frozenset({"US", "CA", "PR", "VI", "GU", "AS", "MP"}), 3),
    7: (frozenset({"RU"}), 1),
}
"""Codes that several countries share, and not one price: who is meant by the code alone, and how
many digits behind it the others begin with."""


class Destinations:
    """The numbers that may be called.

    Args:
        prefixes: How they begin, such as ``+44``. ``+`` is any country. ``+1`` is the US, its
            territories and Canada; other countries of its zone take their area codes (``+1876``).
            What is not known to be an ordinary number is only meant by a prefix that names its
            range, at least three digits behind the country code: ``+1900``, not ``+1``. None: the
            country of ``own``.
        own: The number that is called from.

    Raises:
        ConfigurationError: One of them is no prefix.
    """

    def __init__(self, prefixes: Iterable[str] | None, *, own: str | None = None):
        self._prefixes = () if prefixes is None else tuple(prefixes)
        self._home = _home(own) if prefixes is None else frozenset[str]()
        for prefix in self._prefixes:
            if not _PREFIX.fullmatch(prefix):
                raise ConfigurationError(
                    "expected prefixes such as +44 or +1415 (+ for any country), got something "
                    "else: write each with its country code, without spaces"
                )

    def allow(self, number: str) -> bool:
        """Whether a number in E.164 form may be called."""
        parsed = _parsed(number)
        if parsed is None:
            return False
        if _is_ordinary(parsed) and _region(parsed) in self._home:
            return True
        return any(number.startswith(each) and _means(each, parsed) for each in self._prefixes)


def _parsed(number: str) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None


def _is_ordinary(number: PhoneNumber) -> bool:
    return phonenumbers.number_type(number) in _ORDINARY


def _region(number: PhoneNumber) -> str:
    """Where a number is, or where its code is, if it is none of a known range."""
    code = phonenumbers.region_code_for_country_code(number.country_code or 0)
    return phonenumbers.region_code_for_number(number) or code


def _home(own: str | None) -> frozenset[str]:
    """The countries that are home to a number; none for what is no number."""
    parsed = _parsed(own) if own is not None else None
    if parsed is None or _region(parsed) == _NO_COUNTRY:
        return frozenset()
    region = _region(parsed)
    return next((home for home, _ in _ZONES.values() if region in home), frozenset({region}))


def _means(prefix: str, number: PhoneNumber) -> bool:
    """Whether a prefix that a number begins with is enough to mean it."""
    country_code, region = number.country_code or 0, _region(number)
    digits = len(prefix) - len(f"+{country_code}")
    if region == _NO_COUNTRY:
        return digits >= 0
    if not _is_ordinary(number):
        return digits >= _RANGE_DIGITS
    home, others_digits = _ZONES.get(country_code, (frozenset({region}), 0))
    return region in home or prefix == "+" or digits >= others_digits
