"""The SDK's way out to the network."""

import base64
import contextlib
import json
import logging
import time
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
from twilio.http import AsyncHttpClient
from twilio.http.response import Response

from twilio_frames.errors import ConfigurationError, RestError
from twilio_frames.hosts import proxy_for

__all__ = ["BoundedHttpClient"]

_FRESH_SECS = 60.0
_LATE_SECS = 1.0
"""By so much this machine's two clocks may go apart meanwhile."""


class BoundedHttpClient(AsyncHttpClient):
    """An HTTP client for the SDK that is bounded in time and never tries again by itself.

    Args:
        base_url: Where to send requests instead of the host the SDK names.
        timeout: Seconds one request may take.
    """

    def __init__(self, base_url: str | None, timeout: float):
        super().__init__(logging.getLogger("twilio.async_http_client"), True, timeout)
        self._base = urlsplit(base_url) if base_url else None
        self._limit = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None
        self._told = (0.0, 0.0, 0.0)

    def now(self) -> float | None:
        """Seconds since 1970 by the latest answer's date; None where it is not of this minute.

        A machine that was asleep sees so by its calendar, and one whose calendar is set, by its
        other clock.
        """
        date, ticked, calendar = self._told
        since = time.monotonic() - ticked
        is_fresh = since < _FRESH_SECS and abs(time.time() - calendar - since) < _LATE_SECS
        return date + since if is_fresh else None

    async def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        if self._session:
            await self._session.close()
        self._session = None

    async def request(
        self,
        method: str,
        uri: str,
        params: dict[str, object] | None = None,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the SDK's signature
        allow_redirects: bool = False,
    ) -> Response:
        """Send one request, as the SDK asks for it.

        Raises:
            RestError: No connection (``retryable``), no answer in time, or one that is no JSON.
        """
        sent = dict(headers or {})
        if auth:
            sent["Authorization"] = "Basic " + base64.b64encode(":".join(auth).encode()).decode()
        try:
            return await self._exchange(
                method,
                self._place(uri),
                params=params,
                data=urlencode(data or {}, doseq=True) if method != "GET" else None,
                headers=sent,
                allow_redirects=allow_redirects,
                proxy=_proxy_for(self._place(uri)),
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise RestError(
                "expected a connection to Twilio's REST API, got none: "
                "check the network and the base URL",
                retryable=True,
            ) from error
        except (TimeoutError, aiohttp.ClientError, UnicodeDecodeError) as error:
            raise RestError(
                f"expected an answer from Twilio within {self.timeout:g} s, got "
                f"{type(error).__name__}: whether the request was carried out is not known"
            ) from error

    async def _exchange(self, method: str, uri: str, **request: Any) -> Response:
        if self._session is None:
            # A request never waits in a connection that Twilio is about to close: it could not
            # be told from one that was carried out.
            connector = aiohttp.TCPConnector(force_close=True)
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._limit)
        async with self._session.request(method, uri, **request) as answer:
            self._note_date(answer.headers.get("Date", ""))
            text = await answer.text()
            if answer.status < 300 and not _is_json_object(text):
                raise RestError(
                    "expected a JSON object from Twilio, got something else: "
                    "whether the request was carried out is not known",
                    status=answer.status,
                )
            return Response(answer.status, text, answer.headers)

    def _note_date(self, text: str) -> None:
        with contextlib.suppress(ValueError):
            date = parsedate_to_datetime(text).timestamp()
            self._told = (date, time.monotonic(), time.time())

    def _place(self, uri: str) -> str:
        if self._base is None:
            return uri
        path = self._base.path.rstrip("/") + urlsplit(uri).path
        return (
            urlsplit(uri)
            ._replace(scheme=self._base.scheme, netloc=self._base.netloc, path=path)
            .geturl()
        )


def _proxy_for(url: str) -> str | None:
    proxy = proxy_for(url)
    if proxy and urlsplit(proxy).scheme not in ("http", "https"):
        raise ConfigurationError(
            f"expected an HTTP proxy to Twilio's REST API, got one of the kind "
            f"{urlsplit(proxy).scheme!r} from the environment: set HTTPS_PROXY to an HTTP proxy, "
            "or NO_PROXY to api.twilio.com"
        )
    return proxy


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
