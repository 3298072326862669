"""The REST API's door: who may ask, how many at a time, and where each question goes.

Sources: https://www.twilio.com/docs/usage/requests-to-twilio,
https://www.twilio.com/docs/api/errors/20429
"""

import asyncio
import base64
import hmac
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from twilio_frames.testing.calls.switch import Switch
from twilio_frames.testing.rest.account import AccountResource
from twilio_frames.testing.rest.answers import error, missing
from twilio_frames.testing.rest.calls import CallsResource, RecordingsResource, StreamsResource
from twilio_frames.testing.rest.conferences import ConferencesResource
from twilio_frames.testing.rest.dialer import Dialer

Route = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ACCOUNT = "/2010-04-01/Accounts/{account}"


class RestApi:
    """The REST API of one account, as an aiohttp application.

    Args:
        switch: Holds the calls.
        api_keys: Secrets of API keys by their sids, accepted beside the auth token.
    """

    def __init__(self, switch: Switch, *, api_keys: Mapping[str, str]):
        self._switch = switch
        exchange = switch.exchange
        self._secrets = {exchange.account_sid: exchange.signing.auth_token} | dict(api_keys)
        self._dialer = Dialer(switch)
        self._requests = 0

    def application(self) -> web.Application:
        """The application to serve."""
        app = web.Application(middlewares=[self._guard])
        AccountResource(self._switch).add_to(app.router, _ACCOUNT)
        calls = CallsResource(self._switch, self._dialer)
        calls.add_to(app.router, _ACCOUNT)
        ConferencesResource(self._switch, calls.place).add_to(app.router, _ACCOUNT)
        RecordingsResource(self._switch).add_to(app.router, _ACCOUNT)
        StreamsResource(self._switch).add_to(app.router, _ACCOUNT)
        app.on_cleanup.append(self._close)
        return app

    async def _close(self, _: web.Application) -> None:
        await self._dialer.close()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Route) -> web.StreamResponse:
        self._requests += 1
        try:
            answer = await self._answer(request, handler)
            answer.headers["Twilio-Concurrent-Requests"] = str(self._requests)
            return answer
        finally:
            self._requests -= 1

    async def _answer(self, request: web.Request, handler: Route) -> web.StreamResponse:
        rules, account_sid = self._switch.exchange.rules, self._switch.exchange.account_sid
        if not self._is_authorized(request.headers.get("Authorization", "")):
            return error(401, 20003, "Authenticate")
        if rules.concurrent_requests is not None and self._requests > rules.concurrent_requests:
            return error(429, 20429, "Too Many Requests")
        if request.match_info.get("account", account_sid) != account_sid:
            return missing(request)
        if rules.request_secs:
            await asyncio.sleep(rules.request_secs)
        try:
            return await handler(request)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
            return missing(request)

    def _is_authorized(self, header: str) -> bool:
        scheme, _, encoded = header.partition(" ")
        try:
            name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            return False
        expected = self._secrets.get(name)
        if scheme.lower() != "basic" or expected is None:
            return False
        return hmac.compare_digest(secret.encode(), expected.encode())
