import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twilio_frames.audio import Resampler
from twilio_frames.audio.__main__ import round_trip

RATES = [8000, 11025, 16000, 22050, 24000, 44100, 48000]


def chunked(data: bytes, sizes: list[int]) -> list[bytes]:
    chunks: list[bytes] = []
    while data:
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(data[:size])
        data = data[size:]
    return chunks


@pytest.mark.parametrize("rate", RATES)
@given(sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=6))
def test_nothing_is_lost(rate: int, sizes: list[int]):
    noise = np.random.default_rng(7).integers(-9000, 9000, rate // 16, dtype=np.int16)
    resampler = Resampler(rate, 8000)

    heard = b"".join(map(resampler.resample, chunked(noise.tobytes(), sizes))) + resampler.flush()

    assert abs(len(heard) // 2 - len(noise) * 8000 / rate) <= 1


def test_chunks_make_no_difference():
    speech = np.random.default_rng(1).integers(-9000, 9000, 24000, dtype=np.int16).tobytes()
    whole, pieces = Resampler(24000, 8000), Resampler(24000, 8000)

    at_once = whole.resample(speech) + whole.flush()
    bit_by_bit = b"".join(map(pieces.resample, chunked(speech, [333]))) + pieces.flush()

    assert at_once == bit_by_bit


def test_equal_rates_hold_nothing():
    resampler = Resampler(8000, 8000)

    assert resampler.resample(b"\1\2\3\4") == b"\1\2\3\4"
    assert resampler.flush() == b""


def test_flushed_resampler_starts_afresh():
    tone = (9000 * np.sin(np.arange(4800) / 9)).astype(np.int16).tobytes()
    resampler = Resampler(24000, 8000)

    first = resampler.resample(tone) + resampler.flush()

    assert resampler.resample(tone) + resampler.flush() == first


def test_reset_forgets_the_tail():
    loud = (20000 * np.ones(2400)).astype(np.int16).tobytes()
    resampler = Resampler(24000, 8000)
    resampler.resample(loud)

    resampler.reset()

    silence = np.frombuffer(resampler.resample(bytes(4800)) + resampler.flush(), dtype=np.int16)
    assert not silence.any()


def test_impossible_rate_is_refused():
    with pytest.raises(ValueError, match="above 0 Hz, got 0"):
        Resampler(0, 8000)


def test_telephone_band_keeps_a_tone():
    assert round_trip(1000) > 30
