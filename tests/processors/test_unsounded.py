"""Texts of which a voice made no sound, or only some: which words are laid, and what is missed."""

from collections.abc import Sequence

import pytest
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    FunctionCallResultFrame,
    LLMContextFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    UserStartedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from tests.pipecat_versions import UNTOLD_SENTENCE, told_word, unless_pipecat_112
from tests.processors.words_rig import MILLISECOND, Audio, near
from twilio_frames.processors.output.function_rounds import FunctionRounds
from twilio_frames.processors.output.queue_writer import SayAgain
from twilio_frames.processors.words import HeardTextFrame

LETTER = 0.07
"""Seconds that a voice takes for a letter."""


def spoken(audio: Audio, text: str, *, sounds: bool = True) -> None:
    """A text as a service gives it that makes its audio before it pushes the text."""
    audio.announce(text)
    if sounds:
        audio.say(LETTER * sum(map(str.isalnum, text)))
    audio.sentence(text)


def words(audio: Audio) -> str:
    return " ".join(word for word, _ in audio.laid)


@pytest.mark.parametrize("silent", [0, 1, 2])
def test_sentence_without_a_sound_is_laid_nowhere(silent: int):
    audio, texts = Audio(), ["Rain tomorrow.", "Snow on Monday.", "Sun again."]
    audio.begin()
    for number, text in enumerate(texts):
        spoken(audio, text, sounds=number != silent)
    audio.layer.over("c")

    assert words(audio) == " ".join(text for text in texts if text != texts[silent])
    assert audio.layer.take_unsounded() == [texts[silent]]
    assert audio.layer.take_unsounded() == []


def test_reply_without_a_sound_is_laid_nowhere():
    audio = Audio()
    audio.begin()
    spoken(audio, "Rain tomorrow.", sounds=False)
    spoken(audio, "Snow on Monday.", sounds=False)
    audio.layer.over("c")

    assert audio.laid == []
    assert audio.layer.take_unsounded() == ["Rain tomorrow.", "Snow on Monday."]


def test_service_that_never_begins_has_said_nothing():
    """It fails ahead of its first frame; Pipecat pushes the text all the same."""
    audio = Audio()
    spoken(audio, "Rain tomorrow.", sounds=False)
    audio.layer.end_reply(0)

    assert audio.laid == []
    assert audio.layer.take_unsounded() == ["Rain tomorrow."]


def test_text_ahead_of_audio_that_never_comes_is_laid_nowhere():
    audio = Audio()
    audio.announce("Rain tomorrow.")
    audio.begin()
    audio.sentence("Rain tomorrow.")
    audio.announce("Snow on Monday.")
    audio.sentence("Snow on Monday.")
    audio.layer.over("c")

    assert audio.laid == []
    assert audio.layer.take_unsounded() == ["Rain tomorrow.", "Snow on Monday."]


def test_texts_ahead_of_their_audio_share_it():
    audio = Audio()
    audio.announce("Rain tomorrow.")
    audio.begin()
    audio.sentence("Rain tomorrow.")
    audio.announce("Snow on Monday.")
    audio.sentence("Snow on Monday.")
    audio.say(LETTER * 25)
    audio.layer.over("c")

    assert words(audio) == "Rain tomorrow. Snow on Monday."
    assert audio.layer.take_unsounded() == []


def test_half_a_sentence_carries_half_its_words():
    audio, text = Audio(), "Tomorrow there will be heavy rain along the coast."
    audio.begin()
    spoken(audio, "Here is the weather for Monday.")
    audio.announce(text)
    audio.say(LETTER * 20)
    audio.sentence(text)
    audio.layer.over("c")

    laid = words(audio).removeprefix("Here is the weather for Monday. ")
    (rest,) = audio.layer.take_unsounded()
    assert f"{laid} {rest}" == text
    assert laid in ("Tomorrow there will", "Tomorrow there will be")


