"""Which numbers may be called."""

import pytest

from twilio_frames.errors import ConfigurationError
from twilio_frames.rest.numbers import normalise_number
from twilio_frames.server import ServerSettings
from twilio_frames.server.dialing.destinations import Destinations

TO = "+14155550100"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+14155550100", "+14155550100"),
        (" +1 (415) 555-0100 ", "+14155550100"),
        ("+44 20\u20117946\u00a00958", "+442079460958"),
        ("+1415555010\u0660", None),
        ("tel:+14155550100", None),
    ],
)
def test_number_is_normalised(text: str, number: str | None):
    assert normalise_number(text) == number


@pytest.mark.parametrize(
    ("prefixes", "number", "allowed"),
    [
        (["+1"], "+14165550100", True),
        (["+1"], "+17875550100", True),
        (["+1"], "+18005550100", True),
        (["+1"], "+15205550100", True),
        (["+1"], "+18765550100", False),
        (["+1876"], "+18765550100", True),
        (["+1"], "+19005550100", False),
        (["+190"], "+19005550100", False),
        (["+1900555"], "+19005550100", True),
        (["+"], "+8613800000000", True),
        (["+"], "+18765550100", True),
        (["+"], "+19005550100", False),
        (["+"], "+8821300000000", False),
        (["+882"], "+8821300000000", True),
        (["+44"], "+447911123456", True),
        (["+44"], "+449011234567", False),
        (["+44"], "+448431234567", False),
        (["+49"], "+4915112345678", True),
        (["+49"], "+499001234567", False),
        (["+33"], "+33612345678", True),
        (["+33"], "+33899123456", False),
        (["+39"], "+39089123456", True),
        (["+39"], "+39899123456", False),
        (["+7"], "+77012345678", False),
        (["+77"], "+77012345678", True),
        (["+44"], "+447624123456", True),
        (["+1"], "+15005550006", False),
        (["+44"], "+441", False),
        (["+353"], "+35315204205", True),
        (["+61"], "+61190012345", False),
        (["+81"], "+81570012345", False),
        ([], TO, False),
    ],
)
def test_costly_ranges_are_called_only_by_name(prefixes: list[str], number: str, allowed: bool):
    assert Destinations(prefixes).allow(number) is allowed


@pytest.mark.parametrize(
    ("own", "number", "allowed"),
    [
        ("+14155550199", "+14165550100", True),
        ("+14155550199", "+17875550100", True),
        ("+14155550199", "+18005550100", True),
        ("+14155550199", "+18765550100", False),
        ("+14155550199", "+442079460958", False),
        ("+18765550199", "+16585550100", True),
        ("+18765550199", "+14155550100", False),
        ("+442079460958", "+447400123456", True),
        ("+442079460958", "+447624123456", False),  # the Isle of Man
        ("+353861234567", "+35315204205", True),
        ("+353861234567", "+353818123456", False),
        ("+79161234567", "+77012345678", False),
        ("+77012345678", "+77051234567", True),
        ("+77012345678", "+79161234567", False),
        ("+393123456789", "+39066982", False),
        ("client:bot", "+14155550100", False),
        ("+88213000000", "+88213000001", False),
        (None, "+14155550100", False),
    ],
)
def test_own_country_is_called(own: str | None, number: str, allowed: bool):
    assert Destinations(None, own=own).allow(number) is allowed


# By country: the kinds that cost callers more, by their national numbering plan.
COSTLY_AT_HOME = {
    "+1": ["9002345678", "5002345678", "5332345678"],
    "+20": ["9001234567"],
    "+27": ["862345678", "862012345"],
    "+30": ["9091234567", "8011234567"],
    "+31": ["900123456", "9061234567"],
    "+32": ["90012345", "90212345"],
    "+33": ["891123456", "825123456"],
    "+34": ["803123456", "901123456", "905123456"],
    "+39": ["892123456", "899123456", "1782345678"],
    "+41": ["900123456", "840123456", "878123456"],
    "+43": ["900123456", "810123456"],
    "+44": ["9012345678", "8712345678", "7012345678", "7640123456", "5512345678"],
    "+45": ["90123456"],
    "+46": ["9001234567", "771234567"],
    "+47": ["82012345", "81021234"],
    "+48": ["701234567", "801234567"],
    "+49": ["9001234567", "18012345", "70012345678"],
    "+55": ["300123456", "40041234"],
    "+61": ["1900123456", "190012345", "1300123456"],
    "+81": ["990123456", "570123456"],
    "+91": ["1861123456789", "18601234567"],
    "+351": ["760123456", "808123456"],
    "+353": ["1520123456", "1850123456"],
    "+358": ["600123456", "70012345"],
    "+420": ["900123456"],
    "+972": ["1919123456", "1700123456"],
}


@pytest.mark.parametrize("code", COSTLY_AT_HOME)
def test_country_does_not_mean_its_costly_numbers(code: str):
    named = Destinations([code])

    assert not [number for number in COSTLY_AT_HOME[code] if named.allow(code + number)]


@pytest.mark.parametrize("prefix", ["44", "+0", "", "+44 20", "+x", "0044"])
def test_what_is_no_prefix_is_refused(prefix: str):
    with pytest.raises(ConfigurationError, match=r"expected prefixes such as \+44"):
        ServerSettings(dial_prefixes=(prefix,))


def test_prefixes_stand_in_the_environment():
    environment = {
        "TWILIO_FRAMES_DIAL_PREFIXES": "+1, +44",
        "TWILIO_FRAMES_DIALS_PER_MINUTE": "5",
    }
    settings = ServerSettings.from_environment(environment)

    assert settings.dial_prefixes == ("+1", "+44")
    assert settings.dials_per_minute == 5
    with pytest.raises(ConfigurationError, match="dials_per_minute"):
        ServerSettings(dials_per_minute=0)
