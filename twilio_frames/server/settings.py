"""What a server needs to know."""

import os
import re
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from loguru import logger

from twilio_frames.errors import ConfigurationError
from twilio_frames.errors.settings import wrong_kinds, wrong_numbers
from twilio_frames.fleet.workers import ALIVE_FD, LISTEN_FDS, PLACE, READY_FD
from twilio_frames.hosts import is_this_machine
from twilio_frames.rest import Credentials
from twilio_frames.rest.credentials import mistake_in_account
from twilio_frames.server.calls.callers import CallerRules
from twilio_frames.server.dialing.destinations import Destinations
from twilio_frames.server.fleet.settings import FleetSettings
from twilio_frames.transport import TwilioParams

__all__ = ["ServerSettings"]

REGIONS = {
    "us1": ("ashburn", "umatilla", "roaming"),
    "ie1": ("dublin", "frankfurt", "roaming"),
    "au1": ("sydney", "singapore", "tokyo", "roaming"),
}
"""Twilio's regions, each with edges near it: https://www.twilio.com/docs/global-infrastructure."""
_SHORTEST_KEY = 16
_SID = re.compile(r"AC[0-9a-f]{32}")
_CALLER = re.compile(r"\+[1-9][0-9]{6,14}|(?:sip|client):\S+")
_OWN = re.compile(r"TWILIO_FRAMES_.")
_OTHERS = ("TWILIO_FRAMES_CLIPS", LISTEN_FDS, READY_FD, ALIVE_FD, PLACE)
"""Variables that are read elsewhere, or handed to a process by the one that starts it."""
_BASE = (
    "https://bot.example.com, got something else: give scheme and host, a path only if one stands "
    "before every route, and neither user nor query"
)
_KINDS: Mapping[object, str] = {int: "a whole number", float: "a number"}
_Value = TypeVar("_Value")


