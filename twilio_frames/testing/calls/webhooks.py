"""Twilio's requests to the bot's web server: signed, bounded in time, tried again where due.

Status callbacks come one after another or, if so set, out of order and twice.
"""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

import aiohttp
from yarl import URL

from twilio_frames.testing.calls.account import CallbackDisorder
from twilio_frames.testing.calls.facts import Alert
from twilio_frames.testing.calls.signing import Signing
from twilio_frames.testing.logs.log import CallLog
from twilio_frames.testing.streams.overrides import Overrides, split_overrides

USER_AGENT = "TwilioProxy/1.1"


def client_session() -> aiohttp.ClientSession:
    """A client as Twilio is one."""
    return aiohttp.ClientSession(
        # What aiohttp would add by itself, and Twilio does not send.
        skip_auto_headers=["Accept", "Accept-Encoding", "User-Agent"],
        # Each request has a connection of its own, as Twilio's machines are many: behind a
        # balancer, the stream reaches another process than the webhook.
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        # One call must not bring another's cookies.
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a web server answered.

    Parameters:
        url: The address it came from, which relative ones in it start from.
        content_type: The media type, such as ``text/xml``; empty if none was given.
    """

    url: str
    body: bytes = field(repr=False)
    content_type: str = ""

    @property
    def text(self) -> str:
        """The answer as text."""
        return self.body.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    """An attempt that came to nothing, and its kind in the words of the retry policy."""

    alert: Alert
    kind: str


class Webhooks:
    """Sends webhooks for one account.

    Args:
        session: The HTTP client.
        signing: Signs every request.
        seconds: How long a server may take; Twilio gives it 15.
    """

    def __init__(self, session: aiohttp.ClientSession, signing: Signing, *, seconds: float = 15.0):
        self._session = session
        self._signing = signing
        self._seconds = seconds

    async def request(
        self,
        url: str,
        parameters: Mapping[str, str],
        *,
        method: str = "POST",
        max_bytes: int = 64 * 1024,
    ) -> Reply | Alert:
        """Sends one webhook; gives the answer, or what Twilio would complain of.

        Args:
            url: With overrides in its fragment, if any.
            parameters: What the webhook says.
            method: ``POST`` or ``GET``.
            max_bytes: How long the answer may be.
        """
        try:
            url, overrides = split_overrides(url, total=self._seconds)
        except ValueError:
            return _malformed()
        try:
            async with asyncio.timeout(overrides.total):
                return await self._persist(url, parameters, method.upper(), overrides, max_bytes)
        except TimeoutError:
            return _silent(url, overrides.total)

    async def _persist(
        self,
        url: str,
        parameters: Mapping[str, str],
        method: str,
        overrides: Overrides,
        max_bytes: int,
    ) -> Reply | Alert:
        retries = overrides.retries
        while True:
            outcome = await self._attempt(url, parameters, method, overrides, max_bytes)
            if isinstance(outcome, Reply):
                return outcome
            if not retries or not overrides.retries_after(outcome.kind):
                return outcome.alert
            retries -= 1

    async def _attempt(
        self,
        url: str,
        parameters: Mapping[str, str],
        method: str,
        overrides: Overrides,
        max_bytes: int,
    ) -> Reply | _Failure:
        form = parameters if method == "POST" else None
        if form is None and parameters:
            url += ("&" if urlsplit(url).query else "?") + urlencode(parameters)
        headers = {"User-Agent": USER_AGENT, "Accept": "*/*"}
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=overrides.connect, sock_read=overrides.read
        )
        try:
            headers |= self._signing.webhook_headers(url, form)
            async with self._session.request(
                method, URL(url, encoded=True), data=form, headers=headers, timeout=limits
            ) as response:
                return await _read(response, url, max_bytes)
        except aiohttp.ConnectionTimeoutError:
            return _Failure(alert=_silent(url, overrides.connect), kind="ct")
        except TimeoutError:
            return _Failure(alert=_silent(url, overrides.read), kind="rt")
        except (aiohttp.InvalidURL, ValueError):
            return _Failure(alert=_malformed(), kind="url")
        except (aiohttp.ClientError, ConnectionError):
            text = f"expected a web server that answers, got none at {url}"
            return _Failure(alert=Alert(code=11205, text=text), kind="ct")


async def _read(response: aiohttp.ClientResponse, url: str, max_bytes: int) -> Reply | _Failure:
    if response.status >= 400:
        alert = Alert(code=11200, text=f"{_refusal(response.status)} at {url}")
        return _Failure(alert=alert, kind="5xx" if response.status >= 500 else "4xx")
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > max_bytes:
            alert = Alert(code=11750, text=f"expected at most {max_bytes} bytes at {url}")
            return _Failure(alert=alert, kind="size")
    given = "Content-Type" in response.headers
    return Reply(url=url, body=bytes(body), content_type=response.content_type if given else "")


def _malformed() -> Alert:
    return Alert(code=11100, text="expected a webhook URL, got a malformed one")


def _silent(url: str, seconds: float) -> Alert:
    return Alert(code=11205, text=f"expected an answer within {seconds:g} s at {url}")


def _refusal(status: int) -> str:
    hint = "; do both sides have the same auth token and URL?" if status in (401, 403) else ""
    return f"expected HTTP status 200, got {status}{hint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Callback:
    name: str
    url: str
    parameters: dict[str, str] = field(repr=False)
    method: str


class Callbacks:
    """The status callbacks of one call.

    Args:
        webhooks: Sends them.
        log: Takes down what became of each.
        disorder: How many are swapped with the next one, or sent again.
        seed: Draws which.
    """

    def __init__(
        self,
        webhooks: Webhooks,
        log: CallLog,
        *,
        disorder: CallbackDisorder | None = None,
        seed: int = 0,
    ):
        self._webhooks = webhooks
        self._log = log
        self._disorder = disorder or CallbackDisorder()
        self._random = random.Random(seed)  # noqa: S311  # protects nothing
        self._waiting: asyncio.Queue[_Callback | None] = asyncio.Queue(1000)
        self._task = asyncio.create_task(self._send_all())

    def post(self, name: str, url: str, parameters: dict[str, str], method: str = "POST") -> None:
        """Has a callback sent soon; one too many is dropped, as Twilio promises none."""
        if not self._waiting.full():
            callback = _Callback(name=name, url=url, parameters=parameters, method=method)
            self._waiting.put_nowait(callback)

    async def close(self) -> None:
        """Waits for what is to be sent, for a bounded time."""
        if self._task.done():
            return
        try:
            async with asyncio.timeout(5.0):
                await self._waiting.put(None)
                await asyncio.shield(self._task)
        except TimeoutError:
            self._task.cancel()

    async def _send_all(self) -> None:
        held_back: _Callback | None = None
        while (callback := await self._waiting.get()) is not None:
            if held_back is None and self._random.random() < self._disorder.swapped:
                held_back = callback
                continue
            await self._send(callback)
            if held_back is not None:
                await self._send(held_back)
                held_back = None
        if held_back is not None:
            await self._send(held_back)

    async def _send(self, callback: _Callback) -> None:
        times = 2 if self._random.random() < self._disorder.repeated else 1
        for _ in range(times):
            reply = await self._webhooks.request(
                callback.url, callback.parameters, method=callback.method
            )
            failure = str(reply) if isinstance(reply, Alert) else None
            self._log.note("callback", name=callback.name, failure=failure)
