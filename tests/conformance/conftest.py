"""A site with a simulated Twilio that runs."""

from collections.abc import AsyncIterator

import pytest

from tests.conformance.site import TOKEN, Site
from twilio_frames.testing import SimulatedTwilio


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    async with site.serving(), SimulatedTwilio(auth_token=TOKEN, seed=1) as site.twilio:
        yield site
