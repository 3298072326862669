"""What is left to say of an utterance when a connection breaks, by what has come of it."""

import pytest

from twilio_frames.services.cartesia.speech import CartesiaSpeech, TimedWord
from twilio_frames.testing.known_speech import VaryingVoice, said, sound

TEXT = "Bada gime lopu nasi."
WORDS = said(TEXT)
AUDIO = sound(WORDS)


def times(count: int = 4) -> list[tuple[str, float, float]]:
    """The first words with their seconds."""
    found, begin = [], 0.0
    for word in WORDS[:count]:
        found.append((word.written, begin, begin + len(word.mulaw) / 8000))
        begin += word.size / 8000
    return found


def end_of(count: int) -> int:
    return sum(word.size for word in WORDS[:count])


def asked(text: str = TEXT, *, lead_secs: float = 0.0, is_spaced: bool = True) -> CartesiaSpeech:
    speech = CartesiaSpeech("one", lead_secs=lead_secs, is_spaced=is_spaced)
    speech.say(text)
    assert speech.take_unsent(0.0, "ask-1") == text
    return speech


def audio_of(due: list[TimedWord | bytes]) -> bytes:
    return b"".join(item for item in due if isinstance(item, bytes))


def words_of(due: list[TimedWord | bytes]) -> list[str]:
    return [item.text for item in due if isinstance(item, TimedWord)]


def rest_of(speech: CartesiaSpeech) -> str | None:
    speech.lose()
    return speech.take_unsent(9.0, "ask-2")


def test_audio_is_handed_on_in_whole_words():
    speech = asked()
    speech.take_words(times(), 0.0)
    speech.take_audio(AUDIO[: end_of(2) + 300], 0.0)
    due = speech.due(0.0)

    assert audio_of(due) == AUDIO[: end_of(2)]
    assert words_of(due) == ["Bada", "gime"]
    assert not speech.lose(), "no word breaks off"
    assert rest_of(speech) == "lopu nasi."


def test_part_of_a_word_is_handed_on_at_need():
    speech = asked(lead_secs=0.5)
    speech.take_words(times(1), 0.0)
    speech.take_audio(AUDIO[:800], 0.0)
    first = speech.due(0.0)
    stalled = speech.due(0.4)

    assert (audio_of(first), words_of(first)) == (AUDIO[:800], ["Bada"])
    assert stalled == []
    assert speech.lose(), "a word breaks off"
    assert speech.take_unsent(9.0, "ask-2") == TEXT, "the word is begun once more"
    assert not speech.lose(), "nothing was heard of it meanwhile"
    assert speech.take_unsent(9.0, "ask-3") == TEXT
    speech.take_words(times(), 10.0)
    speech.take_audio(AUDIO, 10.0)
    assert words_of(speech.due(10.0)) == ["gime", "lopu", "nasi."], "it is not told twice"


def test_stalled_word_is_held_back():
    speech = asked(lead_secs=0.1)
    speech.take_words(times(2), 0.0)
    speech.take_audio(AUDIO[: end_of(1) + 1500], 0.0)

    assert audio_of(speech.due(0.0)) == AUDIO[: end_of(1)]
    assert audio_of(speech.due(5.0)) == b"", "a pause ahead of a word is better than one in it"
    speech.take_audio(AUDIO[end_of(1) + 1500 : end_of(2)], 6.0)
    assert audio_of(speech.due(6.0)) == AUDIO[end_of(1) : end_of(2)]


def test_finished_text_is_whole():
    speech = asked()
    speech.take_audio(AUDIO, 0.0)
    assert audio_of(speech.due(0.0)) == b""
    speech.text_done(0.0)

    assert audio_of(speech.due(0.0)) == AUDIO
    assert not speech.is_awaited
    assert rest_of(speech) is None


def test_next_text_is_left_when_one_is_done():
    speech = asked()
    speech.say("Rito fesu.")
    speech.take_unsent(0.0, "unused")
    speech.take_audio(AUDIO, 0.0)
    speech.text_done(0.0)
    speech.due(0.0)

    assert speech.is_awaited
    assert rest_of(speech) == "Rito fesu."


def test_nothing_heard_is_asked_for_whole():
    assert rest_of(asked()) == TEXT


@pytest.mark.parametrize(("seconds", "rest"), [(0.2, TEXT), (0.4, TEXT), (0.8, "lopu nasi.")])
def test_rest_is_estimated_without_times(seconds: float, rest: str):
    """A word of four letters takes some 0.28 s; what is in doubt is said again."""
    speech = asked(lead_secs=seconds)
    speech.take_audio(AUDIO, 0.0)
    assert audio_of(speech.due(0.0)) == AUDIO[: round(8000 * seconds)]

    assert rest_of(speech) == rest


