# ruff: noqa: ASYNC110
# Another process has nothing to await.
"""Makes ``docs/softphone.png``: somebody talks over the demonstration's bot, from a browser.

Its microphone plays what they say; needs Chromium, the extra ``local``, and a quiet machine, for
the picture tells how long each answer took::

    python bench/softphone_picture.py
"""

import asyncio
import re
import signal
import sys
import tempfile
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from browser import Browser
from report_picture import small

from twilio_frames.audio import decode_mulaw, mulaw_silence
from twilio_frames.testing.speech import to_utterance

_TARGET = Path(__file__).parent.parent / "docs" / "softphone.png"
_SAID: tuple[float | str, ...] = (
    *(6.0, "A small cappuccino with honey, please."),
    *(3.7, "Actually, make it a large.", 60.0),
)
"""Seconds of silence, and words."""
_IS_ANSWERED = """
    document.querySelectorAll("#talk .bot").length >= 3
    && document.querySelector("#talk li:last-child .words").firstChild.textContent.length > 30
"""


@asynccontextmanager
async def shop() -> AsyncIterator[str]:
    """The demonstration, at work; gives its page's address."""
    code = "import sys; from twilio_frames.cli import main; sys.exit(main())"
    serving = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-c", code, "demo", "--phone", "--no-browser"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert serving.stdout is not None
    try:
        async with asyncio.timeout(60):
            while not (found := re.search(rb"http://\S+/phone", await serving.stdout.readline())):
                assert serving.returncode is None, "expected a demonstration that goes on"
        yield found[0].decode()
    finally:
        serving.send_signal(signal.SIGINT)
        await serving.wait()


async def write_speech(path: Path) -> None:
    """Writes what the microphone plays."""
    audio = b""
    for part in _SAID:
        is_text = isinstance(part, str)
        speech = (await to_utterance(part, voice="en-us")).mulaw if is_text else mulaw_silence(part)
        audio += speech
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(decode_mulaw(audio))


async def taken(microphone: Path) -> bytes:
    """The page while the bot gives its second answer, as PNG."""
    flags = (
        *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
        f"--use-file-for-fake-audio-capture={microphone}%noloop",
    )
    async with shop() as url, Browser(flags=flags) as browser:
        await browser.resize(1100, 740)
        await browser.do("Page.navigate", url=url)
        async with asyncio.timeout(60):
            while not await browser.ask("document.readyState === 'complete' && !!globalThis.call"):
                await asyncio.sleep(0.05)
            await browser.ask("document.getElementById('call').click()")
            while not await browser.ask(_IS_ANSWERED):
                await asyncio.sleep(0.05)
        return await browser.picture()


async def make() -> None:
    """Makes the picture."""
    with tempfile.TemporaryDirectory() as folder:
        microphone = Path(folder) / "order.wav"
        await write_speech(microphone)
        picture = small(await taken(microphone))
    _TARGET.write_bytes(picture)
    print(f"{_TARGET}: {len(picture)} bytes")


if __name__ == "__main__":
    asyncio.run(make())
