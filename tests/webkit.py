"""A WebKit on a screen that nobody sees, driven over WebDriver: the engine of Safari."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.ports import free_port, listens
from tests.waiting import until

_DRIVER = shutil.which("WebKitWebDriver")
_SCREEN = shutil.which("Xvfb")
_BROWSER = next(iter(sorted(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"))), None)

needs_webkit = pytest.mark.skipif(
    None in (_DRIVER, _SCREEN, _BROWSER),
    reason="expected WebKitWebDriver, its MiniBrowser and Xvfb, got not all of them: install "
    "webkit2gtk-driver and xvfb",
)


class Page:
    """The browser's one page."""

    def __init__(self, client: aiohttp.ClientSession, session: str):
        self._client = client
        self._session = session

    async def do(self, what: str, **parameters: Any) -> Any:
        """Has the browser do something; gives what came of it."""
        async with self._client.post(f"{self._session}/{what}", json=parameters) as answer:
            told = (await answer.json())["value"]
            assert answer.ok, f"{what}: {told}"
            return told

    async def open(self, url: str) -> None:
        await self.do("url", url=url)

    async def value(self, expression: str, *given: str) -> Any:
        """What an expression of the page's is worth; ``given`` are its ``arguments``."""
        return await self.do("execute/sync", script=f"return {expression};", args=given)

    async def wait_until(self, condition: str, seconds: float = 30.0) -> None:
        """Waits until an expression of the page's is true."""
        async with asyncio.timeout(seconds):
            while not await self.value(f"Boolean({condition})"):  # noqa: ASYNC110  # it is asked
                await asyncio.sleep(0.1)

    async def click(self, selector: str) -> None:
        """Presses what a selector finds, as a mouse does."""
        found = await self.do("element", using="css selector", value=selector)
        await self.do(f"element/{next(iter(found.values()))}/click")


@asynccontextmanager
async def webkit(*flags: str) -> AsyncIterator[Page]:
    """Opens a browser with one empty page.

    Args:
        flags: Of its command line.
    """
    options = {"binary": str(_BROWSER), "args": ["--automation", *flags]}
    wanted = {"alwaysMatch": {"webkitgtk:browserOptions": options}}
    port = free_port()
    async with _screen() as display, _driver(port, display):
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            await until(lambda: listens(port), seconds=30, every=0.05)
            async with client.post("/session", json={"capabilities": wanted}) as answer:
                made = (await answer.json())["value"]
                assert answer.ok, json.dumps(made)
            session = f"/session/{made['sessionId']}"
            try:
                yield Page(client, session)
            finally:
                await client.delete(session)


@asynccontextmanager
async def _screen() -> AsyncIterator[str]:
    """Gives the display's name, which the server itself has chosen."""
    assert _SCREEN is not None
    told, end = os.pipe()
    process = await asyncio.create_subprocess_exec(
        _SCREEN, "-displayfd", str(end), "-screen", "0", "1280x1000x24",
        pass_fds=[end], stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    os.close(end)
    try:
        with os.fdopen(told) as reading:
            yield f":{(await asyncio.to_thread(reading.readline)).strip()}"
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def _driver(port: int, display: str) -> AsyncIterator[None]:
    assert _DRIVER is not None
    process = await asyncio.create_subprocess_exec(
        _DRIVER, f"--port={port}",
        env={**os.environ, "DISPLAY": display},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        await process.wait()
