"""Every setting stands on a page, with its unit and its default."""

import pytest

from tests.settings_page import PAGE, WHERE, defaults, described, page

# Pipecat's own, whose defaults a phone line changes.
PIPECATS = ("audio_in_", "audio_out_")


@pytest.mark.parametrize("kind", WHERE)
def test_every_setting_says_what_it_is(kind: type):
    names = {name for name in defaults(kind) if not name.startswith(PIPECATS)}
    assert names - set(described(kind)) == set()


def test_page_is_up_to_date():
    assert PAGE.read_text("utf-8") == page(), "run python -m tests.settings_page"
