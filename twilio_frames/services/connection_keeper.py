"""A connection to a vendor that is kept up as long as a call lasts.

Theory of operation
-------------------
A connection is whatever a vendor is spoken to by: a WebSocket, a gRPC stream. Its owner dials it,
carries it (:meth:`ConnectionOwner.carry`) and knows the vendor's errors; the keeper knows when.

The first connection is opened before anything is to be said. One that is lost is opened again at
once, then after pauses that double, with jitter, so that a thousand calls do not come back in step.
Trouble ends when something useful has come (:meth:`ConnectionKeeper.prove`), or a connection has
lasted: one that is taken and broken at once is trouble, too. Trouble beyond the policy is an
outage. That is told, and trying goes on; what the vendor refuses for good is told, and is the end.
An outage is over when something useful has come. A connection that ends as it was meant to is no
trouble.

A vendor may close a connection that was idle for long. So one that nearly has been is replaced,
the new one first: while that is being opened, the old one goes on as before.

An owner that fails at what it is told loses the connection for it, and begins anew with the next
one: no message of a vendor's is to be the last that is read.
"""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from loguru import logger
from pipecat.utils.errors import ErrorCategory

from twilio_frames.safe_logging import report_unforeseen
from twilio_frames.services.retry_policy import Retries, RetryPolicy

__all__ = ["Connection", "ConnectionKeeper", "ConnectionOwner", "Failure"]

_CLOSE_SECS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why there is no connection.

    Parameters:
        text: What happened, and what to do; holds no key and nothing that was said.
        category: Pipecat's word for it.
        error: What it came from.
        is_final: Whether another attempt would end the same way.
        is_outage: Whether it is too much by itself.
        wish_secs: How long the vendor asks to be left alone.
        lag_secs: How long it took to be noticed.
    """

    text: str
    category: ErrorCategory = ErrorCategory.CONNECTIVITY
    error: Exception | None = None
    is_final: bool = False
    is_outage: bool = False
    wish_secs: float = 0.0
    lag_secs: float = 0.0

    def __str__(self) -> str:
        return self.text


class Connection(Protocol):
    """What is kept up."""

    async def close(self) -> None:
        """Ends it properly, in bounded time."""

    def break_off(self) -> None:
        """Ends it at once; whoever reads from it comes to an end."""


C = TypeVar("C", bound=Connection)


class ConnectionOwner(Generic[C]):
    """A base of whoever has a connection kept: dials, carries, and is told."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing is lost with the connection, and it may be replaced."""
        return True

    async def dial(self) -> C:
        """Opens a connection, in bounded time."""
        raise NotImplementedError

    async def carry(self, connection: C) -> Failure | None:
        """Makes use of a connection until it ends; gives why, or None if it was meant to end."""
        raise NotImplementedError

    def failure_of(self, error: Exception) -> Failure | None:
        """Gives what an exception means; None for one that no connection makes."""
        raise NotImplementedError

    async def on_open(self) -> None:
        """A connection has been opened."""

    async def on_lost(self, failure: Failure) -> None:
        """The connection is gone; another one is tried."""

    async def on_failure(self, failure: Failure) -> None:
        """An attempt has failed, or a connection was lost."""

    async def on_outage(self, failure: Failure) -> None:
        """There will be no connection, or has been none that is well for too long.

        Told once, and again for each loss while the owner is not idle.
        """

    async def on_recovery(self) -> None:
        """After an outage all is well again."""