def test_words_that_nobody_timed_need_a_sound_too():
    """Pipecat gives them the time of the last word that had one when the utterance is over."""
    audio = Audio()
    audio.begin()
    audio.announce("Tomorrow there will be heavy rain along the coast.")
    audio.say(0.9, at=1000)
    audio.word("Tomorrow", 1000)
    audio.word("there will be heavy rain along the coast.", 1000)
    audio.layer.over("c")

    assert near(audio.laid, [("Tomorrow", 7200)])
    assert audio.layer.take_unsounded() == ["there will be heavy rain along the coast."]


def test_words_that_nobody_timed_are_laid_over_their_sound():
    audio = Audio()
    audio.begin()
    audio.announce("Tomorrow there will be rain.")
    audio.say(LETTER * 23, at=1000)
    audio.word("Tomorrow there will be rain.", 1000)
    audio.layer.over("c")

    assert [word for word, _ in audio.laid] == ["Tomorrow", "there", "will", "be", "rain."]
    assert [end for _, end in audio.laid] == sorted({end for _, end in audio.laid})


def skipped(audio: Audio, texts: Sequence[str], *, at: int) -> None:
    """As Pipecat tells of texts of which only the last one's first word has a time."""
    for segment, text in enumerate(texts):
        frame = told_word(text, 1000 + segment)
        frame.pts, frame.context_id = at * MILLISECOND, "c"
        audio.layer.text(frame)


@unless_pipecat_112(UNTOLD_SENTENCE)
@pytest.mark.parametrize("begins", [False, True], ids=["in the middle", "first of all"])
def test_sentence_that_a_voice_with_word_times_skips_is_missed(begins: bool):
    audio = Audio()
    audio.begin()
    for text in ("Yes." if not begins else "", "Bada gime lopu.", "Rito."):
        audio.announce(text)
    audio.say(0.3, at=100)
    first = 100
    if not begins:
        audio.word("Yes.", 100)
        audio.say(0.3)
        first = 400
    skipped(audio, ["Bada gime lopu.", "Rito."], at=first)
    audio.layer.over("c")

    assert words(audio) == ("Rito." if begins else "Yes. Rito.")
    assert audio.layer.take_unsounded() == ["Bada gime lopu."]


@unless_pipecat_112(UNTOLD_SENTENCE)
def test_sentence_whose_times_alone_are_missing_is_laid_where_it_sounds():
    audio = Audio()
    audio.begin()
    for text in ("Yes.", "Bada gime lopu.", "Rito."):
        audio.announce(text)
    audio.word("Yes.", 100)
    audio.say(1.4, at=100)
    skipped(audio, ["Bada gime lopu.", "Rito."], at=1500)
    audio.say(0.3)
    audio.layer.over("c")

    assert words(audio) == "Yes. Bada gime lopu. Rito."
    assert [end for _, end in audio.laid] == sorted(end for _, end in audio.laid)
    assert audio.laid[-2][1] <= 1.4 * 8000 + 80
    assert audio.layer.take_unsounded() == []


@unless_pipecat_112(UNTOLD_SENTENCE)
def test_cut_does_not_lay_what_a_voice_skipped():
    audio = Audio()
    audio.begin()
    for text in ("Bada gime lopu.", "Rito fesu."):
        audio.announce(text)
    audio.say(0.3, pause=0.1, at=100)
    skipped(audio, ["Bada gime lopu.", "Rito"], at=100)
    audio.layer.cut(len(audio.mulaw))

    assert words(audio) == "Rito"


def test_word_with_a_time_and_no_sound_is_missed():
    audio = Audio()
    audio.begin()
    audio.announce("Rain tomorrow.")
    audio.say(0.4, at=1000)
    audio.word("Rain", 1000)
    audio.word("tomorrow.", 1500)
    audio.layer.over("c")

    assert near(audio.laid, [("Rain", 3200)])
    assert audio.layer.take_unsounded() == ["tomorrow."]


def test_voice_that_is_replaced_leaves_its_text():
    """A switcher lets nothing of it through any more, its end included."""
    audio = Audio()
    audio.begin()
    spoken(audio, "Rain tomorrow.")
    audio.announce("Snow on Monday.")
    audio.layer.end_reply(len(audio.mulaw))

    assert words(audio) == "Rain tomorrow."
    assert audio.layer.take_unsounded() == ["Snow on Monday."]


