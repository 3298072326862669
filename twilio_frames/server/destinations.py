"""Which numbers a server may call: not those that cost whoever pays for the call a fortune.

Whoever gets hold of a dial key earns by having a server call numbers that pay their owner: premium
rate, satellites, personal numbers, far countries of the own dialling zone. So only the country of
the server's own number may be called unless the settings name others, and the costly ranges of any
country only where they are named themselves.

The ranges follow the national numbering plans that the ITU publishes
(https://www.itu.int/oth/T0202.aspx?parent=T0202). They change; Twilio's own geographic permissions
(https://www.twilio.com/docs/voice/security) are the second lock.
"""

import re
from collections.abc import Iterable

from twilio_frames.errors import ConfigurationError

__all__ = ["Destinations", "home_prefixes"]

_PREFIX = re.compile(r"\+(?:[1-9][0-9]{0,14})?")

_TWO_DIGIT_CODES = (
    *("20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46"),
    *("47", "48", "49", "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63"),
    *("64", "65", "66", "81", "82", "84", "86", "90", "91", "92", "93", "94", "95", "98"),
)
"""Of the country codes with more than one digit, those that have no third."""

_COUNTRIES_OF_ZONES = (
    "1242 1246 1264 1268 1284 1345 1441 1473 1649 1664 1721 1758 1767 1784 1868 1869",
    "1658 1876",
    "1809 1829 1849",
    "76 77",
)
"""Countries within +1 (apart from the US, its territories and Canada) and +7 (apart from Russia).

Those of the first line have one area code each, the others are one country a line.
"""

_OF_NO_COUNTRY = ("808", "870", "878", "881", "882", "883", "888", "979")
"""Shared cost, satellites, networks at sea and in the air, international premium rate."""

_COSTLY_AT_HOME = {
    "1": "500 521 522 523 524 525 526 527 528 529 532 533 544 566 577 588 622 633 700 900",
    "7": "803 807 808 809",
    "20": "900",
    "27": "86 90 91 92",
    "30": "70 801 806 807 81 82 83 84 85 86 87 88 89 901 909",
    "31": "84 87 90",
    "32": "70 90",
    "33": "81 82 83 84 85 86 87 88 89",
    "34": "70 803 806 807 901 902 905 907",
    "36": "90 91",
    "39": "12 144 163 164 166 178 199 84 89",
    "40": "90",
    "41": "84 878 90",
    "43": "718 730 740 81 82 86 89 90 93",
    "44": "70 76 84 87 9",
    "45": "90",
    "46": "376 378 649 75 77 900 939 944 99",
    "47": "810 815 82 880",
    "48": "70 801 804",
    "49": "137 138 180 181 182 183 184 185 186 187 188 189 19 700 900",
    "51": "801 802 804 805 808",
    "52": "300 500 900",
    "53": "807",
    "54": "60 810 811",
    "55": "30 400 401 402 403 500 900",
    "56": "600 700",
    "57": "190 194 901",
    "58": "90",
    "60": "600",
    "61": "13 190",
    "62": "804 809",
    "64": "70 900",
    "65": "1900",
    "66": "1900",
    "81": "180 570 990",
    "82": "50 60",
    "84": "1900",
    "86": "16",
    "90": "444 888 898 900",
    "91": "1860",
    "92": "122 900",
    "212": "89",
    "213": "801 802 803 804 805 806 808 809",
    "216": "81 82 88",
    "221": "81 88",
    "227": "09",
    "230": "30",
    "231": "332",
    "234": "700",
    "236": "877",
    "240": "900",
    "242": "80",
    "248": "85",
    "250": "900",
    "254": "900",
    "255": "840 860 861 90",
    "256": "90",
    "262": "81 82 88 89",
    "264": "870",
    "267": "90",
    "268": "900",
    "269": "80",
    "297": "900",
    "298": "90",
    "351": "601 607 608 646 648 707 708 76 808 809 884",
    "352": "801 90",
    "353": "1520 1530 1540 1550 1560 1570 1580 1590 700 1850 1890 818",
    "354": "90",
    "355": "700 808 900",
    "356": "5",
    "357": "70 80 90",
    "358": "600 700",
    "359": "700 90",
    "370": "700 705 808 90",
    "371": "81 90",
    "372": "40 70 90",
    "373": "808 90",
    "374": "80 90",
    "375": "602 606 810 90",
    "376": "1",
    "380": "700 900",
    "381": "700 78 90",
    "382": "94 95",
    "383": "900",
    "385": "60 61 62 64 65 69 72 74 75",
    "386": "89 90",
    "387": "81 82 9",
    "389": "5 81",
    "420": "700 81 83 84 90 976",
    "421": "85 900 97",
    "423": "90",
    "501": "900",
    "502": "19",
    "503": "900",
    "506": "90",
    "507": "82 85 86 87 88 900 98",
    "508": "8",
    "590": "81 82 88 89",
    "592": "900",
    "593": "190",
    "594": "8",
    "595": "900",
    "596": "8",
    "597": "90",
    "598": "609 900",
    "599": "60",
    "670": "70 90",
    "687": "36",
    "852": "81 82 83 900",
    "886": "20 99",
    "960": "900",
    "961": "80 90",
    "962": "70 85 9",
    "966": "700 900 92",
    "968": "900",
    "970": "1700",
    "971": "600 700 900",
    "972": "12 17 19",
    "973": "84 87 90",
    "994": "900",
    "995": "900",
}
"""Premium rate, shared cost and personal numbers: how they begin, by country code."""

