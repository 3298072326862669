#!/usr/bin/env bash
# A plain ws:// connection to this very machine goes to the proxy that is set for HTTPS.
#
# Seen with websockets 17.4: proxy.get_proxy() looks for a ws, socks, https and http proxy in this
# order for ws://, and makes no exception for loopback unless NO_PROXY does. ALL_PROXY, which curl
# and httpx obey, is not among them.
#
# For a phone bot: on a developer's machine behind a proxy, a simulated call or a stand-in vendor
# on 127.0.0.1 cannot be reached, though every HTTP request to it succeeds.
# Here: nothing on this machine is reached through a proxy, and one function names the proxy of all
# clients alike.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check websockets==17.4

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import os

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

asked: list[str] = []


async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Notes who asks for what, and refuses."""
    asked.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1").partition("\r\n")[0])
    writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
    await writer.drain()
    writer.close()


async def attempt(url: str, **environment: str) -> str:
    """What becomes of a connection with these variables."""
    asked.clear()
    os.environ.update(environment)
    try:
        async with connect(url):
            way = "connected directly"
    except Exception as error:
        way = type(error).__name__
    for name in environment:
        del os.environ[name]
    print(f"{', '.join(environment) or 'no variable':20} {way}; the proxy was asked {asked}")
    return way


async def main() -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            del os.environ[name]
    middle = await asyncio.start_server(proxy, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{middle.sockets[0].getsockname()[1]}"

    async def hear(socket) -> None:
        await socket.wait_closed()

    async with serve(hear, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        direct = "connected directly"
        seen = (
            await attempt(url) == direct
            and await attempt(url, HTTPS_PROXY=address) != direct
            and len(asked) == 1
            and await attempt(url, ALL_PROXY=address) == direct
        )
    middle.close()
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("websockets", websockets.__version__)
asyncio.run(main())
PYTHON
