"""How Google's services are reached: with which credentials, where, and by which client."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

import grpc
from google.auth import default
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import GoogleAuthError
from google.oauth2 import service_account
from pipecat.services.google import stt as pipecat_google
from pipecat.utils.errors import ErrorCategory, classify_http_status_code

from twilio_frames.hosts import proxy_for

__all__ = [
    "GoogleAccess",
    "GoogleClient",
    "NoCredentialsError",
    "category_of",
    "no_client_yet",
]

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"

# gRPC waits for up to two minutes before it tries a broken connection again. A caller does not.
_OPTIONS: list[tuple[str, int]] = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
]

# gRPC sets itself up with the first channel, for 20 ms, and goes when the last one does. This one
# never connects.
_CORE = grpc.insecure_channel("127.0.0.1:1")

_Client = TypeVar("_Client")


class NoCredentialsError(Exception):
    """There are no credentials, or none that can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleAccess:
    """Where a service is, and who asks.

    Parameters:
        credentials: A service account's JSON.
        credentials_path: A file with it. Without either, what Google's libraries find in the
            environment.
        target: ``host:port`` of another server that speaks as Google does, without TLS and
            credentials; empty for Google.
    """

    credentials: str | None = field(default=None, repr=False)
    credentials_path: str | None = None
    target: str = ""

    async def identify(self) -> tuple[Credentials, str | None]:
        """The credentials, and the project they are for. Files are read in a thread.

        Raises:
            NoCredentialsError: If there are none, or none that can be read.
        """
        if self.target:
            return AnonymousCredentials(), "local"
        try:
            return await asyncio.to_thread(self._read)
        except (OSError, ValueError, GoogleAuthError) as error:
            raise NoCredentialsError(type(error).__name__) from error

    def _read(self) -> tuple[Credentials, str | None]:
        if not self.credentials and not self.credentials_path:
            return default(scopes=[_SCOPE])
        text = self.credentials or Path(self.credentials_path or "").read_text()
        account: Mapping[str, Any] = json.loads(text)
        credentials = service_account.Credentials.from_service_account_info(account)
        return credentials, account.get("project_id")


def _proxy_options(url: str) -> list[tuple[str, Any]]:
    """What to tell gRPC, which by itself knows the variables in lower case only."""
    proxy = proxy_for(url)
    return [("grpc.http_proxy", proxy)] if proxy else [("grpc.enable_http_proxy", 0)]


def category_of(error: BaseException) -> ErrorCategory:
    """Why a request has failed, in Pipecat's terms."""
    code = getattr(error, "code", None)
    if isinstance(error, NoCredentialsError):
        return ErrorCategory.AUTHENTICATION
    if isinstance(error, TimeoutError | ConnectionError) or code in (503, 504):
        return ErrorCategory.CONNECTIVITY
    if isinstance(code, int):
        return classify_http_status_code(code)
    return ErrorCategory.SERVER


class GoogleClient(Generic[_Client]):
    """A client that is there once :meth:`open` has been awaited.

    Args:
        kind: Its class.
        transport: The class of its transport over ``grpc.aio``.
        access: Where Google is, and who asks.
    """

    def __init__(self, kind: Callable[..., _Client], transport: Any, access: GoogleAccess):
        self.client: _Client | None = None
        """The client; None before it is there."""
        self._kind = kind
        self._transport = transport
        self._access = access

    async def open(self, host: str) -> str | None:
        """Makes the client, on a connection that comes back soon after it broke.

        Args:
            host: Google's host of the service.

        Returns:
            The project that the credentials are for, if they tell.

        Raises:
            NoCredentialsError: If there are no credentials, or none that can be read.
        """
        credentials, project = await self._access.identify()
        if target := self._access.target:
            options = [*_OPTIONS, *_proxy_options(f"http://{target}")]
            channel = grpc.aio.insecure_channel(target, options=options)
        else:
            options = [*_OPTIONS, *_proxy_options(f"https://{host}")]
            channel = self._transport.create_channel(host, credentials=credentials, options=options)
        self.client = self._kind(transport=self._transport(channel=channel))
        return project

    async def close(self) -> None:
        """Closes its connection."""
        if self.client is not None:
            await self.client.transport.close()  # pyright: ignore[reportAttributeAccessIssue] All of Google's clients have one.


@contextmanager
def no_client_yet() -> Iterator[None]:
    """Has the constructor of Pipecat's recogniser make no client.

    It would read files for it, and ask the net.
    """
    names = {
        "default": lambda **_: (AnonymousCredentials(), "unknown"),
        "speech_v2": SimpleNamespace(SpeechAsyncClient=lambda **_: None),
    }
    kept = {name: getattr(pipecat_google, name) for name in names}
    for name, stand_in in names.items():
        setattr(pipecat_google, name, stand_in)
    try:
        yield
    finally:
        for name, own in kept.items():
            setattr(pipecat_google, name, own)
