import numpy as np
import pytest

from twilio_frames.audio import (
    MULAW_SILENCE,
    decode_mulaw,
    encode_mulaw,
    mulaw_seconds,
    mulaw_silence,
)

ALL_CODES = bytes(range(256))
ALL_SAMPLES = np.arange(-32768, 32768, dtype=np.int16)


def decoded_value(code: int) -> int:
    """G.711 table 2: sign, three bits of segment, four of step; scaled from 14 to 16 bits."""
    inverted = ~code & 0xFF
    segment, step = (inverted >> 4) & 7, inverted & 15
    magnitude = ((2 * step + 33) << segment) - 33
    return -4 * magnitude if inverted & 0x80 else 4 * magnitude


def encoded_magnitude(magnitude: int) -> int:
    """Number of the interval a 14-bit magnitude lies in, counted through the decision values."""
    decisions = [0, *(v for s in range(8) for v in _decisions_of_segment(s))]
    return max(n for n, decision in enumerate(decisions) if magnitude >= decision)


def _decisions_of_segment(segment: int) -> list[int]:
    first = 1 if segment == 0 else (32 << segment) - 33
    steps = 15 if segment == 0 else 16
    width = 2 << segment
    return [first + width * n for n in range(steps)]


def test_every_code_decodes_exactly():
    decoded = np.frombuffer(decode_mulaw(ALL_CODES), dtype=np.int16)

    assert decoded.tolist() == [decoded_value(code) for code in ALL_CODES]


def test_every_sample_encodes_exactly():
    intervals = [encoded_magnitude(magnitude) for magnitude in range(8193)]
    encoded = encode_mulaw(ALL_SAMPLES.tobytes())

    expected = [
        ~((0x80 if sample < 0 else 0) | intervals[abs(sample >> 2)]) & 0xFF
        for sample in ALL_SAMPLES.tolist()
    ]
    assert list(encoded) == expected


def test_round_trip_keeps_every_code():
    again = encode_mulaw(decode_mulaw(ALL_CODES))

    negative_zero = 0x7F
    assert [a for a, b in zip(ALL_CODES, again, strict=True) if a != b] == [negative_zero]


def test_silence_is_ff():
    assert encode_mulaw(b"\0\0") == b"\xff"
    assert mulaw_silence(0.02) == b"\xff" * 160
    assert MULAW_SILENCE == 0xFF
    assert mulaw_seconds(mulaw_silence(1.5)) == 1.5


def test_half_sample_is_refused():
    with pytest.raises(ValueError, match="whole 16-bit samples, got 3 bytes"):
        encode_mulaw(b"\0\0\0")
