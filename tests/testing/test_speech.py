"""What a caller can be given to say."""

import wave

import numpy as np
import pytest

from twilio_frames.errors import ConfigurationError
from twilio_frames.testing.speech import read_wav, to_utterance


def write_wav(path, samples: np.ndarray, *, rate: int, channels: int = 1, width: int = 2):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return path


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 2), (44100, 1)])
def test_wav_of_any_rate_becomes_telephone_audio(tmp_path, rate, channels):
    samples = np.zeros(rate * channels, dtype=np.int16)

    assert (
        len(read_wav(write_wav(tmp_path / "a.wav", samples, rate=rate, channels=channels))) == 8000
    )


def test_other_files_are_explained(tmp_path):
    (tmp_path / "a.wav").write_text("no sound")
    eight_bit = write_wav(tmp_path / "b.wav", np.zeros(9, dtype=np.uint8), rate=8000, width=1)

    with pytest.raises(ConfigurationError, match=r"expected a WAV file, .*a\.wav"):
        read_wav(tmp_path / "a.wav")
    with pytest.raises(ConfigurationError, match="with 8 bits"):
        read_wav(eight_bit)


async def test_words_are_spoken():
    utterance = await to_utterance("A large latte.")

    assert utterance.label == "A large latte."
    assert 0.5 < len(utterance.mulaw) / 8000 < 4
