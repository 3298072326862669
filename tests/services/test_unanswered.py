"""Audio is kept until it is answered for, by the time of the connection that it went out on."""

from hypothesis import given
from hypothesis import strategies as st

from twilio_frames.services.unacknowledged_audio import UnansweredAudio

SECOND = 8000


def numbered(seconds: int, first: int = 0) -> bytes:
    """Each second is one byte value."""
    return b"".join(bytes([first + second]) * SECOND for second in range(seconds))


def audio_of(seconds: int, *, most_secs: float = 30) -> UnansweredAudio:
    audio = UnansweredAudio(most_secs=most_secs)
    audio.begin_stream()
    audio.add(numbered(seconds))
    return audio


def test_unanswered_is_sent_again():
    audio = audio_of(5)
    assert audio.next(5 * SECOND) == numbered(5)
    audio.answered(3)

    audio.begin_stream()

    assert audio.next(99 * SECOND) == numbered(2, first=3)
    assert audio.stream_begin == 3


def test_times_count_from_each_stream():
    audio = audio_of(6)
    audio.next(4 * SECOND)
    audio.answered(2)
    audio.begin_stream()
    audio.next(4 * SECOND)
    audio.answered(1.5)

    audio.begin_stream()

    assert audio.stream_begin == 3.5


def test_nothing_is_answered_before_it_is_sent():
    audio = audio_of(5)
    audio.next(2 * SECOND)
    audio.answered(4)
    assert audio.next(99 * SECOND) == numbered(3, first=2)


def test_oldest_is_dropped():
    audio = audio_of(5, most_secs=2)
    assert audio.dropped == 3 * SECOND
    assert audio.next(99 * SECOND) == numbered(2, first=3)


def test_late_answers_change_nothing():
    audio = audio_of(5)
    audio.next(5 * SECOND)
    audio.answered(3)
    audio.answered(1)
    assert audio.unsent == 0
    assert audio.end == 5 * SECOND


Step = tuple[str, int]


@given(st.lists(st.tuples(st.sampled_from(["add", "send", "answer", "break"]), st.integers(0, 50))))
def test_every_byte_is_answered_once(steps: list[Step]):
    """Whatever breaks when: the finals of all connections cover the audio once, without gap."""
    audio = UnansweredAudio(most_secs=1)
    audio.begin_stream()
    came, covered, stream = bytearray(), bytearray(), bytearray()
    answered = 0
    for kind, size in steps:
        match kind:
            case "add":
                piece = bytes((len(came) + n) % 251 for n in range(size))
                came += piece
                audio.add(piece)
            case "send":
                stream += audio.next(size)
            case "answer":
                end = min(answered + size, len(stream))
                covered += stream[answered:end]
                answered = end
                audio.answered(end / SECOND)
            case _:
                stream, answered = bytearray(), 0
                audio.begin_stream()

    assert came.startswith(covered)
    audio.begin_stream()
    assert bytes(covered) + audio.next(len(came)) == bytes(came)
