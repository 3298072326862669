"""Made-up voices: noise whose loudness and colour change as speech does, each in its own way."""

import numpy as np
import pytest

from twilio_frames.audio import encode_mulaw
from twilio_frames.audio.echo import EchoReference
from twilio_frames.audio.echo_gate import WINDOW, EchoGate, Heard
from twilio_frames.audio.likeness import likeness

Samples = np.ndarray


def voice(seed: int, seconds: float, level: float) -> Samples:
    """A sound of a level that changes every 60 ms, 8 kHz."""
    random = np.random.default_rng(seed)
    pieces = []
    for _ in range(int(seconds / 0.06) + 1):
        spectrum = np.fft.rfft(random.normal(0, 1, 480))
        at = random.uniform(400, 2500)
        spectrum *= 1 / (1 + ((np.fft.rfftfreq(480, 1 / 8000) - at) / 400) ** 2)
        pieces.append(np.fft.irfft(spectrum) * random.uniform(0.3, 1.0))
    sound = np.concatenate(pieces)[: round(seconds * 8000)]
    return sound * 32768 * 10 ** (level / 20) / np.sqrt((sound**2).mean())


def later(sound: Samples, seconds: float) -> Samples:
    return np.concatenate([np.zeros(round(seconds * 8000)), sound])[: len(sound)]


def quieter(sound: Samples, decibels: float) -> Samples:
    return sound * 10 ** (-decibels / 20)


def judged(
    bot: Samples, line: Samples, *, noise: Samples | None = None, lasting: int = 0
) -> list[Heard]:
    """What a gate says of each window of a line on which the bot speaks from the start.

    Args:
        bot: The bot.
        line: What is heard but for the noise.
        noise: What is heard beside it.
        lasting: For how many windows more what has sounded is taken for speech.
    """
    gate = EchoGate(6.0)
    reference = EchoReference()
    reference.note(encode_mulaw(bot.clip(-32768, 32767).astype(np.int16).tobytes()), 0.0)
    noisy = line + (np.random.default_rng(9).normal(0, 5, len(line)) if noise is None else noise)
    found = []
    for begin in range(0, len(line) - WINDOW + 1, WINDOW):
        until = (begin + WINDOW) / 8000
        window = noisy[begin : begin + WINDOW].astype(np.int16).tobytes()
        is_speech = sounds_lately(line, begin, lasting)
        heard = reference.heard(until, 0.9)
        found.append(gate.judge(window, heard, until, is_speech=is_speech))
    return found


def sounds_lately(line: Samples, begin: int, lasting: int = 0) -> bool:
    """Whether there is a sound in a window, or was in one of so many before it."""
    return bool(np.abs(line[max(0, begin - lasting * WINDOW) : begin + WINDOW]).max() > 60)


def spoken(found: list[Heard], line: Samples, lasting: int = 0) -> list[Heard]:
    """The verdicts on the windows that are taken for speech."""
    return [
        heard for number, heard in enumerate(found) if sounds_lately(line, number * WINDOW, lasting)
    ]


BOT = voice(1, 6.0, -18.0)


def test_same_sound_is_found_where_it_is():
    found = likeness(
        quieter(BOT[20000:22048], 6.0).astype(np.float32),
        BOT[16000:24000].astype(np.float32),
        loss=3.0,
    )

    assert found.degree == pytest.approx(1.0, abs=0.02)
    assert found.shift == 24000 - 22048


def test_other_voice_is_found_nowhere():
    other = voice(2, 6.0, -30.0)

    found = likeness(
        other[20000:22048].astype(np.float32), BOT[16000:24000].astype(np.float32), loss=0.0
    )

    assert found.degree < 0.3


def test_sound_that_is_too_loud_has_no_cause():
    part = BOT[20000:22048].astype(np.float32)

    assert likeness(part, BOT[16000:24000].astype(np.float32), loss=1.0).degree < 0.3


@pytest.mark.parametrize("delay", [0.03, 0.3, 0.6])
@pytest.mark.parametrize("loss", [10.0, 20.0, 35.0])
def test_echo_is_never_the_caller(loss: float, delay: float):
    line = later(quieter(BOT, loss), delay)

    assert Heard.CALLER not in spoken(judged(BOT, line), line)


@pytest.mark.parametrize("level", [-26.0, -35.0, -45.0])
def test_soft_caller_is_known_without_having_been_heard(level: float):
    line = voice(3, 6.0, level)

    found = spoken(judged(BOT, line), line)

    assert found.index(Heard.CALLER) <= 7
    assert Heard.ECHO not in found[found.index(Heard.CALLER) :]


def test_loud_caller_is_known_at_once():
    line = voice(3, 2.0, -10.0)

    assert set(judged(BOT, line)) == {Heard.CALLER}


def with_pauses(sound: Samples) -> Samples:
    """A sound that begins after a second, and stops for half a second in each second and a half."""
    return np.where(np.arange(len(sound)) % 12000 >= 8000, sound, 0.0)


