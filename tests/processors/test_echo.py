"""The bot's voice comes back quietly, and the caller speaks over it."""

from collections.abc import Iterator

import numpy as np
import pytest
from pipecat.frames.frames import VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame
from pipecat.tests.utils import run_test

from tests.pipecat_versions import OLDER_MODEL, unless_pipecat_112
from tests.vendors.faults import bad_day
from twilio_frames.audio import Resampler, decode_mulaw, encode_mulaw, pcm_level
from twilio_frames.audio.echo import EchoReference
from twilio_frames.frames import CallerPausedFrame, CallerSpeakingFrame, MulawInputFrame
from twilio_frames.local.synthesiser import Synthesiser
from twilio_frames.processors.vad import ECHO_MARGIN, PhoneVAD

Samples = np.ndarray
pytest.importorskip("espeakng_loader")

_PIECE = 160
_FRAME = 800
_REACH_SECS = 0.9


def spoken(text: str, voice: str, level: float) -> Samples:
    """Synthetic speech whose loudest 20 ms are at a level, dB of full scale."""
    made = Synthesiser(voice).synthesise(text)
    resampler = Resampler(made.sample_rate, 8000)
    pcm = np.frombuffer(resampler.resample(made.pcm) + resampler.flush(), np.int16).astype(float)
    loudest = max(
        pcm_level(pcm[n : n + _PIECE].astype(np.int16).tobytes())
        for n in range(0, len(pcm), _PIECE)
    )
    return pcm * 10 ** ((level - loudest) / 20)


@pytest.fixture(scope="module")
def bot() -> Samples:
    text = "Thank you for calling. We have lattes and filter coffee in three sizes."
    return spoken(text, "en-us+f2", -12.0)


@pytest.fixture(scope="module")
def caller() -> Samples:
    return spoken("Stop please, I would like a large latte.", "en-us+m3", -15.0)


def gain(decibels: float) -> float:
    return 10 ** (decibels / 20)


def mixed(*parts: tuple[float, Samples]) -> Samples:
    """Sounds that begin at their second each, over a little noise of the line."""
    length = max(round(at * 8000) + len(sound) for at, sound in parts) + 8000
    line = np.random.default_rng(7).normal(0, 8, length)
    for at, sound in parts:
        line[round(at * 8000) : round(at * 8000) + len(sound)] += sound
    return line


def frames(line: Samples, bot: Samples | None) -> Iterator[MulawInputFrame]:
    """The caller's line as frames, while the bot speaks from the first moment on."""
    reference = EchoReference()
    if bot is not None:
        reference.note(encode_mulaw(bot.astype(np.int16).tobytes()), 0.0)
    for n in range(0, len(line) - _FRAME, _FRAME):
        pcm = line[n : n + _FRAME].astype(np.int16).tobytes()
        end = (n + _FRAME) / 8000
        yield MulawInputFrame(
            audio=pcm,
            sample_rate=8000,
            num_channels=1,
            mulaw=encode_mulaw(pcm),
            bot=reference.heard(end, _REACH_SECS),
        )


async def onset(
    line: Samples, bot: Samples | None, margin: float | None = ECHO_MARGIN
) -> float | None:
    """When the VAD hears the caller begin to speak, seconds; None if never."""
    down, _ = await run_test(PhoneVAD(echo_margin=margin), frames_to_send=list(frames(line, bot)))
    heard = 0
    for frame in down:
        heard += isinstance(frame, MulawInputFrame)
        if isinstance(frame, VADUserStartedSpeakingFrame):
            return heard * _FRAME / 8000
    return None


def filtered(sound: Samples) -> Samples:
    """A sound as a telephone leaves it, 300 to 3400 Hz."""
    spectrum = np.fft.rfft(sound)
    frequencies = np.fft.rfftfreq(len(sound), 1 / 8000)
    spectrum[(frequencies < 300) | (frequencies > 3400)] = 0
    return np.fft.irfft(spectrum, len(sound))


def coded(line: Samples) -> Samples:
    mulaw = encode_mulaw(line.clip(-32768, 32767).astype(np.int16).tobytes())
    return np.frombuffer(decode_mulaw(mulaw), np.int16).astype(float)


