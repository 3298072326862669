import asyncio
from collections import deque

import pytest

from tests.vendors.faults import bad_day
from tests.waiting import others_run
from twilio_frames.frames import CallEndReason, DetourFrame
from twilio_frames.protocol import Connected, Media, Role, SendMedia, Start, Stop, Stream
from twilio_frames.transport.connection import MediaConnection
from twilio_frames.transport.params import TwilioParams


class Socket:
    """A socket with everything in it that will ever come."""

    def __init__(self, *messages):
        twilio = Stream(Role.TWILIO)
        self._texts = deque(twilio.send(message) for message in messages)
        self.sent: list[str] = []

    async def receive(self) -> str | None:
        return self._texts.popleft() if self._texts else None

    async def send(self, *texts: str) -> None:
        self.sent += texts

    async def close(self) -> None:
        pass


class Watcher:
    """Keeps the names of what passes; a tap, too."""

    def __init__(self):
        self.seen: list[str] = []
        self.places: list[float] = []
        self.ended_at: list[float] = []

    def received(self, event, now):
        self.seen.append(f"< {type(event).__name__}")

    def sending(self, message, playback, now):
        self.seen.append(f"> {type(message).__name__} at {playback.sent}")

    def caller_audio(self, mulaw, at):
        self.places.append(at)

    def bot_audio(self, mulaw, at):
        pass

    def line_ended(self, at):
        self.ended_at.append(at)


BEGIN = (Connected(), Start(stream_sid="MZ1", call_sid="CA1"))


async def test_beginning_is_told_once_the_line_can_be_spoken_to():
    connection = MediaConnection(Socket(*BEGIN), TwilioParams())
    opened = list[bool]()
    connection.on_open = lambda: opened.append(connection.is_open)
    await connection.wait_for_start()

    assert opened == [True]


@pytest.mark.parametrize(("timestamp", "place"), [(100, 0.1), (60_000, 0.5), (None, 0.5)])
async def test_audio_read_late_lies_where_it_was_said(timestamp: int | None, place: float):
    """A pipeline takes a while to start, and reads what came meanwhile all at once."""
    connection = MediaConnection(Socket(*BEGIN), TwilioParams())
    watcher = Watcher()
    connection.taps.add(watcher)
    await connection.wait_for_start()
    connection.taps.opened_at -= 0.5
    connection.taps.caller_heard(b"\xff" * 160, timestamp)

    assert watcher.places == [pytest.approx(place, abs=0.05)]


@bad_day(
    "line",
    "a timestamp beyond reason",
    "Nothing; for recorder and log it is of now.",
)
@pytest.mark.parametrize("timestamp", [10**9, 2**53])
async def test_audio_from_the_future_is_of_now(timestamp: int):
    connection = MediaConnection(Socket(*BEGIN), TwilioParams())
    watcher = Watcher()
    connection.taps.add(watcher)
    await connection.wait_for_start()
    connection.taps.caller_heard(b"\xff" * 160, 20)
    connection.taps.caller_heard(b"\xff" * 160, timestamp)

    assert watcher.places[1] == pytest.approx(watcher.places[0], abs=0.1)


async def test_whoever_listens_in_too_late_is_told_of_the_end():
    connection = MediaConnection(Socket(*BEGIN), TwilioParams())
    early, late = Watcher(), Watcher()
    connection.taps.add(early)
    await connection.wait_for_start()
    await connection.close(CallEndReason.BOT_HUNG_UP, "closed")
    connection.taps.add(late)

    assert len(early.ended_at) == 1
    assert late.ended_at == early.ended_at


async def test_watcher_sees_the_messages():
    socket = Socket(*BEGIN, Media(payload=b"\xff", timestamp=1))
    connection = MediaConnection(socket, TwilioParams())
    watcher = Watcher()
    connection.watchers.add(watcher)
    await connection.wait_for_start()
    await connection.receive()
    await connection.send(SendMedia(payload=b"\xff" * 80))
    await connection.clear()

    assert watcher.seen[:5] == [
        "< Connected", "< Start", "< Media", "> SendMedia at 0", "> Clear at 80",
    ]  # fmt: skip


async def test_stream_left_by_rest_may_be_over_without_a_stop():
    connection = MediaConnection(Socket(*BEGIN), TwilioParams())
    connection.on_detour = lambda _: True
    await connection.wait_for_start()
    assert await connection.leave(DetourFrame(by_rest=True))
    reading = asyncio.create_task(connection.receive())
    await others_run()
    assert connection.end_reason is None

    await follow_with(connection, Media(payload=b"\xff", timestamp=1))
    assert [type(event) for event in await reading or []] == [Media]


async def test_stop_of_a_stream_that_was_left_ends_no_call():
    """The next stream has begun before the end of the one before is read."""
    socket = SlowSocket(*BEGIN, Stop())
    connection = MediaConnection(socket, TwilioParams())
    connection.on_detour = lambda _: True
    await connection.wait_for_start()
    socket.is_slow = True
    assert await connection.leave(DetourFrame(by_rest=True))
    reading = asyncio.create_task(connection.receive())
    await others_run()

    await follow_with(connection, Media(payload=b"\xff", timestamp=1))
    socket.opened.set()
    assert [type(event) for event in await reading or []] == [Media]
    assert connection.end_reason is None


class SlowSocket(Socket):
    """What comes on it comes late."""

    def __init__(self, *messages):
        super().__init__(*messages)
        self.opened = asyncio.Event()
        self.is_slow = False

    async def receive(self) -> str | None:
        if self.is_slow:
            await self.opened.wait()
        return await super().receive()


async def follow_with(connection: MediaConnection, *messages) -> None:
    """Has the call go on, on another stream."""
    other = MediaConnection(Socket(*BEGIN, *messages), TwilioParams())
    await other.wait_for_start()
    connection.come_back(other)
