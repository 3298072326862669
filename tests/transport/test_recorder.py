import asyncio
import errno
import signal
import subprocess
import sys
import threading
import wave
from pathlib import Path

import numpy as np
import pytest
from loguru import logger
from pipecat.frames.frames import BotStartedSpeakingFrame, InterruptionFrame

from tests.transport.bots import Bot, listening, speech
from tests.waiting import time_passes
from twilio_frames.audio import decode_mulaw, encode_mulaw
from twilio_frames.testing import Phone
from twilio_frames.transport import recorder as recorder_module
from twilio_frames.transport.recorder import CallRecorder
from twilio_frames.transport.taps import CallTap


def noise(seconds: float, seed: int) -> bytes:
    values = np.random.default_rng(seed).normal(0, 4000, round(seconds * 8000))
    return encode_mulaw(values.astype(np.int16).tobytes())


def samples(mulaw: bytes) -> list[int]:
    return np.frombuffer(decode_mulaw(mulaw), np.int16).tolist()


def read(path: Path) -> tuple[list[int], list[int]]:
    with wave.open(str(path), "rb") as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (8000, 2, 2)
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    return both[:, 0].tolist(), both[:, 1].tolist()


async def record(tap: CallTap, caller: bytes, *, begin: float = 0.0) -> None:
    """The caller's audio in messages of 20 ms, with time for the writer between them."""
    for n in range(0, len(caller), 160):
        tap.caller_audio(caller[n : n + 160], begin + n / 8000)
        if n % 8000 == 0:
            await time_passes(0.002)


async def test_both_sides_are_as_they_were_heard(tmp_path: Path):
    recorder = CallRecorder(tmp_path / "call.wav")
    caller, bot = noise(3.0, 1), noise(1.0, 2)

    await record(recorder, caller[:8000])
    recorder.bot_audio(bot, 1.5)
    await record(recorder, caller[8000:], begin=1.0)
    recorder.line_ended(3.0)

    assert await recorder.wait_until_written()
    left, right = read(tmp_path / "call.wav")
    assert left == samples(caller)
    assert right == [0] * 12000 + samples(bot) + [0] * 4000


async def test_late_bot_audio_lies_at_its_place(tmp_path: Path):
    recorder = CallRecorder(tmp_path / "call.wav")
    caller, bot = noise(4.0, 1), noise(0.5, 2)

    await record(recorder, caller)
    recorder.bot_audio(bot, 0.25)
    recorder.line_ended(4.0)

    assert await recorder.wait_until_written()
    left, right = read(tmp_path / "call.wav")
    assert left == samples(caller)
    assert right == [0] * 2000 + samples(bot) + [0] * 26000


async def test_recording_is_as_long_as_the_call(tmp_path: Path):
    longer, shorter = (CallRecorder(tmp_path / name) for name in ("longer.wav", "shorter.wav"))
    for recorder in (longer, shorter):
        await record(recorder, noise(1.0, 1))
    longer.line_ended(2.5)
    shorter.line_ended(0.75)

    assert await longer.wait_until_written()
    assert await shorter.wait_until_written()
    left, right = read(tmp_path / "longer.wav")
    assert (len(left), left[8000:], right) == (20000, [0] * 12000, [0] * 20000)
    assert len(read(tmp_path / "shorter.wav")[0]) == 6000


async def test_silent_call_is_silence(tmp_path: Path):
    recorder = CallRecorder(str(tmp_path / "call.wav"))
    recorder.line_ended(1.0)

    assert await recorder.wait_until_written()
    assert read(tmp_path / "call.wav") == ([0] * 8000, [0] * 8000)


async def test_seams_of_a_few_milliseconds_are_closed(tmp_path: Path):
    recorder = CallRecorder(tmp_path / "call.wav")
    bot = noise(0.4, 1)
    for n, error in zip(range(0, 3200, 800), (0.0, 0.004, -0.006, 0.001), strict=True):
        recorder.bot_audio(bot[n : n + 800], 1.0 + n / 8000 + error)
    recorder.line_ended(2.0)

    assert await recorder.wait_until_written()
    assert read(tmp_path / "call.wav")[1] == [0] * 8000 + samples(bot) + [0] * 4800


async def test_audio_from_before_the_stream_is_cut(tmp_path: Path):
    recorder = CallRecorder(tmp_path / "call.wav")
    bot = noise(0.2, 1)
    recorder.bot_audio(bot, -0.1)
    recorder.line_ended(0.2)

    assert await recorder.wait_until_written()
    assert read(tmp_path / "call.wav")[1] == samples(bot)[800:] + [0] * 800


async def test_two_calls_are_kept_apart(tmp_path: Path):
    recorders = [CallRecorder(tmp_path / f"{n}.wav") for n in range(2)]
    voices = [noise(2.0, n) for n in range(2)]

    await asyncio.gather(*(record(r, v) for r, v in zip(recorders, voices, strict=True)))
    for recorder in recorders:
        recorder.line_ended(2.0)

    for number, recorder in enumerate(recorders):
        assert await recorder.wait_until_written()
        assert read(tmp_path / f"{number}.wav")[0] == samples(voices[number])


async def test_file_is_readable_during_the_call(tmp_path: Path):
    recorder = CallRecorder(tmp_path / "call.wav")
    caller = noise(2.0, 1)
    await record(recorder, caller)
    await asyncio.to_thread(recorder_module._writer().submit(lambda: None).result)  # pyright: ignore[reportPrivateUsage]

    left, _ = read(tmp_path / "call.wav")
    assert 8000 <= len(left) <= 16000
    assert left == samples(caller)[: len(left)]
    recorder.line_ended(2.0)
    assert await recorder.wait_until_written()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no SIGKILL")