_COSTLY = tuple(
    f"+{begin}"
    for begin in (
        *_OF_NO_COUNTRY,
        *(code + begin for code, text in _COSTLY_AT_HOME.items() for begin in text.split()),
    )
)


class Destinations:
    """The numbers that may be called.

    Args:
        prefixes: How they begin, such as ``+44``. ``+`` is any country. ``+1`` is the US, its
            territories and Canada; other countries of its zone take their area codes (``+1876``).
            A costly range is only meant by a prefix that is as long as it: ``+1900``, not ``+1``.

    Raises:
        ConfigurationError: One of them is no prefix.
    """

    def __init__(self, prefixes: Iterable[str]):
        self._prefixes = tuple(prefixes)
        for prefix in self._prefixes:
            if not _PREFIX.fullmatch(prefix):
                raise ConfigurationError(
                    "expected prefixes such as +44 or +1415 (+ for any country), got something "
                    "else: write each with its country code, without spaces"
                )

    def allow(self, number: str) -> bool:
        """Whether a number in E.164 form may be called."""
        costly = max((len(each) for each in _COSTLY if number.startswith(each)), default=0)
        other = max((len(each) for each in _OTHERS_OF_ZONES if number.startswith(each)), default=0)
        return any(
            number.startswith(prefix)
            and len(prefix) >= costly
            and (prefix == "+" or len(prefix) >= other)
            for prefix in self._prefixes
        )


def home_prefixes(number: str | None) -> tuple[str, ...]:
    """The prefixes of the country that a number is of; none for what is no number."""
    if number is None or not re.fullmatch(r"\+[1-9][0-9]{6,14}", number):
        return ()
    for codes in _ZONES:
        if number.startswith(codes):
            return codes
    digits = number[1:]
    length = 1 if digits[0] in "17" else 2 if digits[:2] in _TWO_DIGIT_CODES else 3
    return (f"+{digits[:length]}",)


_ZONES = tuple(
    tuple(f"+{code}" for code in codes.split())
    for codes in (*_COUNTRIES_OF_ZONES[0].split(), *_COUNTRIES_OF_ZONES[1:])
)
_OTHERS_OF_ZONES = tuple(code for codes in _ZONES for code in codes)
