import numpy as np
import pytest

from twilio_frames.audio import encode_mulaw, mulaw_silence
from twilio_frames.testing.callers.tones import KEYS, KeyEar, keys_in, tones
from twilio_frames.testing.known_speech import said, sound


@pytest.mark.parametrize("keys", [*KEYS, "1123", "0w#", "5" * 8, KEYS])
def test_keys_are_heard_as_they_were_pressed(keys: str):
    assert keys_in(mulaw_silence(0.3) + tones(keys) + mulaw_silence(0.3)) == keys.replace("w", "")


@pytest.mark.parametrize("offset", range(0, 160, 37))
def test_keys_lie_anywhere(offset: int):
    assert keys_in(b"\xff" * offset + tones("2580")) == "2580"


@pytest.mark.parametrize("step", [100, 160, 1000])
def test_keys_are_heard_as_they_come(step: int):
    ear, sound = KeyEar(), mulaw_silence(0.1) + tones("2w25") + mulaw_silence(0.1)
    seen = [ear.keys_in(sound[:end]) for end in range(0, len(sound) + step, step)]

    assert seen[-1] == "225"
    assert list(dict.fromkeys(seen)) == ["", "2", "22", "225"]


def test_other_sounds_are_no_keys():
    time = np.arange(8000) / 8000
    hum = encode_mulaw((8000 * np.sin(2 * np.pi * 440 * time)).astype(np.int16).tobytes())

    assert keys_in(sound(said("one two three four five six seven"))) == ""
    assert keys_in(hum) == ""
    assert keys_in(mulaw_silence(2.0)) == ""
    assert keys_in(b"") == ""
