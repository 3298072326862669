"""A service's client of Google's, made beside the event loop and closed with the call."""

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

from google.auth.credentials import AnonymousCredentials
from pipecat.services.google import stt as pipecat_google

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.errors import ConfigurationError
from twilio_frames.services.google.access import GoogleAccess

__all__ = ["GoogleClient", "keep_phone_rate", "no_client_yet"]

_Client = TypeVar("_Client")


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
        """Makes the client.

        Args:
            host: Google's host of the service.

        Returns:
            The project that the credentials are for, if they tell.

        Raises:
            NoCredentialsError: If there are no credentials, or none that can be read.
        """
        credentials, project = await self._access.identify()
        self.client = self._access.client(self._kind, self._transport, credentials, host)
        return project

    async def close(self) -> None:
        """Closes its connection."""
        if self.client is not None:
            await self.client.transport.close()  # pyright: ignore[reportAttributeAccessIssue] All of Google's clients have one.


def keep_phone_rate(options: MutableMapping[str, Any], instead: str) -> None:
    """Sets the sample rate of a phone line among a service's options.

    Args:
        options: The options.
        instead: Pipecat's service that takes other rates.

    Raises:
        ConfigurationError: If another one stands there.
    """
    if options.setdefault("sample_rate", SAMPLE_RATE) != SAMPLE_RATE:
        raise ConfigurationError(
            f"expected sample_rate={SAMPLE_RATE}, got {options['sample_rate']!r}: leave it out, "
            f"or use Pipecat's {instead}"
        )


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