class WrongSettingsError(ConfigurationError):
    """Some settings cannot work.

    Args:
        wrong: What is wrong with each, by its name.
    """

    def __init__(self, wrong: Mapping[str, str]):
        super().__init__("\n".join(wrong.values()))
        self.wrong = dict(wrong)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Account, addresses and limits of a server.

    Without ``auth_token`` no signature can be checked, so such a server listens on this machine
    only and answers nobody else.

    Parameters:
        account_sid: The Twilio account (``TWILIO_ACCOUNT_SID``).
        auth_token: The account's primary auth token, which signs webhooks
            (``TWILIO_AUTH_TOKEN``).
        api_key: An API key to dial with, instead of the token (``TWILIO_API_KEY``).
        api_secret: The API key's secret (``TWILIO_API_SECRET``).
        phone_number: The number calls are placed from (``TWILIO_PHONE_NUMBER``).
        region: Twilio's region (``TWILIO_REGION``).
        edge: Twilio's edge (``TWILIO_EDGE``).
        shared_keys: Secrets of shared signing keys by their id, if webhooks are signed with those.
        public_url: Where Twilio reaches this server, such as ``https://bot.example.com``
            (``TWILIO_FRAMES_PUBLIC_URL``); with a path if one stands before every route, whether
            the gateway in front cuts it off or keeps it. None: the address each request names.
        trust_proxies: Whether ``Forwarded``, ``X-Forwarded-Proto``, ``X-Forwarded-Host`` and
            ``X-Forwarded-Prefix`` are believed when there is no ``public_url``
            (``TWILIO_FRAMES_TRUST_PROXIES``), and the last of ``X-Forwarded-For`` in any case: who
            it is that is refused too often. Only behind a proxy that sets them itself.
        api_url: Where REST requests go instead of Twilio (``TWILIO_FRAMES_API_URL``).
        dial_key: Who may place calls from elsewhere than this machine
            (``TWILIO_FRAMES_DIAL_KEY``, 16 characters or more). None: one is made up at the start
            of a server that can be reached from elsewhere.
        dial_prefixes: How numbers begin that may be called, such as ``("+1", "+44")``
            (``TWILIO_FRAMES_DIAL_PREFIXES``, with commas); ``+`` is any country, ``+1`` the US and
            Canada, whose zone's other countries take their area codes (``+1876``). What is not
            known to be an ordinary number (premium rate, shared cost, personal, satellites,
            unknown ranges) is called only if its own range is named (``+1900``). None: the country
            of ``phone_number``.
        dials_per_minute: Calls placed in any minute (``TWILIO_FRAMES_DIALS_PER_MINUTE``). Twilio
            itself places one a second by default, and lets more wait.
        max_calls: Calls at one time, those that are being placed among them; more callers hear
            that it is busy (``TWILIO_FRAMES_MAX_CALLS``).
        max_connections: Connections at one time, those of calls among them
            (``TWILIO_FRAMES_MAX_CONNECTIONS``); when one more comes, the one that has been idle
            for longest is closed. None: half of the open files the process may have, 4096 at most.
        request_secs: How long a connection may take until its first request's header is there.
        keep_alive_secs: How long a connection is kept between requests. Longer than the proxy in
            front keeps its own to this server, or it meets one that is just being closed.
        drain_secs: How long calls may go on after the order to stop
            (``TWILIO_FRAMES_DRAIN_SECONDS``).
        token_seconds: How long after its TwiML a stream may start.
        busy: What is said to somebody who was called when all lines are busy.
        apology: What is said when a bot fails in a call (``TWILIO_FRAMES_APOLOGY``); None or
            empty: the call just ends.
        call_logs: Folder for a log of each call, named by its sids
            (``TWILIO_FRAMES_CALL_LOGS``); None for no logs.
        log_words: Whether what was said is in the logs (``TWILIO_FRAMES_LOG_WORDS``).
        log_digits: Whether the keys that were pressed are in the logs
            (``TWILIO_FRAMES_LOG_DIGITS``).
        metrics: Whether ``/metrics`` is kept and served (``TWILIO_FRAMES_METRICS``); left out, it
            is where the ``metrics`` extra is installed. See ``docs/metrics.md``.
        blocked_secs: From how long on a block of the event loop is logged with its stack
            (``TWILIO_FRAMES_BLOCKED_SECONDS``); 0: none is. ``Server`` by itself logs none.
        recording_needs_consent: Whether a caller has to have agreed before Twilio records the call
            (``TWILIO_FRAMES_RECORDING_NEEDS_CONSENT``).
        callers: Who may call, how often, and what the others hear.
        fleet: How several servers carry calls together.
        transport: How each call's transport is set up.
        warm: Whether the first call is made as quick as the others before calls are taken, see
            :func:`twilio_frames.processors.warming.warm_up`.
        warm_up_secs: How long calls wait for the bot's own warm-up, which then goes on beside
            them.
    """

    account_sid: str | None = None
    auth_token: str | None = field(default=None, repr=False)
    api_key: str | None = None
    api_secret: str | None = field(default=None, repr=False)
    phone_number: str | None = field(default=None, repr=False)
    region: str | None = None
    edge: str | None = None
    shared_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    public_url: str | None = None
    trust_proxies: bool = False
    api_url: str | None = None
    dial_key: str | None = field(default=None, repr=False)
    dial_prefixes: tuple[str, ...] | None = None
    dials_per_minute: int = 60
    max_calls: int = 100
    max_connections: int | None = None
    request_secs: float = 10.0
    keep_alive_secs: float = 75.0
    drain_secs: float = 30.0
    token_seconds: float = 60.0
    busy: str = "Sorry, all lines are busy. Please call again later."
    apology: str | None = "Sorry, something went wrong on our side. Please call again."
    call_logs: Path | None = None
    log_words: bool = False
    log_digits: bool = False
    metrics: bool | None = None
    blocked_secs: float = 0.05
    recording_needs_consent: bool = False
    callers: CallerRules = field(default_factory=CallerRules)
    fleet: FleetSettings = field(default_factory=FleetSettings)
    transport: TwilioParams | None = None
    warm: bool = True
    warm_up_secs: float = 4.0

    def __post_init__(self):
        if wrong := dict(_wrong_in(self)):
            raise WrongSettingsError(wrong)

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] | None = None, **overrides: Any
    ) -> Self:
        """Read the variables named above; an empty one counts as not set.

        Args:
            environment: The variables, None for those of this process.
            overrides: Settings that do not come from there.

        Raises:
            ConfigurationError: A variable's value cannot work.
        """
        environment = os.environ if environment is None else environment
        given, wrong = _read(_VARIABLES, environment)
        fleet, wrong_of_fleet = _read(_FLEET_VARIABLES, environment)
        wrong |= wrong_of_fleet
        try:
            if fleet:
                given["fleet"] = FleetSettings(**fleet)
        except ConfigurationError as error:
            wrong["fleet"] = str(error)
        if environment.get("TWILIO_FRAMES_APOLOGY") == "":
            given["apology"] = None
        try:
            settings = cls(**(given | overrides))
        except WrongSettingsError as error:
            raise WrongSettingsError(wrong | error.wrong) from None
        if wrong:
            raise WrongSettingsError(wrong)
        for doubt in doubts(settings, environment):
            logger.warning(doubt)
        return settings

    @property
    def credentials(self) -> Credentials | None:
        """What REST requests are made with; None without an account.

        Raises:
            ConfigurationError: The account is named, but not all that signing in takes.
        """
        if not self.account_sid:
            return None
        return Credentials(
            account_sid=self.account_sid,
            auth_token=self.auth_token,
            api_key=self.api_key,
            api_secret=self.api_secret,
            region=self.region,
            edge=self.edge,
        )

    @property
    def is_public(self) -> bool:
        """Whether the settings say that others than this machine reach the server."""
        host = urlsplit(self.public_url).hostname if self.public_url else None
        return self.trust_proxies or (host is not None and not is_this_machine(host))


def environment_without(environment: Mapping[str, str], settings: Container[str]) -> dict[str, str]:
    """An environment less the variables of some settings.

    Args:
        environment: The environment.
        settings: Which; ``fleet`` is all of the fleet's.
    """
    of_fleet = {variable for variable, _ in _FLEET_VARIABLES.values()}
    wrong = of_fleet if "fleet" in settings else set[str]()
    wrong |= {variable for name, variable in _variables().items() if name in settings}
    return {name: text for name, text in environment.items() if name not in wrong}


def doubts(settings: ServerSettings, environment: Mapping[str, str]) -> Iterator[str]:
    """What of an environment may work, and was hardly meant."""
    if environment.get(PLACE):
        # Whoever started this worker has told of it.
        return
    if (
        settings.account_sid
        and settings.api_url is None
        and not _SID.fullmatch(settings.account_sid)
    ):
        yield "expected TWILIO_ACCOUNT_SID to be AC and 32 digits of 0-9a-f, got something else"
    if settings.region not in (None, *REGIONS):
        yield (
            f"expected TWILIO_REGION to be {', '.join(REGIONS)}, got {settings.region!r}: leave it "
            "out for us1"
        )
    known = {*_variables().values(), *_OTHERS}
    for name in sorted(environment.keys() - known):
        if _OWN.match(name):
            meant = get_close_matches(name, _variables().values(), 1, 0.8)
            yield f"nothing reads {name}" + (f": did you mean {meant[0]}?" if meant else "")


def _wrong_in(settings: ServerSettings) -> Iterator[tuple[str, str]]:
    """The settings that cannot work, each with what is wrong."""
    if kinds := dict(wrong_kinds(settings, _named)):
        yield from kinds.items()
        return
    for name in ("public_url", "api_url"):
        if not _is_base(getattr(settings, name)):
            yield name, f"expected {_named(name)} such as {_BASE}"
    if settings.account_sid and (told := mistake_in_account(settings.account_sid)):
        yield "account_sid", told
    number = settings.phone_number
    if number and not _CALLER.fullmatch(number):
        yield (
            "phone_number",
            (
                f"expected {_named('phone_number')} with + and the country in front, such as "
                f"+12125550123, got {len(number)} other characters"
            ),
        )
    if settings.dial_key is not None and len(settings.dial_key) < _SHORTEST_KEY:
        yield (
            "dial_key",
            (
                f"expected {_named('dial_key')} of at least {_SHORTEST_KEY} characters, got "
                f"{len(settings.dial_key)}: whoever guesses it calls at your expense"
            ),
        )
    try:
        Destinations(settings.dial_prefixes)
    except ConfigurationError as error:
        yield "dial_prefixes", f"{error}, in {_named('dial_prefixes')}"
    yield from _wrong_numbers_in(settings)


def _wrong_numbers_in(settings: ServerSettings) -> Iterator[tuple[str, str]]:
    yield from wrong_numbers(
        settings,
        above_zero=("request_secs", "keep_alive_secs", "token_seconds"),
        at_least={"dials_per_minute": 1, "max_calls": 1},
        named=_named,
    )
    if settings.max_connections is not None and settings.max_connections <= settings.max_calls:
        yield (
            "max_connections",
            (
                f"expected {_named('max_connections')} above max_calls ({settings.max_calls}), got "
                f"{settings.max_connections}: each call has one, and its webhooks need more"
            ),
        )


def _named(setting: str) -> str:
    """A setting as a message names it: with the variable it may come from."""
    variable = _variables().get(setting)
    return f"{setting} ({variable})" if variable else setting


def _variables() -> dict[str, str]:
    read = {**_VARIABLES, **_FLEET_VARIABLES}
    return {name: variable for name, (variable, _) in read.items()}


def _is_base(url: str | None) -> bool:
    """Whether a URL is one that others can be put behind; None is."""
    if url is None:
        return True
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    is_plain = not (parts.query or parts.username or parts.password)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and is_plain


def _text(_: str, text: str) -> str:
    return text


def _prefixes(_: str, text: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[,\s]+", text) if part)


def _folder(_: str, text: str) -> Path:
    return Path(text)


def _flag(variable: str, text: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in known:
        raise ConfigurationError(f"expected {variable} to be 1 or 0, got {text!r}")
    return known[text.lower()]


def _number(kind: Callable[[str], _Value]) -> Callable[[str, str], _Value]:
    def parse(variable: str, text: str) -> _Value:
        try:
            return kind(text)
        except ValueError:
            raise ConfigurationError(
                f"expected {variable} to be {_KINDS[kind]}, got {text!r}"
            ) from None

    return parse


_Variables = Mapping[str, tuple[str, Callable[[str, str], Any]]]
"""By a setting's name: its variable, and what reads the text."""


