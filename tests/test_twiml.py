from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twilio_frames.errors import ConfigurationError
from twilio_frames.twiml import (
    Hangup,
    Pause,
    Redirect,
    Reject,
    Say,
    connect_stream,
    fits_parameter,
    respond,
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
