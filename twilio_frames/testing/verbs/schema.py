"""Which attributes TwiML's elements have: what is not among them is warning 12200. Pure.

Source: https://www.twilio.com/docs/voice/twiml and the official SDK's TwiML classes.
"""

from collections.abc import Iterator
from xml.etree import ElementTree

from twilio_frames.testing.calls.facts import Alert

_CALLBACK = "statusCallback statusCallbackMethod"
_RECORDING = (
    "recordingStatusCallback recordingStatusCallbackMethod recordingStatusCallbackEvent trim"
)
_DETECTION = (
    "machineDetection machineDetectionTimeout machineDetectionSpeechThreshold "
    "machineDetectionSpeechEndThreshold machineDetectionSilenceTimeout "
    "amdStatusCallback amdStatusCallbackMethod"
)
_ATTRIBUTES: dict[str, frozenset[str]] = {
    element: frozenset(names.split())
    for element, names in {
        "Connect": "action method",
        "Start": "action method",
        "Stop": "",
        "Stream": f"url name track connectorName audioFormat sampleRate {_CALLBACK}",
        "Parameter": "name value",
        "Recording": f"{_RECORDING} track channels",
        "Say": "voice language loop",
        "Play": "loop digits",
        "Pause": "length",
        "Gather": (
            "action method input timeout speechTimeout maxSpeechTime numDigits finishOnKey hints "
            "language partialResultCallback partialResultCallbackMethod bargeIn profanityFilter "
            "actionOnEmptyResult dtmfDetection debug speechModel enhanced"
        ),
        "Record": (
            "action method timeout finishOnKey maxLength playBeep transcribe transcribeCallback "
            f"{_RECORDING}"
        ),
        "Redirect": "method",
        "Hangup": "",
        "Leave": "",
        "Reject": "reason",
        "Dial": (
            "action method timeout timeLimit callerId hangupOnStar record answerOnBridge "
            "ringTone recordingTrack sequential referUrl referMethod events "
            f"{_RECORDING}"
        ),
        "Number": (
            "sendDigits url method statusCallbackEvent byoc phoneNumber "
            f"callReason {_CALLBACK} {_DETECTION}"
        ),
        "Client": f"url method statusCallbackEvent {_CALLBACK}",
        "Sip": (
            f"username password url method statusCallbackEvent codecs {_CALLBACK} {_DETECTION}"
        ),
        "Conference": (
            "muted beep startConferenceOnEnter endConferenceOnExit waitUrl waitMethod "
            "maxParticipants record region coach statusCallbackEvent eventCallbackUrl "
            f"jitterBufferSize participantLabel {_CALLBACK} {_RECORDING}"
        ),
        "Queue": "url method reservationSid postWorkActivitySid",
        "Enqueue": "action method maxQueueSize waitUrl waitUrlMethod workflowSid",
    }.items()
}


def unknown_attributes(root: ElementTree.Element) -> list[Alert]:
    """A warning for each kind of element that has attributes it does not know."""
    return [
        Alert(
            code=12200,
            text=f"expected documented attributes on <{element.tag}>, got {', '.join(names)[:80]}",
            is_error=False,
        )
        for element, names in _strangers(root)
    ]


def _strangers(root: ElementTree.Element) -> Iterator[tuple[ElementTree.Element, list[str]]]:
    for element in root.iter():
        known = _ATTRIBUTES.get(element.tag)
        names = sorted(set(element.keys()) - known) if known is not None else []
        if names:
            yield element, names
