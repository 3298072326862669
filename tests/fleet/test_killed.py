"""The command's own processes, killed while a simulated Twilio has calls at them."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.waiting import until
from twilio_frames.testing import Phone
from twilio_frames.testing.exchange import DEFAULT_ACCOUNT_SID, DEFAULT_AUTH_TOKEN
from twilio_frames.testing.known_speech import said

pytestmark = [
    pytest.mark.truth,
    pytest.mark.real_time,
    pytest.mark.skipif(sys.platform == "win32", reason="there are no such processes"),
]

SENTENCES = [
    "Balo deti fumo gana kilo mano pesu.",
    "Rita sobe tuva zafe lido vuro meba.",
    "Nopi dagu felo gita kuma lape misu.",
]
BOT = f"""
import os
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from twilio_frames.audio import SAMPLE_RATE, decode_mulaw
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.tts import PythonTTSService, SpeechChunk, SpokenWord
from twilio_frames.testing.known_speech import said, sound

class Voice(PythonTTSService):
    gives_word_times = True

    async def synthesise(self, text):
        for word in said(text):
            yield SpeechChunk(pcm=decode_mulaw(sound([word])), sample_rate=SAMPLE_RATE,
                              words=(SpokenWord(text=word.written),))

async def bot(call):
    open(f"{{os.getpid()}}.{{call.call_sid}}", "w").close()
    memory = PhoneContextAggregator()
    await call.run(
        Pipeline([call.transport.input(), memory.user(), Voice(), call.transport.output(),
                  memory.assistant()]),
        begin_with=[TTSSpeakFrame(" ".join({SENTENCES!r}))], ask_again=None)
"""


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[str, list[str]]]:
    (folder / "killed_bot.py").write_text(BOT)
    account = {"TWILIO_ACCOUNT_SID": DEFAULT_ACCOUNT_SID, "TWILIO_AUTH_TOKEN": DEFAULT_AUTH_TOKEN}
    command = (
        "-m",
        "twilio_frames.cli",
        "serve",
        "killed_bot:bot",
        "--workers",
        "2",
        "--port",
        "0",
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", *command),
        cwd=folder,
        env={**os.environ, **account, "TWILIO_FRAMES_DRAIN_SECONDS": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    said_lines: list[str] = []
    try:
        assert process.stdout is not None
        while not any("are up" in line for line in said_lines):
            said_lines.append((await process.stdout.readline()).decode())
            assert said_lines[-1], said_lines
        webhook = next(line for line in said_lines if "voice webhook" in line)
        yield webhook.partition("webhook: ")[2].strip(), said_lines
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 60)


def begun(folder: Path) -> list[int]:
    """The process of each bot that has begun."""
    return [int(each.name.partition(".")[0]) for each in folder.glob("*.CA*")]


async def metrics_of(url: str) -> dict[str, float]:
    async with aiohttp.ClientSession() as session:
        async with session.get(url.replace("/twiml", "/metrics")) as answer:
            lines = (await answer.text()).splitlines()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
    }


async def test_calls_of_a_worker_that_is_killed_go_on_at_the_other(tmp_path: Path):
    words = [word for text in SENTENCES for word in said(text)]

    async def call(seed: int, url: str) -> list[int]:
        async with Phone(seed=seed).call(url) as caller:
            await caller.wait(14)
        return [caller.result.heard_bot.count(word.mulaw[-40:]) for word in words]

    async with served(tmp_path) as (url, _):
        calls = [asyncio.create_task(call(seed, url)) for seed in range(4)]
        await until(lambda: len(begun(tmp_path)) == 4, seconds=90)
        await asyncio.sleep(2)
        ((carrier, _),) = Counter(begun(tmp_path)).most_common(1)
        carried = Counter(begun(tmp_path))[carrier]
        os.kill(carrier, signal.SIGKILL)
        heard = await asyncio.gather(*calls)
        told = await metrics_of(url)
    # Those that it had are told of by whoever went on with them.
    assert told["twilio_frames_takeovers_total"] == carried
    assert all(count == 1 for counts in heard for count in counts), heard
