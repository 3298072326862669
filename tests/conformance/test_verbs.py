"""Verbs: what the caller hears, and what comes next."""

import io

import numpy as np
import pytest
import soundfile
from aiohttp import web

from tests.conformance.facts import error, fact, verb
from tests.conformance.site import ANNA, CONNECT_STREAM, Site, wav
from tests.testing.bots import tone
from twilio_frames.errors import CallFailedError
from twilio_frames.testing import CallEnd

DIAL = f'<Dial action="/dialed">{ANNA}</Dial>'


@fact("`<Redirect>` goes on with another document.", verb("redirect"))
async def test_redirect_asks_another_page(site: Site):
    site.pages["/more"] = CONNECT_STREAM
    async with site.ring("<Redirect>/more</Redirect>") as (bot, _):
        await bot.wait_for("start")


@fact("`<Pause>` as the first verb delays the answer.", verb("pause"))
async def test_leading_pause_delays_the_answer(site: Site):
    async with site.ring(f'<Pause length="1"/>{CONNECT_STREAM}') as (_, caller):
        answered, fetched = (caller.log.events(name)[0].time for name in ("answered", "twiml"))
    assert answered - fetched > 0.9


@fact("`<Say>` reads a text, as often as `loop` says.", verb("say"))
async def test_say_is_repeated(site: Site):
    async with site.ring('<Say loop="2">Yes.</Say>') as (_, caller):
        await caller.wait_for_end(seconds=10)
    (said,) = caller.log.events("say")
    assert caller.result.seconds > 2 * float(str(said.details["seconds"])) - 0.1


@fact("`<Play>` plays a file that is fetched.", verb("play"))
async def test_play_fetches_a_file(site: Site):
    site.pages["/hello.wav"] = lambda: web.Response(body=wav(0.3), content_type="audio/wav")
    async with site.ring('<Play loop="2">/hello.wav</Play>') as (_, caller):
        await caller.wait_for_end(seconds=10)
    (turn,) = caller.result.turns
    assert turn.ended_at - turn.began_at == pytest.approx(0.6, abs=0.05)


def sound_file(kind: str, subtype: str | None, rate: int) -> bytes:
    file = io.BytesIO()
    samples = 0.3 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


SOUNDS = {
    "audio/mpeg": lambda: sound_file("MP3", None, 44_100),
    "audio/wav": lambda: sound_file("WAV", "ULAW", 8000),
    "audio/x-aiff": lambda: sound_file("AIFF", "PCM_16", 16_000),
    "audio/gsm": lambda: sound_file("RAW", "GSM610", 8000),
    "audio/ulaw": lambda: tone(1.0),
}


@pytest.mark.parametrize("kind", SOUNDS)
@fact("`<Play>` plays MP3, WAV, AIFF, GSM and mu-law files.", verb("play"))
async def test_play_knows_many_formats(site: Site, kind: str):
    site.pages["/sound"] = lambda: web.Response(body=SOUNDS[kind](), content_type=kind)
    async with site.ring("<Play>/sound</Play>") as (_, caller):
        await caller.wait_for_end(seconds=10)
    (turn,) = caller.result.turns
    assert turn.ended_at - turn.began_at == pytest.approx(1.0, abs=0.05)


@fact("`<Pay>` tells its `action` what came of it: `Result`.", verb("pay"))
async def test_pay_tells_its_result(site: Site):
    async with site.ring('<Pay chargeAmount="20.45" action="/paid"/>') as (_, caller):
        await caller.wait_for_end(seconds=5)
    assert site.posted("/paid")[0]["Result"] == "payment-connector-error"


RECORD = '<Record action="/left" timeout="2" recordingStatusCallback="/status"/>'


@fact("`<Record>` beeps, records the caller, and ends with silence.", verb("record"))
async def test_record_takes_a_message(site: Site):
    async with site.ring(RECORD) as (_, caller):
        await caller.wait_until_bot_speaks()
        await caller.wait(1.0)
        await caller.say(tone(1.0))
        await caller.wait_for_end(seconds=10)
    (told,), (status,) = site.posted("/left"), await site.wait_for_post("/status")
    assert (told["RecordingDuration"], told["Digits"]) == ("1", "")
    assert told["RecordingUrl"] == status["RecordingUrl"]
    assert status["RecordingSource"] == "RecordVerb"
    (beep,) = [turn for turn in caller.result.turns if turn.speaker == "bot"]
    assert beep.ended_at - beep.began_at == pytest.approx(0.5, abs=0.05)


