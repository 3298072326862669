"""TwiML read: a document becomes a list of verbs. Pure.

Verbs that this simulation does not play out become :class:`Unsupported`; the call goes on behind
them. Source: https://www.twilio.com/docs/voice/twiml
"""

from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit, urlunsplit
from xml.etree import ElementTree

from twilio_frames.testing.alerts import Alert

MAX_PARAMETER = 500
"""Characters a ``<Parameter>``'s name and value must stay below together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectStream:
    """``<Connect><Stream>``: hands the call to a bot until its socket closes."""

    url: str
    name: str = ""
    parameters: dict[str, str] = field(default_factory=dict, repr=False)
    track: str = "inbound_track"
    status_callback: str = ""
    status_callback_method: str = "POST"
    action: str = ""
    method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """``<Say>``: words for the caller."""

    text: str = field(repr=False)
    loop: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """``<Pause>``: so many seconds of silence."""

    seconds: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayDigits:
    """``<Play digits>``: tones; ``w`` is half a second of silence."""

    digits: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """``<Redirect>``: more TwiML from elsewhere."""

    url: str
    method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hangup:
    """``<Hangup>``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """``<Reject>``: the call is not answered."""

    reason: str = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """``<Dial>``: somebody else is called.

    Parameters:
        targets: Whom, as kind and address: ``("number", "+1...")``, ``("client", "jo")``.
    """

    targets: tuple[tuple[str, str], ...] = field(repr=False)
    action: str = ""
    method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsupported:
    """A verb, or a noun in it, that is noted and passed over."""

    name: str


Verb = ConnectStream | Say | Pause | PlayDigits | Redirect | Hangup | Reject | Dial | Unsupported


def read_twiml(document: str, base_url: str) -> list[Verb] | Alert:
    """The verbs of a TwiML document, or Twilio's complaint about it.

    Args:
        document: The XML.
        base_url: Where it came from; relative URLs in it start there.
    """
    if "<!DOCTYPE" in document:
        return Alert(code=12100, text="expected TwiML, got XML with a document type: leave it out")
    try:
        # Entities cannot be declared without a document type.
        root = ElementTree.fromstring(document.strip().encode())  # noqa: S314
    except ElementTree.ParseError as error:
        line, column = error.position
        return Alert(
            code=12100,
            text=f"expected XML, got a mistake at line {line}, column {column}: "
            "is each & written as &amp;?",
        )
    if root.tag != "Response":
        return Alert(code=12102, text=f"expected <Response> at the top, got <{root.tag[:40]}>")
    return [_verb(element, base_url) for element in root]


def _verb(element: ElementTree.Element, base_url: str) -> Verb:
    method = element.get("method", "POST").upper()
    action = _absolute(element.get("action", ""), base_url)
    text = (element.text or "").strip()
    match element.tag:
        case "Connect":
            return _connect(element, base_url, action, method)
        case "Say":
            return Say(text="".join(element.itertext()).strip(), loop=_whole(element, "loop", 1))
        case "Pause":
            return Pause(seconds=_whole(element, "length", 1))
        case "Play" if element.get("digits"):
            return PlayDigits(digits=element.get("digits", ""))
        case "Redirect":
            return Redirect(url=urljoin(base_url, text), method=method)
        case "Hangup":
            return Hangup()
        case "Reject":
            return Reject(reason=element.get("reason", "rejected"))
        case "Dial":
            nouns = tuple((noun.tag.lower(), (noun.text or "").strip()) for noun in element)
            targets = ((("number", text),) if text else ()) + nouns
            return Dial(targets=targets, action=action, method=method)
        case _:
            return Unsupported(name=element.tag[:40])


def _connect(element: ElementTree.Element, base_url: str, action: str, method: str) -> Verb:
    stream = element.find("Stream")
    if stream is None:
        nouns = "/".join(noun.tag[:40] for noun in element) or "nothing"
        return Unsupported(name=f"Connect {nouns}")
    return ConnectStream(
        url=_stream_url(stream.get("url", ""), base_url),
        name=stream.get("name", ""),
        parameters={
            parameter.get("name", ""): parameter.get("value", "")
            for parameter in stream.findall("Parameter")
        },
        track=stream.get("track", "inbound_track"),
        status_callback=_absolute(stream.get("statusCallback", ""), base_url),
        status_callback_method=stream.get("statusCallbackMethod", "POST").upper(),
        action=action,
        method=method,
    )


def _stream_url(url: str, base_url: str) -> str:
    """A relative stream URL lies on the server the TwiML came from, under the WebSocket scheme."""
    if urlsplit(url).scheme:
        return url
    parts = urlsplit(urljoin(base_url, url))
    return urlunsplit(parts._replace(scheme="ws" if parts.scheme == "http" else "wss"))


def _absolute(url: str, base_url: str) -> str:
    return urljoin(base_url, url) if url else ""


def _whole(element: ElementTree.Element, name: str, default: int) -> int:
    value = element.get(name, "")
    return int(value) if value.isdecimal() else default
