"""The audio of the pages, beside that of this package: mu-law, the resampler, the play-out."""

from typing import Any

import numpy as np
import pytest

from tests.javascript import needs_node, run_module
from twilio_frames.audio import Resampler, decode_mulaw, encode_mulaw

pytestmark = needs_node


def test_mulaw_is_the_same():
    samples = list(range(-32768, 32768, 3))
    code = "return { codes: [...its.encode(told.map((sample) => sample / 32768))], "
    code += "samples: [...its.decode(Uint8Array.from({ length: 256 }, (_, code) => code))] };"

    got = run_module("mulaw.js", code, samples)

    assert bytes(got["codes"]) == encode_mulaw(np.array(samples, dtype=np.int16).tobytes())
    heard = np.array(got["samples"]) * 32768
    assert heard.tolist() == np.frombuffer(decode_mulaw(bytes(range(256))), np.int16).tolist()


def test_what_is_too_loud_or_no_number_is_still_a_code():
    codes = run_module("mulaw.js", "return [...its.encode([9, -9, NaN])];")

    assert bytes(codes[:2]) == encode_mulaw(np.array([32767, -32768], np.int16).tobytes())
    assert 0 <= codes[2] <= 255


def tone(hertz: float, rate: int, seconds: float = 0.5) -> list[float]:
    return np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate).tolist()


def resampled(
    *sounds: list[float], source: int, target: int, pieces: tuple[int, ...] = (128,)
) -> list[np.ndarray]:
    """Each sound, in pieces of each length, by a resampler of its own."""
    code = """
        return told.sounds.flatMap((samples) => told.pieces.map((length) => {
            const resampler = new its.Resampler(told.from, told.to);
            const made = [];
            for (let at = 0; at < samples.length; at += length) {
                const piece = Float32Array.from(samples.slice(at, at + length));
                made.push(...resampler.resample(piece));
            }
            return made;
        }));
    """
    told = {"sounds": sounds, "from": source, "to": target, "pieces": pieces}
    return [np.array(made) for made in run_module("resampler.js", code, told)]


def decibels(samples: np.ndarray) -> float:
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    return 10 * np.log10(2 * np.mean(middle**2) + 1e-20)


@pytest.mark.parametrize("rate", [44100, 48000, 16000, 96000])
def test_speech_passes_and_what_would_be_mirrored_does_not(rate: int):
    sounds = [tone(hertz, rate, 0.25) for hertz in (1000, 3400, 4600, 7000)]
    low, high, *mirrored = resampled(*sounds, source=rate, target=8000)

    assert decibels(low) == pytest.approx(0, abs=0.1)
    assert decibels(high) == pytest.approx(0, abs=0.5)
    assert all(decibels(one) < -60 for one in mirrored)


@pytest.mark.parametrize(("source", "target"), [(48000, 8000), (44100, 8000), (8000, 44100)])
def test_resampler_agrees_with_ours(source: int, target: int):
    samples = np.array(tone(440, source)) * 0.4 + np.array(tone(1230, source)) * 0.4
    ours = Resampler(source, target)
    pcm = np.rint(samples * 32768).astype(np.int16).tobytes()
    wanted = np.frombuffer(ours.resample(pcm) + ours.flush(), np.int16) / 32768

    (got,) = resampled(samples.tolist(), source=source, target=target)

    # It holds back the few milliseconds that its filter has not seen the end of.
    assert 0 <= len(wanted) - len(got) <= 0.005 * target
    middle = slice(target // 10, len(got) - target // 10)
    assert decibels(got[middle] - wanted[middle]) < -60


def test_pieces_of_any_length_make_the_same():
    samples = tone(700, 44100)

    short, long = resampled(samples, source=44100, target=8000, pieces=(128, 7001))
    assert np.allclose(short, long)


def playout(code: str, told: object = None) -> Any:
    """What code makes of a buffer at 8 kHz; ``heard(n)`` plays so many blocks of 10 ms."""
    begin = """
        const buffer = new its.PlayoutBuffer(8000);
        const heard = (blocks) => Array.from({ length: blocks }, () =>
            [...buffer.pull(new Float32Array(80))]).flat();
        const frame = (level) => new Float32Array(160).fill(level);
    """
    return run_module("worklet.js", begin + code, told)


def test_first_audio_waits_until_some_is_there_for_later():
    early, late = playout(
        "buffer.push(frame(0.5)); const early = heard(2); buffer.push(frame(0.25));"
        "return [early, heard(4)];"
    )

    assert not any(early)
    assert late == [0.5] * 160 + [0.25] * 160


def test_hole_is_silence_and_more_waits_after_it():
    before, hole, after = playout(
        "buffer.push(frame(0.5)); buffer.push(frame(0.5)); heard(4);"
        "const before = buffer.wanted; const hole = heard(2);"
        "return [[before, buffer.wanted, buffer.holes], hole, (buffer.push(frame(0.5)), heard(2))];"
    )

    assert before == [0.04, pytest.approx(0.06), 1]
    assert not any(hole)
    assert not any(after)


def test_what_came_all_at_once_is_caught_up_with_in_a_pause():
    """A tab that stood still, or a sender whose clock is the faster one."""
    waiting, loud, quiet = playout(
        "const run = (level) => { for (let n = 0; n < 100; n++) "
        "{ buffer.push(frame(level)); heard(2); } return buffer.seconds; };"
        "for (let n = 0; n < 20; n++) buffer.push(frame(0.5));"
        "const waiting = buffer.seconds;"
        "return [waiting, run(0.5), (run(0), run(0))];"
    )

    assert waiting == pytest.approx(0.4)
    assert loud == pytest.approx(0.4)
    assert quiet <= 0.07


def test_what_is_older_than_a_second_is_not_played():
    waiting = playout("for (let n = 0; n < 500; n++) buffer.push(frame(0)); return buffer.seconds;")

    assert waiting <= 1.04