@fact("A key of `finishOnKey` ends it, any key unless told; `Digits` says which.", verb("record"))
async def test_key_ends_the_message(site: Site):
    async with site.ring(RECORD.replace("<Record", '<Record playBeep="false"')) as (_, caller):
        await caller.say(tone(0.5))
        await caller.press("#")
        await caller.wait_for_end(seconds=10)
    assert site.posted("/left")[0]["Digits"] == "#"


@fact("`maxLength` ends it as well.", verb("record"))
async def test_message_has_a_length(site: Site):
    verb_ = '<Record playBeep="false" maxLength="1" trim="do-not-trim" action="/left"/>'
    async with site.ring(verb_) as (_, caller):
        with pytest.raises(CallFailedError, match="the call ended"):
            await caller.say(tone(3.0))
    assert site.posted("/left")[0]["RecordingDuration"] == "1"


@fact("Where nothing was said, `action` is not asked, and the document goes on.", verb("record"))
async def test_empty_message_goes_on(site: Site):
    async with site.ring(f"{RECORD}<Redirect>/behind</Redirect>") as (_, caller):
        await caller.wait_for_end(seconds=10)
    assert [path for path, _ in site.posts if path in ("/left", "/behind")] == ["/behind"]


@fact("Of a caller who hangs up, `action` is told `hangup`, and is not heeded.", verb("record"))
async def test_message_ends_with_the_caller(site: Site):
    async with site.ring(RECORD.replace("<Record", '<Record playBeep="false"')) as (_, caller):
        await caller.say(tone(0.5))
        await caller.hang_up()
        (told,) = await site.wait_for_post("/left")
    assert (told["Digits"], told["CallStatus"]) == ("hangup", "completed")


@fact("A file of another media type is error 12300.", error(12300))
async def test_file_of_other_type_is_12300(site: Site):
    async with site.ring(f"<Play>/twiml</Play>{CONNECT_STREAM}") as (bot, caller):
        await bot.wait_for("start")
    assert [alert.code for alert in caller.result.alerts] == [12300]


@fact("`<Play digits>` presses keys; `w` waits half a second.", verb("play"))
async def test_digits_are_played(site: Site):
    async with site.ring('<Play digits="1w2"/>') as (_, caller):
        await caller.wait_for_end(seconds=10)
    first, second = caller.result.turns[0], caller.result.turns[-1]
    assert second.ended_at - first.began_at == pytest.approx(0.8, abs=0.05)


@fact("`<Hangup>` ends the call; what follows is not run.", verb("hangup"))
async def test_hangup_ends_the_call(site: Site):
    async with site.ring("<Hangup/><Redirect>/never</Redirect>") as (_, caller):
        assert await caller.wait_for_end(seconds=5) is CallEnd.BOT_HUNG_UP
    assert site.posted("/never") == []


@fact("`<Reject>` does not answer the call.", verb("reject"))
async def test_reject_does_not_answer(site: Site):
    async with site.ring('<Reject reason="busy"/>', callback=True) as (_, caller):
        assert await caller.wait_for_end(seconds=5) is CallEnd.REJECTED
    assert site.posted("/status")[-1]["CallStatus"] == "busy"
    assert caller.result.seconds == 0


@fact(
    "`<Gather>` hands the keys to its `action`, once there are `numDigits` of them.", verb("gather")
)
async def test_gather_takes_so_many_digits(site: Site):
    async with site.ring('<Gather action="/got" numDigits="2"/>') as (_, caller):
        await caller.press("12")
        await site.wait_for_post("/got")
    assert site.posted("/got")[0]["Digits"] == "12"


@fact("`finishOnKey` ends the keys, and is none of them; it is `#` unless told.", verb("gather"))
async def test_gather_finishes_on_key(site: Site):
    async with site.ring('<Gather action="/got"/>') as (_, caller):
        await caller.press("42#")
        await site.wait_for_post("/got")
    assert site.posted("/got")[0]["Digits"] == "42"