def test_voice_with_word_times_that_is_replaced_leaves_the_rest():
    audio = Audio()
    audio.begin()
    audio.announce("Rain tomorrow and snow.")
    audio.say(0.5, at=1000)
    audio.word("Rain", 1000)
    audio.word("tomorrow", 1250)
    audio.layer.end_reply(len(audio.mulaw))

    assert words(audio) == "Rain tomorrow"
    assert audio.layer.take_unsounded() == ["and snow."]


def test_rest_of_speech_that_broke_off_is_left_to_who_tells_of_it():
    """The end of a reply may come ahead of what another voice still says of it."""
    audio = Audio()
    audio.begin()
    spoken(audio, "Rain tomorrow.")
    audio.layer.broken_off("c", 0)
    audio.layer.start(TTSStartedFrame("d"))
    audio.announce("Snow on Monday.", context="d")
    audio.layer.end_reply(len(audio.mulaw))

    assert audio.layer.take_unsounded() == []


def test_what_is_not_remembered_is_not_missed():
    audio = Audio()
    audio.layer.start(TTSStartedFrame("c", append_to_context=False))
    spoken(audio, "One moment.", sounds=False)
    audio.layer.over("c")

    assert audio.layer.take_unsounded() == []


def test_what_was_cut_is_not_missed():
    audio = Audio()
    audio.begin()
    spoken(audio, "Rain tomorrow.", sounds=False)
    spoken(audio, "Snow on Monday.")
    audio.layer.cut(100)

    assert audio.layer.take_unsounded() == []


class Voice(FrameProcessor):
    """Stands in for the output, behind a voice."""

    def __init__(self):
        super().__init__()
        self.asked: list[str] = []
        self.reported = 0
        self.again = SayAgain(self)

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        assert isinstance(frame, TTSSpeakFrame)
        assert direction is FrameDirection.UPSTREAM
        self.asked.append(frame.text)

    async def push_error_frame(
        self, error: ErrorFrame, force_treat_as_permanent: bool = False
    ) -> None:
        self.reported += 1


async def test_text_is_asked_for_once_more_and_then_reported():
    voice = Voice()
    await voice.again.settle(["Rain tomorrow.", "...", "Snow on Monday."])
    assert (voice.asked, voice.reported) == (["Rain tomorrow. Snow on Monday."], 0)

    await voice.again.settle(["tomorrow. Snow on Monday."])
    assert (len(voice.asked), voice.reported) == (1, 1)


async def test_text_may_be_asked_for_anew_behind_an_interruption():
    voice = Voice()
    await voice.again.settle(["Rain tomorrow."])
    voice.again.forget()
    await voice.again.settle(["Rain tomorrow."])

    assert (len(voice.asked), voice.reported) == (2, 0)


RESULT = FunctionCallResultFrame("order", "call1", {}, {})
REQUEST = LLMContextFrame(LLMContext())


def over_after(rounds: FunctionRounds, requests: int) -> list[bool]:
    told: list[bool] = []
    for _ in range(requests):
        rounds.note(RESULT)
        told.append(rounds.are_over(REQUEST, FrameDirection.UPSTREAM))
    return told


def test_rounds_of_function_calls_are_bounded():
    assert over_after(FunctionRounds(3), 3) == [False, False, True]
    assert not any(over_after(FunctionRounds(None), 100))


@pytest.mark.parametrize("news", [HeardTextFrame("Yes.", "word"), UserStartedSpeakingFrame()])
def test_word_or_turn_begins_the_count_anew(news):
    rounds = FunctionRounds(3)
    over_after(rounds, 2)
    rounds.note(news)

    assert over_after(rounds, 3) == [False, False, True]


def test_filler_is_no_word_and_other_requests_are_no_rounds():
    rounds = FunctionRounds(3)
    over_after(rounds, 2)
    filler = HeardTextFrame("One moment.", "word")
    filler.append_to_context = False
    rounds.note(filler)
    assert not any(rounds.are_over(REQUEST, FrameDirection.UPSTREAM) for _ in range(9))

    rounds.note(RESULT)
    assert not rounds.are_over(REQUEST, FrameDirection.DOWNSTREAM)
    assert rounds.are_over(REQUEST, FrameDirection.UPSTREAM)
