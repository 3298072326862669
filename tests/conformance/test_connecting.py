"""`<Dial>`, `<Conference>`, `<Enqueue>`: who is connected to whom."""

import asyncio

import pytest

from tests.call.test_hold_music import loudness
from tests.conformance.facts import fact, verb
from tests.conformance.site import ANNA, BEN, Site, listen
from tests.testing.bots import tone
from twilio_frames.audio import MULAW_SILENCE
from twilio_frames.testing import CallEnd, Caller

DIAL_UPDATED = (
    "https://www.twilio.com/en-us/changelog/"
    "changes-to-dial-behavior-for-enhanced-programmable-sip-feature-accounts"
)
DIAL = f'<Dial action="/dialed">{ANNA}</Dial>'


@fact("`<Dial>` connects the call to somebody: both hear each other.", verb("dial"))
async def test_dial_connects_two_parties(site: Site):
    party = site.twilio.answer_with(ANNA, _say(tone(0.4, 300)))
    async with site.ring(DIAL) as (_, caller):
        await caller.wait_until_bot_speaks()
        await caller.say(tone(0.4, 900))
        anna = await party.wait_for_result()
    assert tone(0.4, 300) in caller.result.heard_bot
    assert tone(0.4, 900) in anna.heard_bot


@fact("Its `action` is told how the `<Dial>` went, and for how long.", verb("dial"))
async def test_action_tells_how_the_dial_went(site: Site):
    site.twilio.answer_with(ANNA, _say(tone(0.2)))
    async with site.ring(DIAL) as (_, caller):
        await caller.wait_for_end(seconds=5)
    (told,) = site.posted("/dialed")
    assert told["DialCallStatus"] == "completed"
    assert told["DialCallSid"] != caller.call_sid
    assert told["DialCallDuration"] in ("1", "2")


@fact("A party that does not pick up within `timeout` is `no-answer`.", verb("dial"))
async def test_unanswered_dial_is_no_answer(site: Site):
    async with site.ring(DIAL.replace("<Dial", '<Dial timeout="1"')) as (_, caller):
        await caller.wait_for_end(seconds=5)
    assert site.posted("/dialed")[0]["DialCallStatus"] == "no-answer"


@fact("A party that is busy is `busy`.", verb("dial"))
async def test_busy_party_is_busy(site: Site):
    site.twilio.answer_with(ANNA, None)
    async with site.ring(DIAL) as (_, caller):
        await caller.wait_for_end(seconds=5)
    assert site.posted("/dialed")[0]["DialCallStatus"] == "busy"


@fact("`<Sip>` is called with the headers behind its `?`, and tells `SIP`'s code.", verb("sip"))
async def test_sip_has_headers_and_a_code(site: Site):
    address = "sip:anna@example.com?X-Account=42&amp;X-Topic=sales"
    async with site.ring(f'<Dial action="/dialed"><Sip>{address}</Sip></Dial>') as (_, caller):
        ringing = await site.twilio.wait_for_call()
        await ringing.decline("603")
        await caller.wait_for_end(seconds=5)
    assert ringing.to_number == "sip:anna@example.com"
    assert ringing.sip_headers == {"X-Account": "42", "X-Topic": "sales"}
    (told,) = site.posted("/dialed")
    assert (told["DialCallStatus"], told["DialSipResponseCode"]) == ("busy", "603")


@fact("The dialed call is one of its own, `outbound-dial`, with its parent's sid.", verb("number"))
async def test_dialed_call_has_a_parent(site: Site):
    number = f'<Number statusCallback="/leg" statusCallbackEvent="answered">{ANNA}</Number>'
    site.twilio.answer_with(ANNA, _say(tone(0.1)))
    async with site.ring(f'<Dial callerId="{BEN}">{number}</Dial>') as (_, caller):
        (told,) = await site.wait_for_post("/leg")
        await caller.wait_for_end(seconds=5)
    assert (told["Direction"], told["CallStatus"]) == ("outbound-dial", "in-progress")
    assert (told["From"], told["To"]) == (BEN, ANNA)
    assert told["ParentCallSid"] == caller.call_sid


@fact("Several numbers ring at once; the first to pick up is connected.", verb("dial"))
async def test_first_to_pick_up_is_connected(site: Site):
    slow = site.twilio.answer_with(ANNA, _say(tone(0.1)), rings_for=2)
    site.twilio.answer_with(BEN, _say(tone(0.3, 300)))
    async with site.ring(f"<Dial><Number>{ANNA}</Number><Number>{BEN}</Number></Dial>") as both:
        await both[1].wait_for_end(seconds=5)
    assert tone(0.3, 300) in both[1].result.heard_bot
    assert slow.results == []


