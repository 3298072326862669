from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from loguru import logger

from tests.server.dialing_rig import FakeApi
from tests.server.fleet_of_sites import Fleet
from tests.server.site import TOKEN, Open, RecordingBot, Site
from tests.waiting import time_passes
from twilio_frames.fleet.memory import MemoryRegister
from twilio_frames.server import FleetSettings, ServerSettings, create_app
from twilio_frames.server.state import STATE
from twilio_frames.transport import TwilioParams

QUICK = TwilioParams(close_timeout_secs=0.1)


@pytest.fixture
async def open_site() -> AsyncIterator[Open]:
    sites: list[Site] = []

    async def open_one(**changes: Any) -> Site:
        bot = RecordingBot()
        given: dict[str, Any] = {"auth_token": TOKEN, "transport": QUICK, "blocked_secs": 0.0}
        given |= changes
        hooks = {name: given.pop(name, None) for name in ("warm_up", "prepare")}
        app = create_app(bot, ServerSettings(**given), **hooks)
        client = TestClient(TestServer(app))
        await client.start_server()
        sites.append(Site(client=client, state=app[STATE], bot=bot))
        return sites[-1]

    yield open_one
    for site in sites:
        await site.state.switchboard.cancel()
        await site.client.close()


@pytest.fixture
def open_fleet(open_site: Open) -> Fleet:
    async def open_all(workers: int = 2, **changes: Any) -> list[Site]:
        settings: dict[str, Any] = {"register": MemoryRegister(), **changes}
        most_calls = settings.pop("max_calls", 10)
        fleet = FleetSettings(**settings)
        sites = [
            await open_site(fleet=fleet, max_calls=most_calls, drain_secs=0.0)
            for _ in range(workers)
        ]
        # Between two renewals of each.
        await time_passes(2 * fleet.lease_secs + 0.4)
        return sites

    return open_all


@pytest.fixture
async def site(open_site: Open) -> Site:
    return await open_site()


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """Everything that is logged, with the values a traceback would show."""
    lines: list[str] = []
    sink = logger.add(lines.append, level="TRACE")
    yield lines
    logger.remove(sink)


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    fake = FakeApi()
    app = web.Application()
    app.router.add_post("/2010-04-01/Accounts/AC1/Calls.json", fake.create)
    async with TestServer(app) as server:
        fake.url = str(server.make_url("/"))
        yield fake
