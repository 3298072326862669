"""What a server needs to know of the fleet that it is part of."""

import os
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from twilio_frames.errors import ConfigurationError
from twilio_frames.errors.settings import check_settings
from twilio_frames.fleet.memory import MemoryRegister
from twilio_frames.fleet.register import Register
from twilio_frames.fleet.sqlite import SqliteRegister

__all__ = ["FleetSettings"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSettings:
    """How several servers carry calls together; by default one carries them alone.

    Parameters:
        register: Where servers keep what they know in common: ``sqlite:///path`` for workers of
            one machine, ``redis://host:6379/0`` (``rediss://``, ``unix://``) for those of many
            (``TWILIO_FRAMES_REGISTER``); or a :class:`~twilio_frames.fleet.register.Register` of
            your own. None: in this process, which is alone.
        near_register: Where the workers of one machine keep what they know in common beside
            ``register``: ``sqlite:///path`` (``TWILIO_FRAMES_NEAR_REGISTER``; ``serve --workers``
            has one). While ``register`` is gone, they go on by it as a fleet of their own. None:
            each by itself.
        register_key: A secret of 16 characters or more; with it, snapshots and callbacks are
            encrypted in the register (``TWILIO_FRAMES_REGISTER_KEY``).
        register_secs: How long the register may take to answer. Then it counts as gone, and
            nobody waits for it, until it has answered one of its workers' questions, one a second.
        without_register: What new calls get while the register is gone: ``alone``, each worker
            takes them as if it was alone; or ``busy``. Those that are up go on in any case.
        doubt_secs: How long a call that has lost its worker waits in silence while the register
            cannot tell whether it goes on; then it hears ``ServerSettings.apology``, and ends.
        worker: How a balancer names this worker, a pod's name say (``TWILIO_FRAMES_WORKER``); its
            own name is that, a dash, and eight more characters. None: machine and process.
        worker_url: Where other workers reach this one, such as ``http://10.0.0.7:8000``
            (``TWILIO_FRAMES_WORKER_URL``). None: a port of its own on this machine.
        lease_secs: For how long the others take a worker for alive that says nothing.
        when_full: What a caller gets when all workers are full (``TWILIO_FRAMES_WHEN_FULL``):
            ``busy``, the busy tone; ``say``, ``ServerSettings.busy`` is said; ``queue``, that is
            said and the call waits; or the URL of a webhook elsewhere, of another region say.
        queue_line: What is said to whoever waits.
        queue_secs: How long a call waits at most.
        hand_over_secs: How long before ``drain_secs`` are over a worker that is to stop begins to
            hand its calls over.
        most_lag_secs: How late the event loop may be, p95 of the last five seconds, before a worker
            counts as full (``TWILIO_FRAMES_MOST_LAG_SECONDS``). None: it is not looked at.
        resumes: Whether a call whose stream was lost, with its worker, its line or by an exception
            of its bot's, goes on on a new one. None: where there is a register.
    """

    register: str | Register | None = field(default=None, repr=False)
    near_register: str | Register | None = None
    register_key: str | None = field(default=None, repr=False)
    register_secs: float = 0.5
    without_register: Literal["alone", "busy"] = "alone"
    doubt_secs: float = 8.0
    worker: str | None = None
    worker_url: str | None = None
    lease_secs: float = 4.0
    when_full: str = "busy"
    queue_line: str = "All lines are busy at the moment. Please hold the line."
    queue_secs: float = 120.0
    hand_over_secs: float = 12.0
    most_lag_secs: float | None = None
    resumes: bool | None = None

    def __post_init__(self) -> None:
        check_settings(self, above_zero=("register_secs", "lease_secs"))
        if isinstance(self.register, str) and _scheme(self.register) not in _SCHEMES:
            raise ConfigurationError(
                "expected a register such as sqlite:///var/lib/bot/register.db or "
                "redis://host:6379/0, got something else: TWILIO_FRAMES_REGISTER names it"
            )
        if isinstance(self.near_register, str) and _scheme(self.near_register) != "sqlite":
            raise ConfigurationError(
                "expected a file such as sqlite:///run/bot/near.db for the workers of one machine, "
                "got something else: TWILIO_FRAMES_NEAR_REGISTER names it"
            )
        if self.register_key is not None and len(self.register_key) < 16:
            raise ConfigurationError(
                "expected a register key of 16 characters or more, got "
                f"{len(self.register_key)}: give TWILIO_FRAMES_REGISTER_KEY a longer secret, the "
                "same for all workers"
            )
        if self.worker is not None and not _NAME.fullmatch(self.worker):
            raise ConfigurationError(
                "expected a worker's name (TWILIO_FRAMES_WORKER) of letters, digits, '.', '_' and "
                "'-', got another: it stands in the path of streams"
            )
        if self.when_full not in ("busy", "say", "queue") and _scheme(self.when_full) not in (
            "http",
            "https",
        ):
            raise ConfigurationError(
                "expected when_full (TWILIO_FRAMES_WHEN_FULL) to be busy, say, queue or the URL of "
                "a webhook, got something else"
            )
        if self.without_register not in ("alone", "busy"):
            raise ConfigurationError(
                f"expected without_register to be alone or busy, got {self.without_register!r}"
            )

    @property
    def is_shared(self) -> bool:
        """Whether there may be other workers."""
        return self.register is not None

    @property
    def does_resume(self) -> bool:
        """Whether a call that was lost goes on."""
        return self.is_shared if self.resumes is None else self.resumes

    @property
    def slot(self) -> str:
        """How a balancer names this worker."""
        return self.worker or f"{_host_name()}-{os.getpid()}"

    def open_register(self) -> Register:
        """The register that is named.

        Raises:
            MissingExtraError: What it takes is not installed.
        """
        return self._opened(self.register, self.register_secs)

    def open_near_register(self, patience_secs: float) -> Register:
        """What the workers of this machine share, or what this one has by itself."""
        return self._opened(self.near_register, patience_secs)

    def _opened(self, register: str | Register | None, patience_secs: float) -> Register:
        if register is None:
            return MemoryRegister()
        if not isinstance(register, str):
            return register
        if _scheme(register) == "sqlite":
            path = Path(urlsplit(register).path)
            return SqliteRegister(path, patience_secs=patience_secs)
        from twilio_frames.fleet.redis import RedisRegister

        # Whoever asks gives up sooner, and does not take a late event loop for a slow register.
        return RedisRegister(register, patience_secs=4 * patience_secs)


_SCHEMES = ("sqlite", "redis", "rediss", "unix")


def _scheme(url: str) -> str:
    return url.partition("://")[0] if "://" in url else ""


def _host_name() -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "", socket.gethostname())[:40].lstrip(".-") or "worker"
