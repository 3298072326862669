"""A pytest plugin: the fixture ``phone``, which rings a bot and tells what the caller heard.

::

    async def test_greeting(phone):
        call = await phone.ring(bot, "A large latte, please.")
        assert call.heard("anything else")

Installing this package makes the fixture known to every pytest run, so this module imports nothing
that takes time; what rings is imported by the first test that wants to.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from twilio_frames.testing import Phone

__all__ = ["phone"]


@pytest.fixture
def phone() -> "Phone":
    """Rings bots: see :class:`twilio_frames.testing.Phone`."""
    from twilio_frames.testing import Phone

    return Phone()
