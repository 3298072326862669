"""Whoever placed a call may be told how it goes: Twilio tells one address, which is this server's.

So that address has, in its query, to whom else it is to be told. Twilio signs it with the rest, and
what is passed on is signed in the same way: who is told checks it as if Twilio had asked.
"""

import asyncio
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
from aiohttp import web
from loguru import logger

from twilio_frames.errors import ConfigurationError
from twilio_frames.hosts import proxy_for
from twilio_frames.rest.client import FINAL
from twilio_frames.rest.options import CALL_EVENTS
from twilio_frames.server.addresses import is_reachable
from twilio_frames.signature import SIGNATURE_HEADER, sign

__all__ = ["StatusRelay", "relayed"]

_URL, _EVENTS = "relay", "events"
_LONGEST_URL = 1000


def relayed(url: str, told: str, events: tuple[str, ...] | None, *, anywhere: bool) -> str:
    """The address by which Twilio tells this server, and this server somebody else.

    Args:
        url: This server's.
        told: Who else is to be told.
        events: Of what.
        anywhere: Whether that may be an address of this machine or its own network.

    Raises:
        ConfigurationError: It may not.
    """
    if len(told) > _LONGEST_URL or not (anywhere or is_reachable(urlsplit(told).hostname or "")):
        raise ConfigurationError(
            "expected a status_callback at a public address, of "
            f"{_LONGEST_URL} characters at most, got another: give one that Twilio would reach"
        )
    return f"{url}?{urlencode({_URL: told, _EVENTS: ' '.join(events or CALL_EVENTS)})}"


class StatusRelay:
    """Passes on how calls go, in the background.

    Args:
        auth_token: Signs what is passed on; None for no signature.
    """

    _MOST_AT_ONCE = 100
    """More are not passed on: whoever is told has stopped to answer."""
    _PATIENCE_SECS = 10.0

    def __init__(self, auth_token: str | None):
        self._auth_token = auth_token
        self._session: aiohttp.ClientSession | None = None
        self._telling: set[asyncio.Task[None]] = set()

    def pass_on(self, request: web.Request, form: list[tuple[str, str]]) -> None:
        """Tells who is to be told of a status callback, if anybody is."""
        url, events = request.query.get(_URL), request.query.get(_EVENTS, "").split()
        if not url or _event_of(dict(form).get("CallStatus", "")) not in events:
            return
        if len(self._telling) >= self._MOST_AT_ONCE:
            logger.warning("a status callback is not passed on: too many are on their way")
            return
        fields = [(name, value) for name, value in form if name not in (_URL, _EVENTS)]
        task = asyncio.create_task(self._tell(url, fields), name="status relay")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def close(self) -> None:
        """Tells no more; what is on its way may arrive, for a bounded time."""
        if self._telling:
            await asyncio.wait(self._telling, timeout=self._PATIENCE_SECS)
        for task in self._telling:
            task.cancel()
        if self._session is not None:
            await self._session.close()

    async def _tell(self, url: str, form: list[tuple[str, str]]) -> None:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=self._PATIENCE_SECS)
            self._session = aiohttp.ClientSession(timeout=timeout)
        headers = {}
        if self._auth_token:
            headers[SIGNATURE_HEADER] = sign(self._auth_token, url, form)
        posting: dict[str, Any] = {"data": form, "headers": headers, "allow_redirects": False}
        try:
            async with self._session.post(url, proxy=proxy_for(url), **posting) as answer:
                if answer.status >= 400:
                    logger.warning(f"a status callback was answered with HTTP {answer.status}")
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            logger.warning(f"a status callback was not passed on: {type(error).__name__}")


def _event_of(status: str) -> str:
    """The event of which a call's status tells."""
    return "completed" if status in FINAL else {"in-progress": "answered"}.get(status, status)
