"""Answering machines: who picked up, by what was said."""

import asyncio

import numpy as np
import pytest
from twilio.base.exceptions import TwilioRestException

from tests.conformance.facts import DETECTION, error, fact
from tests.conformance.site import ANNA, Site
from tests.testing.bots import TinyBot, tone
from tests.waiting import time_passes
from twilio_frames.audio import encode_mulaw, mulaw_silence
from twilio_frames.testing import Caller, Voicemail
from twilio_frames.testing.callers.parties import beep
from twilio_frames.testing.calls.detection import DetectionRules, Detector


def speech(seconds: float) -> bytes:
    """Noise as loud as speech, mu-law."""
    samples = np.random.default_rng(1).standard_normal(round(seconds * 8000))
    return encode_mulaw((4000 * samples).clip(-32768, 32767).astype(np.int16).tobytes())


def verdict_on(*heard: bytes, rules: DetectionRules | None = None) -> tuple[str | None, int]:
    detector = Detector(rules or DetectionRules())
    detector.write(b"".join(heard) + mulaw_silence(60), b"")
    return detector.verdict, detector.milliseconds


@fact("Short speech with silence behind it is a human's.", DETECTION)
async def test_short_speech_is_human():
    assert verdict_on(mulaw_silence(0.5), speech(1)) == ("human", 2700)


@fact("Speech longer than `MachineDetectionSpeechThreshold` is a machine's.", DETECTION)
async def test_long_speech_is_a_machine():
    assert verdict_on(speech(5)) == ("machine_start", 2420)
    assert verdict_on(speech(5), rules=DetectionRules(speech=4000)) == ("machine_start", 4020)


@fact("`MachineDetectionSpeechEndThreshold` is the silence that ends speech.", DETECTION)
async def test_silence_ends_speech():
    assert verdict_on(speech(1), rules=DetectionRules(speech_end=2000)) == ("human", 3000)


@fact("`MachineDetectionSilenceTimeout` of silence at the beginning is `unknown`.", DETECTION)
async def test_silence_is_unknown():
    assert verdict_on() == ("unknown", 5000)
    assert verdict_on(rules=DetectionRules(silence=2000)) == ("unknown", 2000)


@fact("After `MachineDetectionTimeout` it is `unknown`.", DETECTION)
async def test_time_out_is_unknown():
    rules = DetectionRules(waits_for_end=True, timeout=3000)
    assert verdict_on(speech(10), rules=rules) == ("unknown", 3000)


@fact("A fax machine is `fax`.", DETECTION)
async def test_fax_is_a_fax():
    assert verdict_on(mulaw_silence(1), tone(2, 2100))[0] == "fax"


@fact(
    "`DetectMessageEnd` reports a machine at the end of its greeting: behind the beep.", DETECTION
)
async def test_message_ends_with_a_beep():
    rules = DetectionRules(waits_for_end=True)
    verdict, milliseconds = verdict_on(speech(4), mulaw_silence(0.3), beep(), rules=rules)
    assert verdict == "machine_end_beep"
    assert 4700 <= milliseconds <= 4740


@fact("A greeting without a beep ends with silence.", DETECTION)
async def test_message_ends_with_silence():
    rules = DetectionRules(waits_for_end=True)
    assert verdict_on(speech(4), rules=rules)[0] == "machine_end_silence"


@fact("`DetectMessageEnd` reports a human at once.", DETECTION)
async def test_human_is_reported_at_once():
    rules = DetectionRules(waits_for_end=True)
    assert verdict_on(speech(1), rules=rules) == ("human", 2200)


@fact("The TwiML waits for the verdict, and its webhook is told: `AnsweredBy`.", DETECTION)
async def test_webhook_waits_for_the_verdict(site: Site):
    site.twilio.answer_with(ANNA, _say(speech(0.4)))
    await site.create(machine_detection="Enable", machine_detection_speech_end_threshold=500)
    (told,) = await site.wait_for_post("/twiml")
    assert told["AnsweredBy"] == "human"


@fact("With `AsyncAmd` the TwiML runs at once, and the verdict is posted.", DETECTION)
async def test_verdict_is_posted(site: Site):
    site.twilio.answer_with(ANNA, _say(speech(3)))
    await site.create(
        machine_detection="Enable",
        machine_detection_speech_threshold=1000,
        async_amd="true",
        async_amd_status_callback=f"{site.url}/amd",
    )
    await site.bot.wait_for("media")
    assert site.posted("/amd") == []
    (told,) = await site.wait_for_post("/amd")
    assert told["AnsweredBy"] == "machine_start"
    assert 1000 < int(told["MachineDetectionDuration"]) < 1200
    (call,) = await asyncio.to_thread(site.client.calls.list)
    assert (told["CallSid"], call.answered_by) == (call.sid, "machine_start")


@fact("A bot can leave its message behind the beep.", DETECTION)
async def test_message_is_left_behind_the_beep(site: Site):
    site.bot = TinyBot(lambda bot: bot.play(tone(0.5, 600)))
    voicemail = site.twilio.answer_with(ANNA, Voicemail(greeting=speech(1.5)))
    await site.create(machine_detection="DetectMessageEnd", machine_detection_speech_threshold=1000)
    await site.bot.wait_for("start")
    await time_passes(0.7)
    assert site.bot.socket is not None
    await site.bot.socket.close()
    result = await voicemail.wait_for_result()
    (heard,) = result.heard_spans
    assert heard.began_at > 1.8
    assert tone(0.5, 600) in result.heard_bot
    assert site.posted("/twiml")[0]["AnsweredBy"] == "machine_end_beep"


@fact("`SendDigits` disables it.", DETECTION)
async def test_digits_disable_detection(site: Site):
    site.twilio.answer_with(ANNA, _say(speech(1)))
    await site.create(machine_detection="Enable", send_digits="1")
    (told,) = await site.wait_for_post("/twiml")
    assert "AnsweredBy" not in told


@fact("A mode or a threshold out of its range is error 21234.", error(21234))
@pytest.mark.parametrize(
    "arguments",
    [
        {"machine_detection": "Guess"},
        {"machine_detection": "Enable", "machine_detection_timeout": 60},
        {"machine_detection": "Enable", "machine_detection_speech_threshold": 999},
        {"machine_detection": "Enable", "machine_detection_silence_timeout": 10_001},
    ],
)
async def test_bad_threshold_is_21234(site: Site, arguments: dict):
    with pytest.raises(TwilioRestException) as refused:
        await site.create(**arguments)
    assert refused.value.code == 21234


@fact("`AsyncAmd` without a callback is error 21262.", error(21262))
async def test_missing_callback_is_21262(site: Site):
    with pytest.raises(TwilioRestException) as refused:
        await site.create(machine_detection="Enable", async_amd="true")
    assert refused.value.code == 21262


def _say(mulaw: bytes):
    async def talk(caller: Caller) -> None:
        await caller.say(mulaw)
        await caller.wait_for_end(seconds=5)

    return talk
