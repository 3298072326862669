"""What a telephone and its network do to sound."""

import numpy as np
import pytest

from tests.testing.bots import tone
from twilio_frames.audio import decode_mulaw
from twilio_frames.testing.callers.voice import Voice
from twilio_frames.testing.lines.telephone import ComfortNoise, Echo, over_a_law


def pcm(mulaw: bytes) -> np.ndarray:
    return np.frombuffer(decode_mulaw(mulaw), dtype=np.int16).astype(float)


def level(mulaw: bytes) -> float:
    return float(20 * np.log10(pcm(mulaw).std() / 32768))


def test_echo_is_late_and_quiet():
    echo = Echo(level=-20, delay=0.2)
    played, silence = tone(0.2), b"\xff" * 1600

    before = echo.mix(silence, played)
    after = echo.mix(silence, silence)

    assert before == silence
    level = pcm(after).std() / pcm(played).std()
    assert 20 * np.log10(level) == pytest.approx(-20, abs=0.5)


def test_echo_lies_under_the_speech():
    echo = Echo(level=-20, delay=0.0)
    mixed = pcm(echo.mix(tone(0.1, 300), tone(0.1, 1000)))

    expected = pcm(tone(0.1, 300)) + 0.1 * pcm(tone(0.1, 1000))
    assert np.abs(mixed - expected).max() < 300


def test_speech_passes_comfort_noise():
    telephone = ComfortNoise(-60, seed=1)

    assert telephone.pass_on(tone(0.02)) == tone(0.02)


def test_pauses_become_comfort_noise():
    telephone, room = ComfortNoise(-60, seed=1), Voice(noise_level=-50, seed=2)
    telephone.pass_on(tone(0.02))
    frames = [room.next_frame() for _ in range(60)]
    passed = [telephone.pass_on(frame) for frame in frames]

    # 0.2 s behind the last sound are still the room's.
    assert passed[:10] == frames[:10]
    assert not set(passed[10:]) & set(frames)
    assert level(b"".join(frames)) == pytest.approx(-50, abs=1)
    assert level(b"".join(passed[10:])) == pytest.approx(-60, abs=1.5)


def test_comfort_noise_is_seeded():
    def passed(seed: int) -> list[bytes]:
        telephone = ComfortNoise(-60, seed=seed)
        return [telephone.pass_on(b"\xff" * 160) for _ in range(20)]

    assert passed(1) == passed(1) != passed(2)


def test_a_law_spares_the_loud():
    every = bytes(range(256))
    crossed = over_a_law(every)
    changed = [abs(pcm(every)[code]) for code in range(256) if crossed[code] != code]

    assert 4 < len(changed) < 64
    # A-law has finer steps than mu-law where it is loud, and coarser ones where it is quiet.
    assert max(changed) < 1000


def test_a_law_keeps_sign_and_order():
    every = bytes(range(256))
    before, after = pcm(every), pcm(over_a_law(every))
    order = np.argsort(before, kind="stable")

    assert (np.diff(after[order]) >= 0).all()
    assert (np.sign(after[np.abs(before) > 16]) == np.sign(before[np.abs(before) > 16])).all()
    assert (np.abs(after - before) <= np.maximum(16, np.abs(before) / 16)).all()


def test_a_law_crossed_twice_changes_no_more():
    once = over_a_law(bytes(range(256)))

    assert over_a_law(once) == once
