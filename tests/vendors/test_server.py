"""A server that stands in for a vendor has its bad days in order, and says who came."""

import aiohttp
import pytest
from aiohttp import web

from twilio_frames.testing.vendors import Drop, Refusal
from twilio_frames.testing.vendors.server import VISIT, VendorServer, break_off


class Echo(VendorServer):
    def routes(self) -> list[web.RouteDef]:
        return [web.post("/echo", self._echo)]

    async def _echo(self, request: web.Request) -> web.StreamResponse:
        if isinstance(request[VISIT].fault, Drop):
            break_off(request)
        return web.Response(text="echo")


async def ask(url: str) -> int:
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": "Token secret"}
        async with session.post(f"{url}/echo?model=nova", headers=headers) as response:
            return response.status


async def test_faults_come_in_order():
    async with Echo(faults=[Refusal(status=429, retry_after=2), None]) as server:
        assert [await ask(server.url) for _ in range(3)] == [429, 200, 200]


async def test_drop_breaks_the_connection():
    async with Echo(faults=[Drop()]) as server:
        with pytest.raises(aiohttp.ClientConnectionError):
            await ask(server.url)


async def test_visits_are_noted():
    async with Echo() as server:
        await ask(server.url)
        visit = await server.visited()

    assert (visit.path, visit.query, visit.key) == ("/echo", {"model": "nova"}, "secret")
    assert "secret" not in repr(visit)