@fact("With `sequential` they ring one after another.", verb("dial"))
async def test_numbers_can_ring_in_turn(site: Site):
    site.twilio.answer_with(ANNA, None)
    site.twilio.answer_with(BEN, _say(tone(0.3, 300)))
    numbers = f"<Number>{ANNA}</Number><Number>{BEN}</Number>"
    async with site.ring(f'<Dial sequential="true" action="/dialed">{numbers}</Dial>') as both:
        await both[1].wait_for_end(seconds=5)
    assert tone(0.3, 300) in both[1].result.heard_bot
    assert site.posted("/dialed")[0]["DialCallStatus"] == "completed"


@fact("`answerOnBridge` answers the call when the other party picks up.", verb("dial"))
async def test_bridge_answers_the_call(site: Site):
    site.twilio.answer_with(ANNA, _say(tone(0.1)), rings_for=0.5)
    async with site.ring(DIAL.replace("<Dial", '<Dial answerOnBridge="true"')) as (_, caller):
        await caller.wait_for_end(seconds=5)
        dialed, answered = (caller.log.events(name)[0].time for name in ("dial", "answered"))
    assert answered - dialed > 0.45


@fact("`timeLimit` ends the conversation.", verb("dial"))
async def test_conversation_is_limited(site: Site):
    site.twilio.answer_with(ANNA, listen)
    async with site.ring(DIAL.replace("<Dial", '<Dial timeLimit="1"')) as (_, caller):
        await caller.wait_for_end(seconds=5)
    assert site.posted("/dialed")[0]["DialCallDuration"] == "1"


@fact("`hangupOnStar` lets the caller end it with `*`, and the document goes on.", verb("dial"))
async def test_star_ends_the_conversation(site: Site):
    site.twilio.answer_with(ANNA, listen)
    twiml = f'<Dial hangupOnStar="true">{ANNA}</Dial><Redirect>/after</Redirect>'
    async with site.ring(twiml) as (_, caller):
        await caller.wait(0.5)
        await caller.press("*")
        await site.wait_for_post("/after")


@fact("Other instructions by REST have its `action` asked first, and not heeded.", DIAL_UPDATED)
async def test_update_asks_the_action_first(site: Site):
    site.twilio.answer_with(ANNA, lambda anna: anna.wait(5.0))
    site.pages |= {"/dialed": "<Play digits='1'/>", "/next": "<Pause length='1'/>"}
    async with site.ring(DIAL) as (_, caller):
        await caller.wait(1.0)
        await _update(site, caller, "/next")
        await caller.wait_for_end(seconds=5)
    asked = [path for path, _ in site.posts if path in ("/dialed", "/next")]
    assert asked == ["/dialed", "/next"]
    assert site.posted("/dialed")[0]["DialCallStatus"] == "completed"
    assert set(caller.result.heard_bot) == {MULAW_SILENCE}, "the key is not pressed"


@fact("Without an `action`, a `<Redirect>` behind it is asked then.", DIAL_UPDATED)
async def test_update_asks_the_redirect_behind(site: Site):
    site.twilio.answer_with(ANNA, None, rings_for=60.0)
    site.pages |= {"/next": "<Pause length='1'/>"}
    async with site.ring(f"<Dial>{ANNA}</Dial><Redirect>/behind</Redirect>") as (_, caller):
        await asyncio.sleep(1.0)
        await _update(site, caller, "/next")
        await site.wait_for_post("/next")
    assert [path for path, _ in site.posts if path in ("/behind", "/next")] == ["/behind", "/next"]


async def _update(site: Site, caller: Caller, path: str) -> None:
    calls = site.client.calls(caller.call_sid)
    await asyncio.to_thread(calls.update, url=site.url + path)


@fact("`sendDigits` presses keys when the party has picked up.", verb("number"))
async def test_digits_are_sent_to_the_party(site: Site):
    party = site.twilio.answer_with(ANNA, listen)
    twiml = f'<Dial timeLimit="1"><Number sendDigits="12">{ANNA}</Number></Dial>'
    async with site.ring(twiml) as (_, caller):
        await caller.wait_for_end(seconds=5)
        anna = await party.wait_for_result()
    assert anna.turns[0].began_at < 0.1