async def likely(line: Samples, bot: Samples) -> list[float]:
    """When the VAD thinks it likely that the caller speaks, which holds the bot; seconds."""
    down, _ = await run_test(PhoneVAD(), frames_to_send=list(frames(line, bot)))
    heard, found, speaks = 0, [], False
    for frame in down:
        heard += isinstance(frame, MulawInputFrame)
        if isinstance(frame, CallerSpeakingFrame):
            found += [heard * _FRAME / 8000] * (not speaks)
            speaks = True
        elif isinstance(frame, CallerPausedFrame | VADUserStoppedSpeakingFrame):
            speaks = False
    return found


@pytest.mark.parametrize(
    ("loss", "delay"),
    [
        pytest.param(loss, delay, marks=[] if is_typical else pytest.mark.truth)
        for loss, delays in {-10.0: (0.02, 0.6), -20.0: (0.2,), -30.0: (0.02, 0.6)}.items()
        for delay, is_typical in ((each, each in delays) for each in (0.02, 0.2, 0.6))
    ],
)
async def test_echo_interrupts_nothing(bot: Samples, loss: float, delay: float):
    echo = mixed((delay, bot * gain(loss)))

    assert await likely(echo, bot) == []
    assert await likely(coded(mixed((delay, filtered(bot) * gain(loss)))), bot) == []


async def test_echo_that_begins_late_interrupts_nothing(bot: Samples):
    """Louder than all that came back before, it holds the bot for the moment until it is known."""
    whole = filtered(bot) * gain(-20.0)
    echo = mixed((0.3, np.concatenate([np.zeros(16000), whole[16000:]])))

    down, _ = await run_test(PhoneVAD(), frames_to_send=list(frames(echo, bot)))

    heard = [f for f in down if isinstance(f, CallerSpeakingFrame | CallerPausedFrame)]
    assert [type(frame) for frame in heard] in ([], [CallerSpeakingFrame, CallerPausedFrame])
    assert not any(frame.is_certain for frame in heard)


@bad_day(
    "air",
    "a soft voice over the greeting, 24 dB below the bot",
    "The bot stops within a second.",
)
@unless_pipecat_112(OLDER_MODEL)
@pytest.mark.parametrize(
    ("level", "echo"),
    [(-20.0, None), (-28.0, None), (-20.0, -30.0), (-20.0, -20.0), (-28.0, -35.0)],
)
async def test_soft_caller_holds_a_bot_that_never_paused(
    bot: Samples, caller: Samples, level: float, echo: float | None
):
    """16 and 24 dB below the bot, who has been speaking since the call began."""
    parts = [(2.0, caller * gain(level))]
    if echo is not None:
        parts.append((0.3, filtered(bot) * gain(echo)))

    found = await likely(coded(mixed(*parts)), bot)

    assert found
    assert 2.0 <= found[0] <= 2.0 + (0.4 if echo is None else 0.9)


async def test_echo_would_interrupt_without_the_gate(bot: Samples):
    echo = mixed((0.2, bot * gain(-20.0)))

    assert await onset(echo, bot, None) is not None


@unless_pipecat_112(OLDER_MODEL)
@pytest.mark.parametrize("level", [6.0, 0.0, -6.0])
async def test_caller_over_the_echo_interrupts(bot: Samples, caller: Samples, level: float):
    line = mixed((0.2, bot * gain(-20.0)), (2.0, caller * gain(level)))

    with_bot = await onset(line, bot)
    alone = await onset(mixed((2.0, caller * gain(level))), None)

    assert with_bot is not None
    assert alone is not None
    # Where there was an echo, the model is awake.
    assert -0.11 <= with_bot - alone <= 0.11


async def test_quiet_caller_interrupts_once_known(bot: Samples, caller: Samples):
    quiet = caller * gain(-16.0)
    line = mixed((0.5, quiet))
    before = list(frames(line, None))
    over = list(frames(mixed((1.0, quiet)), bot))

    down, _ = await run_test(PhoneVAD(), frames_to_send=[*before, *over])

    onsets = [n for n, frame in enumerate(down) if isinstance(frame, VADUserStartedSpeakingFrame)]
    first_over = next(n for n, frame in enumerate(down) if frame is over[0])
    assert sum(n > first_over for n in onsets) == 1
    assert any(isinstance(frame, CallerSpeakingFrame) for frame in down[first_over:])
