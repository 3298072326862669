from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twilio_frames.errors import ConfigurationError
from twilio_frames.frames import CallBackFrame, DetourFrame
from twilio_frames.twiml import (
    Dial,
    Gather,
    Hangup,
    OtherTwiml,
    Pause,
    Play,
    PlayDigits,
    Redirect,
    Reject,
    Say,
    connect_stream,
    fits_parameter,
    respond,
    tells_result,
)

STREAM = "wss://bot.example.com/stream"


def test_stream_is_connected():
    written = connect_stream(
        STREAM,
        parameters={"token": "t", "from": "+14155550100"},
        status_callback="https://bot.example.com/status",
        action="https://bot.example.com/after-stream",
    )

    connect, hangup = ElementTree.fromstring(written)
    stream = connect[0]
    assert (connect.tag, hangup.tag) == ("Connect", "Hangup")
    assert connect.attrib == {"action": "https://bot.example.com/after-stream", "method": "POST"}
    assert stream.attrib == {"url": STREAM, "statusCallback": "https://bot.example.com/status"}
    assert [(p.tag, p.get("name"), p.get("value")) for p in stream] == [
        ("Parameter", "token", "t"),
        ("Parameter", "from", "+14155550100"),
    ]


def test_bare_stream_has_no_empty_attributes():
    connect = ElementTree.fromstring(connect_stream(STREAM, after=()))[0]

    assert connect.attrib == {}
    assert connect[0].attrib == {"url": STREAM}


def test_verbs_follow_each_other():
    written = respond(
        Say(text="Sorry & <bye>", language="en-US"),
        Pause(seconds=2),
        Redirect(url="https://bot.example.com/twiml"),
        Reject(),
        Hangup(),
    )

    root = ElementTree.fromstring(written)
    assert [verb.tag for verb in root] == ["Say", "Pause", "Redirect", "Reject", "Hangup"]
    assert (root[0].text, root[0].attrib) == ("Sorry & <bye>", {"language": "en-US"})
    assert root[1].attrib == {"length": "2"}
    assert root[2].attrib == {"method": "POST"}
    assert root[3].attrib == {"reason": "busy"}


@pytest.mark.parametrize("url", ["https://h/stream", "/stream", "wss:///stream", ""])
def test_stream_url_is_a_websocket(url: str):
    with pytest.raises(ConfigurationError, match="expected a stream URL such as"):
        connect_stream(url)


def test_query_in_stream_url_is_refused():
    with pytest.raises(ConfigurationError, match="pass the values as parameters"):
        connect_stream(STREAM + "?token=t")


def test_parameter_limit_is_exact():
    connect_stream(STREAM, parameters={"name": "v" * 495})
    with pytest.raises(ConfigurationError, match="got 500 at parameter 'name'"):
        connect_stream(STREAM, parameters={"name": "v" * 496})


@pytest.mark.parametrize("value", ["\x00", "\x1b", "\ud800", "\ufffe"])
def test_parameter_xml_cannot_hold_is_refused(value: str):
    with pytest.raises(ConfigurationError, match="characters that XML can hold"):
        connect_stream(STREAM, parameters={"name": value})


def test_too_much_twiml_is_refused():
    with pytest.raises(ConfigurationError, match="error 11750"):
        respond(Say(text="a" * 70_000))


@given(st.dictionaries(st.text(), st.text(), max_size=5))
def test_fitting_parameters_arrive_unchanged(parameters: dict[str, str]):
    fitting = {name: value for name, value in parameters.items() if fits_parameter(name, value)}

    stream = ElementTree.fromstring(connect_stream(STREAM, parameters=fitting))[0][0]

    assert {p.get("name"): p.get("value") for p in stream} == fitting


def verbs_of(written: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(written))