@fact(
    "A `<Number url>` is carried out for the party alone, before both are connected.",
    verb("number"),
)
async def test_whisper_is_for_the_party_alone(site: Site):
    site.pages["/whisper"] = '<Play digits="5"/>'
    party = site.twilio.answer_with(ANNA, listen)
    twiml = f'<Dial timeLimit="1"><Number url="/whisper">{ANNA}</Number></Dial>'
    async with site.ring(twiml) as (_, caller):
        await caller.wait_for_end(seconds=5)
        anna = await party.wait_for_result()
    assert len(anna.turns) == 1
    assert caller.result.turns == ()


@fact("`record` makes a recording of the conversation.", verb("dial"))
async def test_conversation_is_recorded(site: Site):
    site.twilio.answer_with(ANNA, _say(tone(0.3)))
    twiml = DIAL.replace("<Dial", '<Dial record="record-from-answer-dual"')
    async with site.ring(twiml) as (_, caller):
        await caller.wait_for_end(seconds=5)
        (recording,) = await asyncio.to_thread(site.client.recordings.list)
    assert (recording.source, recording.channels) == ("DialVerb", 2)
    assert recording.sid in site.posted("/dialed")[0]["RecordingUrl"]


@fact("`<Conference>`: all who are in it hear each other.", verb("conference"))
async def test_conference_connects_many(site: Site):
    twiml = "<Dial><Conference>room</Conference></Dial>"
    async with site.ring(twiml) as (_, anna), site.ring(twiml) as (_, ben):
        async with site.ring(twiml) as (_, carol):
            await anna.say(tone(0.4, 300))
            await ben.say(tone(0.4, 900))
            await carol.wait_for_bot(silence=0.2)
    assert tone(0.4, 300) in carol.result.heard_bot
    assert tone(0.4, 900) in carol.result.heard_bot
    assert tone(0.4, 300) in ben.result.heard_bot
    assert tone(0.4, 300) not in anna.result.heard_bot


@fact("`muted` lets a party only listen.", verb("conference"))
async def test_muted_party_is_not_heard(site: Site):
    muted = '<Dial><Conference muted="true">room</Conference></Dial>'
    async with site.ring("<Dial><Conference>room</Conference></Dial>") as (_, anna):
        async with site.ring(muted) as (_, ben):
            await ben.say(tone(0.2))
            await anna.say(tone(0.2, 900))
            await ben.wait_for_bot(silence=0.1)
    assert not any(turn.speaker == "bot" for turn in anna.result.turns)


@fact("A conference begins with the first who may start it.", verb("conference"))
async def test_conference_waits_for_its_start(site: Site):
    waits = '<Dial><Conference startConferenceOnEnter="false">room</Conference></Dial>'
    async with site.ring(waits) as (_, anna), site.ring(waits) as (_, ben):
        await anna.say(tone(0.2))
        await ben.wait(0.2)
        assert not any(turn.speaker == "bot" for turn in ben.result.turns)
        async with site.ring("<Dial><Conference>room</Conference></Dial>"):
            await anna.say(tone(0.2))
            await ben.wait_for_bot(silence=0.1)


@fact("While `<Dial>` rings, a caller whose call was answered hears it ring.", verb("dial"))
async def test_caller_hears_it_ring(site: Site):
    site.twilio.answer_with(ANNA, _say(tone(0.3)), rings_for=3.0)
    async with site.ring(DIAL) as (_, caller):
        await caller.wait_for_end(seconds=10)
    heard = caller.result.heard_bot
    assert loudness(heard[4000:12_000]) > 500
    # Of six seconds it rings for two; and it is nobody's speech.
    assert loudness(heard[17_600:22_000]) < 50
    (turn,) = caller.result.turns
    assert turn.began_at > 3.0


@pytest.mark.parametrize("wait", ["", 'waitUrl=""'])
@fact(
    "Who waits for a conference hears music, unless `waitUrl` is empty.",
    verb("conference"),
)
async def test_music_is_heard_until_it_begins(site: Site, wait: str):
    waits = f'<Dial><Conference startConferenceOnEnter="false" {wait}>room</Conference></Dial>'
    async with site.ring(waits) as (_, anna):
        await anna.wait(1.0)
        async with site.ring("<Dial><Conference>room</Conference></Dial>") as (_, ben):
            began = round(anna.now * 8000)
            await anna.wait(1.0)
            await ben.say(tone(0.3))
            await anna.wait_for_bot(silence=0.1)
    heard = anna.result.heard_bot
    assert (loudness(heard[1600:7000]) > 500) == (not wait)
    assert loudness(heard[began + 1600 : began + 7000]) < 50
    (turn,) = anna.result.turns
    assert turn.began_at > began / 8000, "music is nobody's speech"


