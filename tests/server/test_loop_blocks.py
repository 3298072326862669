"""What blocks the loop of a server is logged with its place, and not again and again."""

import asyncio
import re
import time
from dataclasses import replace

import pytest
from aiohttp.test_utils import TestServer

from tests.server.site import RecordingBot
from tests.server.test_listening import Serving
from tests.waiting import time_passes
from twilio_frames.errors import ConfigurationError
from twilio_frames.fleet.loop_watch import LoopBlock
from twilio_frames.server import Server, ServerSettings, create_app
from twilio_frames.server.loop_blocks import BlockLog

BLOCK = LoopBlock(at=0.0, seconds=0.2, cpu_secs=0.15, collecting_secs=0.05, stack="  in dawdle\n")


def dawdle() -> None:
    time.sleep(0.4)


async def served_and_dawdled(**settings) -> None:
    serving = Serving()
    running = asyncio.create_task(serving.run(ServerSettings(warm=False, **settings)))
    await serving.up
    await asyncio.sleep(0.1)
    dawdle()
    await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.wait([running])


@pytest.mark.real_time
async def test_server_logs_what_blocks_its_loop(log_lines):
    # A busy machine adds blocks of its own, hardly any as long.
    await served_and_dawdled(blocked_secs=0.1)

    (line,) = [text for text in log_lines if "in dawdle" in text]
    told = re.search(r"the event loop was blocked, and every call with it: (\d+) ms", line)
    assert told is not None
    assert int(told[1]) >= 350


@pytest.mark.real_time
async def test_server_can_be_told_not_to(log_lines):
    await served_and_dawdled(blocked_secs=0.0)

    assert [text for text in log_lines if "the event loop was blocked" in text] == []


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("server", "tells"),
    [(TestServer, True), (Server, False)],
    ids=["by a web server of somebody else's", "by this package's, by itself"],
)
async def test_application_logs_what_blocks_its_loop(server, tells, log_lines):
    app = create_app(RecordingBot(), ServerSettings(warm=False, blocked_secs=0.1))
    async with server(app):
        await asyncio.sleep(0.1)
        dawdle()
        await asyncio.sleep(0.05)

    assert len([text for text in log_lines if "in dawdle" in text]) == tells


async def test_longer_block_is_told_at_once(log_lines):
    blocks = BlockLog()
    for seconds in (0.2, 0.3, 0.5, 0.9, 1.1):
        blocks.tell(replace(BLOCK, seconds=seconds))

    assert [line.partition("with it: ")[2][:7] for line in log_lines] == [
        "200 ms,",
        "500 ms,",
        "1100 ms",
    ]


async def test_blocks_are_told_once_a_minute(log_lines):
    blocks = BlockLog()
    for pause in (0.0, 1.0, 58.0, 2.0, 1.0):
        await time_passes(pause)
        blocks.tell(BLOCK)

    first, second = log_lines
    assert "200 ms, 150 ms of it computing, 50 ms collecting garbage\n  in dawdle" in first
    assert "; 2 others before it were not told of" in second


def test_limit_is_a_time():
    with pytest.raises(ConfigurationError, match=r"blocked_secs \(\w+\) of at least 0, got -1"):
        ServerSettings(blocked_secs=-1)
    assert (
        ServerSettings.from_environment({"TWILIO_FRAMES_BLOCKED_SECONDS": "0.2"}).blocked_secs
        == 0.2
    )
