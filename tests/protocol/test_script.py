from hypothesis import given
from hypothesis import strategies as st

from twilio_frames.protocol.output_queue import OutputQueue


def pattern(length: int, *, salt: int = 0) -> bytes:
    return bytes((n * 7 + salt) % 251 for n in range(length))


def spoken(words: list[tuple[str, int]]) -> OutputQueue[str]:
    script: OutputQueue[str] = OutputQueue()
    for word, length in words:
        script.add_audio(pattern(length, salt=len(word)))
        script.add(word, is_boundary=True)
    return script


def taken(script: OutputQueue[str], longest: int = 800) -> list[bytes]:
    pieces: list[bytes] = []
    while piece := script.take(longest):
        pieces.append(piece.audio)
    return pieces


def test_pieces_end_where_things_fall_due():
    script = spoken([("one", 1000), ("two", 500)])

    assert [len(piece) for piece in taken(script)] == [800, 200, 500]


def test_half_heard_word_is_not_due():
    script = spoken([("one", 1000), ("two", 500)])
    taken(script)

    assert script.hear(999) == []
    assert script.hear(1499) == ["one"]
    assert script.hear(1500) == ["two"]


def test_nothing_unsent_can_be_heard():
    script = spoken([("one", 1000)])

    assert script.hear(1000) == []


def test_speech_is_taken_up_at_a_word():
    script = spoken([("one", 1000), ("two", 1000), ("three", 1000)])
    taken(script)
    assert script.hear(1700) == ["one"]

    assert script.rewind() == 1000
    again = b"".join(taken(script))

    assert again == pattern(1000, salt=3) + pattern(1000, salt=5)
    assert script.hear(3000) == ["two", "three"]


def test_doubtful_word_is_said_again():
    script = spoken([("one", 1000), ("two", 1000), ("three", 1000)])
    taken(script)
    script.hear(2010)

    assert script.rewind(doubt=16) == 1000
    assert script.rewind() == 2000


def test_late_things_find_their_place():
    script: OutputQueue[str] = OutputQueue()
    script.add_audio(bytes(1000))
    script.add("end")
    script.add("early", at=200)
    taken(script)

    assert script.hear(1000) == ["early", "end"]


def test_dropped_speech_is_forgotten():
    script = spoken([("one", 1000), ("two", 1000)])
    taken(script)
    script.hear(1200)

    assert script.drop() == []
    assert taken(script) == []
    script.add_audio(bytes(10))
    script.add("new")
    taken(script)
    assert script.hear(script.length) == ["new"]


def test_protected_speech_survives():
    script: OutputQueue[str] = OutputQueue()
    script.add_audio(pattern(1000))
    script.add("gone")
    script.add_audio(pattern(500, salt=9), is_protected=True)
    script.add("kept", is_protected=True)
    taken(script)
    script.hear(300)

    assert script.drop() == []
    assert b"".join(taken(script)) == pattern(500, salt=9)
    assert script.hear(script.length) == ["kept"]


def test_protected_things_without_audio_fall_due():
    script = spoken([("one", 1000)])
    script.add("kept", is_protected=True)

    assert script.drop() == ["kept"]


@given(
    words=st.lists(st.integers(1, 3000), min_size=1, max_size=12),
    cuts=st.lists(st.tuples(st.integers(1, 30), st.integers(0, 9000)), max_size=6),
    longest=st.integers(1, 2000),
)
def test_holds_lose_nothing_and_repeat_no_word(
    words: list[int], cuts: list[tuple[int, int]], longest: int
):
    """However often speech is held and taken up again, each word falls due once, in order."""
    script = spoken([(f"{number}", length) for number, length in enumerate(words)])
    due: list[str] = []
    for pieces, heard in cuts:
        for _ in range(pieces):
            script.take(longest)
        due += script.hear(min(script.heard + heard, script.sent))
        script.rewind()
    taken(script, longest)
    due += script.hear(script.length)

    assert due == [str(number) for number in range(len(words))]


def test_small_pieces_are_sent_together():
    script: OutputQueue[str] = OutputQueue()
    for number in range(10):
        script.add_audio(bytes([number]) * 160)
    script.add("word", at=1000)

    taken = [script.take(739), script.take(739), script.take(739)]

    assert [len(piece.audio) for piece in taken if piece] == [739, 261, 600]
    assert b"".join(piece.audio for piece in taken if piece) == script.audio(0, 1600)


def test_protected_audio_is_sent_apart():
    script: OutputQueue[str] = OutputQueue()
    script.add_audio(b"a" * 100)
    script.add_audio(b"b" * 100, is_protected=True)

    first, second = script.take(739), script.take(739)

    assert first
    assert second
    assert (first.audio, first.is_protected) == (b"a" * 100, False)
    assert (second.audio, second.is_protected) == (b"b" * 100, True)


def test_sound_without_words_is_forgotten_when_heard():
    script: OutputQueue[str] = OutputQueue()
    for _ in range(60 * 50):
        script.add_audio(bytes(160))
        script.take(160)
        script.hear(script.sent)

    assert len(script.audio(0, script.length)) < 25 * 8000


def test_place_is_sure_beyond_the_doubt_about_a_word():
    script: OutputQueue[str] = OutputQueue()
    script.add_audio(bytes(3000))
    script.add("one", at=1000, is_boundary=True, doubt=200)
    script.add("two", at=2000, is_boundary=True)
    script.add("shown", at=2500, doubt=200)
    taken(script)

    assert [script.sure_place(place, 20) for place in (780, 781, 1219, 1220)] == [
        780,
        1220,
        1220,
        1220,
    ]
    assert [script.sure_place(place, 20) for place in (1981, 2500)] == [2020, 2500]


def test_doubt_about_a_word_lasts_when_it_is_taken_for_heard():
    script: OutputQueue[str] = OutputQueue()
    script.add_audio(bytes(3000))
    script.add("one", at=1000, is_boundary=True, doubt=200)
    taken(script)
    assert script.hear(1100) == ["one"]

    assert script.sure_place(1100, 20) == 1220
    script.drop()
    assert script.sure_place(1100, 20) == 1100


def test_place_is_sure_beyond_words_that_lie_close_together():
    script = spoken([("one", 1000), ("a", 30), ("two", 1000)])

    assert script.sure_place(990, 20) == 1050
