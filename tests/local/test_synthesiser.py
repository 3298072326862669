"""The keyless synthesiser: words and times, many speakers, level, odd texts, fork and exit."""

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

from tests.waiting import others_run
from twilio_frames.audio.voices import speakable
from twilio_frames.errors import ConfigurationError, MissingExtraError, SynthesisError
from twilio_frames.local.espeak import Espeak, Voice
from twilio_frames.local.synthesiser import (
    BOT_VOICE,
    CALLER_VOICE,
    EspeakThread,
    Speech,
    Synthesiser,
    pieces,
)

ORDER = "Hello there, I'd like a large iced latte. With two shots of espresso, please."


def samples(speech: Speech) -> np.ndarray:
    return np.frombuffer(speech.pcm, dtype=np.int16).astype(np.float64)


def pitch(speech: Speech) -> float:
    """Median fundamental frequency, Hz, of the voiced parts."""
    found = []
    for part in np.array_split(samples(speech), max(1, len(speech.pcm) // 3200)):
        spectrum = np.fft.rfft(part - part.mean(), 4096)
        correlation = np.fft.irfft(np.abs(spectrum) ** 2)
        lag = 60 + int(np.argmax(correlation[60:400]))
        if correlation[lag] > 0.5 * correlation[0] > 0:
            found.append(speech.sample_rate / lag)
    return float(np.median(found))


def test_words_stand_as_written():
    speech = Synthesiser().synthesise(ORDER)
    assert " ".join(word.text for word in speech.words) == ORDER


def test_word_times_rise_inside_audio():
    speech = Synthesiser().synthesise(ORDER)
    assert speech.words[0].start == 0
    for word, following in pairwise(speech.words):
        assert word.start < word.end <= following.start
    assert speech.words[-1].end <= speech.seconds


def test_words_begin_with_sound():
    speech = Synthesiser().synthesise("Milk. Milk. Milk. Milk.")
    loudness = np.abs(samples(speech))
    for word in speech.words[1:]:
        begin = round(word.start * speech.sample_rate)
        assert loudness[begin - 2000 : begin - 400].max() < 100
        assert loudness[begin : begin + 2000].max() > 1000


def test_numbers_keep_one_word_each():
    speech = Synthesiser().synthesise("Two cost $5.50 - or 25% less, one of the best.")
    assert [word.text for word in speech.words][2:6] == ["$5.50", "-", "or", "25%"]
    assert speech.words[2].end - speech.words[2].start > 1


@pytest.mark.parametrize(("voice", "rate"), [(CALLER_VOICE, 150), (BOT_VOICE, 165)])
def test_level_suits_the_telephone(voice: str, rate: int):
    loudness = np.abs(samples(Synthesiser(voice, words_per_minute=rate).synthesise(ORDER))) / 32768
    spoken = loudness[loudness > 0.003]
    assert -8 < 20 * np.log10(loudness.max()) <= -6
    assert -23 < 20 * np.log10(np.sqrt(np.mean(spoken**2))) < -18


def test_silence_is_trimmed_at_both_ends():
    loudness = np.abs(samples(Synthesiser().synthesise("Hello.")))
    loud = np.flatnonzero(loudness > 100)
    assert loud[0] < 0.03 * 22050
    assert len(loudness) - loud[-1] < 0.1 * 22050


@pytest.mark.parametrize("text", ["", "  \n ", "...", "\U0001f642", "\x00\x01", " . "])
def test_nothing_to_say_is_silent(text: str):
    speech = Synthesiser().synthesise(text)
    assert speech.pcm == b""
    assert speech.words == ()


def test_markup_is_read_as_text():
    plain = Synthesiser().synthesise("slow")
    marked = Synthesiser().synthesise("<prosody rate='x-slow'>slow</prosody>")
    assert marked.words[0].text == "<prosody"
    assert marked.seconds > 3 * plain.seconds


def test_control_characters_command_nothing():
    assert speakable("a\x01120Sb\ud800c\U0001f642d\n\xe9") == "a 120Sb c d\n\xe9"


def test_long_text_is_cut_into_sentences():
    text = "One. Two! " + "word " * 100 + "x" * 700
    parts = list(pieces(text, longest=300))
    assert parts[:2] == ["One.", "Two!"]
    assert max(map(len, parts)) <= 300
    assert "".join(parts).replace(" ", "") == text.replace(" ", "")


async def test_stream_gives_sentence_by_sentence():
    speaker = Synthesiser()
    parts = [part async for part in speaker.stream("Good morning. How are you? Fine.")]
    assert [len(part.words) for part in parts] == [2, 3, 1]
    assert all(part.words[0].start == 0 for part in parts)


def test_resampled_speech_lasts_as_long():
    speech = Synthesiser().synthesise(ORDER)
    telephone = speech.resampled(8000)
    assert telephone.sample_rate == 8000
    assert telephone.seconds == pytest.approx(speech.seconds, abs=0.001)
    assert telephone.words == speech.words


async def test_two_speakers_keep_their_voices():
    caller, bot = Synthesiser(CALLER_VOICE), Synthesiser(BOT_VOICE)
    texts = [ORDER, "You ordered a mocha.", "Anything else I can get for you?"]
    spoken = await asyncio.gather(*(who.speak(text) for text in texts for who in (caller, bot)))
    for high, low in zip(spoken[::2], spoken[1::2], strict=True):
        assert pitch(high) > 160 > 130 > pitch(low)


def test_speakers_in_many_threads_keep_their_voices():
    speakers = [Synthesiser(CALLER_VOICE), Synthesiser(BOT_VOICE)] * 8
    with ThreadPoolExecutor(8) as pool:
        spoken = list(pool.map(lambda who: who.synthesise("How are you this morning?"), speakers))
    assert all(pitch(speech) > 160 for speech in spoken[::2])
    assert all(pitch(speech) < 130 for speech in spoken[1::2])


async def test_event_loop_thread_never_speaks(monkeypatch: pytest.MonkeyPatch):
    threads: set[int] = set()

    real = Espeak.synthesise

    def watched(espeak: Espeak, text: str, voice: Voice):
        threads.add(threading.get_ident())
        return real(espeak, text, voice)

    monkeypatch.setattr(Espeak, "synthesise", watched)
    await asyncio.gather(*(Synthesiser().speak(ORDER) for _ in range(3)))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_cancelled_speech_frees_its_place():
    async def hold(speaker: Synthesiser) -> None:
        await speaker.speak(ORDER * 50)

    tasks = [asyncio.create_task(hold(Synthesiser())) for _ in range(5)]
    await others_run()
    for task in tasks:
        task.cancel()
    assert all(
        isinstance(end, asyncio.CancelledError)
        for end in await asyncio.gather(*tasks, return_exceptions=True)
    )
    assert (await Synthesiser().speak("Hello.")).pcm


def test_too_many_waiting_are_refused():
    thread = EspeakThread(most_waiting=2)
    voice = Voice(name=CALLER_VOICE)
    with thread._speaking:  # pyright: ignore[reportPrivateUsage]  # as if a sentence took long
        waiting = [thread.submit("Hello.", voice) for _ in range(2)]
        with pytest.raises(SynthesisError, match="at most 2 sentences"):
            thread.submit("Hello.", voice)
    assert all(future.result(10).pcm for future in waiting)
    assert thread.submit("Hello.", voice).result(10).pcm


@pytest.mark.parametrize("voice", ["xx", "en-us+nobody", "en-us+../../f2x", ""])
def test_unknown_voice_is_refused(voice: str):
    with pytest.raises(ConfigurationError, match="expected a voice"):
        Synthesiser(voice).synthesise("Hello.")


def test_impossible_speed_is_refused():
    with pytest.raises(ConfigurationError, match="words_per_minute from 80 to 450"):
        Synthesiser(words_per_minute=5)


def test_missing_wheel_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(MissingExtraError, match=r"pipecat-twilio-frames\[local\]"):
        Synthesiser()


def run_python(program: str) -> str:
    """What a fresh interpreter prints."""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return ended.stdout.strip()


def test_interpreter_ends_with_work_waiting():
    program = (
        "from twilio_frames.local.espeak import Voice\n"
        "from twilio_frames.local.synthesiser import espeak_thread\n"
        "for _ in range(50): espeak_thread.submit('A word or two.', Voice(name='en-us'))\n"
        "print('done')"
    )
    assert run_python(program) == "done"


def test_sentence_is_the_same_sound_whatever_was_said_before():
    thread, voice = EspeakThread(), Voice(name="en-us+f2")

    def sounds() -> set[bytes]:
        said = []
        for before in ("First.", "Seconds, and some more.", "Shush!"):
            thread.submit(before, voice).result()
            said.append(thread.submit("Six sisters asked.", voice).result().pcm)
        return set(said)

    assert len(sounds()) > 1
    thread.is_repeatable = True
    assert len(sounds()) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_forked_process_speaks_too():
    program = (
        "import os\n"
        "from twilio_frames.local.espeak import Voice\n"
        "from twilio_frames.local.synthesiser import espeak_thread\n"
        "from twilio_frames.local.synthesiser import Synthesiser\n"
        "waiting = [espeak_thread.submit('Some words.', Voice(name='en-us')) for _ in range(20)]\n"
        "child = os.fork()\n"
        "spoken = bool(Synthesiser().synthesise('Hello.').pcm)\n"
        "if child == 0: os._exit(7 if spoken else 1)\n"
        "print(spoken, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    assert run_python(program) == "True 7"
