import pytest

from twilio_frames.calllog.line import LOUDNESS, LineNotes
from twilio_frames.protocol import Clear, Media, Playback, SendMedia, Violation, ViolationKind


class Notes:
    """A line's notes, at times of the test's choosing; the line was opened at 100."""

    def __init__(self):
        self.lines: list[dict] = []
        self.underruns = 0
        self.has_ended = False
        self.notes = LineNotes(
            self.lines.append, opened_at=100.0, underruns=lambda: self.underruns, ended=self._end
        )
        self.playback = Playback()

    def _end(self):
        self.has_ended = True

    def send(self, seconds: float, at: float):
        payload = b"\x00" * round(8000 * seconds)
        self.notes.sending(SendMedia(payload=payload), self.playback, at)
        self.playback.audio_sent(len(payload), at)

    def clear(self, at: float):
        self.notes.sending(Clear(), self.playback, at)
        self.playback.clear_sent(["fence"], at)

    def of(self, kind: str) -> list[dict]:
        return [line for line in self.lines if line["kind"] == kind]


@pytest.fixture
def notes() -> Notes:
    return Notes()


def test_messages_of_one_stretch_are_one_line(notes: Notes):
    for at in (100.0, 100.01, 100.1):
        notes.send(0.1, at)
    notes.send(0.1, 105.0)
    notes.notes.tick(9.0)

    assert [(line["begin"], line["end"]) for line in notes.of("sent")] == [(0.0, 0.3), (5.0, 5.1)]


def test_cut_says_what_was_thrown_away(notes: Notes):
    notes.send(1.0, 100.0)
    notes.clear(100.25)
    notes.notes.tick(0.3)
    assert notes.of("cut") == []  # the burst of echoes is still to come

    notes.playback.mark_echoed("fence", 100.3)
    notes.notes.tick(0.5)
    notes.notes.tick(0.75)

    assert notes.of("cut") == [
        {"kind": "cut", "t": 0.25, "position": 2000, "bound": 16, "flushed": 0.75}
    ]


def test_silence_that_dates_a_cut_is_not_speech(notes: Notes):
    notes.send(1.0, 100.0)
    notes.clear(100.25)
    notes.send(0.01, 100.26)
    notes.notes.tick(9.0)

    assert [(line["begin"], line["end"]) for line in notes.of("sent")] == [(0.0, 1.0)]


def test_underrun_says_how_long(notes: Notes):
    notes.send(0.1, 100.0)
    notes.underruns = 1
    notes.send(0.1, 100.4)

    assert notes.of("underrun") == [{"kind": "underrun", "seconds": 0.3}]


def test_longest_wait_is_of_its_second(notes: Notes):
    for at in (100.0, 100.02, 100.5, 101.1):
        notes.notes.received(Media(payload=b""), at)
    notes.notes.tick(1.1)
    notes.notes.received(Media(payload=b""), 101.12)
    notes.notes.tick(2.2)

    assert [(line["received"], line["longest_wait"]) for line in notes.of("line")] == [
        (4, 0.6),
        (1, 0.02),
    ]


def media(second: float) -> Media:
    return Media(payload=b"\xff" * 160, timestamp=round(1000 * second))


def test_silence_that_is_not_sent_is_no_wait(notes: Notes):
    notes.notes.received(media(0.0), 100.0)
    notes.notes.received(media(3.0), 103.03)
    notes.notes.tick(3.1)

    assert notes.of("line")[0]["longest_wait"] == pytest.approx(0.05, abs=0.001)


def test_audio_that_was_held_up_was_waited_for(notes: Notes):
    notes.notes.received(media(0.0), 100.0)
    notes.notes.received(media(0.02), 103.0)
    notes.notes.tick(3.1)

    assert notes.of("line")[0]["longest_wait"] == pytest.approx(3.0)


def test_audio_behind_a_silence_may_be_held_up(notes: Notes):
    notes.notes.received(media(0.0), 100.0)
    notes.notes.received(media(2.0), 103.0)
    notes.notes.tick(3.1)

    assert notes.of("line")[0]["longest_wait"] == pytest.approx(1.02, abs=0.001)


def test_flood_of_violations_is_counted(notes: Notes):
    for _ in range(100):
        violation = Violation(kind=ViolationKind.NOT_JSON, detail="", size=1)
        notes.notes.received(violation, 100.0)

    assert len(notes.of("violation")) == 20
    assert notes.notes.violations == {"not_json": 100}


def test_levels_are_the_loudest_of_their_step(notes: Notes):
    notes.notes.caller_audio(b"\xff" * 160 + b"\x00" * 160, 0.06)
    notes.notes.bot_audio(b"\x80" * 1600, 0.1)
    notes.notes.close(0.3)

    levels = notes.of("levels")[0]
    assert (levels["begin"], levels["step"]) == (0.0, 0.1)
    assert bytes.fromhex(levels["caller"]) == bytes([255, 0, 0, 0])
    assert bytes.fromhex(levels["bot"]) == bytes([0, 255, 255, 0])


def test_loudness_rises_with_the_amplitude():
    assert (LOUDNESS[0x00], LOUDNESS[0x80], LOUDNESS[0xFF], LOUDNESS[0x7F]) == (255, 255, 0, 0)
    assert sorted(LOUDNESS[:128], reverse=True) == list(LOUDNESS[:128])


def test_late_audio_is_waited_for(notes: Notes):
    """What the bot said is told when its mark is back."""
    notes.notes.tick(6.0)
    notes.notes.bot_audio(b"\x00" * 800, 3.0)
    notes.notes.close(6.0)

    levels = b"".join(bytes.fromhex(line["bot"]) for line in notes.of("levels"))
    assert [index for index, level in enumerate(levels) if level] == [30]


def test_end_is_passed_on(notes: Notes):
    notes.notes.line_ended(3.0)

    assert notes.has_ended