@fact("A key cuts off what `<Gather>` says or plays.", verb("gather"))
async def test_key_cuts_the_prompt_off(site: Site):
    site.pages["/long.wav"] = lambda: web.Response(body=wav(30), content_type="audio/wav")
    gather = '<Gather action="/got" numDigits="1"><Play>/long.wav</Play></Gather>'
    async with site.ring(gather) as (_, caller):
        await caller.wait_until_bot_speaks(for_seconds=0.2)
        await caller.press("5")
        await site.wait_for_post("/got")
    assert caller.result.seconds < 5


@fact("Nothing for `timeout` seconds goes on with the next verb.", verb("gather"))
async def test_gather_times_out(site: Site):
    async with site.ring('<Gather action="/got" timeout="1"/><Redirect>/after</Redirect>') as both:
        await both[1].wait_for_end(seconds=5)
    assert len(site.posted("/after")) == 1
    assert site.posted("/got") == []


@fact("`actionOnEmptyResult` asks the `action` also then.", verb("gather"))
async def test_gather_may_tell_nothing(site: Site):
    gather = '<Gather action="/got" timeout="1" actionOnEmptyResult="true"/>'
    async with site.ring(gather) as (_, caller):
        await caller.wait_for_end(seconds=5)
    assert site.posted("/got")[0]["Digits"] == ""


@fact("Without an `action` the current document's URL is asked.", verb("gather"))
async def test_gather_asks_its_own_page(site: Site):
    async with site.ring('<Gather numDigits="1"/>') as (_, caller):
        site.pages["/twiml"] = "<Hangup/>"
        await caller.press("7")
        await caller.wait_for_end(seconds=5)
    assert [form.get("Digits") for form in site.posted("/twiml")] == [None, "7"]


@fact('`input="speech"` hands on what the caller said.', verb("gather"))
async def test_gather_takes_words(site: Site):
    gather = '<Gather action="/got" input="speech" speechTimeout="1"/>'
    async with site.ring(gather) as (_, caller):
        await caller.say("A large latte.")
        await site.wait_for_post("/got")
    assert site.posted("/got")[0]["SpeechResult"] == "A large latte."
    assert "Confidence" in site.posted("/got")[0]


@fact("`<Start><Recording>` records beside the call, and its callback tells.", verb("recording"))
async def test_recording_runs_beside_the_call(site: Site):
    noun = 'recordingStatusCallback="/r" recordingStatusCallbackEvent="in-progress completed"'
    start = f"<Start><Recording {noun}/></Start>"
    async with site.ring(start + CONNECT_STREAM) as (bot, caller):
        await bot.wait_for("media")
        await caller.say(tone(0.5))
    begun, completed = site.posted("/r")
    assert begun["RecordingStatus"] == "in-progress"
    assert (completed["RecordingStatus"], completed["CallSid"]) == ("completed", caller.call_sid)
    assert completed["RecordingSource"] == "StartCallRecordingTwiML"
    assert completed["RecordingUrl"].startswith(site.twilio.rest_url)


@fact("XML that cannot be read is error 12100.", error(12100))
async def test_bad_xml_is_12100(site: Site):
    with pytest.raises(CallFailedError, match="12100"):
        async with site.ring("<Connect>"):
            pass


@fact("A document without `<Response>` is error 12102.", error(12102))
async def test_missing_response_is_12102(site: Site):
    site.pages["/other"] = lambda: web.Response(text="<Answer/>", content_type="text/xml")
    with pytest.raises(CallFailedError, match="12102"):
        async with site.ring("<Redirect>/other</Redirect>"):
            pass


@fact("An unknown attribute is warning 12200, and the document is carried out.", error(12200))
async def test_unknown_attribute_is_12200(site: Site):
    async with site.ring('<Connect><Stream url="/stream" colour="red"/></Connect>') as (bot, _):
        await bot.wait_for("start")
        (alert,) = site.twilio.alerts
    assert (alert.code, alert.is_error) == (12200, False)


@fact("A document of more than 64 kB is error 11750.", error(11750))
async def test_long_document_is_11750(site: Site):
    with pytest.raises(CallFailedError, match="11750"):
        async with site.ring("<Say>" + "x" * 65_536 + "</Say>"):
            pass
