"""A Twilio that takes calls, for the tests of a server that places them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from aiohttp import ClientResponse, web

from tests.server.site import Site

KEY = "k" * 20


TO = "+14155550100"


@dataclass
class FakeApi:
    """Takes calls, or refuses them for a reason."""

    url: str = ""
    forms: list[dict[str, str]] = field(default_factory=list)
    refusal: tuple[int, dict[str, object]] | None = None
    meanwhile: Callable[[], Awaitable[ElementTree.Element]] | None = None
    answered: list[ElementTree.Element] = field(default_factory=list)

    async def create(self, request: web.Request) -> web.Response:
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        if self.meanwhile:
            self.answered.append(await self.meanwhile())
        if self.refusal:
            return web.json_response(self.refusal[1], status=self.refusal[0])
        return web.json_response({"sid": "CA7", "status": "queued"}, status=201)


def account(api: FakeApi, **more: Any) -> dict[str, Any]:
    return {"account_sid": "AC1", "phone_number": "+14155550199", "api_url": api.url, **more}


async def dial(site: Site, to: object = TO, **headers: str) -> ClientResponse:
    return await site.client.post("/call", json={"to": to}, headers=headers)
