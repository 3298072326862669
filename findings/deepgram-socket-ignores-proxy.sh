#!/usr/bin/env bash
# Deepgram's client obeys the environment's proxy for REST, and ignores it for its WebSockets.
#
# Seen with deepgram-sdk 7.17.0 and websockets 17.4: listen/v1/client.py takes connect() from
# websockets.legacy, which knows no proxies; the REST half is httpx, which does.
#
# For a phone bot: where the way out is a proxy, the key can be checked but no word is recognised.
# Here: Deepgram is reached with websockets' own client, by way of the environment's proxy.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check deepgram-sdk==7.17.0 websockets==17.4

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import os
import warnings
from importlib.metadata import version

warnings.simplefilter("ignore")
for name in list(os.environ):
    if name.lower().endswith("_proxy"):
        del os.environ[name]

from deepgram import AsyncDeepgramClient
from deepgram.environment import DeepgramClientEnvironment
from websockets.asyncio.server import serve

asked: list[str] = []


async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Notes what is asked for, and refuses."""
    asked.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1").partition("\r\n")[0])
    writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
    await writer.drain()
    writer.close()


async def main() -> None:
    middle = await asyncio.start_server(proxy, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{middle.sockets[0].getsockname()[1]}"
    os.environ.update(HTTP_PROXY=address, HTTPS_PROXY=address, ALL_PROXY=address, WS_PROXY=address)
    opened = 0

    async def hear(socket) -> None:
        nonlocal opened
        opened += 1
        await socket.wait_closed()

    async with serve(hear, "127.0.0.1", 0) as server:
        here = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        place = DeepgramClientEnvironment(
            base=f"http://{here}",
            production=f"ws://{here}",
            agent=f"ws://{here}",
            agent_rest=f"http://{here}",
        )
        client = AsyncDeepgramClient(api_key="none", environment=place)
        try:
            await client.manage.v1.projects.list()
        except Exception as error:
            print(f"REST:      {type(error).__name__}; the proxy was asked {asked}")
        by_rest = len(asked)
        asked.clear()
        async with client.listen.v1.connect(model="nova-3"):
            print(f"WebSocket: connected; the proxy was asked {asked}")
        by_socket = len(asked)
    middle.close()
    seen = by_rest > 0 and opened == 1 and by_socket == 0
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("deepgram-sdk", version("deepgram-sdk"), "with websockets", version("websockets"))
asyncio.run(main())
PYTHON
