"""TwiML: what Twilio does with a call, written by the SDK's classes.

``<Connect><Stream>`` hands the call's audio to a bot. The verbs behind it run when the bot's side
closes the WebSocket, for whatever reason, so they are heard after a normal goodbye as well as after
a crash (https://www.twilio.com/docs/voice/twiml/connect). Hence two ways on:

- ``action``: a webhook that knows how the call ended and answers accordingly;
- ``after``: fixed verbs, of which only ``Hangup`` is harmless in both cases. A ``Pause`` there
  keeps the caller in silence, and nothing at all ends the call as well.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from twilio.twiml import voice_response  # pyright: ignore[reportMissingTypeStubs] - it has none

from twilio_frames.errors import ConfigurationError

__all__ = ["Hangup", "Pause", "Redirect", "Reject", "Say", "Verb", "connect_stream", "respond"]

PARAMETER_LIMIT = 500
"""Name and value of one ``<Parameter>`` have fewer characters than this together."""

_RESPONSE_LIMIT = 64 * 1024

_sdk: Any = voice_response


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """Twilio reads a text to the caller.

    Parameters:
        text: What is read.
        voice: One of Twilio's voices, None for its default.
        language: A language tag such as ``en-US``, None for the voice's.
    """

    text: str
    voice: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Twilio stays silent.

    Parameters:
        seconds: For how long.
    """

    seconds: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """Twilio asks a webhook what to do.

    Parameters:
        url: The webhook.
    """

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """Twilio declines a call that has not been answered, at no charge.

    Parameters:
        reason: What the caller hears: a busy tone, or that the number is not in service.
    """

    reason: Literal["busy", "rejected"] = "busy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hangup:
    """Twilio ends the call."""


Verb: TypeAlias = Say | Pause | Redirect | Reject | Hangup
"""What Twilio can be told to do, apart from the stream."""


def connect_stream(
    url: str,
    *,
    parameters: Mapping[str, str] | None = None,
    name: str | None = None,
    status_callback: str | None = None,
    action: str | None = None,
    after: Iterable[Verb] = (Hangup(),),
) -> str:
    """Write the TwiML that connects a call to a bot.

    Args:
        url: The bot's WebSocket, ``wss://`` (Twilio takes nothing else; a simulated one takes
            ``ws://``), without a query, which Twilio would strip: use ``parameters``.
        parameters: What arrives as ``start.customParameters``.
        name: A name for the stream, unique in the call.
        status_callback: The webhook that is told when the stream starts, stops or fails.
        action: The webhook that is asked what to do when the stream has ended. With it, ``after``
            is not reached.
        after: What to do when the stream has ended.

    Raises:
        ConfigurationError: Twilio would refuse the URL, a parameter or the whole.
    """
    _check_stream_url(url)
    for parameter, value in (parameters or {}).items():
        _check_parameter(parameter, value)
    response = _sdk.VoiceResponse()
    connect = _sdk.Connect(**_given(action=action, method="POST" if action else None))
    stream = connect.stream(**_given(url=url, name=name, status_callback=status_callback))
    for parameter, value in (parameters or {}).items():
        stream.parameter(name=parameter, value=value)
    response.append(connect)
    return _write(response, after)


def respond(*verbs: Verb) -> str:
    """Write the TwiML that does these verbs, one after the other.

    Raises:
        ConfigurationError: The whole is too large for Twilio.
    """
    return _write(_sdk.VoiceResponse(), verbs)


def fits_parameter(name: str, value: str) -> bool:
    """Tell whether a ``<Parameter>`` of this name and value can be sent."""
    return bool(name) and len(name) + len(value) < PARAMETER_LIMIT and _is_xml(name + value)


def _check_stream_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ConfigurationError(
            f"expected a stream URL such as wss://bot.example.com/stream, got scheme "
            f"{parts.scheme!r}: pass the WebSocket's address"
        )
    if parts.query or parts.fragment:
        raise ConfigurationError(
            "expected a stream URL without a query, got one: "
            "Twilio strips it, so pass the values as parameters"
        )


def _check_parameter(name: str, value: str) -> None:
    if fits_parameter(name, value):
        return
    if not name or not _is_xml(name + value):
        raise ConfigurationError(
            f"expected a parameter name and value of characters that XML can hold, got others "
            f"at parameter {name!r}: encode the value, for example as base64"
        )
    raise ConfigurationError(
        f"expected fewer than {PARAMETER_LIMIT} characters of name and value together, "
        f"got {len(name) + len(value)} at parameter {name[:40]!r}: "
        "split the value, or send a key to look it up by"
    )


def _is_xml(text: str) -> bool:
    """Whether XML 1.0 can hold a text: no control characters, surrogates or non-characters."""
    return all(
        char in "\t\n\r"
        or " " <= char <= "\ud7ff"
        or "\ue000" <= char <= "\ufffd"
        or char > "\uffff"
        for char in text
    )


def _write(response: Any, verbs: Iterable[Verb]) -> str:
    for verb in verbs:
        _append(response, verb)
    written = str(response)
    if len(written.encode()) > _RESPONSE_LIMIT:
        raise ConfigurationError(
            f"expected TwiML of at most {_RESPONSE_LIMIT} bytes, got {len(written.encode())}: "
            "Twilio refuses it (error 11750), so send fewer parameters or say less"
        )
    return written


def _append(response: Any, verb: Verb) -> None:
    match verb:
        case Say(text=text, voice=voice, language=language):
            response.say(text, **_given(voice=voice, language=language))
        case Pause(seconds=seconds):
            response.pause(length=seconds)
        case Redirect(url=url):
            response.redirect(url, method="POST")
        case Reject(reason=reason):
            response.reject(reason=reason)
        case Hangup():
            response.hangup()


def _given(**attributes: str | None) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}
