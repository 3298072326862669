"""How a call is placed: what Twilio's ``calls.create`` is asked for beside who calls whom."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from twilio_frames.errors import ConfigurationError
from twilio_frames.errors.settings import check_settings
from twilio_frames.rest.numbers import normalise_number
from twilio_frames.twiml import fits_parameter

__all__ = ["CALL_EVENTS", "CallOptions"]

CALL_EVENTS = ("initiated", "ringing", "answered", "completed")
"""Every event of a call that a status callback can be told."""

_DETECTIONS = ("Enable", "DetectMessageEnd")
_CHANNELS = ("mono", "dual")
_LEAST = {"ring_secs": 1, "time_limit": 1, "detection_secs": 3}
_MOST = {"ring_secs": 600, "time_limit": 24 * 3600, "detection_secs": 59}
"""Twilio's bounds, https://www.twilio.com/docs/voice/api/call-resource and
https://www.twilio.com/docs/voice/answering-machine-detection."""

_MOST_PARAMETERS = 20
_LONGEST_WEBHOOK = 4000
"""Characters. Twilio asks the bot's server by it when the call is answered, and a request's first
line has 8190 at most: what is longer would ring, and then fail."""
_RESERVED = {"token", "from", "to", "direction"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """How a call is placed; what is left out is as Twilio has it by default.

    Parameters:
        caller_id: The number that is shown, one of the account's or one it has verified.
        ring_secs: How long it rings, 1 to 600 (Twilio's default is 60, and it adds 5).
        time_limit: Seconds after which Twilio ends the call.
        machine_detection: ``Enable`` for a verdict as soon as there is one, ``DetectMessageEnd``
            for one behind a machine's greeting. The bot is not connected before, unless
            ``async_detection``.
        detection_secs: After which nobody knows, 3 to 59 (30).
        async_detection: Whether the bot talks meanwhile, and the verdict goes to
            ``detection_callback``.
        detection_callback: URL that is told the verdict of ``async_detection``.
        record: ``mono`` or ``dual``: Twilio records the call, both sides in one channel or each in
            its own.
        record_callback: URL that is told of the recording.
        status_callback: URL that is told how the call goes; with ``POST /call`` by the server,
            which signs it as Twilio does.
        status_events: What it is told, of ``initiated``, ``ringing``, ``answered``, ``completed``.
        parameters: What the bot finds in ``call.parameters``: 20 at most, under 500 characters
            each.

    Raises:
        ConfigurationError: A value that cannot work, or one that does nothing without another.
    """

    caller_id: str | None = field(default=None, repr=False)
    ring_secs: int | None = None
    time_limit: int | None = None
    machine_detection: str | None = None
    detection_secs: int | None = None
    async_detection: bool = False
    detection_callback: str | None = None
    record: str | None = None
    record_callback: str | None = None
    status_callback: str | None = None
    status_events: tuple[str, ...] | None = None
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self):
        self._check_values()
        self._check_halves()
        self._check_parameters()

    def _check_values(self) -> None:
        _check_one_of("machine_detection", self.machine_detection, _DETECTIONS)
        _check_one_of("record", self.record, _CHANNELS)
        check_settings(self, at_least=_LEAST, at_most=_MOST)
        if self.caller_id is not None and normalise_number(self.caller_id) != self.caller_id:
            raise ConfigurationError(
                "expected a caller_id with its country code, such as +14155550100"
            )
        for event in self.status_events or ():
            _check_one_of("status_events", event, CALL_EVENTS)
        for name in ("detection_callback", "record_callback", "status_callback"):
            _check_url(name, getattr(self, name))

    def _check_halves(self) -> None:
        for name, needed in (
            ("detection_secs", "machine_detection"),
            ("async_detection", "machine_detection"),
            ("async_detection", "detection_callback"),
            ("detection_callback", "async_detection"),
            ("record_callback", "record"),
            ("status_events", "status_callback"),
        ):
            if getattr(self, name) and not getattr(self, needed):
                raise ConfigurationError(
                    f"expected {needed} with {name}, got {name} alone: give both, or neither"
                )

    def _check_parameters(self) -> None:
        if len(self.parameters) > _MOST_PARAMETERS or not all(
            isinstance(value, str) and name not in _RESERVED and fits_parameter(name, value)
            for name, value in self.parameters.items()
        ):
            raise ConfigurationError(
                f"expected at most {_MOST_PARAMETERS} parameters, each a name other than "
                f"{', '.join(sorted(_RESERVED))} and a text, under 500 characters together"
            )

    @classmethod
    def read(cls, given: Mapping[str, object], **defaults: Any) -> Self:
        """Read the options of a request's JSON or form, where numbers may be texts.

        Args:
            given: Values by the options' names.
            defaults: Options for where it has none.

        Raises:
            ConfigurationError: A name or a value is none of an option's.
        """
        known = {each.name for each in fields(cls)}
        if unknown := sorted(set(given) - known):
            raise ConfigurationError(
                f"expected options out of {', '.join(sorted(known))}, got {len(unknown)} other: "
                "see how each is written"
            )
        values = {name: _read(name, value) for name, value in given.items() if value is not None}
        return cls(**{**defaults, **values})

    def webhook(self, url: str) -> str:
        """The URL the answered call asks, with the parameters in its query.

        Raises:
            ConfigurationError: It would be too long to be asked.
        """
        if not self.parameters:
            return url
        joint = "&" if urlsplit(url).query else "?"
        webhook = f"{url}{joint}{urlencode(self.parameters)}"
        if len(webhook) > _LONGEST_WEBHOOK:
            raise ConfigurationError(
                f"expected parameters that fit in a URL of {_LONGEST_WEBHOOK} characters, got "
                f"{len(webhook)}: pass a key by which the bot looks the rest up"
            )
        return webhook

    def arguments(self) -> dict[str, Any]:
        """The arguments of the SDK's ``calls.create``."""
        events = self.status_events or CALL_EVENTS
        wanted = {
            "timeout": self.ring_secs,
            "time_limit": self.time_limit,
            "machine_detection": self.machine_detection,
            "machine_detection_timeout": self.detection_secs,
            # A text, and no bool: Twilio's own form.
            "async_amd": "true" if self.async_detection else None,
            "async_amd_status_callback": self.detection_callback,
            "record": True if self.record else None,
            "recording_channels": self.record,
            "recording_status_callback": self.record_callback,
            "status_callback": self.status_callback,
            "status_callback_event": list(events) if self.status_callback else None,
        }
        return {name: value for name, value in wanted.items() if value is not None}


def _check_one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        raise ConfigurationError(f"expected {name} to be {' or '.join(known)}, got something else")


def _check_url(name: str, url: object) -> None:
    if url is None:
        return
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            f"expected {name} to be a URL such as https://bot.example.com/status, got something "
            "else: give it with its scheme and host"
        )


def _read(name: str, value: Any) -> Any:
    """A value as a form may have it: texts for numbers, for ``true``, for a list of words."""
    if name == "parameters" and not isinstance(value, Mapping):
        raise ConfigurationError('expected parameters such as {"name": "text"}, got something else')
    if name == "status_events" and isinstance(value, (str, list)):
        return tuple(value.split() if isinstance(value, str) else value)
    if name == "caller_id":
        return normalise_number(str(value)) or str(value)
    if name == "async_detection":
        if value not in (True, False, "true", "false"):
            raise ConfigurationError("expected async_detection to be true or false")
        return value in (True, "true")
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value[:9])
    return value
