"""Places on the line and in the output queue, for any course of sending, hearing and clearing."""

from hypothesis import given
from hypothesis import strategies as st

from twilio_frames.protocol.output_queue import SentAudio, Stretch

lengths = st.integers(1, 800)
messages = st.lists(st.tuples(lengths, st.booleans()), min_size=1, max_size=20)


def sent(messages: list[tuple[int, bool]]) -> tuple[SentAudio, list[int | None]]:
    """What was sent, and for each byte on the line which of the queue it is."""
    audio, line, queue = SentAudio(), 0, 0
    places: list[int | None] = []
    for length, is_queued in messages:
        sound = bytes(place % 251 for place in range(line, line + length))
        audio.add(
            Stretch(line, queue, sound, line / 8000, is_speech=is_queued, is_queued=is_queued)
        )
        places += range(queue, queue + length) if is_queued else [None] * length
        line += length
        queue += length * is_queued
    return audio, places


@given(messages, st.lists(st.integers(0, 16_000), max_size=30))
def test_each_byte_is_heard_once_and_in_order(messages: list[tuple[int, bool]], heard: list[int]):
    audio, places = sent(messages)
    parts: list[Stretch] = []
    for line in [*heard, len(places)]:
        audio.hear(line, parts.append)
    assert b"".join(part.audio for part in parts) == bytes(n % 251 for n in range(len(places)))
    for part in parts:
        first = places[part.line]
        assert (first is not None) == part.is_queued == part.is_speech
        assert first in (None, part.queue)
        assert part.plays_at * 8000 == part.line or abs(part.plays_at * 8000 - part.line) < 1e-6
    assert not audio


@given(messages, st.integers(0, 16_000))
def test_heard_on_the_line_is_heard_in_the_queue(messages: list[tuple[int, bool]], line: int):
    audio, places = sent(messages)
    said = sum(place is not None for place in places[:line])
    assert audio.hear(line) == said


@given(messages, st.integers(0, 16_000))
def test_a_place_on_the_line_lies_in_the_queue(messages: list[tuple[int, bool]], line: int):
    audio, places = sent(messages)
    found = audio.queue_position(line)
    if line > len(places):
        assert found is None
    else:
        assert found == sum(place is not None for place in places[:line])


def test_what_is_sent_again_lies_where_it_did_in_the_queue():
    audio, _ = sent([(800, True)])
    assert audio.hear(500) == 500
    audio.forget()
    assert audio.queue_position(600) is None
    audio.add(Stretch(800, 400, bytes(400), 0.1))
    assert audio.queue_position(900) == 500
    assert audio.hear(1000) == 600
    assert audio.ends_in_speech


def test_what_lies_behind_a_silence_plays_behind_it():
    audio = SentAudio()
    audio.add(Stretch(0, 0, bytes(800), 1.0))
    audio.add(Stretch(800, 800, bytes(400), 1.1, is_queued=False))
    audio.add(Stretch(1200, 800, bytes(800), 3.0))
    assert [audio.plays_at(place) for place in (800, 1600)] == [1.1, 3.1]
    audio.hear(1200)
    assert audio.plays_at(800) == 0.0
