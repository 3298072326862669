"""What a proxy in front costs: the CPU of HAProxy and nginx for each call's stream.

    python bench/proxy_cost.py [--streams 20] [--seconds 10]

The templates' configurations run with one worker behind them that sends what it gets back. Each
stream passes fifty messages a second each way, as long as Twilio's are.
"""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

import aiohttp
from aiohttp import web

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.deploy.proxies import Proxy, in_front
from tests.ports import free_port

MESSAGE = "x" * 370
EVERY_SECS = 0.02


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Sends what it gets back."""
    websocket = web.WebSocketResponse(compress=False)
    await websocket.prepare(request)
    async for message in websocket:
        await websocket.send_str(message.data)
    return websocket


async def fine(_: web.Request) -> web.Response:
    """Says that all is well."""
    return web.Response()


def cpu_secs(proxy: Proxy) -> float:
    """What a proxy's processes have used."""
    pids = [
        proxy.pid,
        *map(int, Path(f"/proc/{proxy.pid}/task/{proxy.pid}/children").read_text().split()),
    ]
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def stream(session: aiohttp.ClientSession, url: str, seconds: float) -> int:
    """One call's stream; gives how many messages came back."""
    loop = asyncio.get_running_loop()
    async with session.ws_connect(f"{url}/w/bot1-a1b2c3d4/stream") as websocket:
        count, due = 0, loop.time()
        until = due + seconds
        while due < until:
            await websocket.send_str(MESSAGE)
            await websocket.receive(10)
            count, due = count + 1, due + EVERY_SECS
            await asyncio.sleep(max(0.0, due - loop.time()))
        return count


async def measure(kind: str, streams: int, seconds: float) -> None:
    """Measures one proxy, and prints it."""
    app = web.Application()
    app.add_routes([web.get("/readyz", fine), web.get("/{path:.*}", echo)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    address = f"127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        async with (
            in_front(kind, Path(folder), {"bot1": address, "bot2": address}) as proxy,
            aiohttp.ClientSession() as session,
        ):
            before = cpu_secs(proxy)
            counts = await asyncio.gather(
                *(stream(session, proxy.url, seconds) for _ in range(streams))
            )
            used = cpu_secs(proxy) - before
    await runner.cleanup()
    each = used / streams / seconds
    print(
        f"{kind:10}{100 * each:8.3f} % of a core a stream, "
        f"{sum(counts) / streams / seconds:.1f} messages a second each way"
    )


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    for kind in ("haproxy", "nginx"):
        if shutil.which(kind) is None:
            print(f"{kind} is not installed")
            continue
        asyncio.run(measure(kind, given.streams, given.seconds))


if __name__ == "__main__":
    main()
