"""What the bot has to say, and what falls due as it is heard."""

from twilio_frames.protocol.output_queue import OutputQueue

ALL = 10_000


def queue_of(*lengths: int) -> OutputQueue[str]:
    """A queue with pieces of audio, each of one byte's value: 1, 2, 3 …"""
    queue = OutputQueue[str]()
    for number, length in enumerate(lengths, start=1):
        queue.add_audio(bytes([number]) * length)
    return queue


def test_things_fall_due_where_they_lie():
    queue = queue_of(100, 100)
    queue.add("end")
    queue.add("word", at=150)
    queue.add("first", at=0)
    assert queue.has_news
    assert queue.hear(0) == ["first"]
    while queue.take(ALL):
        pass
    assert queue.hear(149) == []
    assert queue.hear(150) == ["word"]
    assert queue.is_waiting
    assert queue.hear(200) == ["end"]
    assert not queue.is_waiting


def test_nothing_is_heard_that_was_not_sent():
    queue = queue_of(100)
    assert queue.hear(100) == []
    assert queue.heard == 0


def test_no_audio_is_nothing():
    queue = queue_of(0)
    assert (queue.length, queue.take(ALL)) == (0, None)


def test_audio_is_taken_up_to_a_place_where_something_falls_due():
    queue = queue_of(100, 100)
    queue.add("word", at=150)
    queue.add("sent", at=30, when_sent=True)
    taken = [(piece.begin, piece.end) for piece in iter(lambda: queue.take(ALL), None)]
    assert taken == [(0, 30), (30, 150), (150, 200)]
    assert queue.audio(90, 110) == b"\x01" * 10 + b"\x02" * 10


def test_what_falls_due_when_sent_does_so_ahead_of_the_ear():
    queue = queue_of(100)
    queue.add("early", at=50, when_sent=True)
    assert queue.sent_things() == []
    queue.take(50)
    assert queue.sent_things() == ["early"]
    assert not queue.has_sending


def test_barrier_holds_the_audio_behind_it_back():
    queue = queue_of(100)
    queue.add("barrier", is_barrier=True)
    queue.add("behind it")
    queue.add_audio(b"\x02" * 100)
    assert not queue.is_barred
    assert queue.take(ALL)
    assert queue.is_barred
    assert queue.take(ALL) is None
    assert queue.hear(100, passes_barrier=False) == []
    assert queue.has_news
    assert queue.hear(100) == ["barrier"]
    assert queue.hear(100) == ["behind it"]
    assert not queue.is_barred
    assert queue.take(ALL)


def test_kinds_of_audio_are_sent_apart():
    queue = OutputQueue[str]()
    queue.add_audio(b"a" * 10, is_protected=True)
    queue.add_audio(b"b" * 10)
    queue.add_audio(b"c" * 10, is_speech=False)
    pieces = list(iter(lambda: queue.take(ALL), None))
    assert [piece.audio[:1] for piece in pieces] == [b"a", b"b", b"c"]
    assert [piece.is_protected for piece in pieces] == [True, False, False]
    assert [piece.is_speech for piece in pieces] == [True, True, False]
    assert queue.is_protected
    assert queue.speaks_on
    queue.hear(20)
    assert not queue.is_protected
    assert not queue.speaks_on
    queue.hear(30)
    assert not queue.is_protected


def test_speech_is_taken_up_again_where_a_word_ended():
    queue = queue_of(1000)
    for end in (300, 600, 900):
        queue.add(f"word to {end}", at=end, is_boundary=True)
    while queue.take(ALL):
        pass
    queue.hear(700)
    assert queue.rewind(doubt=150) == 300
    assert queue.rewind() == 600
    taken = queue.take(ALL)
    assert taken is not None
    assert taken.begin == 600
    assert queue.hear(650) == []


def test_sound_without_words_is_taken_up_anywhere():
    queue = OutputQueue[str]()
    queue.add_audio(b"m" * 1000, is_speech=False)
    queue.take(ALL)
    queue.hear(420)
    assert queue.rewind() == 420


def test_what_was_not_heard_is_forgotten_but_for_what_is_protected():
    queue = queue_of(100)
    queue.add("lost")
    queue.add_audio(b"p" * 100, is_protected=True)
    queue.add("kept", is_protected=True)
    queue.take(100)
    queue.hear(40)
    assert queue.drop() == []
    assert (queue.sent, queue.heard, queue.length) == (40, 40, 140)
    taken = queue.take(ALL)
    assert taken is not None
    assert taken.audio == b"p" * 100
    assert queue.hear(140) == ["kept"]


def test_protected_things_without_audio_are_given_back():
    queue = queue_of(100)
    queue.add("kept", is_protected=True)
    queue.add("lost")
    assert queue.drop() == ["kept"]
    assert not queue.is_waiting


def test_what_is_sent_plays_on():
    queue = queue_of(100, 100)
    queue.add("word", at=60)
    queue.add("lost", at=180)
    queue.add("kept", at=200, is_protected=True)
    queue.take(60)
    queue.drop_unsent()
    assert (queue.sent, queue.length) == (60, 60)
    assert queue.hear(60) == ["word", "kept"]


def test_piece_tells_whether_a_word_ends_with_it():
    queue = queue_of(300)
    queue.add("word", at=100, is_boundary=True)
    queue.add("thing", at=150)
    pieces = [queue.take(ALL) for _ in range(3)]
    assert [(piece.end, piece.ends_word) for piece in pieces if piece] == [
        (100, True),
        (150, False),
        (300, False),
    ]
