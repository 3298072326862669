import asyncio
import json
import os
import sys
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.waiting import others_run
from twilio_frames.audio import decode_mulaw, encode_mulaw
from twilio_frames.errors import ConfigurationError, MissingExtraError, RecognitionError
from twilio_frames.examples.coffee_shop.hearing import coffee_recogniser
from twilio_frames.examples.coffee_shop.understanding import Reading, understand
from twilio_frames.local.recognition.recogniser import Recogniser
from twilio_frames.local.synthesiser import CALLER_VOICE, Synthesiser

SPEECH = Path(os.environ.get("TWILIO_FRAMES_SPEECH", "no recordings"))
with_recordings = pytest.mark.skipif(not SPEECH.is_dir(), reason="no recorded speech here")

GRAMMAR = """#JSGF V1.0;
grammar calls;
public <call> = please ( call | ring ) <who> [ at <place> ] | hang_up;
<who> = my mother | the doctor | the bank;
<place> = home | work;
"""


@pytest.fixture(scope="module")
def calls() -> Iterator[Recogniser]:
    recogniser = Recogniser(GRAMMAR)
    yield recogniser
    recogniser.close()


def over_telephone(pcm: bytes) -> bytes:
    return decode_mulaw(encode_mulaw(pcm))


def spoken(text: str) -> bytes:
    """A sentence over the telephone, with the silence a VAD leaves around it."""
    speech = Synthesiser(CALLER_VOICE).synthesise(text).resampled(8000)
    return over_telephone(bytes(8000) + speech.pcm + bytes(9600))


def recorded(file: str) -> bytes:
    with wave.open(str(SPEECH / file)) as reader:
        return over_telephone(reader.readframes(reader.getnframes()))


@pytest.mark.parametrize("text", ["please call the doctor", "please ring my mother at home"])
async def test_sentence_of_grammar_is_understood(calls: Recogniser, text: str):
    recognition = await calls.recognise(spoken(text))
    assert recognition.text == text
    assert recognition.accepted
    assert recognition.confidence > 0.5


async def test_words_have_their_times(calls: Recogniser):
    pcm = spoken("please call the bank")
    recognition = await calls.recognise(pcm)
    assert [word.text for word in recognition.words] == ["please", "call", "the", "bank"]
    assert 0.4 < recognition.words[0].start < 0.7
    assert recognition.words[-1].end == pytest.approx(len(pcm) / 16000 - 0.6, abs=0.3)
    starts = [word.start for word in recognition.words]
    assert starts == sorted(starts)


async def test_words_in_one_breath_come_apart(calls: Recogniser):
    assert (await calls.recognise(spoken("hang up"))).text == "hang up"


async def test_other_speech_is_refused(calls: Recogniser):
    recognition = await calls.recognise(spoken("We watched yellow boats upon a silver river."))
    assert recognition.is_speech
    assert not recognition.accepted
    assert recognition.text == ""


@pytest.mark.parametrize("seconds", [0, 0.01, 0.3, 2])
async def test_silence_is_no_speech(calls: Recogniser, seconds: float):
    recognition = await calls.recognise(bytes(int(seconds * 8000) * 2))
    assert not recognition.is_speech
    assert not recognition.accepted


async def test_other_rates_are_understood(calls: Recogniser):
    speech = Synthesiser(CALLER_VOICE).synthesise("please call the doctor").resampled(16000)
    recognition = await calls.recognise(bytes(16000) + speech.pcm + bytes(19200), 16000)
    assert recognition.text == "please call the doctor"


async def test_same_speech_gives_same_answer(calls: Recogniser):
    pcm, between = spoken("please ring the bank"), spoken("hang up")
    first = await calls.recognise(pcm)
    await calls.recognise(between)
    assert await calls.recognise(pcm) == first


@pytest.mark.real_time
async def test_event_loop_goes_on(calls: Recogniser):
    pcm = spoken("please ring my mother at home. please call the doctor at work.")
    cpu = time.thread_time()
    recognition, ticks = asyncio.create_task(calls.recognise(pcm)), 0
    while not recognition.done():
        await asyncio.sleep(0.005)
        ticks += 1
    assert ticks > 10
    # Recognition takes some hundred milliseconds of processor time, none of it in this thread.
    assert time.thread_time() - cpu < 0.1


async def test_too_many_waiting_is_said(monkeypatch: pytest.MonkeyPatch, calls: Recogniser):
    monkeypatch.setattr(Recogniser, "_MOST_WAITING", 1)
    recogniser = await Recogniser.create(GRAMMAR)
    first = asyncio.create_task(recogniser.recognise(spoken("hang up")))
    await others_run()
    with pytest.raises(RecognitionError, match="at most 1 utterances"):
        await recogniser.recognise(bytes(16000))
    assert (await first).text == "hang up"
    recogniser.close()


async def test_slow_answer_is_an_error(calls: Recogniser):
    with pytest.raises(RecognitionError, match="within 0 s"):
        await calls.recognise(spoken("please call the doctor"), time_limit=0.001)


def test_unknown_word_is_named():
    with pytest.raises(ConfigurationError, match="no zyxomma:"):
        Recogniser(GRAMMAR.replace("doctor", "zyxomma"))


@pytest.mark.parametrize("grammar", ["", "call my mother", GRAMMAR.replace("public", "")])
def test_broken_grammar_is_said(grammar: str):
    with pytest.raises(ConfigurationError, match="a grammar in JSGF"):
        Recogniser(grammar)


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(MissingExtraError, match="pipecat-twilio-frames"):
        Recogniser(GRAMMAR)


@pytest.mark.parametrize(
    "text",
    [
        "i would like a large latte with oat milk please",
        "make me a triple shot dark roast mocha with brown sugar",
        "no sugar",
        "yes",
        *(
            pytest.param(text, marks=pytest.mark.truth)
            for text in ("medium roast please", "no thanks", "repeat that")
        ),
    ],
)
async def test_coffee_shop_understands_callers(text: str):
    # espeak-ng's voice trembles, differently each time: who is not understood says it again.
    recogniser, heard = coffee_recogniser(), list[Reading]()
    while understand(text) not in heard and len(heard) < 6:
        heard.append(understand((await recogniser.recognise(spoken(text))).text))
    assert heard[-1] == understand(text)


@with_recordings
async def test_people_are_understood():
    orders = json.loads((SPEECH / "orders.json").read_text("utf-8"))[::6]
    recogniser = coffee_recogniser()
    right = total = 0
    for order in orders:
        text = (await recogniser.recognise(recorded(order["file"]))).text
        slots = understand(text).order.slots()
        right += sum(slots.get(name) == value for name, value in order["slots"].items())
        total += len(order["slots"])
    assert right / total > 0.8


@with_recordings
async def test_dictation_is_refused():
    recogniser = coffee_recogniser()
    accepted = [
        (await recogniser.recognise(recorded(f"dictation/{name}.wav"))).accepted
        for name in ("goforward", "something", "sense-0880", "sense-0930", "forever")
    ]
    assert sum(accepted) <= 1


def test_noise_is_not_a_sentence():
    samples = np.random.default_rng(5).normal(0, 300, 16000).astype(np.int16)
    assert not coffee_recogniser().recognise_in_thread(samples.tobytes()).accepted
