"""Who has answered, told by sound, words, tones and Twilio's verdict."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audio.test_tones import tone
from twilio_frames.answering import (
    Answer,
    AnswerDecider,
    AnsweredBy,
    AnswerLimits,
    AnswerPhrases,
    AnswerReason,
    MachineVerdict,
)
from twilio_frames.audio import encode_mulaw, mulaw_silence
from twilio_frames.testing.callers.parties import beep


def speech(seconds: float) -> bytes:
    samples = np.random.default_rng(1).standard_normal(round(seconds * 8000))
    return encode_mulaw((3000 * samples).clip(-32768, 32767).astype(np.int16).tobytes())


@dataclass
class Line:
    """What comes on a line, and who is taken to be there by when."""

    decider: AnswerDecider = field(default_factory=AnswerDecider)
    now: float = 0.0
    answers: list[Answer] = field(default_factory=list)

    def hear(self, *sounds: bytes) -> "Line":
        audio = b"".join(sounds)
        for begin in range(0, len(audio), 160):
            self.decider.hear(audio[begin : begin + 160], self.now)
            self.now += 0.02
            self._look()
        return self

    def words(self, text: str, *, is_final: bool = True) -> "Line":
        self.decider.take_words(text, self.now, is_final=is_final)
        self._look()
        return self

    def verdict(self, verdict: MachineVerdict) -> "Line":
        self.decider.take_verdict(verdict, self.now)
        self._look()
        return self

    def _look(self) -> None:
        if answer := self.decider.decide(self.now):
            self.answers.append(answer)

    @property
    def found(self) -> list[tuple[AnsweredBy, AnswerReason]]:
        return [(answer.answered_by, answer.reason) for answer in self.answers]


def silence(seconds: float) -> bytes:
    return mulaw_silence(seconds)


HUMAN, VOICEMAIL = AnsweredBy.HUMAN, AnsweredBy.VOICEMAIL


def test_hello_and_a_pause_is_a_person():
    line = Line().hear(silence(0.5), speech(0.5), silence(0.2)).words("Hello?").hear(silence(1))

    assert line.found == [(HUMAN, AnswerReason.WORDS)]
    assert line.answers[0].after_secs == pytest.approx(1.6, abs=0.05)
    assert line.answers[0].after_speech_secs == pytest.approx(0.6, abs=0.05)


def test_short_speech_without_words_is_a_person_a_little_later():
    line = Line().hear(silence(0.5), speech(0.5), silence(2))

    assert line.found == [(HUMAN, AnswerReason.SHORT_SPEECH)]
    assert line.answers[0].after_secs == pytest.approx(2.0, abs=0.05)


def test_nobody_speaks():
    line = Line().hear(silence(5))

    assert line.found == [(AnsweredBy.UNKNOWN, AnswerReason.SILENCE)]
    assert line.answers[0].after_secs == pytest.approx(2.0, abs=0.05)


def test_who_speaks_late_is_told_all_the_same():
    line = Line().hear(silence(4), speech(0.5)).words("Hello?").hear(silence(1))

    assert [who for who, _ in line.found] == [AnsweredBy.UNKNOWN, HUMAN]


def test_greeting_is_told_by_its_words_while_it_goes_on():
    line = Line().hear(speech(1.5)).words("Hi, you've reached Bob.", is_final=False)

    assert line.found == [(VOICEMAIL, AnswerReason.WORDS)]
    assert line.answers[0].after_speech_secs < 0.1


def test_long_speech_without_words_is_a_machine():
    line = Line().hear(speech(8))

    assert line.found == [(VOICEMAIL, AnswerReason.LONG_SPEECH)]
    assert line.answers[0].after_secs == pytest.approx(3.5, abs=0.1)


def test_long_greeting_of_a_person_is_told_by_its_words():
    line = Line().hear(speech(4)).words("Miller and Sons, this is Ann, how can I help you?")
    line.hear(silence(1))

    assert [who for who, _ in line.found] == [VOICEMAIL, HUMAN]


def test_beep_behind_a_greeting_is_a_voicemails():
    line = Line().hear(speech(1.5), silence(0.3), beep(), silence(0.2))

    assert line.found == [(VOICEMAIL, AnswerReason.BEEP)]


@pytest.mark.parametrize("pause", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("words", ["Hey, it's Bob, you know what to do.", "It's Bob.", ""])
def test_beep_behind_words_that_anybody_may_say_is_a_voicemails(words: str, pause: float):
    line = Line().hear(speech(1.8)).words(words).hear(silence(pause), beep(), silence(0.5))

    assert [who for who, _ in line.found][-1] is VOICEMAIL


def test_beep_and_nothing_else_is_a_voicemails():
    assert Line().hear(silence(0.5), beep(), silence(3)).found == [(VOICEMAIL, AnswerReason.BEEP)]


def test_person_behind_a_beep_is_a_person():
    line = Line().hear(beep(), silence(0.5), speech(0.5), silence(1.5))

    assert line.found == [(HUMAN, AnswerReason.SHORT_SPEECH)]


@pytest.mark.parametrize("pitches", [(440, 480), (480, 620), (350, 440), (425,), (50,)])
def test_tones_of_the_line_are_nothing_that_is_said(pitches: tuple[float, ...]):
    line = Line().hear(*[tone(2, *pitches), silence(2)] * 2)

    assert line.decider.ear.spells == []
    assert {who for who, _ in line.found} == {AnsweredBy.UNKNOWN}


def test_person_behind_a_ring_is_a_person():
    line = Line().hear(tone(1, 440, 480), silence(0.3), speech(0.5), silence(1.5))

    assert line.found == [(HUMAN, AnswerReason.SHORT_SPEECH)]


def test_fax_is_told_by_its_tone():
    line = Line().hear(silence(0.5), beep(1.5, 2100))

    assert line.found == [(AnsweredBy.FAX, AnswerReason.FAX_TONE)]


def test_screener_is_told_when_it_has_asked():
    line = Line().hear(speech(3)).words("Please state your name and why you're calling.")
    assert line.found == []

    line.hear(silence(0.7))
    assert line.found == [(AnsweredBy.SCREENING, AnswerReason.WORDS)]


def test_full_mailbox_takes_no_message():
    line = Line().hear(speech(1)).words("You have reached Bob.").hear(speech(2))
    line.words("The mailbox is full.")

    assert [who for who, _ in line.found] == [VOICEMAIL, AnsweredBy.ANNOUNCEMENT]


def test_late_greeting_behind_a_pause_makes_a_machine_of_a_person():
    line = Line().hear(speech(0.5), silence(1.2)).hear(speech(2)).words("Please leave a message.")

    assert [who for who, _ in line.found] == [HUMAN, VOICEMAIL]


def test_person_who_speaks_up_is_a_person_after_all():
    line = Line().hear(speech(4), silence(1), speech(0.5)).words("Hello? Hello?")
    line.hear(silence(0.5))

    assert line.found == [
        (VOICEMAIL, AnswerReason.LONG_SPEECH),
        (HUMAN, AnswerReason.SPOKE_UP),
    ]


def test_person_who_speaks_up_over_a_message_stays_a_person():
    line = Line().hear(speech(2)).words("Please leave a message.").hear(beep(), silence(0.5))
    line.hear(speech(0.5)).words("Hello?").hear(silence(1), speech(3)).words("I was outside.")
    line.hear(silence(1))

    assert [who for who, _ in line.found] == [VOICEMAIL, HUMAN]


def test_verdict_tells_where_words_do_not():
    line = Line().hear(speech(2.5)).verdict(MachineVerdict.MACHINE_START).hear(speech(1))

    assert line.found == [(VOICEMAIL, AnswerReason.TWILIO)]


def test_wrong_verdict_on_a_short_hello_is_not_believed():
    line = Line().hear(speech(0.5), silence(0.7)).verdict(MachineVerdict.MACHINE_START)
    line.hear(silence(3))

    assert line.found == [(HUMAN, AnswerReason.SHORT_SPEECH)]


def test_verdict_of_a_person_takes_back_what_length_told():
    line = Line().hear(speech(4)).verdict(MachineVerdict.HUMAN)

    assert line.found[-1] == (HUMAN, AnswerReason.TWILIO)


def test_verdict_of_a_person_does_not_take_back_words():
    line = Line().hear(speech(2)).words("Please leave a message.").verdict(MachineVerdict.HUMAN)

    assert [who for who, _ in line.hear(silence(3)).found] == [VOICEMAIL]


def test_late_verdict_on_a_long_greeting_makes_a_machine_of_a_person():
    line = Line().hear(speech(0.5), silence(1.1), speech(3))
    assert [who for who, _ in line.found] == [HUMAN]

    line.verdict(MachineVerdict.MACHINE_START)
    assert line.found[-1] == (VOICEMAIL, AnswerReason.TWILIO)


def test_beep_in_a_persons_kitchen_changes_nothing():
    line = Line().hear(speech(0.6)).words("Hello?").hear(silence(1), beep(0.5, 2000), silence(1))

    assert [who for who, _ in line.found] == [HUMAN]


def test_words_tell_a_person_on_a_line_that_is_never_silent():
    line = Line().hear(speech(0.4)).words("Hello?").hear(speech(1.2))

    assert line.found == [(HUMAN, AnswerReason.WORDS)]


def test_nothing_is_decided_anew_in_the_middle_of_a_talk():
    line = Line(AnswerDecider(AnswerLimits(change_secs=5))).hear(speech(0.5), silence(6))
    line.hear(speech(3)).words("Shall I leave a message for her?").hear(silence(1))

    assert [who for who, _ in line.found] == [HUMAN]


@pytest.mark.parametrize(
    ("said", "who"),
    [
        ("Hello?", HUMAN),
        ("Yes, this is Ann.", HUMAN),
        ("She isn't available right now. Can I take a message?", HUMAN),
        ("Would you like to leave a message?", HUMAN),
        ("Hi, it's Bob. Please leave me a short message after the beep!", VOICEMAIL),
        ("Leave your name, number and the reason for your call after the tone.", VOICEMAIL),
        ("You\N{RIGHT SINGLE QUOTATION MARK}ve reached the voice mail of", VOICEMAIL),
        ("At the tone, please record your message, or press one for more.", VOICEMAIL),
        ("If you record your name and reason for calling, I'll see", AnsweredBy.SCREENING),
        ("Go ahead and say your name, and why you're calling.", AnsweredBy.SCREENING),
        ("Please say your name after the tone.", AnsweredBy.SCREENING),
        ("Thank you for calling. For sales, press one.", AnsweredBy.IVR),
        ("Your call is important to us.", AnsweredBy.IVR),
        ("The number you have dialed is not in service.", AnsweredBy.ANNOUNCEMENT),
        ("The mailbox of five five five is full.", AnsweredBy.ANNOUNCEMENT),
        ("Nice weather today.", None),
        ("", None),
    ],
)
def test_phrases_tell(said: str, who: AnsweredBy | None):
    assert AnswerPhrases().who_says(said) is who


def test_phrases_of_another_language():
    phrases = AnswerPhrases(message=("hinterlassen sie * nachricht",), hello=())

    assert phrases.who_says("Bitte hinterlassen Sie eine Nachricht.") is VOICEMAIL
    assert phrases.who_says("hello") is None


PARTS = st.one_of(
    st.floats(0.1, 4).map(speech),
    st.floats(0.1, 4).map(silence),
    st.floats(0.1, 1).map(beep),
    st.sampled_from(MachineVerdict),
    st.sampled_from(["Hello?", "Leave a message.", "Press one.", "State your name.", "And then"]),
)


@given(st.lists(PARTS, max_size=8))
def test_whatever_comes_something_is_decided_in_time(parts: Sequence[bytes | str]):
    line = Line()
    for part in parts:
        match part:
            case bytes():
                line.hear(part)
            case MachineVerdict():
                line.verdict(part)
            case _:
                line.words(part)
    line.hear(silence(7))

    assert line.answers[0].after_secs <= AnswerLimits().limit_secs + 0.03
    times = [answer.after_secs for answer in line.answers]
    assert times == sorted(times)
    whos = [answer.answered_by for answer in line.answers]
    assert all(one is not other for one, other in pairwise(whos))