def comfort_noise(line: Samples, level: float) -> Samples:
    """Noise that a telephone sends where nothing has been heard for 60 ms; before that, nothing."""
    noise = np.random.default_rng(8).normal(0, 32768 * 10 ** (level / 20), len(line))
    quiet = 0
    for begin in range(0, len(line), WINDOW):
        quiet = 0 if np.abs(line[begin : begin + WINDOW]).max() > 60 else quiet + 1
        if quiet <= 2:
            noise[begin : begin + WINDOW] = 0.0
    return noise


@pytest.mark.parametrize("level", [-65.0, -60.0, -55.0])
@pytest.mark.parametrize("loss", [12.0, 20.0, 25.0])
def test_noise_in_the_echos_pauses_is_no_caller(loss: float, level: float):
    """The model hears speech for a moment longer than there is any."""
    bot = with_pauses(BOT)
    line = later(quieter(bot, loss), 0.3)

    found = judged(bot, line, noise=comfort_noise(line, level), lasting=8)

    assert Heard.CALLER not in spoken(found, line, lasting=8)


def test_soft_caller_over_comfort_noise_is_heard():
    bot, voice_of_caller = with_pauses(BOT), voice(4, 2.0, -40.0)
    line = later(quieter(bot, 25.0), 0.3)
    line[24000:40000] += voice_of_caller

    found = judged(bot, line, noise=comfort_noise(line, -60.0), lasting=8)

    assert Heard.CALLER in found[93:125]


def test_echo_that_begins_in_mid_call_is_known():
    line = later(quieter(BOT, 20.0), 0.3)
    line[: 3 * 8000] = 0.0

    assert Heard.CALLER not in spoken(judged(BOT, line), line)


@pytest.mark.parametrize("is_shorter", [False, True])
def test_delay_may_change(is_shorter: bool):
    first, second = later(quieter(BOT, 20.0), 0.2), later(quieter(BOT, 20.0), 0.5)
    line = np.concatenate([first[:24000], second[24000:]])
    if is_shorter:
        line = np.concatenate([second[:24000], first[24000:]])

    assert Heard.CALLER not in spoken(judged(BOT, line), line)


@pytest.mark.parametrize("beside", [6.0, 0.0])
def test_caller_beside_the_echo_is_heard(beside: float):
    line = later(quieter(BOT, 20.0), 0.3)
    line[24000:40000] += voice(4, 2.0, -38.0 + beside)

    found = judged(BOT, line)

    assert Heard.CALLER not in found[24:92]
    assert Heard.CALLER in found[93:125]


def test_caller_is_heard_soon_after_the_echo_has_gone():
    """A telephone may have learned to cancel it."""
    line = later(quieter(BOT, 20.0), 0.3)
    line[24000:] = 0.0
    line[26000:] = voice(4, 6.0, -38.0)[26000:]

    found = judged(BOT, line)

    assert Heard.CALLER in found[26000 // WINDOW : 26000 // WINDOW + 24]


def test_echo_right_behind_the_caller_is_none_of_theirs():
    line = later(quieter(BOT, 20.0), 0.3)
    line[:24000] = voice(5, 3.0, -30.0)

    found = judged(BOT, line)

    assert Heard.CALLER in found[:20]
    assert Heard.CALLER not in found[24000 // WINDOW + 26 :]


def test_without_the_bot_everything_is_the_caller():
    line = voice(3, 2.0, -45.0)

    assert set(judged(np.zeros(16000), line)) == {Heard.CALLER}


def test_unlike_and_short_waits():
    """Sounds of a few windows are like anything by chance."""
    line = np.zeros(16000)
    line[8000:8400] = voice(3, 1.0, -35.0)[:400]

    found = spoken(judged(BOT, line), line)

    assert set(found) <= {Heard.UNSURE, Heard.ECHO}


@pytest.mark.parametrize("echo", [None, 30.0])
def test_caller_louder_than_all_that_came_back_is_likely(echo: float | None):
    """Where nothing came back while the bot spoke; an echo that is known is one of the rest."""
    line = np.zeros(len(BOT)) if echo is None else later(quieter(BOT, echo), 0.3)
    begin = 4 * 8000 // WINDOW * WINDOW
    line[begin:] += voice(4, 6.0, -34.0)[begin:]

    found = judged(BOT, line)

    first = found[begin // WINDOW]
    assert first is Heard.LIKELY if echo is None else first in (Heard.UNSURE, Heard.ECHO)
    assert Heard.CALLER in found[begin // WINDOW : begin // WINDOW + 24]


def test_nothing_is_likely_until_the_bot_has_spoken_for_a_while():
    line = np.zeros(len(BOT))
    line[8000:] = voice(4, 6.0, -34.0)[8000 : len(BOT)]
    line[: 8000 * 7 // 8] = 0.0

    assert Heard.LIKELY not in judged(BOT, line)[: 8000 // WINDOW + 2]
