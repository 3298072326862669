"""Streams whose ``start`` somebody else has read, and streams on which nobody hears the bot."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from loguru import logger
from pipecat.runner.utils import parse_telephony_websocket

from tests.transport.test_connection import Socket
from tests.vendors.faults import bad_day
from twilio_frames.errors import ConfigurationError
from twilio_frames.protocol import Connected, Media, Playback, Role, SendMedia, Start, Stream
from twilio_frames.transport.connection import MediaConnection
from twilio_frames.transport.handshake import start_kept_on, start_of_later_message
from twilio_frames.transport.params import TwilioParams

START = Start(stream_sid="MZ1", call_sid="CA1", custom_parameters={"who": "Jim"})
AUDIO = Media(payload=b"\xff" * 160, timestamp=20)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, level="WARNING")
    yield lines
    logger.remove(sink)


def late_socket(*messages: Any) -> Socket:
    """A socket of which somebody else has read the first two messages."""
    socket = Socket(Connected(), START, *messages)
    socket._texts.popleft()  # pyright: ignore[reportPrivateUsage]
    socket._texts.popleft()  # pyright: ignore[reportPrivateUsage]
    return socket


@bad_day(
    "line",
    "somebody else has read `start` before",
    "Nothing: the call goes on.",
)
async def test_call_goes_on_behind_a_start_that_was_read(lines: list[str]):
    connection = MediaConnection(late_socket(AUDIO, AUDIO), TwilioParams())

    start = await connection.wait_for_start()

    assert start.stream_sid == "MZ1"
    assert await connection.send(SendMedia(payload=b"\xff"))
    assert len(lines) == 1
    assert "have been read before" in lines[0]


async def test_media_between_connected_and_start_names_nothing():
    twilio = Stream(Role.TWILIO)
    connected, start, media = (twilio.send(one) for one in (Connected(), START, AUDIO))
    socket = Socket()
    socket._texts.extend([connected, media, start])  # pyright: ignore[reportPrivateUsage]
    connection = MediaConnection(socket, TwilioParams())

    assert (await connection.wait_for_start()).call_sid == "CA1"
    assert connection.violations == {"out_of_turn": 1}


@pytest.mark.parametrize("sid", ["", "M" * 101, "MZ\n1"])
def test_message_without_a_sid_names_nothing(sid: str):
    message = {"event": "media", "streamSid": sid, "media": {"payload": "/w=="}}

    assert start_of_later_message(json.dumps(message)) is None


class Starlette:
    """As much of a WebSocket as Pipecat reads."""

    def __init__(self, *messages: str):
        self._messages = messages

    async def iter_text(self) -> AsyncIterator[str]:
        for message in self._messages:
            yield message


async def test_what_pipecat_has_read_is_known():
    twilio = Stream(Role.TWILIO)
    websocket = Starlette(twilio.send(Connected()), twilio.send(START))
    await parse_telephony_websocket(websocket)  # pyright: ignore[reportArgumentType]

    start = start_kept_on(websocket)

    assert start is not None
    assert (start.stream_sid, start.call_sid) == ("MZ1", "CA1")
    assert start.custom_parameters == {"who": "Jim"}


async def test_other_vendors_stream_is_refused():
    telnyx = {"stream_id": "1", "start": {"call_control_id": "2", "media_format": {}}}
    websocket = Starlette(json.dumps({"event": "connected"}), json.dumps(telnyx))
    await parse_telephony_websocket(websocket)  # pyright: ignore[reportArgumentType]

    with pytest.raises(ConfigurationError, match=r"of the kind 'telnyx'"):
        start_kept_on(websocket)


async def test_socket_of_which_nothing_was_read_has_no_start():
    assert start_kept_on(Starlette()) is None


async def test_given_start_is_gone_on_from():
    connection = MediaConnection(late_socket(AUDIO), TwilioParams())
    connection.adopt(START)

    assert await connection.wait_for_start() is START
    assert await connection.receive()
    assert connection.violations == {}


@bad_day(
    "line",
    "a one-way stream by mistake (`<Start><Stream>`)",
    "Silence, as on any; the log says why at once.",
)
@pytest.mark.parametrize("tracks", [("inbound", "outbound"), ("outbound",)])
async def test_one_way_stream_is_told_of_at_once(tracks: tuple[str, ...], lines: list[str]):
    connection = MediaConnection(
        Socket(Connected(), Start(stream_sid="MZ1", tracks=tracks)), TwilioParams()
    )
    await connection.wait_for_start()
    await connection.wait_for_start()

    assert len(lines) == 1
    assert "use <Connect><Stream>" in lines[0]
    assert not connection.playback.is_audible


@bad_day(
    "line",
    "what is said on a one-way stream",
    "Silence; it is not remembered as heard.",
)
async def test_nothing_is_heard_on_a_one_way_stream():
    playback = Playback()
    playback.is_audible = False
    playback.audio_sent(8000, 10.0)
    assert playback.position(20.0) == 0

    playback.clear_sent(["fence"], 20.0)

    assert playback.cut is not None
    assert playback.cut.position == 0


async def test_two_way_stream_is_told_nothing_of(lines: list[str]):
    connection = MediaConnection(Socket(Connected(), START), TwilioParams())
    await connection.wait_for_start()
    await connection.send(SendMedia(payload=b"\xff"))

    assert lines == []
    assert connection.playback.is_audible
