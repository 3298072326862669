"""What the routes of one server share."""

import asyncio
import contextlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from twilio_frames import metrics
from twilio_frames.call.transfers.consulting import Consults
from twilio_frames.errors import MissingExtraError
from twilio_frames.fleet.lag import LoopLag
from twilio_frames.metrics.kept import KeptMetrics, is_available
from twilio_frames.private_files import close_unchosen_folder
from twilio_frames.rest import TwilioRest
from twilio_frames.server.calls.callers import CallerGate
from twilio_frames.server.calls.preparing import Preparations, Prepare
from twilio_frames.server.calls.records import CallRecords, Waiting
from twilio_frames.server.calls.switchboard import Bot, Switchboard
from twilio_frames.server.calls.tokens import StreamTokens
from twilio_frames.server.connections import Connections, most_connections
from twilio_frames.server.dialing.destinations import Destinations
from twilio_frames.server.dialing.outgoing import Outgoing
from twilio_frames.server.dialing.relaying import StatusRelay
from twilio_frames.server.fleet.membership import Membership
from twilio_frames.server.fleet.passing import Passing
from twilio_frames.server.refusals import Refusals, Strangers
from twilio_frames.server.settings import ServerSettings
from twilio_frames.signature import SignatureValidator

__all__ = [
    "ASK_AGAIN_SECS",
    "IS_DOOR",
    "STATE",
    "LogFolder",
    "ServerState",
    "dial_key_of",
    "make_state",
]


class LogFolder:
    """Closes the folder of the calls' logs to others before the first log is in it.

    Args:
        path: The folder; None for no logs.
    """

    def __init__(self, path: Path | None = None):
        self._path = path

    async def make_ready(self) -> None:
        """Does so at the first call, and keeps no call waiting for a disk that hangs."""
        path, self._path = self._path, None
        if path is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await asyncio.to_thread(close_unchosen_folder, path)


@dataclass(slots=True, kw_only=True)
class ServerState:
    """One server's settings and calls.

    Parameters:
        settings: Its settings.
        switchboard: The calls that are up.
        records: The calls that are remembered.
        fleet: Its part in the fleet: the streams that may come, and whose calls are whose.
        workers: Passes webhooks on to the other workers.
        preparations: What bots make ready for them.
        validator: Checks signatures; None without an auth token.
        rest: The REST API; None without an account.
        refusals: Counts of what was turned away.
        callers: Lets callers in.
        connections: Those that a :class:`~twilio_frames.server.Server` has open.
        destinations: The numbers that may be called.
        outgoing: The calls that were placed and are not answered yet.
        consults: Those who are asked whether they take a caller.
        relay: Tells others how the calls go that they placed.
        strangers: Who was refused without a signature of Twilio's.
        wrong_keys: Who showed a wrong dial key.
        waiting: The calls that wait for a line.
        tickets: What listeners show that can show no key.
        log_folder: The folder of the calls' logs.
        metrics: What is measured.
        lag: How late the event loop is, where somebody asks.
        campaigns: How far the campaigns are that a console shows, by their names.
        rescues: Those that are under way of the calls of workers that are gone.
        is_served_here: Whether a :class:`~twilio_frames.server.Server` serves it, which lets its
            calls end before it closes their connections.
        dial_key: What places calls from elsewhere; None if nothing does.
    """

    settings: ServerSettings
    switchboard: Switchboard
    fleet: Membership
    preparations: Preparations
    validator: SignatureValidator | None
    rest: TwilioRest | None
    dial_key: str | None = field(repr=False)
    refusals: Refusals
    callers: CallerGate
    connections: Connections
    destinations: Destinations
    outgoing: Outgoing
    relay: StatusRelay
    consults: Consults = field(default_factory=Consults)
    workers: Passing = field(default_factory=Passing)
    strangers: Strangers = field(default_factory=Strangers.of_a_server)
    wrong_keys: Strangers = field(default_factory=Strangers.of_a_key)
    waiting: Waiting = field(default_factory=lambda: Waiting(ASK_AGAIN_SECS + 2.0))
    tickets: StreamTokens = field(default_factory=lambda: StreamTokens(lifetime=30.0, capacity=500))
    log_folder: LogFolder = field(default_factory=LogFolder)
    metrics: KeptMetrics = field(default_factory=lambda: KeptMetrics(None))
    lag: LoopLag = field(default_factory=LoopLag)
    records: CallRecords = field(default_factory=CallRecords)
    campaigns: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    rescues: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    is_served_here: bool = False

    async def lines_taken(self) -> int:
        """How many calls there are, those that are about to start counted in."""
        coming = await self.fleet.reserved()
        # Counted behind the question: while it was asked, others have taken lines.
        return self.lines_held + coming

    @property
    def lines_held(self) -> int:
        """How many calls are up, or were placed and are not answered yet."""
        return len(self.switchboard) + len(self.outgoing)

    async def is_full(self) -> bool:
        """Whether another call is one too many."""
        if self.switchboard.draining or self.is_late:
            return True
        return await self.lines_taken() >= self.settings.max_calls

    @property
    def is_late(self) -> bool:
        """Whether the event loop is too late for another call."""
        most = self.settings.fleet.most_lag_secs
        return most is not None and self.fleet.lag_secs > most

    def room_for(self, call_sid: str, *, is_outbound: bool) -> int | None:
        """How many streams may be on their way here, for another call to be let in.

        Returns:
            None for any number: a call that was placed here has had its line since then.
        """
        is_held = self.outgoing.take(call_sid, is_outbound=is_outbound)
        if self.switchboard.draining:
            return 0
        if is_held:
            return None
        return 0 if self.is_late else max(0, self.settings.max_calls - self.lines_held)


