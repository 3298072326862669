# ruff: noqa: ASYNC110
# Another process has nothing to await.
"""A Chromium without a window, spoken to over its DevTools protocol; loopback only."""

import asyncio
import base64
import contextlib
import shutil
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-port=0",
)


class Browser:
    """One page in a Chromium of its own. An async context manager.

    Args:
        program: The browser's name or path.
        flags: Further flags of its command line.
    """

    def __init__(self, program: str = "chromium", *, flags: Sequence[str] = ()):
        self._program = program
        self._flags = flags
        self._folder = Path(tempfile.mkdtemp(prefix="report-browser-"))
        self._process: Process | None = None
        self._session: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._number = 0
        self.complaints: list[str] = []
        """What the page wrote to the console, and exceptions it threw."""

    async def __aenter__(self) -> "Browser":
        self._process = await asyncio.create_subprocess_exec(
            self._program,
            *_FLAGS,
            *self._flags,
            f"--user-data-dir={self._folder}",
            "about:blank",
            stdout=DEVNULL,
            stderr=DEVNULL,
        )
        self._session = aiohttp.ClientSession()
        port = await self._port()
        async with self._session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            pages = [each for each in await answer.json() if each["type"] == "page"]
        self._socket = await self._session.ws_connect(
            pages[0]["webSocketDebuggerUrl"], max_msg_size=0
        )
        for domain in ("Page", "Runtime", "Log"):
            await self.do(f"{domain}.enable")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._socket is not None:
            await self._socket.close()
        if self._session is not None:
            await self._session.close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            await self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _port(self) -> int:
        path = self._folder / "DevToolsActivePort"
        async with asyncio.timeout(20):
            while not (path.exists() and path.read_text()):
                await asyncio.sleep(0.05)
        return int(path.read_text().split()[0])

    async def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Gives an order, and waits for what comes of it."""
        assert self._socket is not None
        self._number += 1
        order = {"id": self._number, "method": method, "params": parameters}
        await self._socket.send_json(order)
        async with asyncio.timeout(60):
            while True:
                message = await self._socket.receive_json()
                if message.get("id") == self._number:
                    if "error" in message:
                        raise RuntimeError(f"{method}: {message['error']}")
                    return message["result"]
                self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.complaints.append(str(message["params"]))

    async def resize(self, width: int, height: int, *, ratio: float = 1.0) -> None:
        """Makes the page so large, CSS pixels, as on a screen of that pixel ratio."""
        await self.do(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=ratio,
            mobile=width < 600,
        )

    async def open(self, address: str) -> None:
        """Opens a report, and waits until it has drawn itself."""
        await self.do("Page.navigate", url="about:blank")
        await self.do("Page.navigate", url=address)
        async with asyncio.timeout(60):
            while not await self.ask("performance.getEntriesByName('drawn').length"):
                await asyncio.sleep(0.02)

    async def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        result = await self.do(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    async def press(self, key: str) -> None:
        """Presses a key."""
        text = {"text": key} if len(key) == 1 else {}
        await self.do("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        await self.do("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def picture(self) -> bytes:
        """What is on screen, as PNG."""
        await self.ask("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))")
        result = await self.do("Page.captureScreenshot", format="png")
        return base64.b64decode(result["data"])
