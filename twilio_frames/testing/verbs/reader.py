"""TwiML read: a document becomes a list of verbs. Pure.

Verbs that this simulation does not play out become :class:`Unsupported`; the call goes on behind
them. Source: https://www.twilio.com/docs/voice/twiml
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit
from xml.etree import ElementTree

from twilio_frames.testing.calls.facts import Alert, whole_number
from twilio_frames.testing.verbs.nouns import (
    ConferenceRoom,
    ConnectStream,
    Dial,
    Enqueue,
    Gather,
    Hangup,
    Leave,
    Pause,
    Pay,
    Play,
    PlayDigits,
    Record,
    Redirect,
    Reject,
    Say,
    StartRecording,
    StartStream,
    StopStream,
    Target,
    Unsupported,
    Verb,
)
from twilio_frames.testing.verbs.schema import unknown_attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class TwimlDocument:
    """A document that was read.

    Parameters:
        warnings: What Twilio would complain of, and carry out all the same.
    """

    verbs: tuple[Verb, ...]
    warnings: tuple[Alert, ...] = ()


class _RelativeUrlError(Exception):
    """A relative URL where nothing is known that it could start from."""


def read_document(document: str, base_url: str) -> TwimlDocument | Alert:
    """A TwiML document's verbs and its warnings, or the error that Twilio gives up with.

    Args:
        document: The XML.
        base_url: Where it came from; relative URLs in it start there. Empty for TwiML that was
            passed in a request: it must hold none.
    """
    root = _parse(document)
    if isinstance(root, Alert):
        return root
    try:
        verbs = tuple(_verb(element, base_url) for element in root)
    except _RelativeUrlError:
        return Alert(
            code=15004,
            text="expected absolute URLs in TwiML that was passed as text, got a relative one",
        )
    return TwimlDocument(verbs=verbs, warnings=tuple(unknown_attributes(root)))


def read_twiml(document: str, base_url: str) -> list[Verb] | Alert:
    """The verbs of a TwiML document, or Twilio's complaint about it.

    Args:
        document: The XML.
        base_url: Where it came from; relative URLs in it start there.
    """
    read = read_document(document, base_url)
    return read if isinstance(read, Alert) else list(read.verbs)


def _parse(document: str) -> ElementTree.Element | Alert:
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
    return root


def _verb(element: ElementTree.Element, base_url: str) -> Verb:
    text = (element.text or "").strip()
    match element.tag:
        case "Connect" | "Start" | "Stop":
            return _nested(element, base_url)
        case "Say":
            return Say(text="".join(element.itertext()).strip(), loop=_whole(element, "loop", 1))
        case "Pause":
            return Pause(seconds=_whole(element, "length", 1))
        case "Play" if element.get("digits"):
            return PlayDigits(digits=element.get("digits", ""))
        case "Play":
            return Play(url=_absolute(text, base_url), loop=_whole(element, "loop", 1))
        case "Gather":
            return _gather(element, base_url)
        case "Pay":
            action = _absolute(element.get("action", ""), base_url)
            return Pay(action=action, method=_method(element))
        case "Record":
            return _record(element, base_url)
        case "Redirect":
            # An empty one asks the same webhook again.
            return Redirect(url=_absolute(text, base_url) or base_url, method=_method(element))
        case "Hangup":
            return Hangup()
        case "Leave":
            return Leave()
        case "Reject":
            return Reject(reason=element.get("reason", "rejected"))
        case "Dial":
            return _dial(element, base_url)
        case "Enqueue":
            return Enqueue(
                queue=text or element.get("workflowSid", ""),
                wait_url=_absolute(element.get("waitUrl", ""), base_url),
                wait_url_method=_method(element, "waitUrlMethod"),
                action=_absolute(element.get("action", ""), base_url),
                method=_method(element),
            )
        case _:
            return Unsupported(name=element.tag[:40])


def _nested(element: ElementTree.Element, base_url: str) -> Verb:
    """``<Connect>``, ``<Start>`` or ``<Stop>``, which say by their noun what they are about."""
    stream, recording = element.find("Stream"), element.find("Recording")
    if stream is not None and element.tag == "Connect":
        return ConnectStream(
            **_stream(stream, base_url),
            action=_absolute(element.get("action", ""), base_url),
            method=_method(element),
        )
    if stream is not None and element.tag == "Start":
        return StartStream(**_stream(stream, base_url))
    if stream is not None:
        return StopStream(name=stream.get("name", ""))
    if recording is not None and element.tag == "Start":
        return StartRecording(
            track=recording.get("track", "both"),
            channels=recording.get("channels", "dual"),
            trim=recording.get("trim", "do-not-trim"),
            status_callback=_absolute(recording.get("recordingStatusCallback", ""), base_url),
            status_callback_method=_method(recording, "recordingStatusCallbackMethod"),
            events=_words(recording, "recordingStatusCallbackEvent", "completed"),
        )
    nouns = "/".join(noun.tag[:40] for noun in element) or "nothing"
    return Unsupported(name=f"{element.tag} {nouns}")


def _stream(stream: ElementTree.Element, base_url: str) -> dict[str, Any]:
    return {
        "url": _stream_url(stream.get("url", ""), base_url),
        "name": stream.get("name", ""),
        "parameters": {
            parameter.get("name", ""): parameter.get("value", "")
            for parameter in stream.findall("Parameter")
        },
        "track": stream.get("track", "inbound_track"),
        "status_callback": _absolute(stream.get("statusCallback", ""), base_url),
        "status_callback_method": _method(stream, "statusCallbackMethod"),
    }


def _gather(element: ElementTree.Element, base_url: str) -> Gather:
    timeout = _seconds(element, "timeout", 5.0)
    spoken = element.get("speechTimeout", "")
    prompts = (_verb(child, base_url) for child in element)
    return Gather(
        prompts=tuple(prompt for prompt in prompts if isinstance(prompt, Say | Play | Pause)),
        inputs=_words(element, "input", "dtmf"),
        timeout=timeout,
        speech_timeout=1.0 if spoken == "auto" else _seconds(element, "speechTimeout", timeout),
        number_of_digits=_whole(element, "numDigits", 0) or None,
        finish_on_key=element.get("finishOnKey", "#"),
        asks_on_empty_result=_flag(element, "actionOnEmptyResult"),
        # "If you do not provide an action, Twilio will by default make its request to the
        # current document's URL."
        action=_absolute(element.get("action", ""), base_url) or base_url,
        method=_method(element),
    )


def _record(element: ElementTree.Element, base_url: str) -> Record:
    return Record(
        timeout=_seconds(element, "timeout", 5.0),
        finish_on_key=element.get("finishOnKey", "1234567890*#"),
        max_length=_seconds(element, "maxLength", 3600.0),
        plays_beep=_flag(element, "playBeep", default=True),
        trim=element.get("trim", "trim-silence"),
        status_callback=_absolute(element.get("recordingStatusCallback", ""), base_url),
        status_callback_method=_method(element, "recordingStatusCallbackMethod"),
        events=_words(element, "recordingStatusCallbackEvent", "completed"),
        # Without one it is the current document's URL that is asked, too.
        action=_absolute(element.get("action", ""), base_url) or base_url,
        method=_method(element),
    )


def _dial(element: ElementTree.Element, base_url: str) -> Dial:
    text, queue = (element.text or "").strip(), element.find("Queue")
    plain = (Target(kind="number", address=text),) if text else ()
    return Dial(
        targets=plain
        + tuple(
            _target(noun, base_url) for noun in element if noun.tag in ("Number", "Client", "Sip")
        ),
        conference=_conference(element.find("Conference"), base_url),
        queue=(queue.text or "").strip() if queue is not None else "",
        timeout=_seconds(element, "timeout", 30.0),
        time_limit=_seconds(element, "timeLimit", 4 * 3600.0),
        caller_id=element.get("callerId", ""),
        answers_on_bridge=_flag(element, "answerOnBridge"),
        hangs_up_on_star=_flag(element, "hangupOnStar"),
        is_sequential=_flag(element, "sequential"),
        record=element.get("record", "do-not-record"),
        recording_status_callback=_absolute(element.get("recordingStatusCallback", ""), base_url),
        action=_absolute(element.get("action", ""), base_url),
        method=_method(element),
    )


def _target(noun: ElementTree.Element, base_url: str) -> Target:
    return Target(
        kind=noun.tag.lower(),
        address=(noun.text or "").strip(),
        url=_absolute(noun.get("url", ""), base_url),
        method=_method(noun),
        send_digits=noun.get("sendDigits", ""),
        status_callback=_absolute(noun.get("statusCallback", ""), base_url),
        status_callback_method=_method(noun, "statusCallbackMethod"),
        events=_words(noun, "statusCallbackEvent", "completed"),
    )


def _conference(noun: ElementTree.Element | None, base_url: str) -> ConferenceRoom | None:
    if noun is None:
        return None
    return ConferenceRoom(
        name=(noun.text or "").strip(),
        is_muted=_flag(noun, "muted"),
        starts_on_enter=_flag(noun, "startConferenceOnEnter", default=True),
        ends_on_exit=_flag(noun, "endConferenceOnExit"),
        max_participants=_whole(noun, "maxParticipants", 250),
        # An empty one plays nothing.
        has_music=noun.get("waitUrl", "music") != "",
        status_callback=_absolute(noun.get("statusCallback", ""), base_url),
        status_callback_method=_method(noun, "statusCallbackMethod"),
        events=_words(noun, "statusCallbackEvent", "start end"),
    )


def _stream_url(url: str, base_url: str) -> str:
    """A relative stream URL lies on the server the TwiML came from, under the WebSocket scheme."""
    if "://" in url:
        return url
    parts = urlsplit(_absolute(url, base_url))
    return urlunsplit(parts._replace(scheme="ws" if parts.scheme == "http" else "wss"))


def _absolute(url: str, base_url: str) -> str:
    if not url:
        return ""
    try:
        if not base_url and not urlsplit(url).scheme:
            raise _RelativeUrlError
        return urljoin(base_url, url)
    except ValueError:
        # Whoever asks for it complains of it.
        return url


def _method(element: ElementTree.Element, name: str = "method") -> str:
    return element.get(name, "POST").upper()


def _words(element: ElementTree.Element, name: str, default: str) -> tuple[str, ...]:
    return tuple(element.get(name, default).split())


def _flag(element: ElementTree.Element, name: str, *, default: bool = False) -> bool:
    return element.get(name, str(default)).lower() == "true"


def _whole(element: ElementTree.Element, name: str, default: int) -> int:
    return whole_number(element.get(name, ""), default)


def _seconds(element: ElementTree.Element, name: str, default: float) -> float:
    return float(_whole(element, name, round(default)))