def _read(
    variables: _Variables, environment: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings that can be read, and what is wrong with the others."""
    found: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for name, (variable, parse) in variables.items():
        if text := environment.get(variable, "").strip():
            try:
                found[name] = parse(variable, text)
            except ConfigurationError as error:
                wrong[name] = str(error)
    return found, wrong


_VARIABLES: _Variables = {
    "account_sid": ("TWILIO_ACCOUNT_SID", _text),
    "auth_token": ("TWILIO_AUTH_TOKEN", _text),
    "api_key": ("TWILIO_API_KEY", _text),
    "api_secret": ("TWILIO_API_SECRET", _text),
    "phone_number": ("TWILIO_PHONE_NUMBER", _text),
    "region": ("TWILIO_REGION", _text),
    "edge": ("TWILIO_EDGE", _text),
    "public_url": ("TWILIO_FRAMES_PUBLIC_URL", _text),
    "trust_proxies": ("TWILIO_FRAMES_TRUST_PROXIES", _flag),
    "api_url": ("TWILIO_FRAMES_API_URL", _text),
    "dial_key": ("TWILIO_FRAMES_DIAL_KEY", _text),
    "dial_prefixes": ("TWILIO_FRAMES_DIAL_PREFIXES", _prefixes),
    "dials_per_minute": ("TWILIO_FRAMES_DIALS_PER_MINUTE", _number(int)),
    "max_calls": ("TWILIO_FRAMES_MAX_CALLS", _number(int)),
    "max_connections": ("TWILIO_FRAMES_MAX_CONNECTIONS", _number(int)),
    "drain_secs": ("TWILIO_FRAMES_DRAIN_SECONDS", _number(float)),
    "apology": ("TWILIO_FRAMES_APOLOGY", _text),
    "call_logs": ("TWILIO_FRAMES_CALL_LOGS", _folder),
    "log_words": ("TWILIO_FRAMES_LOG_WORDS", _flag),
    "log_digits": ("TWILIO_FRAMES_LOG_DIGITS", _flag),
    "metrics": ("TWILIO_FRAMES_METRICS", _flag),
    "blocked_secs": ("TWILIO_FRAMES_BLOCKED_SECONDS", _number(float)),
    "recording_needs_consent": ("TWILIO_FRAMES_RECORDING_NEEDS_CONSENT", _flag),
}

_FLEET_VARIABLES: _Variables = {
    "register": ("TWILIO_FRAMES_REGISTER", _text),
    "near_register": ("TWILIO_FRAMES_NEAR_REGISTER", _text),
    "register_key": ("TWILIO_FRAMES_REGISTER_KEY", _text),
    "worker": ("TWILIO_FRAMES_WORKER", _text),
    "worker_url": ("TWILIO_FRAMES_WORKER_URL", _text),
    "when_full": ("TWILIO_FRAMES_WHEN_FULL", _text),
    "most_lag_secs": ("TWILIO_FRAMES_MOST_LAG_SECONDS", _number(float)),
}