def test_killed_process_leaves_a_readable_file(tmp_path: Path):
    path = tmp_path / "call.wav"
    program = (
        "import sys, time\n"
        "from twilio_frames.transport.recorder import CallRecorder\n"
        "recorder = CallRecorder(sys.argv[1])\n"
        "for n in range(10**9):\n"
        "    recorder.caller_audio(bytes([n % 128]) * 160, n / 50)\n"
        "    recorder.bot_audio(bytes([n % 128]) * 160, n / 50)\n"
        "    time.sleep(0.0005)\n"
        "    if n == 500:\n"
        "        print('well into it', flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "well into it\n"
        process.send_signal(signal.SIGKILL)

    left, right = read(path)
    wanted = [v for n in range(len(left) // 160) for v in samples(bytes([n % 128])) * 160]
    # The bot's last stretch may not have been under way yet.
    whole = len(wanted) - 8000
    assert whole >= 8 * 8000
    assert left[:whole] == right[:whole] == wanted[:whole]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
async def test_full_disk_is_told_once():
    told: list[str] = []
    sink = logger.add(told.append, level="WARNING", format="{message}")
    recorder = CallRecorder("/dev/full")
    try:
        await record(recorder, noise(3.0, 1))
        recorder.line_ended(3.0)
        assert not await recorder.wait_until_written()
    finally:
        logger.remove(sink)

    assert recorder.failure is not None
    assert recorder.failure.errno == errno.ENOSPC
    assert len(told) == 1
    assert "/dev/full" not in told[0]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no file size limit")
def test_file_is_readable_when_the_disk_fills(tmp_path: Path):
    path = tmp_path / "call.wav"
    program = (
        "import asyncio, resource, sys\n"
        "from twilio_frames.transport.recorder import CallRecorder\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "async def main():\n"
        "    recorder = CallRecorder(sys.argv[1])\n"
        "    for n in range(500):\n"
        "        recorder.caller_audio(bytes([5]) * 160, n / 50)\n"
        "        await asyncio.sleep(0.001)\n"
        "    recorder.line_ended(10.0)\n"
        "    print(await recorder.wait_until_written(), recorder.failure is not None)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["False", "True"]
    left, right = read(path)
    assert 8000 <= len(left) <= 25_000
    assert (set(left), set(right)) == ({samples(bytes([5]))[0]}, {0})


async def test_missing_folder_is_told_and_survived(tmp_path: Path):
    recorder = CallRecorder(tmp_path / "nowhere" / "call.wav")
    await record(recorder, noise(1.0, 1))
    recorder.line_ended(1.0)

    assert not await recorder.wait_until_written()
    assert isinstance(recorder.failure, FileNotFoundError)


async def test_slow_disk_costs_audio_not_memory(tmp_path: Path):
    recorder = CallRecorder(tmp_path / "call.wav")
    may_write = threading.Event()
    recorder_module._writer().submit(may_write.wait, 10)  # pyright: ignore[reportPrivateUsage]
    minute = noise(60.0, 1)
    try:
        recorder.caller_audio(minute[:8000], 0.0)
        for n in range(8000, 2 * len(minute), 8000):
            recorder.caller_audio(minute[:8000], n / 8000)
        assert recorder.lost_secs == pytest.approx(59.0)
    finally:
        may_write.set()
    recorder.line_ended(120.0)

    assert await recorder.wait_until_written()
    left, _ = read(tmp_path / "call.wav")
    assert len(left) == 120 * 8000
    assert left[60 * 8000 : 61 * 8000] == samples(minute[:8000])
    assert not any(left[61 * 8000 :])


async def test_nothing_comes_after_the_end(tmp_path: Path):
    recorder = CallRecorder(tmp_path / "call.wav")
    recorder.line_ended(1.0)
    recorder.caller_audio(noise(1.0, 1), 0.0)
    recorder.line_ended(9.0)

    assert await recorder.wait_until_written()
    assert read(tmp_path / "call.wav")[0] == [0] * 8000


async def test_recording_is_what_the_caller_heard(tmp_path: Path, phone: Phone):
    """A whole call, with speech that was cut off, against the ear of the simulated Twilio."""
    recorder = CallRecorder(tmp_path / "call.wav")

    async def cut_in(bot: Bot) -> None:
        bot.transport.add_tap(recorder)
        await bot.worker.queue_frames(speech(3.0))
        await bot.before.wait_for(BotStartedSpeakingFrame)
        await time_passes(0.7)
        await bot.worker.queue_frame(InterruptionFrame())

    async with listening(behaviour=cut_in) as (url, _):
        async with phone.call(url) as caller:
            await caller.wait_for_bot()
            await caller.wait(0.5)
        result = caller.result

    assert await recorder.wait_until_written()
    left, right = read(tmp_path / "call.wav")
    heard = np.frombuffer(decode_mulaw(result.heard_bot), np.int16)
    sounds, recorded = np.flatnonzero(heard), np.flatnonzero(right)
    assert len(left) / 8000 == pytest.approx(result.seconds, abs=0.1)
    assert 0.5 < len(sounds) / 8000 < 1.5
    # The same sound of the same length, at the same place but for the way of the first message.
    assert len(recorded) == pytest.approx(len(sounds), abs=160)
    assert recorded[0] == pytest.approx(sounds[0], abs=800)
    assert np.array_equal(np.array(right)[recorded[0] :][:4000], heard[sounds[0] :][:4000])
