"""Twilio's requests to the bot's web server: signed, bounded in time, callbacks in order."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urldefrag, urlencode, urlsplit, urlunsplit

import aiohttp
from yarl import URL

from twilio_frames.signature import SIGNATURE_HEADER, sign
from twilio_frames.testing.alerts import Alert
from twilio_frames.testing.log import CallLog

USER_AGENT = "TwilioProxy/1.1"
MAX_RESPONSE = 64 * 1024
"""Bytes of TwiML that Twilio takes (error 11750)."""

_MAX_WAITING = 1000
_LAST_CALLBACKS_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a web server answered.

    Parameters:
        url: The address it came from, which relative ones in it start from.
    """

    url: str
    text: str


def signed_url(url: str) -> str:
    """A webhook's URL as Twilio signs it: over HTTPS without the port, over HTTP with it."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme == "https" and parts.port is not None:
        host = host.rpartition(":")[0]
    return urlunsplit(parts._replace(netloc=host))


class Webhooks:
    """Sends webhooks for one account.

    Args:
        session: The HTTP client.
        auth_token: Signs every request.
        seconds: How long a server may take; Twilio gives it 15.
    """

    def __init__(self, session: aiohttp.ClientSession, auth_token: str, *, seconds: float = 15.0):
        self._session = session
        self._auth_token = auth_token
        self._seconds = seconds

    async def request(
        self, url: str, parameters: Mapping[str, str], *, method: str = "POST"
    ) -> Reply | Alert:
        """Sends one webhook; gives the answer, or what Twilio would complain of."""
        # Connection overrides ("#rc=2") are for Twilio, not for the server.
        url = urldefrag(url).url
        try:
            async with asyncio.timeout(self._seconds):
                return await self._request(url, parameters, method.upper())
        except TimeoutError:
            return Alert(code=11205, text=f"expected an answer within {self._seconds:g} s at {url}")
        except (aiohttp.InvalidURL, ValueError):
            return Alert(code=11100, text="expected a webhook URL, got a malformed one")
        except (aiohttp.ClientError, ConnectionError):
            return Alert(code=11205, text=f"expected a web server that answers, got none at {url}")

    async def _request(self, url: str, parameters: Mapping[str, str], method: str) -> Reply | Alert:
        form = parameters if method == "POST" else None
        if form is None:
            url += ("&" if urlsplit(url).query else "?") + urlencode(parameters)
        headers = {
            "User-Agent": USER_AGENT,
            "Accept": "*/*",
            SIGNATURE_HEADER: sign(self._auth_token, signed_url(url), form),
        }
        async with self._session.request(
            method, URL(url, encoded=True), data=form, headers=headers
        ) as response:
            body = await response.content.read(MAX_RESPONSE + 1)
            if response.status >= 400:
                return Alert(code=11200, text=f"{_refusal(response.status)} at {url}")
            if len(body) > MAX_RESPONSE:
                return Alert(code=11750, text=f"expected at most {MAX_RESPONSE} bytes at {url}")
            return Reply(url=url, text=body.decode("utf-8", "replace"))


def _refusal(status: int) -> str:
    hint = "; do both sides have the same auth token and URL?" if status in (401, 403) else ""
    return f"expected HTTP status 200, got {status}{hint}"


class Callbacks:
    """The status callbacks of one call, sent one after another, in the order they arose."""

    def __init__(self, webhooks: Webhooks, log: CallLog):
        self._webhooks = webhooks
        self._log = log
        self._waiting: asyncio.Queue[tuple[str, str, dict[str, str], str] | None] = asyncio.Queue(
            _MAX_WAITING
        )
        self._task = asyncio.create_task(self._send_all())

    def post(self, name: str, url: str, parameters: dict[str, str], method: str = "POST") -> None:
        """Has a callback sent soon; one too many is dropped, as Twilio promises none."""
        if not self._waiting.full():
            self._waiting.put_nowait((name, url, parameters, method))

    async def close(self) -> None:
        """Waits for what is to be sent, for a bounded time."""
        if self._task.done():
            return
        try:
            async with asyncio.timeout(_LAST_CALLBACKS_SECONDS):
                await self._waiting.put(None)
                await asyncio.shield(self._task)
        except TimeoutError:
            self._task.cancel()

    async def _send_all(self) -> None:
        while (callback := await self._waiting.get()) is not None:
            name, url, parameters, method = callback
            reply = await self._webhooks.request(url, parameters, method=method)
            failure = str(reply) if isinstance(reply, Alert) else None
            self._log.note("callback", name=name, failure=failure)
