"""A Chromium without a window, driven over its DevTools protocol, for tests and for ``bench/``."""

import asyncio
import base64
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.waiting import until

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="expected Chromium to open a page, got none"
)

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
    "--remote-debugging-port=0",
)
_SECS = 30.0


class NavigatedError(AssertionError):
    """The page that was asked has made room for another."""


class Page:
    """The browser's one page."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, port: int):
        self.port = port
        """Where others speak to the same browser."""
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.complaints: list[str] = []
        """What the page's console has of errors, with the exceptions that nobody caught."""

    async def read(self) -> None:
        """Takes what the browser tells, until it has gone."""
        async for message in self._socket:
            told = json.loads(message.data)
            answer = self._answers.pop(told.get("id", 0), None)
            if answer is not None and not answer.done():
                answer.set_result(told)
            elif told.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(told["params"]["exceptionDetails"]))
            elif told.get("method") == "Log.entryAdded":
                entry = told["params"]["entry"]
                if entry["level"] == "error":
                    self.complaints.append(f"{entry['text']} {entry.get('url', '')}")

    async def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Has the browser do something; gives what came of it."""
        number = next(self._ids)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(_SECS * 3):
            told = await self._answers[number]
        if "navigated" in told.get("error", {}).get("message", ""):
            raise NavigatedError(method)
        assert "error" not in told, f"{method}: {told['error']}"
        return told["result"]

    async def open(self, url: str) -> None:
        await self.do("Page.navigate", url=url)
        await self.wait_until(
            f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'"
        )

    async def value(self, code: str) -> Any:
        """What an expression of the page's is worth; a promise's value, once there is one."""
        told = await self.do(
            "Runtime.evaluate",
            expression=code, awaitPromise=True, returnByValue=True, userGesture=True,
        )  # fmt: skip
        assert "exceptionDetails" not in told, json.dumps(told["exceptionDetails"])
        return told["result"].get("value")

    async def wait_until(self, condition: str, seconds: float = _SECS) -> None:
        """Waits until an expression of the page's is true, or of one that it leads to."""
        code = f"""new Promise((done) => {{
            const until = performance.now() + {1000 * seconds};
            const look = () => ({condition}) ? done(true)
                : performance.now() > until ? done(false) : setTimeout(look, 50);
            look();
        }})"""
        is_true = None
        while is_true is None:
            with suppress(NavigatedError):
                is_true = await self.value(code)
        assert is_true, f"waited {seconds:g} s for {condition}; the page says: {await self.text()}"

    async def text(self) -> str:
        return await self.value("document.body.innerText")

    async def click(self, selector: str) -> None:
        """Presses what a selector finds, as a mouse does."""
        place = await self.value(
            f"(() => {{ const found = document.querySelector({json.dumps(selector)}); "
            "found.scrollIntoView({ block: 'center' }); const box = found.getBoundingClientRect();"
            " return { x: box.x + box.width / 2, y: box.y + box.height / 2 }; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.do(
                "Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place
            )

    async def press(self, key: str) -> None:
        """Presses a key: a character, or one with a name, such as ``Enter`` or ``End``."""
        written = "\r" if key == "Enter" else key if len(key) == 1 else None
        text = {"text": written} if written else {}
        await self.do("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        await self.do("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def looks(
        self, width: int, height: int, *, ratio: float = 1.0, is_dark: bool = False
    ) -> None:
        """Gives the page a size, in CSS pixels, a screen's pixel ratio and a colour scheme."""
        await self.do(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=ratio, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        await self.do("Emulation.setEmulatedMedia", features=[scheme])

    async def picture(self) -> bytes:
        """What is on screen, as PNG."""
        await self.value(
            "new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))"
        )
        shot = await self.do("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])


@asynccontextmanager
async def browser(*flags: str, microphone: Path | None = None) -> AsyncIterator[Page]:
    """Opens a browser with one empty page.

    Args:
        flags: Of the command line.
        microphone: A WAV file that its microphone hears, once; None for none.
    """
    assert CHROMIUM is not None, "expected Chromium, got none: install it"
    if microphone is not None:
        flags += ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
        flags += (f"--use-file-for-fake-audio-capture={microphone}%noloop",)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
        folder = Path(made)
        process = await asyncio.create_subprocess_exec(
            CHROMIUM, *_FLAGS, *flags, f"--user-data-dir={folder}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        )  # fmt: skip
        try:
            async with _page(await _port(folder)) as page:
                yield page
        finally:
            if process.returncode is None:
                process.terminate()
            async with asyncio.timeout(_SECS):
                await process.wait()


@asynccontextmanager
async def _page(port: int) -> AsyncIterator[Page]:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/json") as answer:
            (target,) = [each for each in await answer.json() if each["type"] == "page"]
        address = target["webSocketDebuggerUrl"]
        async with session.ws_connect(address, max_msg_size=0) as socket:
            page = Page(socket, port)
            reading = asyncio.create_task(page.read())
            for domain in ("Page", "Runtime", "Log"):
                await page.do(f"{domain}.enable")
            yield page
            reading.cancel()


async def _port(folder: Path) -> int:
    """The port that the browser has chosen, once it has written it down."""
    file = folder / "DevToolsActivePort"
    await until(lambda: file.exists() and "\n" in file.read_text(), seconds=_SECS, every=0.05)
    return int(file.read_text().split()[0])
