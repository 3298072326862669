import math

import numpy as np
import pytest

from twilio_frames.audio import EchoGate, EchoReference, encode_mulaw, mulaw_silence, pcm_level


def tone(seconds: float, level: float) -> bytes:
    """A sine whose mean power is at a level, mu-law."""
    time = np.arange(round(seconds * 8000)) / 8000
    amplitude = 32768 * math.sqrt(2) * 10 ** (level / 20)
    return encode_mulaw((amplitude * np.sin(2 * np.pi * 400 * time)).astype(np.int16).tobytes())


def test_level_is_mean_power():
    full_scale = (32767 * np.sin(np.arange(8000) * 0.3)).astype(np.int16).tobytes()

    assert pcm_level(full_scale) == pytest.approx(-3.01, abs=0.05)
    assert pcm_level(bytes(320)) == -math.inf


def test_loudest_is_of_the_stretch():
    reference = EchoReference()
    reference.note(tone(0.2, -30) + tone(0.2, -10) + tone(0.2, -20), 100.0)

    assert reference.loudest(100.0, 100.19) == pytest.approx(-30, abs=0.5)
    assert reference.loudest(100.0, 100.5) == pytest.approx(-10, abs=0.5)
    assert reference.loudest(100.41, 100.6) == pytest.approx(-20, abs=0.5)


def test_silence_has_no_level():
    reference = EchoReference()
    reference.note(mulaw_silence(1.0), 0.0)

    assert reference.loudest(0.0, 1.0) is None


def test_outside_of_what_was_played_is_silence():
    reference = EchoReference()
    reference.note(tone(0.1, -10), 5.0)

    assert reference.loudest(4.0, 5.0) is None
    assert reference.loudest(5.11, 6.0) is None


def test_cut_audio_was_never_heard():
    reference = EchoReference()
    reference.note(tone(0.2, -30) + tone(0.2, -10), 0.0)
    reference.cut(0.2)
    reference.note(tone(0.2, -20), 0.5)

    assert reference.loudest(0.0, 0.5) == pytest.approx(-30, abs=0.5)
    assert reference.loudest(0.0, 1.0) == pytest.approx(-20, abs=0.5)


def test_memory_lasts_a_minute():
    reference = EchoReference()
    reference.note(tone(70.0, -20), 0.0)

    assert reference.loudest(0.0, 9.0) is None
    assert reference.loudest(11.0, 12.0) is not None


def test_quiet_sound_behind_the_bot_is_echo():
    gate = EchoGate(12.0)

    assert gate.is_echo(-35.0, -15.0, is_speech=True)
    assert not gate.is_echo(-26.0, -15.0, is_speech=True)


def test_quiet_sound_in_silence_is_no_echo():
    assert not EchoGate(12.0).is_echo(-50.0, None, is_speech=True)


def test_voice_is_heard_on_between_loud_sounds():
    gate = EchoGate(12.0)
    gate.is_echo(-20.0, -15.0, is_speech=True)

    found = [gate.is_echo(-40.0, -15.0, is_speech=True) for _ in range(8)]

    assert found == [False] * 5 + [True] * 3


def test_quiet_voice_is_known_again():
    gate = EchoGate(12.0)
    for _ in range(30):
        gate.is_echo(-38.0, None, is_speech=True)
        gate.is_echo(-70.0, None, is_speech=False)
    for _ in range(6):
        gate.is_echo(-70.0, -15.0, is_speech=False)

    assert not gate.is_echo(-38.0, -15.0, is_speech=True)
    for _ in range(6):
        gate.is_echo(-70.0, -15.0, is_speech=False)
    assert gate.is_echo(-45.0, -15.0, is_speech=True)


def test_loud_voice_widens_nothing():
    gate = EchoGate(12.0)
    for _ in range(30):
        gate.is_echo(-15.0, None, is_speech=True)
    for _ in range(6):
        gate.is_echo(-70.0, None, is_speech=False)

    assert not gate.is_echo(-26.0, -25.0, is_speech=True)
