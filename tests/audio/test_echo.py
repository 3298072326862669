import math

import numpy as np
import pytest

from twilio_frames.audio import encode_mulaw, mulaw_silence, pcm_level
from twilio_frames.audio.echo import EchoReference


def tone(seconds: float, level: float) -> bytes:
    """A sine whose mean power is at a level, mu-law."""
    time = np.arange(round(seconds * 8000)) / 8000
    amplitude = 32768 * math.sqrt(2) * 10 ** (level / 20)
    return encode_mulaw((amplitude * np.sin(2 * np.pi * 400 * time)).astype(np.int16).tobytes())


def level_of(samples: np.ndarray) -> float:
    return pcm_level(samples.astype(np.int16).tobytes())


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
    assert reference.heard(1.0, 1.0) is None


def test_outside_of_what_was_played_is_silence():
    reference = EchoReference()
    reference.note(tone(0.1, -10), 5.0)

    assert reference.loudest(4.0, 5.0) is None
    assert reference.loudest(5.11, 6.0) is None
    assert not reference.sound(4 * 8000, 8000).any()
    assert not reference.sound(round(5.1 * 8000), 800).any()


def test_cut_audio_was_never_heard():
    reference = EchoReference()
    reference.note(tone(0.2, -30) + tone(0.2, -10), 0.0)
    reference.cut(0.2)
    reference.note(tone(0.2, -20), 0.5)

    assert reference.loudest(0.0, 0.5) == pytest.approx(-30, abs=0.5)
    assert reference.loudest(0.0, 1.0) == pytest.approx(-20, abs=0.5)
    assert not reference.sound(1600, 2400).any()


def test_what_is_played_earlier_takes_the_place():
    """What was thrown away may end later than what is said instead begins."""
    reference = EchoReference()
    reference.note(tone(0.4, -10), 0.0)
    reference.note(tone(0.2, -30), 0.2)

    assert level_of(reference.sound(0, 1600)) == pytest.approx(-10, abs=0.5)
    assert level_of(reference.sound(1600, 1600)) == pytest.approx(-30, abs=0.5)
    assert reference.loudest(0.21, 1.0) == pytest.approx(-30, abs=0.5)


def test_sound_is_whole_across_messages():
    reference = EchoReference()
    mulaw = tone(0.5, -20)
    for begin in range(0, len(mulaw), 800):
        # Clocks are read in between, so the seams are not exact.
        reference.note(mulaw[begin : begin + 800], 7.0 + begin / 8000 + 0.003 * (begin % 1600 > 0))

    sound = reference.sound(7 * 8000 - 80, len(mulaw) + 160)

    assert encode_mulaw(sound[80:-80].astype(np.int16).tobytes()) == mulaw
    assert not sound[:80].any()


def test_memory_lasts_a_minute():
    reference = EchoReference()
    reference.note(tone(35.0, -20), 0.0)
    reference.note(tone(35.0, -20), 35.0)
    reference.note(tone(35.0, -20), 70.0)

    assert reference.loudest(0.0, 9.0) is None
    assert reference.loudest(46.0, 47.0) is not None
    assert not reference.sound(0, 8000).any()


def test_what_no_echo_can_hold_is_forgotten():
    reference = EchoReference()
    for number in range(50):
        reference.note(tone(0.1, -20), number / 10)

    heard = reference.heard(4.0, 0.5)

    assert heard is not None
    assert heard.level == pytest.approx(-20, abs=0.5)
    assert reference.loudest(0.0, 3.4) is None
    assert reference.sound(32000 - 4000, 4000).any()
    assert not reference.sound(0, 8000).any()
