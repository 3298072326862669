"""What a new call's form asks for, and whether Twilio grants it.

Source: https://www.twilio.com/docs/voice/api/call-resource#create-a-call-resource
"""

import re

from aiohttp import web

from twilio_frames.testing.calls.account import error_text
from twilio_frames.testing.calls.detection import DetectionRules
from twilio_frames.testing.calls.facts import StatusCallback
from twilio_frames.testing.calls.instructions import Answered, Document, Fetch
from twilio_frames.testing.calls.switch import Switch
from twilio_frames.testing.rest.answers import Form, error
from twilio_frames.testing.verbs import StartRecording

ANSWERING_BUFFER = 5.0
"""Seconds that Twilio adds to it."""

MAX_TWIML = 4000
"""Characters of TwiML that a created call may be given."""

_ADDRESS = re.compile(r"\+?[0-9][0-9().\- ]{3,19}|(client|sip|whatsapp):.+", re.DOTALL)
_DIGITS = re.compile(r"[0-9A-D*#wW]*")
_DETECTION_MODES = ("Enable", "DetectMessageEnd")
_RANGES = {
    "MachineDetectionTimeout": (3, 59),
    "MachineDetectionSpeechThreshold": (1000, 6000),
    "MachineDetectionSpeechEndThreshold": (500, 5000),
    "MachineDetectionSilenceTimeout": (2000, 10_000),
}


def instructions_of(form: Form) -> Fetch | Document | None:
    """What the call is to execute: a webhook, or TwiML if there is none."""
    url = form.one("Url")
    if url:
        return Fetch(
            url=url,
            method=form.method("Method"),
            fallback_url=form.one("FallbackUrl"),
            fallback_method=form.method("FallbackMethod"),
        )
    return Document(twiml=form.one("Twiml")) if form.one("Twiml") else None


def refusal_of(
    form: Form, instructions: Fetch | Document | None, switch: Switch
) -> web.Response | None:
    """Why no call is made, if none is."""
    to_number, from_number, url = form.one("To"), form.one("From"), form.one("Url")
    if not to_number:
        return error(400, 21201, "No 'To' number is specified")
    if not _ADDRESS.fullmatch(to_number):
        return error(400, 21211, f"The 'To' number {to_number} is not a valid phone number.")
    if not _ADDRESS.fullmatch(from_number):
        return error(400, 21212, f"The 'From' number {from_number} is not a valid phone number.")
    if instructions is None:
        return error(400, 21205, "Url parameter is required.")
    if url and not url.startswith(("http://", "https://")):
        return error(400, 21205, f"Url is not a valid URL: {url}")
    if isinstance(instructions, Document) and len(instructions.twiml) > MAX_TWIML:
        return error(400, 20001, f"Twiml may have {MAX_TWIML} characters at most.")
    digits = form.one("SendDigits")
    if len(digits) > 32 or not _DIGITS.fullmatch(digits):
        return error(400, 20001, "SendDigits may hold 32 of 0-9, A-D, *, #, w, W.")
    code = switch.exchange.rules.refusal(
        to_number=to_number, from_number=from_number, calls=switch.live_calls
    )
    if code is not None:
        return error(429 if code == 10004 else 400, code, error_text(code))
    return _detection_refusal(form)


def answered(form: Form, instructions: Fetch | Document) -> Answered:
    """What the call does when it is picked up."""
    digits = form.one("SendDigits")
    # "If you use sendDigits, machine detection is disabled."
    detection = None if digits else _detection(form)
    return Answered(then=instructions, send_digits=digits, detection=detection)


def ring_secs(form: Form) -> float:
    """How long it rings, Twilio's own addition included."""
    return min(form.number("Timeout", 60), 600) + ANSWERING_BUFFER


def status_callback(form: Form) -> StatusCallback | None:
    """Where the call's progress is told."""
    url = form.one("StatusCallback")
    if not url:
        return None
    events = form.words("StatusCallbackEvent", "completed")
    return StatusCallback(url=url, events=events, method=form.method("StatusCallbackMethod"))


def recording_request(form: Form, *, source: str, channels: str, trim: str) -> StartRecording:
    """What a form asks of a recording.

    Args:
        form: The request's.
        source: Who asks, in Twilio's words.
        channels: What is meant where it says nothing; this and ``trim`` differ by resource.
        trim: The same.
    """
    return StartRecording(
        track=form.one("RecordingTrack", "both"),
        channels=form.one("RecordingChannels", channels),
        trim=form.one("Trim", trim),
        status_callback=form.one("RecordingStatusCallback"),
        status_callback_method=form.method("RecordingStatusCallbackMethod"),
        events=form.words("RecordingStatusCallbackEvent", "completed"),
        source=source,
    )


def _detection_refusal(form: Form) -> web.Response | None:
    mode = form.one("MachineDetection")
    if mode and mode not in _DETECTION_MODES:
        return error(400, 21234, "Invalid MachineDetection value")
    if mode and form.flag("AsyncAmd") and not form.one("AsyncAmdStatusCallback"):
        return error(400, 21262, "AsyncAmd requires an AsyncAmdStatusCallback")
    for name, (least, most) in _RANGES.items():
        value = form.one(name)
        if value and not (value.isdecimal() and least <= int(value) <= most):
            return error(400, 21234, f"{name} must lie between {least} and {most}")
    return None


def _detection(form: Form) -> DetectionRules | None:
    mode = form.one("MachineDetection")
    if mode not in _DETECTION_MODES:
        return None
    return DetectionRules(
        waits_for_end=mode == "DetectMessageEnd",
        timeout=1000 * form.number("MachineDetectionTimeout", 30),
        speech=form.number("MachineDetectionSpeechThreshold", 2400),
        speech_end=form.number("MachineDetectionSpeechEndThreshold", 1200),
        silence=form.number("MachineDetectionSilenceTimeout", 5000),
        callback=form.one("AsyncAmdStatusCallback") if form.flag("AsyncAmd") else "",
        callback_method=form.method("AsyncAmdStatusCallbackMethod"),
    )
