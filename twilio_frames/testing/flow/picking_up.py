"""Machine detection on a call that was picked up: before its TwiML, or beside it."""

from twilio_frames.testing.calls.call import SimulatedCall
from twilio_frames.testing.calls.detection import DetectionRules, Detector


async def detect(call: SimulatedCall, rules: DetectionRules) -> Detector:
    """Listens until it is known who picked up; the call says so from then on."""
    detector = Detector(rules)
    call.ready.set()
    call.taps.add(detector)
    try:
        while detector.verdict is None:
            await call.line.next_turn()
    finally:
        call.taps.remove(detector)
    call.answered_by = detector.verdict
    call.log.note(
        "machine_detection", answered_by=detector.verdict, milliseconds=detector.milliseconds
    )
    return detector


async def detect_aside(call: SimulatedCall, rules: DetectionRules) -> None:
    """Does so while the call goes on, and posts the verdict."""
    detector = await detect(call, rules)
    told = {
        "CallSid": call.sid,
        "AccountSid": call.exchange.account_sid,
        "AnsweredBy": detector.verdict or "unknown",
        "MachineDetectionDuration": str(detector.milliseconds),
    }
    call.callbacks.post("async-amd", rules.callback, told, rules.callback_method)
