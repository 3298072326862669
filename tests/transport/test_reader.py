"""The line is read in every phase of a call."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.vendors.faults import bad_day
from tests.waiting import until
from twilio_frames.frames import CallEndReason
from twilio_frames.protocol import (
    Connected,
    Dtmf,
    Event,
    Mark,
    MarkEcho,
    Media,
    Message,
    Role,
    SendMark,
    SendMedia,
    Start,
    Stop,
    Stream,
    decode,
)
from twilio_frames.transport.connection import MediaConnection
from twilio_frames.transport.params import TwilioParams
from twilio_frames.transport.reader import LineListener, LineReader


class Twilio:
    """A socket, and who is at its other end."""

    def __init__(self):
        self._stream = Stream(Role.TWILIO)
        self._texts: asyncio.Queue[str | None] = asyncio.Queue()
        self.got: list[object] = []
        self.answers_marks = False
        self.says(Connected(), Start(stream_sid="MZ1", call_sid="CA1"))

    def says(self, *messages: Message) -> None:
        for message in messages:
            self._texts.put_nowait(self._stream.send(message))

    async def receive(self) -> str | None:
        return await self._texts.get()

    async def send(self, text: str) -> None:
        message = decode(text, Role.BOT)
        self.got.append(message)
        if self.answers_marks and isinstance(message, SendMark):
            self.says(Mark(name=message.name))

    async def close(self) -> None:
        self.hang_up()

    def hang_up(self) -> None:
        self._texts.put_nowait(None)


class Ear(LineListener):
    def __init__(self):
        self.events: list[Event | MarkEcho] = []
        self.reasons: list[CallEndReason] = []

    async def heard(self, event: Event | MarkEcho) -> None:
        self.events.append(event)

    async def line_ended(self, reason: CallEndReason) -> None:
        self.reasons.append(reason)


class Line:
    def __init__(self, **params: object):
        self.twilio = Twilio()
        self.connection = MediaConnection(self.twilio, TwilioParams(**params))  # pyright: ignore[reportArgumentType] Any of them.
        self.ended: asyncio.Future[CallEndReason] = asyncio.Future()
        self.reader = LineReader(self.connection, on_ended=self._end)

    async def _end(self, reason: CallEndReason) -> None:
        self.ended.set_result(reason)

    async def reason(self) -> CallEndReason:
        async with asyncio.timeout(10):
            return await self.ended


@asynccontextmanager
async def line(**params: object) -> AsyncIterator[Line]:
    one = Line(**params)
    await one.reader.wait_for_start()
    yield one
    await one.connection.close(CallEndReason.ERROR, "the test is over")
    await one.reader.finish()


def piece(number: int) -> Media:
    return Media(payload=b"\xff" * 160, timestamp=20 * number)


@bad_day(
    "bot",
    "the caller hangs up on a bot that hangs before its pipeline runs",
    "Nothing more; it is noticed at once.",
)
async def test_hang_up_before_the_pipeline_is_noticed():
    async with line() as one:
        one.twilio.says(Stop())

        assert await one.reason() is CallEndReason.CALLER_HUNG_UP


async def test_lost_socket_before_the_pipeline_is_noticed():
    async with line() as one:
        await one.twilio.close()

        assert await one.reason() is CallEndReason.LINE_LOST


ODD_ERRORS = [OSError("gone"), RuntimeError("gone"), ValueError("gone"), EOFError()]


@bad_day(
    "line",
    "a web server's socket raises when it is closed",
    "Nothing more: the bot ends.",
)
@pytest.mark.parametrize("error", ODD_ERRORS, ids=repr)
@pytest.mark.parametrize("stops", [True, False])
async def test_end_is_told_of_whatever_closing_raises(error: Exception, stops: bool):
    async def close():
        raise error

    ear = Ear()
    async with line() as one:
        one.twilio.close = close
        await one.reader.tell(ear)
        if stops:
            one.twilio.says(Stop())
            assert await one.reason() is CallEndReason.CALLER_HUNG_UP
        else:
            await one.connection.close(CallEndReason.BOT_HUNG_UP, "the bot")
            one.twilio.hang_up()
            assert await one.reason() is CallEndReason.BOT_HUNG_UP
        await until(lambda: bool(ear.reasons))

    assert len(ear.reasons) == 1


@bad_day(
    "line",
    "a web server's socket raises in between",
    "Nothing more: the bot ends.",
)
@pytest.mark.parametrize("error", ODD_ERRORS, ids=repr)
async def test_socket_that_raises_is_a_lost_line(error: Exception):
    async def receive():
        raise error

    async def send(text: str):
        raise error

    async with line() as one:
        one.twilio.receive = receive
        one.twilio.says(piece(1))
        assert await one.reason() is CallEndReason.LINE_LOST
    async with line() as one:
        one.twilio.send = send
        assert not await one.connection.send(SendMark(name="a"))
        assert await one.reason() is CallEndReason.LINE_LOST


async def test_what_was_said_before_is_handed_on_in_order():
    async with line() as one:
        one.twilio.says(piece(1), Dtmf(digit="5"))
        await until(lambda: one.connection.playback is not None and one.twilio._texts.empty())  # pyright: ignore[reportPrivateUsage]
        ear = Ear()
        await one.reader.tell(ear)
        one.twilio.says(piece(2))
        await until(lambda: len(ear.events) == 3)

    assert [type(event) for event in ear.events] == [Media, Dtmf, Media]


async def test_listener_that_comes_late_is_told_of_the_end():
    async with line() as one:
        one.twilio.says(Dtmf(digit="5"), Stop())
        await one.reason()
        ear = Ear()
        await one.reader.tell(ear)

    assert [type(event) for event in ear.events] == [Dtmf, Stop]
    assert ear.reasons == [CallEndReason.CALLER_HUNG_UP]


@bad_day(
    "line",
    "much is said before the pipeline is up",
    "The last of it is answered; a recorder has all.",
)
async def test_what_is_kept_is_bounded_and_recorded():
    class Tap:
        def __init__(self):
            self.heard = 0

        def caller_audio(self, mulaw: bytes, at: float) -> None:
            self.heard += len(mulaw)

        def bot_audio(self, mulaw: bytes, at: float) -> None:
            pass

        def line_ended(self, at: float) -> None:
            pass

    async with line() as one:
        tap = Tap()
        one.connection.taps.add(tap)
        one.twilio.says(*(piece(number) for number in range(5000)))
        await until(one.twilio._texts.empty)  # pyright: ignore[reportPrivateUsage]
        ear = Ear()
        await one.reader.tell(ear)

    assert len(ear.events) <= 1500
    kept = sum(len(event.payload) for event in ear.events if isinstance(event, Media))
    assert tap.heard + kept >= 4990 * 160


class BadEar(Ear):
    async def heard(self, event: Event | MarkEcho) -> None:
        await super().heard(event)
        raise ValueError


@bad_day(
    "line",
    "what a message of the line leads to raises",
    "Nothing: the next message is heard.",
)
async def test_listener_that_raises_hears_the_next_message():
    async with line() as one:
        ear = BadEar()
        await one.reader.tell(ear)
        one.twilio.says(piece(1), piece(2))
        await until(lambda: len(ear.events) == 2)

        assert one.connection.end_reason is None


async def test_listener_that_raises_hears_what_was_kept():
    async with line() as one:
        one.twilio.says(Dtmf(digit="5"), Dtmf(digit="6"), Stop())
        await one.reason()
        ear = BadEar()
        await one.reader.tell(ear)

    assert len(ear.events) == 3
    assert ear.reasons == [CallEndReason.CALLER_HUNG_UP]


async def after(one: Line, seconds: float) -> bool:
    """Whether the call goes on when nothing has come for so long."""
    one.connection.playback.last_received -= seconds
    one.connection.checks._asked_at -= seconds  # pyright: ignore[reportPrivateUsage]
    goes_on = one.connection.check_line()
    await asyncio.sleep(0.001)
    return goes_on


@bad_day(
    "line",
    "no audio comes while the caller is muted",
    "Nothing: the line is asked by a mark, and lives.",
)
async def test_silent_line_is_asked_and_lives():
    """A muted telephone, a line that suppresses silence."""
    async with line() as one:
        one.twilio.answers_marks = True
        for _ in range(10):
            before = one.connection.playback.last_received
            assert await after(one, 3.0)
            await until(lambda: one.connection.playback.last_received > before - 3.0)  # noqa: B023 - awaited here
            assert await after(one, 2.0)

    asked = [message for message in one.twilio.got if isinstance(message, SendMark)]
    assert len(asked) == 10


@bad_day(
    "line",
    "no audio comes, and no mark comes back",
    "The line is closed some seconds later.",
)
async def test_dead_line_is_asked_once_and_ends():
    async with line() as one:
        assert await after(one, 3.0)
        assert not await after(one, 3.0)
        assert one.connection.end_reason is CallEndReason.LINE_LOST

    assert len([message for message in one.twilio.got if isinstance(message, SendMark)]) == 1


async def test_line_that_dies_while_the_bot_speaks_is_noticed_before_it_has_spoken():
    async with line() as one:
        playback, now = one.connection.playback, time.monotonic()
        playback.audio_sent(80, now - 5.0, mark="heard")
        playback.mark_echoed("heard", now - 4.9)
        playback.audio_sent(80, now - 4.0, mark="not heard")
        playback.audio_sent(80_000, now)
        assert await after(one, 3.0)
        assert not await after(one, 3.0)


async def test_question_waits_for_what_is_being_said():
    """A mark comes back when the audio before it has been played."""
    async with line() as one:
        await one.connection.send(SendMedia(payload=b"\xff" * 8000 * 20))
        assert await after(one, 3.0)
        assert await after(one, 3.0)


async def test_line_on_which_sound_comes_is_asked_nothing():
    async with line() as one:
        one.twilio.says(piece(1))
        await until(one.twilio._texts.empty)  # pyright: ignore[reportPrivateUsage]

        assert await after(one, 1.0)
    assert one.twilio.got == []


@bad_day(
    "bot",
    "the bot hangs before its pipeline runs",
    "Silence, for 10 s at most (`pipeline_timeout_secs`).",
)
async def test_dead_air_before_the_pipeline_has_a_bound():
    async with line(pipeline_timeout_secs=20.0) as one:
        one.connection.checks.started_at -= 19.0
        assert one.connection.check_line()
        one.connection.checks.started_at -= 2.0
        assert not one.connection.check_line()

        assert await one.reason() is CallEndReason.ERROR


async def test_greeting_before_the_pipeline_is_no_dead_air():
    async with line(pipeline_timeout_secs=20.0) as one:
        await one.connection.send(SendMedia(payload=b"\xff" * 8000 * 5))
        one.connection.checks.started_at -= 21.0

        assert one.connection.check_line()


@pytest.mark.parametrize(("is_up", "limit"), [(True, 20.0), (False, None)])
async def test_silence_with_a_pipeline_has_none(is_up: bool, limit: float | None):
    async with line(pipeline_timeout_secs=limit) as one:
        one.connection.checks.pipeline_is_up = is_up
        one.connection.checks.started_at -= 1000.0

        assert one.connection.check_line()


@bad_day(
    "bot",
    "a processor does not let the end through",
    "The line is closed 10 s behind the last word (`end_timeout_secs`).",
)
async def test_end_that_does_not_come_through_has_a_bound():
    async with line(end_timeout_secs=10.0) as one:
        one.connection.checks.pipeline_is_up = True
        one.connection.checks.expect_end(time.monotonic() - 20.0)
        await one.connection.send(SendMedia(payload=b"\xff" * 8000))
        assert one.connection.check_line()
        one.connection.playback.ends_at -= 12.0
        assert not one.connection.check_line()

        assert await one.reason() is CallEndReason.BOT_HUNG_UP
