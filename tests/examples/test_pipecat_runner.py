"""Pipecat's own runner serves the example, to Twilio and to Pipecat's evals."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.pipecat_versions import unless_pipecat_112
from tests.waiting import until
from twilio_frames.examples import pipecat_runner
from twilio_frames.testing import SimulatedTwilio
from twilio_frames.testing.vendors import CartesiaServer, DeepgramServer, OpenAIServer

pytest.importorskip("python_multipart", reason="Pipecat's runner does not start without it")

GREETING, QUESTION, ANSWER = "Hello, the shop.", "When are you open?", "From nine to five."

SCENARIO = f"""
name: hours
scenarios:
  - name: hours
    turns:
      - expect: [{{event: response, text_contains: shop}}]
      - user: "{QUESTION}"
        expect: [{{event: response, text_contains: nine}}]
"""


@asynccontextmanager
async def vendors() -> AsyncIterator[tuple[OpenAIServer, dict[str, str]]]:
    async with (
        DeepgramServer(hears=[QUESTION]) as deepgram,
        OpenAIServer([GREETING, ANSWER] * 2) as openai,
        CartesiaServer() as cartesia,
    ):
        keys = dict.fromkeys(("DEEPGRAM_API_KEY", "OPENAI_API_KEY", "CARTESIA_API_KEY"), "any")
        yield (
            openai,
            keys
            | {
                "DEEPGRAM_BASE_URL": deepgram.ws_url,
                "OPENAI_BASE_URL": openai.base_url,
                "CARTESIA_BASE_URL": cartesia.ws_url,
            },
        )


@asynccontextmanager
async def running(environment: dict[str, str]) -> AsyncIterator[str]:
    """The runner, as the example's first lines say; gives the address of its WebSocket."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(pipecat_runner.__file__), "-t", "twilio", "-x", "bot.example.com",
        "--host", "127.0.0.1", "--port", str(port),
        env=os.environ | environment,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip

    def answers() -> bool:
        with socket.socket() as asking:
            return process.returncode is not None or not asking.connect_ex(("127.0.0.1", port))

    try:
        await until(answers, seconds=60, every=0.1)
        yield f"ws://127.0.0.1:{port}/ws"
    finally:
        process.terminate()
        await process.wait()


async def evaluated(url: str, folder: Path) -> str:
    """What Pipecat's eval finds wrong; empty for nothing."""
    from pipecat.evals.scenario import EvalScenarioFile
    from pipecat.evals.session import EvalSession

    (folder / "hours.yaml").write_text(SCENARIO)
    (scenario,) = EvalScenarioFile.load(folder / "hours.yaml")
    result = await EvalSession.from_scenario(scenario, url).run()
    return "" if result.passed else repr(result)


@unless_pipecat_112("has no evals over the runner's own WebSocket")
@pytest.mark.real_time
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_call_and_eval_are_served(tmp_path: Path):
    async with (
        vendors() as (openai, environment),
        running(environment) as url,
        SimulatedTwilio() as twilio,
    ):
        async with twilio.call(url) as caller:
            await caller.wait_for_bot()
            await caller.say(QUESTION)
            await caller.wait_for_bot()
        assert [turn.speaker for turn in caller.result.turns] == ["bot", "caller", "bot"]
        assert openai.asked[1].messages[-2:] == [
            {"role": "assistant", "content": GREETING},
            {"role": "user", "content": QUESTION},
        ]
        assert await evaluated(url, tmp_path) == ""
