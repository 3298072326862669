"""Passes what Twilio asks on to other workers.

A webhook is passed on as it came, with its host and signature, so that it proves itself where it
arrives as it would have at first. It is passed on once: whoever gets it so carries it out.
"""

import errno
import hashlib
import re

import aiohttp
from aiohttp import web
from loguru import logger
from yarl import URL

from twilio_frames.fleet.register import Lease

__all__ = [
    "FETCHED",
    "FULL",
    "OWNER",
    "RESUME",
    "Passing",
    "callback_key",
    "is_passed_on",
    "named_worker",
]

_PASSED_ON = "X-Twilio-Frames-Passed-On"
"""Why a webhook was passed on; whoever sends it from outside is answered here, and no more."""
FULL = "X-Twilio-Frames-Full"
"""Says in an answer that there was no room for a call, or that it is not known here."""
OWNER = "owner"
"""A webhook was passed on since it is for who has its call."""
FETCHED = "fetched"
"""In a query: Twilio was asked to leave a stream for this webhook."""
RESUME = "resume"
"""A webhook was passed on since its call is to go on here."""

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length"}
)
_NAMED = re.compile(r"/w/([A-Za-z0-9._-]{1,80})/[^/]+/*$")


def named_worker(request: web.BaseRequest) -> str:
    """The worker that stands in a request's path; empty for none."""
    found = _NAMED.search(request.path)
    return found[1] if found else ""


def is_passed_on(request: web.BaseRequest, why: str = "") -> bool:
    """Whether another worker has passed a webhook on, for some reason or any."""
    told = request.headers.get(_PASSED_ON)
    return told == why if why else told is not None


def callback_key(request: web.BaseRequest, form: list[tuple[str, str]]) -> str:
    """What is the same each time when Twilio tells a thing again."""
    told = request.headers.get("I-Twilio-Idempotency-Token", "")
    if not told:
        told = repr((request.path, sorted(request.query.items()), sorted(form)))
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Passing:
    """Passes webhooks on to other workers.

    Args:
        connect_secs: How long it may take to reach one.
        answer_secs: How long its answer may take; less than the 15 s that Twilio waits for this
            one.
        alive_secs: How long one that lives may take to say so: an event loop that has too much to
            do carries its calls all the same.
    """

    def __init__(
        self, *, connect_secs: float = 0.5, answer_secs: float = 4.0, alive_secs: float = 3.0
    ):
        self._limits = aiohttp.ClientTimeout(total=answer_secs, connect=connect_secs)
        self._alive = aiohttp.ClientTimeout(total=alive_secs)
        self._session: aiohttp.ClientSession | None = None

    async def pass_on(
        self,
        request: web.Request,
        to: Lease,
        why: str = OWNER,
        within_secs: float | None = None,
    ) -> web.Response | None:
        """What another worker answers; None if it does not.

        Args:
            request: Twilio's.
            to: The worker.
            why: What for.
            within_secs: How long it may take; None for as long as any.
        """
        if not to.address:
            return None
        headers = {n: v for n, v in request.headers.items() if n.lower() not in _HOP_BY_HOP}
        headers[_PASSED_ON] = why
        # The path as it was spelled: it is signed.
        limits = aiohttp.ClientTimeout(
            total=within_secs or self._limits.total, connect=self._limits.connect
        )
        path = request.raw_path if request.raw_path.startswith("/") else request.path_qs
        try:
            async with self._opened().request(
                request.method,
                URL(to.address + path, encoded=True),
                headers=headers,
                data=await request.read(),
                allow_redirects=False,
                timeout=limits,
            ) as answer:
                return await _copied(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.debug(f"worker {to.name} could not be reached: {type(error).__name__}")
            return None

    async def is_silent(self, worker: Lease) -> bool:
        """Whether nothing at all is heard of another worker, for seconds.

        Where its machine says that nobody listens any more, it has closed what was open as well.
        """
        try:
            async with self._opened().get(
                URL(worker.address) / "healthz", timeout=self._alive
            ) as answer:
                # That is no worker's word, but that of a proxy before it.
                return answer.status >= 500
        except TimeoutError:
            return True
        except aiohttp.ClientConnectorError as error:
            return error.errno != errno.ECONNREFUSED
        except (aiohttp.ClientError, OSError, ValueError):
            return False

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._limits, trust_env=False)
        return self._session

    async def close(self) -> None:
        """Closes the connections to other workers."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _copied(answer: aiohttp.ClientResponse) -> web.Response:
    copied = web.Response(status=answer.status, body=await answer.read())
    for name in ("Content-Type", FULL):
        if name in answer.headers:
            copied.headers[name] = answer.headers[name]
    return copied