@fact("`endConferenceOnExit` ends it for everybody.", verb("conference"))
async def test_conference_ends_with_a_party(site: Site):
    ends = '<Dial><Conference endConferenceOnExit="true">room</Conference></Dial>'
    goes_on = "<Dial><Conference>room</Conference></Dial><Redirect>/after</Redirect>"
    async with site.ring(goes_on) as (_, anna):
        async with site.ring(ends):
            await anna.wait(0.2)
        assert await anna.wait_for_end(seconds=5) is CallEnd.BOT_HUNG_UP
    assert len(site.posted("/after")) == 1


@fact("`maxParticipants` keeps others out.", verb("conference"))
async def test_full_conference_lets_nobody_in(site: Site):
    twiml = '<Dial><Conference maxParticipants="1">room</Conference></Dial>'
    async with site.ring(twiml) as (_, anna):
        async with site.ring(twiml) as (_, ben):
            await ben.wait_for_end(seconds=5)
        assert anna.is_connected


@fact("A conference's callback tells who joins and leaves.", verb("conference"))
async def test_conference_tells_who_comes(site: Site):
    noun = '<Conference statusCallback="/c" statusCallbackEvent="start end join leave">'
    async with site.ring(f"<Dial>{noun}room</Conference></Dial>") as (_, caller):
        await caller.wait(0.1)
    assert [form["StatusCallbackEvent"] for form in site.posted("/c")] == [
        "participant-join",
        "conference-start",
        "participant-leave",
        "conference-end",
    ]


@fact(
    "`<Enqueue>` waits, to what `waitUrl` plays, until a `<Dial><Queue>` takes the call.",
    verb("enqueue"),
)
async def test_queued_call_is_taken(site: Site):
    site.pages["/wait"] = '<Play digits="1"/>'
    waits = '<Enqueue waitUrl="/wait" action="/out">support</Enqueue>'
    async with site.ring(waits) as (_, customer):
        await customer.wait_until_bot_speaks()
        async with site.ring("<Dial><Queue>support</Queue></Dial>") as (_, agent):
            await agent.wait(0.2)
            await agent.say(tone(0.3, 300))
            await customer.say(tone(0.3, 900))
            await agent.wait_for_bot(silence=0.1)
        await customer.wait_for_end(seconds=5)
    assert tone(0.3, 300) in customer.result.heard_bot
    assert site.posted("/out")[0]["QueueResult"] == "bridged"
    assert "QueueSid" in site.posted("/wait")[0]


@fact("Without a `waitUrl` a queue plays music.", verb("enqueue"))
async def test_queue_plays_music(site: Site):
    async with site.ring("<Enqueue>support</Enqueue>") as (_, caller):
        await caller.wait(1.0)
    assert loudness(caller.result.heard_bot[1600:7000]) > 500
    assert not any(turn.speaker == "bot" for turn in caller.result.turns)


@fact("`<Hangup>` among what is played ends the call.", verb("enqueue"))
async def test_hangup_ends_the_waiting(site: Site):
    site.pages["/wait"] = "<Hangup/>"
    async with site.ring('<Enqueue waitUrl="/wait" action="/out">support</Enqueue>') as both:
        assert await both[1].wait_for_end(seconds=5) is CallEnd.BOT_HUNG_UP
    assert site.posted("/out") == []


@fact("`<Leave>` ends the waiting.", verb("leave"))
async def test_leave_ends_the_waiting(site: Site):
    site.pages["/wait"] = "<Leave/>"
    twiml = '<Enqueue waitUrl="/wait" action="/out">support</Enqueue>'
    async with site.ring(twiml) as (_, caller):
        await caller.wait_for_end(seconds=5)
    assert site.posted("/out")[0]["QueueResult"] == "leave"


def _say(mulaw: bytes):
    """Somebody who says one thing, listens a moment, and hangs up."""

    async def talk(caller: Caller) -> None:
        await caller.wait(0.1)
        await caller.say(mulaw)
        await caller.wait(1.0)

    return talk
