"""TwiML: what Twilio does with a call, written by the SDK's classes.

``<Connect><Stream>`` hands the call's audio to a bot. The verbs behind it run when the bot's side
closes the WebSocket, for whatever reason, so they are heard after a normal goodbye as well as after
a crash (https://www.twilio.com/docs/voice/twiml/connect). Hence two ways on:

- ``action``: a webhook that knows how the call ended and answers accordingly;
- ``after``: fixed verbs, of which only ``Hangup`` is harmless in both cases. A ``Pause`` there
  keeps the caller in silence, and nothing at all ends the call as well.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit
from xml.etree import ElementTree

from twilio.twiml import voice_response  # pyright: ignore[reportMissingTypeStubs] - it has none

from twilio_frames.errors import ConfigurationError

__all__ = [
    "Dial",
    "Gather",
    "Hangup",
    "OtherTwiml",
    "Pause",
    "Play",
    "PlayDigits",
    "Redirect",
    "Reject",
    "Say",
    "Verb",
    "connect_stream",
    "respond",
]

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

    text: str = field(repr=False)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """Twilio plays a file to the caller.

    Parameters:
        url: The file, ``http://`` or ``https://``; WAV or MP3 among others.
        loop: How often; 0 for as long as the call lasts, as with music on hold.
    """

    url: str
    loop: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayDigits:
    """Twilio presses keys, for the other end to hear: tones in a media stream are not recognised.

    Parameters:
        digits: Of ``0-9*#``, and ``w`` for half a second of silence.
    """

    digits: str = field(repr=False)

    def __post_init__(self) -> None:
        """Raises ConfigurationError if there is something else in them, or nothing."""
        if not self.digits or set(self.digits) - set("0123456789*#wW"):
            raise ConfigurationError(
                "expected keys of 0-9, *, # and w (half a second of silence) to press, got none or "
                "others"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """Twilio calls somebody, and connects the caller with whoever answers first.

    What comes of it is told to ``action`` as ``DialCallStatus``: ``completed``, ``busy``,
    ``no-answer``, ``failed`` or ``canceled``; ``answered`` for a conference. See
    https://www.twilio.com/docs/voice/twiml/dial.

    Parameters:
        targets: Numbers (``+1...``), SIP addresses (``sip:...``) or clients (``client:...``).
        queue: Takes the next caller of this queue instead.
        conference: Puts the caller into this room instead.
        ring_secs: How long it rings.
        ring_tone: Which country's ringing the caller hears, ``uk`` say; None for the number's own.
        caller_id: Whom the other end sees calling; None for the caller's own number.
        answer_on_bridge: Whether the caller hears it ring until somebody answers.
        is_sequential: Whether one target is called after the other, not all at once.
        time_limit_secs: How long they may talk; None for Twilio's four hours.
        hangup_on_star: Whether the caller leaves by ``*``.
        whisper_url: A webhook whose TwiML the other end hears first.
        answered_url: A webhook that is told when somebody answers.
        send_digits: Keys that are pressed when a number has answered, an extension say.
        conference_options: Attributes of the room, in the SDK's spelling:
            ``end_conference_on_exit``, ``muted``, ``wait_url`` and so on.
    """

    targets: tuple[str, ...] = field(default=(), repr=False)
    queue: str | None = None
    conference: str | None = field(default=None, repr=False)
    ring_secs: int = 25
    ring_tone: str | None = None
    caller_id: str | None = field(default=None, repr=False)
    answer_on_bridge: bool = True
    is_sequential: bool = False
    time_limit_secs: int | None = None
    hangup_on_star: bool = False
    whisper_url: str | None = field(default=None, repr=False)
    answered_url: str | None = field(default=None, repr=False)
    send_digits: str | None = field(default=None, repr=False)
    conference_options: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    def __post_init__(self) -> None:
        """Raises ConfigurationError where nobody, or more than one kind, is named."""
        named = [bool(self.targets), self.queue is not None, self.conference is not None]
        if named.count(True) != 1:
            raise ConfigurationError(
                "expected targets, a queue or a conference to dial, got "
                f"{named.count(True)} of them: name one kind"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gather:
    """Twilio waits for keys or words, and tells ``action`` of them as ``Digits``, ``SpeechResult``.

    Parameters:
        prompts: What is said or played meanwhile.
        input: ``dtmf``, ``speech``, or ``dtmf speech``.
        digits: So many keys are enough; None for any number of them.
        finish_on_key: The key that ends them; empty for none.
        timeout_secs: How long it waits for the next.
    """

    prompts: "tuple[Say | Play | Pause, ...]" = ()
    input: Literal["dtmf", "speech", "dtmf speech"] = "dtmf"
    digits: int | None = None
    finish_on_key: str = "#"
    timeout_secs: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherTwiml:
    """Any verbs that have no class here: ``<Pay>``, ``<Record>``, ``<Enqueue>``, ``<Refer>``.

    Parameters:
        xml: The verbs, without ``<Response>`` around them.
        takes_action: Whether the last of them tells an ``action`` what came of it. It is filled in
            where the call is to come back.
    """

    xml: str = field(repr=False)
    takes_action: bool = False

    def __post_init__(self) -> None:
        """Raises ConfigurationError if it is no XML, or empty."""
        _elements(self.xml)


Verb: TypeAlias = (
    Say | Pause | Play | PlayDigits | Dial | Gather | OtherTwiml | Redirect | Reject | Hangup
)
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


def respond(*verbs: Verb, action: str | None = None) -> str:
    """Write the TwiML that does these verbs, one after the other.

    Args:
        verbs: What is done.
        action: The webhook that is told what came of the last verb, where that is one which tells
            (:func:`tells_result`).

    Raises:
        ConfigurationError: The whole is too large for Twilio.
    """
    return _write(_sdk.VoiceResponse(), verbs, action)


def tells_result(verb: Verb) -> bool:
    """Whether a verb tells an ``action`` what came of it; what stands behind it is not reached."""
    return isinstance(verb, Dial | Gather) or (isinstance(verb, OtherTwiml) and verb.takes_action)


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


def _write(response: Any, verbs: Iterable[Verb], action: str | None = None) -> str:
    all_verbs = list(verbs)
    for verb in all_verbs:
        told = action if verb is all_verbs[-1] and tells_result(verb) else None
        _append(response, verb, told)
    written = str(response)
    if len(written.encode()) > _RESPONSE_LIMIT:
        raise ConfigurationError(
            f"expected TwiML of at most {_RESPONSE_LIMIT} bytes, got {len(written.encode())}: "
            "Twilio refuses it (error 11750), so send fewer parameters or say less"
        )
    return written


def _append(parent: Any, verb: Verb, action: str | None = None) -> None:
    match verb:
        case Say(text=text, voice=voice, language=language):
            parent.say(text, **_given(voice=voice, language=language))
        case Pause(seconds=seconds):
            parent.pause(length=seconds)
        case Play(url=url, loop=loop):
            parent.play(url, loop=loop)
        case PlayDigits(digits=digits):
            parent.play(digits=digits)
        case Dial():
            _append_dial(parent, verb, action)
        case Gather():
            _append_gather(parent, verb, action)
        case OtherTwiml():
            _append_other(parent, verb, action)
        case Redirect(url=url):
            parent.redirect(url, method="POST")
        case Reject(reason=reason):
            parent.reject(reason=reason)
        case Hangup():
            parent.hangup()


def _append_dial(response: Any, verb: Dial, action: str | None) -> None:
    dial = response.dial(
        **_given(
            action=action,
            timeout=verb.ring_secs,
            ring_tone=verb.ring_tone,
            caller_id=verb.caller_id,
            answer_on_bridge=verb.answer_on_bridge,
            sequential=verb.is_sequential or None,
            time_limit=verb.time_limit_secs,
            hangup_on_star=verb.hangup_on_star or None,
        )
    )
    told = _given(
        url=verb.whisper_url,
        status_callback=verb.answered_url,
        status_callback_event="answered" if verb.answered_url else None,
    )
    for target in verb.targets:
        if target.startswith(("sip:", "sips:")):
            dial.sip(target, **told)
        elif target.startswith("client:"):
            dial.client(target.removeprefix("client:"), **told)
        else:
            dial.number(target, **told, **_given(send_digits=verb.send_digits))
    if verb.queue is not None:
        dial.queue(verb.queue, **_given(url=verb.whisper_url))
    if verb.conference is not None:
        dial.conference(verb.conference, **verb.conference_options)


def _append_gather(response: Any, verb: Gather, action: str | None) -> None:
    gather = response.gather(
        input=verb.input,
        finish_on_key=verb.finish_on_key,
        timeout=verb.timeout_secs,
        action_on_empty_result=True,
        **_given(action=action, num_digits=verb.digits),
    )
    for prompt in verb.prompts:
        _append(gather, prompt)


def _append_other(response: Any, verb: OtherTwiml, action: str | None) -> None:
    elements = _elements(verb.xml)
    if action is not None:
        elements[-1].set("action", action)
        elements[-1].set("method", "POST")
    for element in elements:
        response.append(_copied(element))


def _copied(element: ElementTree.Element) -> Any:
    """An element as the SDK's own, whatever its name."""
    copy = _sdk.TwiML(**element.attrib)
    copy.name, copy.value = element.tag, element.text or ""
    # The SDK would spell them its own way.
    copy.attrs = dict(element.attrib)
    for child in element:
        copy.append(_copied(child))
        if child.tail and child.tail.strip():
            copy.append(child.tail)
    return copy


def _elements(xml: str) -> list[ElementTree.Element]:
    try:
        # Entities cannot be declared inside of an element.
        elements = list(ElementTree.fromstring(f"<Response>{xml}</Response>"))  # noqa: S314
    except ElementTree.ParseError as error:
        line, column = error.position
        raise ConfigurationError(
            f"expected TwiML verbs as XML, got a mistake at line {line}, column {column}: is each "
            "& written as &amp;, and is there no <?xml ...?> in front?"
        ) from None
    if not elements:
        raise ConfigurationError("expected at least one TwiML verb, got none")
    return elements


def _given(**attributes: object) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}
