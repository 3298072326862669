"""Keeps a connection to a realtime model up."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.exceptions import ConnectionClosed

from twilio_frames.services.realtime.link import LinkFailure, RealtimeLink, delay_before


class RealtimeConnection:
    """Connects, reads, and connects again when that ends.

    Args:
        url: Where to.
        api_key: Sent with each connection.
        on_event: Called with each event, before ``on_message``.
        on_message: Called with each event as it came.
        on_error: Called with each error; returns whether it is for ``on_message`` too.
        on_lost: Called when a connection has ended; returns whether the model had begun to work.
    """

    MOST_ATTEMPTS = 6
    """How often in a row it is tried again."""

    CLOSE_SECS = 2.0
    """How long a connection may take to close."""

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        on_event: Callable[[dict[str, Any]], None],
        on_message: Callable[[str], Awaitable[None]],
        on_error: Callable[[dict[str, Any]], Awaitable[bool]],
        on_lost: Callable[[], Awaitable[bool]],
    ):
        self._url = url
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._on_event = on_event
        self._on_message = on_message
        self._on_error = on_error
        self._on_lost = on_lost
        self._link: RealtimeLink | None = None
        self._opened_at = 0.0
        self._has_worked = False
        self.attempts = 0
        """How many have failed in a row."""

    def age(self, now: float) -> float:
        """Since when there is a connection, seconds; 0.0 if there is none."""
        return now - self._opened_at if self._link is not None else 0.0

    async def keep(self) -> LinkFailure:
        """Stays connected; ends with the reason why it is given up."""
        while True:
            self._has_worked = False
            failure = await self._be_connected()
            self.attempts += 1
            if failure.is_final or self.attempts > self.MOST_ATTEMPTS:
                return failure
            # Sessions that work end at times; the next one is tried at once.
            if self.attempts > 1 or not self._has_worked:
                await asyncio.sleep(delay_before(self.attempts, failure))

    async def _be_connected(self) -> LinkFailure:
        opened = await RealtimeLink.open(
            self._url, self._headers, on_event=self._on_event, on_error=self._on_error
        )
        if isinstance(opened, LinkFailure):
            return opened
        self._link = opened
        self._opened_at = time.monotonic()
        try:
            return await self._read(opened)
        finally:
            self._has_worked = await self._on_lost()

    async def _read(self, link: RealtimeLink) -> LinkFailure:
        async for message in link:
            try:
                await self._on_message(message)
            except Exception as error:
                # Whatever the model says, the call goes on. Not the text, which holds the event.
                link.warn_of_garbage(type(error).__name__)
        self._link = None
        return link.failure or LinkFailure(text="the session's connection broke")

    async def send(self, message: dict[str, Any]) -> None:
        """Sends a message, if there is a connection."""
        link = self._link
        if link is None:
            return
        try:
            await link.send(message)
        except (ConnectionClosed, TimeoutError):
            # The reader notices too, and the session is opened again.
            link.break_off()

    def break_off(self) -> None:
        """Ends a connection on which nothing comes any more; another one is opened."""
        if self._link is not None:
            self._link.break_off()

    def end_for(self, failure: LinkFailure) -> None:
        """Ends a connection of which nothing good is to be expected."""
        if self._link is not None:
            self._link.end_for(failure)

    async def close(self) -> None:
        """Closes the connection, once nobody keeps it any more."""
        link, self._link = self._link, None
        if link is None:
            return
        try:
            async with asyncio.timeout(self.CLOSE_SECS):
                await link.close()
        except TimeoutError:
            link.break_off()