def test_dial_calls_each_target_in_its_own_way():
    dial = Dial(
        targets=("+12125550123", "sip:desk@example.com", "client:joe"),
        ring_secs=20,
        ring_tone="uk",
        caller_id="+12125550199",
        is_sequential=True,
        time_limit_secs=600,
        hangup_on_star=True,
        whisper_url="https://bot.example.com/whisper",
        answered_url="https://bot.example.com/leg",
        send_digits="1",
    )
    (written,) = verbs_of(respond(dial, action="https://bot.example.com/back"))

    assert written.attrib == {
        "action": "https://bot.example.com/back",
        "answerOnBridge": "true",
        "callerId": "+12125550199",
        "hangupOnStar": "true",
        "ringTone": "uk",
        "sequential": "true",
        "timeLimit": "600",
        "timeout": "20",
    }
    assert [(one.tag, one.text) for one in written] == [
        ("Number", "+12125550123"),
        ("Sip", "sip:desk@example.com"),
        ("Client", "joe"),
    ]
    assert written[0].get("sendDigits") == "1"
    assert {one.get("statusCallbackEvent") for one in written} == {"answered"}


def test_dial_takes_from_a_queue_or_enters_a_room():
    room = Dial(conference="meeting", conference_options={"end_conference_on_exit": True})
    queue, conference = verbs_of(respond(Dial(queue="support"), room))

    assert (queue[0].tag, queue[0].text) == ("Queue", "support")
    assert conference[0].get("endConferenceOnExit") == "true"


@pytest.mark.parametrize("named", [{}, {"queue": "a", "conference": "b"}])
def test_dial_names_one_kind(named: dict[str, str]):
    with pytest.raises(ConfigurationError, match="one kind"):
        Dial(**named)  # pyright: ignore[reportArgumentType]


def test_what_is_played_pressed_and_gathered():
    gather = Gather(prompts=(Say(text="Your PIN?"), Pause()), digits=4)
    play, keys, gathered = verbs_of(
        respond(Play(url="https://bot.example.com/a.mp3", loop=0), PlayDigits(digits="1w#"), gather)
    )

    assert (play.text, play.get("loop")) == ("https://bot.example.com/a.mp3", "0")
    assert keys.get("digits") == "1w#"
    assert [one.tag for one in gathered] == ["Say", "Pause"]
    assert gathered.get("numDigits") == "4"


@pytest.mark.parametrize("digits", ["", "12a", "1 2"])
def test_what_is_no_key_is_not_pressed(digits: str):
    with pytest.raises(ConfigurationError, match="0-9"):
        PlayDigits(digits=digits)


def test_other_verbs_are_written_as_they_are():
    pay = OtherTwiml(
        xml='<Pay chargeAmount="10"><Prompt>Hi <Say>you &amp; me</Say> there</Prompt></Pay>',
        takes_action=True,
    )
    (written,) = verbs_of(respond(pay, action="https://bot.example.com/back"))

    assert (written.tag, written.get("chargeAmount")) == ("Pay", "10")
    assert written.get("action") == "https://bot.example.com/back"
    assert "".join(written[0].itertext()) == "Hi you & me there"
    assert tells_result(pay)
    assert not tells_result(Pause())


@pytest.mark.parametrize(
    ("xml", "words"), [("", "at least one"), ("<Pay", "line 1"), ("&", "line")]
)
def test_what_is_no_xml_is_no_verb(xml: str, words: str):
    with pytest.raises(ConfigurationError, match=words):
        OtherTwiml(xml=xml)


def test_what_is_said_and_dialled_stays_out_of_repr():
    """Pipecat's debug observer logs frames by their fields."""
    secret = "4711"
    verbs = (
        Say(text=secret),
        Gather(prompts=(Say(text=secret),)),
        PlayDigits(digits=secret),
        Dial(targets=(f"+1{secret}",), caller_id=secret, send_digits=secret, whisper_url=secret),
        Dial(conference=secret, conference_options={"status_callback": secret}),
        OtherTwiml(xml=f"<Say>{secret}</Say>"),
    )

    assert secret not in repr(CallBackFrame(detour=DetourFrame(verbs=verbs)))
