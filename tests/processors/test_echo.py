"""The bot's voice comes back quietly, and the caller speaks over it."""

from collections.abc import Iterator

import numpy as np
import pytest
from pipecat.frames.frames import VADUserStartedSpeakingFrame
from pipecat.tests.utils import run_test

from tests.pipecat_versions import OLDER_MODEL, unless_pipecat_112
from twilio_frames.audio import EchoReference, Resampler, encode_mulaw, pcm_level
from twilio_frames.frames import CallerSpeakingFrame, MulawInputFrame
from twilio_frames.local.synthesiser import Synthesiser
from twilio_frames.processors.vad import ECHO_MARGIN, PhoneVAD

Samples = np.ndarray
pytest.importorskip("espeakng_loader")

_PIECE = 160
_FRAME = 800
_MEMORY_SECS = 0.7


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
            bot_level=reference.loudest(end - _MEMORY_SECS, end),
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


@pytest.mark.parametrize("delay", [0.02, 0.2, 0.5])
@pytest.mark.parametrize("loss", [-15.0, -20.0, -30.0])
async def test_echo_interrupts_nothing(bot: Samples, loss: float, delay: float):
    echo = mixed((delay, bot * gain(loss)))

    assert await onset(echo, bot) is None


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
    assert 0.0 <= with_bot - alone <= 0.11


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
