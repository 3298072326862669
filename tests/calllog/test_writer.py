import asyncio
import json
import threading

import pytest
from loguru import logger

from twilio_frames.calllog import writer as writer_module
from twilio_frames.calllog.writer import MOST_LINES, LineWriter


@pytest.fixture
def warnings():
    texts: list[str] = []
    sink = logger.add(texts.append, level="ERROR")
    yield texts
    logger.remove(sink)


async def test_lines_reach_the_file_in_order(tmp_path):
    path = tmp_path / "new" / "call.jsonl"
    writer = LineWriter(path)
    for number in range(10):
        writer.add({"number": number})
        writer.flush()
    writer.end()

    assert await writer.wait_until_written(10)
    assert [json.loads(text)["number"] for text in path.read_text().splitlines()] == list(range(10))
    assert (writer.written, writer.dropped) == (10, 0)


async def test_slow_disk_costs_lines_not_time(tmp_path):
    is_free = threading.Event()
    writer_module._thread().submit(is_free.wait)  # pyright: ignore[reportPrivateUsage]
    writer = LineWriter(tmp_path / "call.jsonl")
    writer.add({})
    writer.flush()  # waits for the thread
    for _ in range(MOST_LINES + 7):
        writer.add({})
        writer.flush()
    is_free.set()
    writer.end()

    assert await writer.wait_until_written(10)
    assert writer.dropped == 7
    assert len((tmp_path / "call.jsonl").read_text().splitlines()) == MOST_LINES + 1


async def test_unwritable_file_is_told_once(tmp_path, warnings: list[str]):
    (tmp_path / "file").write_text("")
    writer = LineWriter(tmp_path / "file" / "call.jsonl")
    for _ in range(3):
        writer.add({})
        writer.flush()
        await asyncio.to_thread(lambda: None)
    writer.end()

    assert not await writer.wait_until_written(10)
    assert len(warnings) == 1
    assert "call log stopped: " in warnings[0]
    assert str(tmp_path) not in warnings[0]


async def test_lines_after_the_end_are_dropped(tmp_path):
    writer = LineWriter(tmp_path / "call.jsonl")
    writer.end()
    writer.add({})

    assert await writer.wait_until_written(10)
    assert writer.dropped == 1


async def test_text_that_no_file_can_hold_costs_its_line_only(tmp_path):
    path = tmp_path / "call.jsonl"
    writer = LineWriter(path)
    for text in ("before", "\ud800", "behind"):
        writer.add({"text": text})
    writer.end()

    assert await writer.wait_until_written(10)
    assert [json.loads(line)["text"] for line in path.read_text().splitlines()] == [
        "before",
        "behind",
    ]
    assert writer.dropped == 1