class ConnectionKeeper(Generic[C]):
    """One connection, opened again whenever it is lost.

    Args:
        owner: Who dials, carries and is told.
        policy: How often it is tried, and what is too much.
        name: For the log: "a connection to Deepgram".
        renew_secs: After how long without use a connection is replaced; None for never.
    """

    def __init__(
        self,
        owner: ConnectionOwner[C],
        policy: RetryPolicy,
        *,
        name: str,
        renew_secs: float | None = None,
    ):
        self._owner = owner
        self._policy = policy
        self._name = name
        self._renew_secs = renew_secs
        self._retries = Retries(policy)
        self._opened_at = 0.0
        self._used_at = 0.0
        self._is_broken_off = False
        self._lag_secs = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._renewal: asyncio.Task[None] | None = None
        self.connection: C | None = None
        """The connection there is, if there is one."""
        self.is_out = False
        """Whether an outage has been told and is not over."""

    @property
    def age_secs(self) -> float:
        """How long the last connection has been open."""
        return time.monotonic() - self._opened_at

    def note_use(self) -> None:
        """Notes that the connection was of use: it is not idle from here on."""
        self._used_at = time.monotonic()

    async def prove(self) -> None:
        """Notes that something useful has come: what went wrong before does not count any more."""
        self._retries.forget()
        was_out, self.is_out = self.is_out, False
        if was_out:
            await self._owner.on_recovery()

    def break_off(self, lag_secs: float = 0.0) -> None:
        """Ends a connection that is of no use, without a goodbye; another one is opened.

        Args:
            lag_secs: How long it took to notice that.
        """
        if self.connection is not None:
            self._is_broken_off, self._lag_secs = True, lag_secs
            self.connection.break_off()

    async def run(self) -> None:
        """Keeps a connection up until it is cancelled, or refused for good."""
        self._retries.forget()
        self.is_out = False
        try:
            while True:
                failure = await self._be_connected()
                if failure is None:
                    continue
                if failure.is_final:
                    self.is_out = True
                    await self._tell(self._owner.on_outage(failure))
                    return
                await self._take_failure(failure)
        finally:
            await self._end_renewal()
            connection, self.connection = self.connection, None
            if connection is not None:
                await connection.close()

    async def _be_connected(self) -> Failure | None:
        """Opens a connection and has it carried; gives why there is none any more."""
        began = time.monotonic()
        try:
            self._take_up(await self._owner.dial())
        except Exception as error:
            self._lag_secs = time.monotonic() - began
            return self._failure_of(error)
        try:
            await self._owner.on_open()
            failure = await self._carry()
        except Exception as error:
            failure = self._failure_of(error)
        await self._lose(failure)
        return failure

    async def _carry(self) -> Failure | None:
        while True:
            connection = self.connection
            if connection is None:
                return Failure(text="closed")
            try:
                failure = await self._owner.carry(connection)
            except Exception as error:
                failure = self._owner.failure_of(error)
                if failure is None:
                    # What the owner fails at is lost, on whichever connection it came.
                    return self._failure_of(error)
            if connection is self.connection:
                return failure
            # It was replaced, and closed for that.

    async def _lose(self, failure: Failure | None) -> None:
        """Does without the connection from here on."""
        await self._end_renewal()
        if self.age_secs > self._policy.well_after_secs and not self._is_broken_off:
            self._retries.forget()
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.break_off()
        if failure is not None:
            await self._tell(self._owner.on_lost(failure))

    async def _take_failure(self, failure: Failure) -> None:
        lag_secs, self._lag_secs = failure.lag_secs or self._lag_secs, 0.0
        pause = self._retries.note_failure(wish_secs=failure.wish_secs, lag_secs=lag_secs)
        await self._tell(self._owner.on_failure(failure))
        is_too_much = failure.is_outage or self._retries.are_spent
        if is_too_much and not (self.is_out and self._owner.is_idle):
            self.is_out = True
            await self._tell(self._owner.on_outage(failure))
        await asyncio.sleep(pause)

    async def _tell(self, told: Awaitable[None]) -> None:
        try:
            await told
        except Exception as error:
            # Whatever it was, the call goes on.
            report_unforeseen(error, self._name)

    def _failure_of(self, error: Exception) -> Failure:
        failure = self._owner.failure_of(error)
        if failure is None:
            failure = Failure(text=report_unforeseen(error, self._name), error=error)
        return failure

    # A connection that is idle.

    def _take_up(self, connection: C) -> None:
        self.connection = connection
        self._is_broken_off = False
        self._opened_at = self._used_at = time.monotonic()
        self._await_renewal()

    def _await_renewal(self) -> None:
        if self._renew_secs is not None:
            due = self._used_at + self._renew_secs - time.monotonic()
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, due), self._begin_renewal)

    def _begin_renewal(self) -> None:
        connection = self.connection
        if connection is None or self._renew_secs is None:
            return
        if time.monotonic() - self._used_at < self._renew_secs:
            self._await_renewal()
        else:
            self._renewal = asyncio.create_task(self._renew(connection), name="renew")

    async def _renew(self, old: C) -> None:
        """Opens another connection and closes the idle one, unless it has come into use."""
        try:
            new = await self._owner.dial()
        except Exception as error:
            logger.debug(f"kept the idle connection: {self._failure_of(error)}")
            self._used_at = time.monotonic()
            self._await_renewal()
            return
        if self._owner.is_idle and self.connection is old:
            self._take_up(new)
            new = old
        else:
            self._used_at = time.monotonic()
            self._await_renewal()
        try:
            await new.close()
        except asyncio.CancelledError:
            new.break_off()
            raise

    async def _end_renewal(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        renewal, self._renewal = self._renewal, None
        if renewal is not None:
            renewal.cancel()
            await asyncio.wait({renewal}, timeout=_CLOSE_SECS)
