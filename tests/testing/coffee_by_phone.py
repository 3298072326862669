"""The demonstration's softphone, and somebody's voice at its microphone."""

import asyncio
import base64
import json
import os
import re
import signal
import sys
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from twilio_frames.audio import decode_mulaw, mulaw_silence
from twilio_frames.testing.speech import to_utterance

__all__ = ["MOUTH", "recording", "shop", "speak"]

MOUTH = """(() => {
    navigator.mediaDevices.getUserMedia = async () => {
        const context = new AudioContext(), made = context.createMediaStreamDestination();
        window.speak = async (coded) => {
            const bytes = Uint8Array.from(atob(coded), (one) => one.charCodeAt(0));
            const source = context.createBufferSource();
            source.buffer = await context.decodeAudioData(bytes.buffer);
            source.connect(made);
            source.start();
        };
        return made.stream;
    };
})()"""
"""Gives a page a microphone that is silent until somebody is to ``speak``."""


class Page(Protocol):
    """A browser's."""

    async def value(self, code: str, /) -> Any:
        """What an expression is worth."""
        ...

    async def wait_until(self, condition: str, /) -> None:
        """Waits until an expression is true."""
        ...


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


async def speak(page: Page, text: str, *, after: str, folder: Path) -> None:
    """Says something at a page's microphone, however late the bot is.

    Args:
        page: It; it was given ``MOUTH``.
        text: What is said.
        after: Which words of the bot's are heard first.
        folder: For the recording.
    """
    # Before those that are still to come, or were cut off.
    await page.wait_until(
        "[...document.querySelectorAll('#talk .words')]"
        f".some((each) => each.firstChild?.data?.includes({json.dumps(after)}))"
    )
    spoken = (await recording(folder / "spoken.wav", text)).read_bytes()
    await page.value(f"window.speak('{base64.b64encode(spoken).decode()}').then(() => 0)")