ASK_AGAIN_SECS = 4
"""How often a call that waits asks whether there is a line."""
STATE = web.AppKey("STATE", ServerState)
"""Where an application keeps its state."""
IS_DOOR = web.AppKey("IS_DOOR", bool)
"""Marks the application that other workers, and streams, come to."""


def dial_key_of(settings: ServerSettings) -> str | None:
    """The key that places calls from elsewhere: the one that was set, or one that is made up."""
    if settings.dial_key is None and settings.is_public:
        return secrets.token_urlsafe(24)
    return settings.dial_key


def _kept_metrics(is_wanted: bool | None) -> KeptMetrics:
    if is_wanted and not is_available():
        raise MissingExtraError("prometheus_client", "metrics")
    is_on = is_available() if is_wanted is None else is_wanted
    return KeptMetrics.of_process() if is_on else KeptMetrics(None)


def make_state(bot: Bot, settings: ServerSettings, prepare: Prepare | None = None) -> ServerState:
    """Build what the routes need from the settings.

    Raises:
        ConfigurationError: The account's credentials are incomplete.
        MissingExtraError: The ``metrics`` extra is asked for, and not installed.
    """
    credentials = settings.credentials
    dial_key = dial_key_of(settings)
    validator = None
    if settings.auth_token:
        validator = SignatureValidator(
            auth_token=settings.auth_token, shared_keys=settings.shared_keys
        )
    kept = _kept_metrics(settings.metrics)
    refusals = Refusals(counted=partial(kept.count, metrics.REFUSALS))
    records = CallRecords()
    return ServerState(
        settings=settings,
        switchboard=Switchboard(bot),
        fleet=Membership(settings.fleet, token_secs=settings.token_seconds),
        preparations=Preparations(prepare, lifetime=settings.token_seconds),
        validator=validator,
        rest=TwilioRest(credentials, base_url=settings.api_url) if credentials else None,
        dial_key=dial_key,
        refusals=refusals,
        records=records,
        callers=CallerGate(
            settings.callers, lambda sid, secs: records.is_up(sid, secs, settings.token_seconds)
        ),
        destinations=Destinations(settings.dial_prefixes, own=settings.phone_number),
        outgoing=Outgoing(per_minute=settings.dials_per_minute),
        relay=StatusRelay(settings.auth_token),
        connections=Connections(
            most=settings.max_connections or most_connections(),
            request_secs=settings.request_secs,
            keep_alive_secs=settings.keep_alive_secs,
            refusals=refusals,
        ),
        log_folder=LogFolder(settings.call_logs),
        metrics=kept,
    )
