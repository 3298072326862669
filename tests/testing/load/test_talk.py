"""One caller's behaviour, 20 ms at a time, on a clock of the test's."""

from tests.testing.bots import tone
from twilio_frames.testing.load.ear import ArithmeticEar
from twilio_frames.testing.load.messages import encoded_frame
from twilio_frames.testing.load.phrases import Phrase, PhraseSet
from twilio_frames.testing.load.talk import CallerBehaviour, Talk

QUIET = encoded_frame(b"\xff" * 160)
SPOKEN = encoded_frame(tone(0.02))
PHRASE = Phrase(frames=(SPOKEN,) * 50, sound_begins=0.1, sound_ends=0.9)
PHRASES = PhraseSet(phrases=(PHRASE,), quiet=(QUIET,))


class Conversation:
    """A talk and its clock."""

    def __init__(self, *, interrupting: float = 0.0, patience: float = 10.0, seed: int = 1):
        self.ear = ArithmeticEar()
        behaviour = CallerBehaviour(interrupting=interrupting, patience=patience)
        self.talk = Talk(PHRASES, self.ear, behaviour=behaviour, seed=seed, began=0.0)
        self.turn = 0
        self.said: list[bool] = []

    @property
    def now(self) -> float:
        return self.turn * 0.02

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.02)):
            self.turn += 1
            self.said.append(self.talk.next_frame(self.now) == SPOKEN)

    def until_spoken(self) -> None:
        while not (self.said and self.said[-1]):
            self.pass_time(0.02)
        while self.said[-1]:
            self.pass_time(0.02)


def test_answer_time_is_sound_to_sound():
    talk = Conversation()
    talk.ear.queue(tone(1.0), 0.5)
    talk.until_spoken()
    # The phrase's last sound was 0.1 s before its end, and one frame of quiet has passed.
    ended = talk.now - 0.02 - 0.1
    talk.ear.queue(tone(1.0), ended + 0.7)
    talk.pass_time(1.0)

    assert [round(time, 3) for time in talk.talk.figures.answer_times] == [0.7]


def test_silent_bot_is_not_waited_for_long():
    talk = Conversation(patience=2.0)
    talk.until_spoken()
    assert 5.0 < talk.now < 6.2
    talk.until_spoken()

    assert talk.talk.figures.unanswered == 1
    assert not talk.talk.figures.answer_times


def test_greeting_is_heard_out():
    talk = Conversation()
    talk.ear.queue(tone(3.0), 0.1)
    talk.until_spoken()

    first = talk.said.index(True) * 0.02
    assert 3.1 + 0.8 <= first + 0.02 <= 3.1 + 0.8 + 0.7 + 0.04
    assert not talk.talk.figures.answer_times


def test_interruption_is_timed_to_silence():
    talk = Conversation(interrupting=1.0)
    talk.ear.queue(tone(10.0), 0.1)
    while not (talk.said and talk.said[-1]):
        talk.pass_time(0.02)
    onset = talk.now - 0.02 + PHRASE.sound_begins
    talk.pass_time(0.3)
    talk.ear.clear(talk.now)
    cleared = talk.now
    talk.pass_time(1.0)

    (silence,) = talk.talk.figures.silence_times
    assert abs(silence - (cleared - onset)) < 1e-9


def test_bot_that_talks_over_is_noted():
    talk = Conversation()
    talk.ear.queue(tone(0.5), 0.1)
    while not (talk.said and talk.said[-1]):
        talk.pass_time(0.02)
    talk.pass_time(0.5)
    talk.ear.queue(tone(3.0), talk.now)
    talk.pass_time(2.0)

    assert talk.talk.figures.talked_over == 1
    assert not talk.talk.figures.answer_times


def test_same_seed_same_talk():
    def said(seed: int) -> list[bool]:
        talk = Conversation(interrupting=0.5, seed=seed)
        for number in range(5):
            talk.ear.queue(tone(2.0), 1.0 + 6 * number)
            talk.pass_time(6.0)
        return talk.said

    assert said(1) == said(1) != said(2)
