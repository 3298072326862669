"""The demonstration's softphone, and somebody's voice at its microphone."""

import asyncio
import os
import re
import signal
import sys
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from twilio_frames.audio import decode_mulaw, mulaw_silence
from twilio_frames.testing.speech import to_utterance

__all__ = ["recording", "shop"]


@asynccontextmanager
async def shop(folder: Path) -> AsyncIterator[str]:
    """``twilio-frames demo --phone``; gives its page's address."""
    code = "import sys; from twilio_frames.cli import main; sys.exit(main())"
    command = ("demo", "--phone", "--no-browser", "--keep", str(folder))
    serving = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, *command,
        env={"PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert serving.stdout is not None
    try:
        async with asyncio.timeout(60):
            while not (found := re.search(rb"http://\S+/phone", await serving.stdout.readline())):
                assert serving.returncode is None
        yield found[0].decode()
    finally:
        serving.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            await serving.wait()
    assert serving.returncode == 0


async def recording(path: Path, *parts: float | str) -> Path:
    """A WAV file of silences and of what somebody says."""
    audio = b""
    for part in parts:
        if isinstance(part, str):
            audio += (await to_utterance(part, voice="en-us")).mulaw
        else:
            audio += mulaw_silence(part)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(decode_mulaw(audio))
    return path
