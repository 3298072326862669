"""Every setting stands on a page, with its unit and its default."""

import re
from pathlib import Path

import pytest

from tests.settings_page import PAGE, WHERE, defaults, described, page, variables
from twilio_frames.server import ServerSettings
from twilio_frames.server.settings import doubts

ROOT = Path(__file__).parent.parent

# Pipecat's own, whose defaults a phone line changes.
PIPECATS = ("audio_in_", "audio_out_")


@pytest.mark.parametrize("kind", WHERE)
def test_every_setting_says_what_it_is(kind: type):
    names = {name for name in defaults(kind) if not name.startswith(PIPECATS)}
    assert names - set(described(kind)) == set()


def test_page_is_up_to_date():
    assert PAGE.read_text("utf-8") == page(), "run python -m tests.settings_page"


def test_every_variable_is_on_the_page():
    """Whatever the code names as one, in quotes: ``environ.get("TWILIO_EDGE")``."""
    named: set[str] = set()
    for room in ("twilio_frames", "processors", "examples"):
        for path in (ROOT / room).rglob("*.py"):
            named |= set(
                re.findall(
                    r'"((?:TWILIO|DEEPGRAM|OPENAI|CARTESIA|GOOGLE)_[A-Z_]+)"',
                    path.read_text("utf-8"),
                )
            )

    # A server's processes are told so of descriptors, and of their place.
    told = ("_FD", "_FDS", "_PLACE")
    assert {name for name in named if not name.endswith(told)} <= set(variables())


def test_no_variable_on_the_page_is_doubted():
    assert [*doubts(ServerSettings(), dict.fromkeys(variables(), "1"))] == []
