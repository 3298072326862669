import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.pair import START, Pair, started_pair
from twilio_frames.errors import LocalProtocolError
from twilio_frames.protocol import (
    BreakKind,
    Clear,
    Connected,
    Dtmf,
    Mark,
    Media,
    Message,
    Role,
    SendMark,
    SendMedia,
    SequenceBreak,
    Start,
    Stop,
    Stream,
    StreamState,
    TimestampBreak,
    Violation,
    ViolationKind,
    encode,
)

FRAME = b"\xff" * 160


def media(timestamp: int, *, track: str = "inbound") -> Media:
    return Media(payload=FRAME, timestamp=timestamp, track=track)


def twilio_with(start: Start) -> Stream:
    twilio = Stream(Role.TWILIO)
    twilio.adopt(start)
    return twilio


def violations(events: list) -> list[ViolationKind]:
    return [event.kind for event in events if isinstance(event, Violation)]


def test_whole_call_arrives_as_sent():
    pair = Pair()

    assert pair.from_twilio(Connected()) == [Connected()]
    (start,) = pair.from_twilio(START)
    assert isinstance(start, Start)
    assert (start.stream_sid, start.sequence_number) == ("MZ1", 1)
    assert start.custom_parameters == {"FirstName": "Jane"}
    assert pair.from_twilio(media(155)) == [
        Media(payload=FRAME, timestamp=155, chunk=1, sequence_number=2, stream_sid="MZ1")
    ]
    assert pair.from_twilio(Dtmf(digit="#")) == [
        Dtmf(digit="#", sequence_number=3, stream_sid="MZ1")
    ]
    assert pair.from_bot(SendMedia(payload=b"abc")) == [SendMedia(payload=b"abc", stream_sid="MZ1")]
    assert pair.from_bot(SendMark(name="end")) == [SendMark(name="end", stream_sid="MZ1")]
    assert pair.from_bot(Clear()) == [Clear(stream_sid="MZ1")]
    assert pair.from_twilio(Mark(name="end")) == [
        Mark(name="end", sequence_number=4, stream_sid="MZ1")
    ]
    assert pair.from_twilio(Stop(call_sid="CA1", account_sid="AC1")) == [
        Stop(call_sid="CA1", account_sid="AC1", sequence_number=5, stream_sid="MZ1")
    ]
    assert pair.bot.state is pair.twilio.state is StreamState.STOPPED


@pytest.mark.parametrize("message", [SendMedia(payload=b""), SendMark(name="m"), Clear()])
def test_bot_is_silent_before_start(message: Message):
    with pytest.raises(LocalProtocolError, match="expected Connected or Start, got"):
        Stream(Role.BOT).send(message)


def test_roles_keep_to_their_messages():
    pair = started_pair()

    with pytest.raises(LocalProtocolError, match="role bot, got Media"):
        pair.bot.send(media(0))
    with pytest.raises(LocalProtocolError, match="role twilio, got Clear"):
        pair.twilio.send(Clear())


def test_nothing_follows_stop():
    pair = started_pair()
    pair.from_twilio(Stop())

    with pytest.raises(LocalProtocolError, match="expected nothing more, got Clear"):
        pair.bot.send(Clear())
    late = twilio_with(START).send(media(0))
    assert violations(pair.bot.receive(late)) == [ViolationKind.OUT_OF_TURN]


def test_another_streams_sid_cannot_be_sent():
    with pytest.raises(LocalProtocolError, match="stream sid MZ1, got MZ2"):
        started_pair().bot.send(Clear(stream_sid="MZ2"))


def test_media_needs_a_timestamp():
    with pytest.raises(LocalProtocolError, match="expected a timestamp"):
        started_pair().twilio.send(Media(payload=FRAME))


def test_messages_before_start_are_skipped():
    bot, ahead = Stream(Role.BOT), twilio_with(START)

    assert violations(bot.receive(ahead.send(media(0)))) == [ViolationKind.OUT_OF_TURN]
    assert bot.receive(encode(Connected())) == [Connected()]
    assert violations(bot.receive(ahead.send(Stop()))) == [ViolationKind.OUT_OF_TURN]
    assert bot.receive(Pair().twilio.send(START))
    assert bot.state is StreamState.STARTED


def test_second_start_changes_nothing():
    pair = started_pair()

    again = pair.bot.receive(encode(Start(stream_sid="MZ2", sequence_number=2)))

    assert violations(again) == [ViolationKind.OUT_OF_TURN]
    assert pair.bot.stream_sid == "MZ1"


