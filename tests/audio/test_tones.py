"""A beep is told from all else that sounds on a line."""

from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audio.recordings import MUSIC, PROMPTS, needs_recordings, prompt, recordings
from twilio_frames.audio import encode_mulaw, mulaw_silence
from twilio_frames.audio.tones import Tone, ToneDetector, ToneKind
from twilio_frames.testing.callers.tones import KEYS, tones

SPECIAL_INFORMATION = ((950.0,), (1400.0,), (1800.0,))


def tone(seconds: float, *pitches: float, level: float = -20.0) -> bytes:
    """Sines at once, mu-law; the level is that of all together, dB."""
    time = np.arange(round(seconds * 8000)) / 8000
    peak = 32768 * 10 ** (level / 20) * np.sqrt(2 / len(pitches))
    wave = peak * sum(np.sin(2 * np.pi * pitch * time) for pitch in pitches)
    return encode_mulaw(np.clip(wave, -32768, 32767).astype(np.int16).tobytes())


def noise(seconds: float, level: float) -> bytes:
    samples = np.random.default_rng(1).standard_normal(round(seconds * 8000))
    wave = (samples * 32768 * 10 ** (level / 20)).clip(-32768, 32767)
    return encode_mulaw(wave.astype(np.int16).tobytes())


def heard(*sounds: bytes) -> list[Tone]:
    return ToneDetector().write(b"".join(sounds) + mulaw_silence(0.5))


def kinds(*sounds: bytes) -> list[ToneKind]:
    return [one.kind for one in heard(*sounds)]


@given(
    pitch=st.floats(480, 2800).filter(lambda pitch: not 1050 < pitch < 1150),
    seconds=st.floats(0.13, 1.5),
    level=st.floats(-38, -6),
    before=st.floats(0, 1),
)
def test_beep_of_any_pitch_length_and_level_is_found(
    pitch: float, seconds: float, level: float, before: float
):
    (beep,) = heard(mulaw_silence(before), tone(seconds, pitch, level=level))

    assert beep.kind is ToneKind.BEEP
    assert beep.frequency == pytest.approx(pitch, rel=0.01)
    assert beep.began_at == pytest.approx(before, abs=0.03)
    assert beep.ended_at == pytest.approx(before + seconds, abs=0.03)


@given(cuts=st.lists(st.integers(0, 12_000), max_size=30))
def test_how_audio_is_cut_makes_no_difference(cuts: list[int]):
    audio = noise(0.3, -20) + mulaw_silence(0.2) + tone(0.4, 1000) + mulaw_silence(0.6)
    detector = ToneDetector()

    found = [
        one
        for begin, end in pairwise(sorted({0, len(audio), *cuts}))
        for one in detector.write(audio[begin:end])
    ]

    assert found == ToneDetector().write(audio)


def test_beep_is_told_within_a_tenth_of_a_second():
    detector = ToneDetector()
    audio = tone(0.4, 1000) + mulaw_silence(0.1)

    assert detector.write(audio[:-800]) == []
    assert len(detector.write(audio[-800:])) == 1


def test_beep_right_behind_speech_is_found():
    assert kinds(noise(2, -20), tone(0.3, 800)) == [ToneKind.BEEP]


def test_beep_in_a_noisy_room_is_found():
    samples = np.random.default_rng(2).standard_normal(2 * 8000) * 32768 * 10 ** (-32 / 20)
    time = np.arange(3200) / 8000
    samples[6000:9200] += 32768 * 0.1 * np.sqrt(2) * np.sin(2 * np.pi * 1000 * time)

    assert kinds(encode_mulaw(samples.astype(np.int16).tobytes())) == [ToneKind.BEEP]


def test_a_click_does_not_hide_a_beep():
    beep = bytearray(tone(0.5, 1000))
    beep[2000:2040] = noise(0.005, -6)

    assert kinds(bytes(beep)) == [ToneKind.BEEP]


@given(st.lists(st.sampled_from(KEYS), min_size=1, max_size=6))
def test_keys_are_no_tones(keys: list[str]):
    assert heard(tones("".join(keys))) == []


@pytest.mark.parametrize(
    "pitches",
    [(440, 480), (480, 620), (350, 440), (400, 450), (1400, 2060, 2450, 2600)],
    ids=["ringing", "engaged", "dial tone", "UK ringing", "off the hook"],
)
@pytest.mark.parametrize("seconds", [0.1, 0.25, 0.5, 1, 2])
def test_several_pitches_at_once_are_no_tone(pitches: tuple[float, ...], seconds: float):
    assert heard(*[tone(seconds, *pitches), mulaw_silence(seconds)] * 3) == []


@pytest.mark.parametrize("gap", [0, 0.03])
@pytest.mark.parametrize("seconds", [0.274, 0.33, 0.38])
def test_special_information_is_no_beep(seconds: float, gap: float):
    parts = [tone(seconds, *pitch) + mulaw_silence(gap) for pitch in SPECIAL_INFORMATION]

    assert heard(*parts) == []


@pytest.mark.parametrize(("on", "off"), [(1, 4), (1.5, 3.5), (0.5, 0.5), (0.25, 0.25)])
@pytest.mark.parametrize("pitch", [400, 425, 440, 450])
def test_tones_of_exchanges_are_told_as_such(pitch: float, on: float, off: float):
    found = kinds(*[tone(on, pitch), mulaw_silence(off)] * 2)

    assert set(found) == {ToneKind.LINE}


def test_fax_that_answers_is_told_while_it_sounds():
    (fax,) = ToneDetector().write(tone(1.0, 2100))

    assert fax.kind is ToneKind.FAX


def test_fax_that_calls_is_told():
    assert kinds(*[tone(0.5, 1100), mulaw_silence(3)] * 2) == [ToneKind.FAX] * 2


def test_what_sounds_on_is_no_beep():
    assert heard(tone(3, 1000)) == []


def test_melody_is_no_beep():
    assert heard(*(tone(0.2, pitch) for pitch in (523, 659, 784, 1047))) == []


@pytest.mark.parametrize("level", [-60, -40, -20, -10])
def test_noise_is_no_tone(level: float):
    assert heard(noise(20, level)) == []


@needs_recordings
def test_recorded_beep_is_found():
    assert kinds(prompt("vm-intro"), prompt("beep")) == [ToneKind.BEEP]


@needs_recordings
@pytest.mark.parametrize("folder", [PROMPTS, MUSIC], ids=["prompts", "music"])
def test_recordings_hold_no_other_beep(folder):
    beeps = {
        name
        # All of them are bench/answering.py's: they take a quarter of a minute.
        for name, mulaw in islice(recordings(folder), 0, None, 15)
        if any(one is ToneKind.BEEP for one in kinds(mulaw[: 60 * 8000]))
    }

    assert beeps <= {"beep"}
