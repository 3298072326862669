import numpy as np
import pytest
import soxr

from twilio_frames.local.recognition.cepstra import (
    TELEPHONE_BANDS,
    cepstra,
    log_bands,
    telephone_cepstra,
)
from twilio_frames.local.recognition.telephone_band import BAND_MAP


def noise(seconds: float, rate: int = 8000, *, level: float = 2000) -> np.ndarray:
    samples = np.random.default_rng(1).normal(0, level, round(seconds * rate))
    return samples.clip(-32768, 32767).astype(np.int16)


def test_a_frame_each_hundredth_second():
    features = telephone_cepstra(noise(1))
    assert features.shape == (98, 13)
    assert features.dtype == np.float32


@pytest.mark.parametrize("samples", [0, 1, 204])
def test_less_than_a_window_is_no_frame(samples: int):
    assert telephone_cepstra(np.zeros(samples, np.int16)).shape == (0, 13)


def test_digital_silence_is_finite():
    assert np.isfinite(telephone_cepstra(np.zeros(8000 * 30, np.int16))).all()


def test_loudness_and_colour_of_line_fall_away():
    speech = noise(2) * np.sin(np.arange(16000) / 900)
    quiet = telephone_cepstra(speech.astype(np.int16))
    loud = telephone_cepstra((speech * 4).astype(np.int16))
    assert np.abs(quiet - loud).mean() < 0.1 * np.abs(quiet).mean()


def test_both_rates_hear_the_same_bands():
    wide = soxr.resample(noise(2), 8000, 16000).astype(np.int16)
    at_8_khz, at_16_khz = log_bands(noise(2), 8000), log_bands(wide, 16000)
    difference = at_8_khz[:190, 2:17] - at_16_khz[:190, 2:17]
    assert np.abs(difference).mean() < 0.1


def test_tone_stands_in_its_band():
    tone = (8000 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)).astype(np.int16)
    # The ninth band reaches from 938 to 1250 Hz, the eighth from 812 to 1094 Hz.
    assert log_bands(tone, 8000)[0].argmax() in (7, 8)


def test_flat_spectrum_has_only_the_first_cepstrum():
    values = cepstra(np.ones((1, 25)))[0]
    assert values[0] == pytest.approx(5)
    assert np.abs(values[1:]).max() < 1e-9


def test_map_has_a_row_for_each_band():
    assert np.asarray(BAND_MAP).shape == (TELEPHONE_BANDS, 13)