@pytest.mark.parametrize("message", [media(0), Mark(name="m"), Dtmf(digit="1"), Stop()])
def test_other_streams_are_refused(message: Message):
    pair = started_pair()
    other = twilio_with(Start(stream_sid="MZ2"))

    assert violations(pair.bot.receive(other.send(message))) == [ViolationKind.WRONG_STREAM]
    assert pair.bot.state is StreamState.STARTED


def test_start_without_connected_is_taken():
    bot = Stream(Role.BOT)

    assert isinstance(bot.receive(Pair().twilio.send(START))[0], Start)


def test_adopted_start_needs_no_reading():
    bot = Stream(Role.BOT)
    bot.adopt(START)

    assert '"streamSid":"MZ1"' in bot.send(Clear())


@given(first=st.integers(0, 500), steps=st.lists(st.integers(-4, 4).map(lambda n: n + 1)))
def test_every_break_is_reported_with_its_size(first: int, steps: list[int]):
    """Against the plain rule: sequence numbers go on by one from the highest seen."""
    bot = Stream(Role.BOT)
    bot.adopt(START)
    numbers = [first]
    for step in steps:
        numbers.append(max(0, numbers[-1] + step))
    highest: int | None = None
    for number in numbers:
        events = bot.receive(encode(Mark(name="m", sequence_number=number, stream_sid="MZ1")))
        breaks = [event for event in events if isinstance(event, SequenceBreak)]
        if highest is None or number == highest + 1:
            assert breaks == []
        else:
            assert breaks[0].size == abs(number - highest - 1)
            expected = BreakKind.LATE if number < highest else BreakKind.REPEAT
            assert breaks[0].kind is (BreakKind.GAP if number > highest else expected)
        highest = number if highest is None else max(highest, number)


def timestamp_breaks(timestamps: list[int]) -> list[tuple[BreakKind, int]]:
    pair = started_pair()
    return [
        (event.kind, event.size)
        for timestamp in timestamps
        for event in pair.from_twilio(media(timestamp))
        if isinstance(event, TimestampBreak)
    ]


def test_first_timestamp_is_no_gap():
    assert timestamp_breaks([155, 175, 195]) == []


def test_missing_audio_is_measured():
    assert timestamp_breaks([155, 175, 255, 275]) == [(BreakKind.GAP, 60)]


def test_one_wild_timestamp_does_not_deafen():
    ahead = 10**12
    breaks = timestamp_breaks([100, 120, ahead, *range(140, 400, 20)])

    assert breaks[0] == (BreakKind.GAP, ahead - 140)
    assert [kind for kind, _ in breaks[1:]] == [BreakKind.LATE] * 4


def test_doubled_audio_does_not_move_the_clock():
    doubled = [stamp for late in range(100, 400, 20) for stamp in (late + 100, late)]

    assert {kind for kind, _ in timestamp_breaks([180, *doubled])} == {BreakKind.LATE}


def test_invented_tracks_are_not_followed():
    pair = started_pair()

    for number in range(50):
        (event,) = pair.from_twilio(media(1000 * (number % 3), track=f"track {number % 2}"))
        assert isinstance(event, Media)


def test_repeated_and_late_audio_is_told():
    assert timestamp_breaks([100, 120, 120, 140, 100, 160]) == [
        (BreakKind.REPEAT, 20),
        (BreakKind.LATE, 60),
    ]


def test_tracks_are_followed_apart():
    pair = started_pair()

    events = [
        event
        for track, timestamp in [("inbound", 100), ("outbound", 10), ("inbound", 120)]
        for event in pair.from_twilio(media(timestamp, track=track))
    ]

    assert not any(isinstance(event, TimestampBreak) for event in events)


def test_audio_and_its_mark_are_sent_together():
    pair = started_pair()
    alone = [pair.bot.send(SendMedia(payload=FRAME)), pair.bot.send(SendMark(name="end"))]
    together = pair.bot.send_audio(FRAME, "end")

    assert list(together) == alone
    (media_again,), (mark_again,) = map(pair.twilio.receive, together)
    assert isinstance(media_again, SendMedia)
    assert media_again.payload == FRAME
    assert isinstance(mark_again, SendMark)
    assert mark_again.name == "end"


def test_audio_is_not_sent_together_ahead_of_the_start():
    with pytest.raises(LocalProtocolError):
        Stream(Role.BOT).send_audio(FRAME, "end")


def test_payload_is_not_shown():
    assert "payload" not in repr(media(20))
