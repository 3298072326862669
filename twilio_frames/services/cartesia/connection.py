"""A call's connection to Cartesia: opened while the call is set up, and again when it breaks."""

import asyncio
from abc import abstractmethod
from typing import Any

from loguru import logger
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.utils.errors import ErrorCategory, classify_http_exception, classify_http_status_code

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.errors import ConfigurationError
from twilio_frames.pipecat_internals import call_event_handler, cartesia_address
from twilio_frames.services.partial_speech import PartialSpeechTTSService
from twilio_frames.services.reconnecting_socket import ReconnectingSocket

__all__ = ["CartesiaConnection"]

_FORMAT = {"encoding": "pcm_mulaw", "container": "raw", "sample_rate": SAMPLE_RATE}
_RENEW_SECS = 240.0


class CartesiaConnection(PartialSpeechTTSService, CartesiaTTSService):
    """Cartesia's service with a connection that lasts; what is said over it is left open.

    Args:
        api_key: Cartesia's.
        patience: Seconds of trouble, back-off included, before it is told.
        **kwargs: Passed on.

    Raises:
        ConfigurationError: If another encoding or sample rate is asked for.
    """

    def __init__(self, *, api_key: str, patience: float, **kwargs: Any):
        for name, value in _FORMAT.items():
            if kwargs.setdefault(name, value) not in (value, None):
                raise ConfigurationError(
                    f"expected {value!r} at `{name}`, got {kwargs[name]!r}: for other audio than "
                    "a phone line's, take Pipecat's CartesiaTTSService"
                )
        super().__init__(api_key=api_key, **{**kwargs, **_FORMAT})
        self.patience_secs = patience
        self.socket = self._make_socket()
        self._is_troubled = False
        self._tasks: list[asyncio.Task[None]] = []

    def _make_socket(self) -> ReconnectingSocket:
        url, headers = cartesia_address(self)
        return ReconnectingSocket(
            self, url, headers, patience=self.patience_secs, renew_secs=_RENEW_SECS
        )

    async def _connect(self) -> None:
        await self.be_connected()

    async def be_connected(self) -> None:
        """Begins to connect, unless that has begun; does not wait for it."""
        if not self._tasks or any(task.done() for task in self._tasks):
            await self._disconnect()
            self._tasks = [
                self.create_task(self.socket.run(), name="socket"),
                self.create_task(self._tend(), name="tend"),
            ]

    async def _disconnect(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            await self.cancel_task(task)

    async def on_socket_open(self) -> None:
        """Asks for whatever is left to say."""
        if self._is_troubled:
            self._is_troubled = False
            await self.set_usable(True)
        await call_event_handler(self, "on_connected")
        await self._ask_for_the_rest()

    async def on_socket_lost(self, reason: str) -> None:
        """Notes what is left to say."""
        was_idle = self.is_idle
        level = "DEBUG" if was_idle else "WARNING"
        logger.log(level, f"{self}: the connection to Cartesia was {reason}")
        await self._lose_all()
        await call_event_handler(self, "on_disconnected")
        if not was_idle:
            await call_event_handler(self, "on_connection_error", reason)

    async def on_socket_trouble(self, error: Exception) -> None:
        """Gives up what is left to say."""
        self._is_troubled = True
        await self._give_up(
            f"expected a connection to Cartesia within {self.patience_secs:g} s, got none that "
            f"lasts ({type(error).__name__}): trying goes on",
            classify_http_exception(error),
        )

    async def on_socket_refused(self, status: int) -> None:
        """Gives up altogether."""
        await self._give_up(
            f"expected Cartesia to take the connection, got HTTP {status}: check the key, the "
            "plan and the URL",
            classify_http_status_code(status),
        )

    # What is said.

    @property
    @abstractmethod
    def is_idle(self) -> bool:
        """Whether there is nothing to say."""

    @abstractmethod
    async def on_socket_message(self, message: str | bytes) -> None:
        """Takes what Cartesia sends."""

    @abstractmethod
    async def _ask_for_the_rest(self) -> None:
        """Sends what is left to say over a new connection."""

    @abstractmethod
    async def _lose_all(self) -> None:
        """Notes that no more comes of what was asked for."""

    @abstractmethod
    async def _give_up(self, message: str, category: ErrorCategory) -> None:
        """Reports an error, and leaves out what is left to say."""

    @abstractmethod
    async def _tend(self) -> None:
        """Watches over what is being said."""