@pytest.mark.parametrize("seed", range(20))
def test_long_text_of_a_slow_voice_loses_no_word(seed: int):
    text = "I can offer you a large latte with oat milk or a small mocha with cream " * 2
    words = VaryingVoice(seed)(text)
    heard = sum(word.size for word in words[:-3])
    speech = asked(text.strip(), lead_secs=heard / 8000)
    speech.take_audio(sound(words)[:heard], 0.0)
    speech.due(0.0)

    assert len((rest_of(speech) or "").split()) >= 3


def test_digits_are_long_without_times():
    speech = asked("Call 0199 now.", lead_secs=1.2)
    speech.take_audio(sound(said("call zero one nine nine now."))[:9600], 0.0)
    speech.due(0.0)

    assert rest_of(speech) == "0199 now."


def test_silence_counts_for_no_word():
    speech = asked(lead_secs=3.0)
    speech.take_audio(b"\xff" * 16000, 0.0)
    speech.due(0.0)

    assert rest_of(speech) == TEXT


def test_blank_goes_between_sentences():
    speech = asked("Bada.")
    speech.say("Gime.")
    speech.say(" Lopu.")

    assert speech.take_unsent(0.0, "unused") == " Gime. Lopu."


def test_tokens_go_out_as_they_are():
    speech = asked("Ba", is_spaced=False)
    speech.say("da")

    assert speech.take_unsent(0.0, "unused") == "da"


def test_punctuation_waits_for_words():
    """Cartesia refuses a first transcript without a word."""
    speech = CartesiaSpeech("one", lead_secs=0.0, is_spaced=False)
    speech.say('"')
    assert speech.take_unsent(0.0, "ask-1") is None
    speech.say("Bada")

    assert speech.take_unsent(0.0, "ask-1") == '"Bada'


def test_nothing_but_punctuation_is_said_at_once():
    speech = CartesiaSpeech("one", lead_secs=0.0, is_spaced=True)
    speech.say("...")
    speech.is_complete = True

    assert speech.is_said
    assert not speech.is_awaited


def test_end_is_told_once():
    speech = asked()
    speech.is_complete = True

    assert speech.take_unsent(0.0, "unused") == ""
    assert speech.take_unsent(0.0, "unused") is None
    assert speech.is_awaited, "the end has not come"


def test_expired_ask_is_followed_by_another():
    speech = asked()
    speech.take_audio(AUDIO, 0.0)
    speech.ask_done()
    assert audio_of(speech.due(0.0)) == AUDIO
    assert not speech.is_said
    speech.say("Rito.")

    assert speech.take_unsent(2.0, "ask-2") == "Rito."
    assert speech.ask_id == "ask-2"
    speech.take_words([("Rito.", 0.0, 0.1)], 2.0)
    speech.take_audio(bytes(800), 2.0)
    (word, *_) = speech.due(2.0)
    assert isinstance(word, TimedWord)
    assert word.begin == len(AUDIO), "its times count from where the last one ended"


def test_tags_hold_for_the_rest():
    text = '<emotion value="sad"/>Bada gime <spell>lopu nasi</spell>.'
    speech = asked(text)
    speech.take_words(times(3), 0.0)
    speech.take_audio(AUDIO[: end_of(3)], 0.0)
    speech.due(0.0)

    assert rest_of(speech) == '<emotion value="sad"/><spell>nasi</spell>.'


def test_refused_text_waits_its_time():
    speech = asked()
    speech.lose()
    speech.retry_at = 5.0

    assert speech.take_unsent(4.9, "ask-2") is None
    assert speech.take_unsent(5.0, "ask-2") == TEXT


def test_ask_that_is_done_without_all_audio_is_known():
    speech = asked()
    speech.take_words(times(), 0.0)
    speech.take_audio(AUDIO[: end_of(2) + 300], 0.0)

    assert speech.lacks_audio
    assert audio_of(speech.due(0.0)) == AUDIO[: end_of(2)]
    assert rest_of(speech) == "lopu nasi."


def test_ask_with_all_audio_lacks_none():
    """The silence behind a word may be left out."""
    speech = asked()
    speech.take_words(times(), 0.0)
    speech.take_audio(AUDIO[:-800], 0.0)

    assert not speech.lacks_audio
