#!/usr/bin/env bash
# A server whose application does not read for a while hangs up on a client that is well.
#
# Seen with uvicorn 0.54.0 and each of its three kinds of WebSocket (websockets 17.4, wsproto
# 1.3.2): it asks the client each 20 s whether it is there, and takes its answer from behind all
# that came before. Where the application is not receiving, a few messages fill the buffer, 0.6 s of
# media at most, and nothing is read any more: the answer, which the client sent at once, counts as
# missing. 20 s later the client is told "keepalive ping timeout" (1011), and the application that
# the client has gone, by 1006 or 1005.
#
# For a phone bot: one that reads only between its sentences, or waits for a lock or a transfer for
# 40 s, hangs up on its caller, and its log says that the caller left.
# Here: a stream is read from its start to its end, whatever the bot does meanwhile.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
  uvicorn==0.54.0 websockets==17.4 wsproto==1.3.2

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import socket
import time
from importlib.metadata import version

import uvicorn
import websockets

EVERY_SECS = 0.5
MESSAGE = '{"event":"media","media":{"payload":"' + "/" * 214 + '"}}'
told = {}


async def deaf(scope, receive, send) -> None:
    """Speaks, and does not listen."""
    await receive()
    await send({"type": "websocket.accept"})
    try:
        for _ in range(60):
            await asyncio.sleep(0.1)
            await send({"type": "websocket.send", "text": MESSAGE})
    except Exception:
        pass
    message = {}
    while message.get("type") != "websocket.disconnect":
        message = await receive()
    told["bot"] = int(message["code"])


async def listening(scope, receive, send) -> None:
    """Listens all the time."""
    await receive()
    await send({"type": "websocket.accept"})
    message = {}
    while message.get("type") != "websocket.disconnect":
        message = await receive()
    told["bot"] = int(message["code"])


async def called(kind: str, app, seconds: float = 5.0) -> tuple[int, str, int]:
    """What caller and bot are told when the line is cut, or the caller hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        ws=kind,
        lifespan="off",
        log_level="critical",
        ws_ping_interval=EVERY_SECS,
        ws_ping_timeout=EVERY_SECS,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    while not server.started:
        await asyncio.sleep(0.05)
    address = f"ws://127.0.0.1:{listener.getsockname()[1]}"
    begin = time.monotonic()
    options = {"proxy": None, "ping_interval": None, "max_queue": None}
    async with websockets.connect(address, **options) as caller:
        try:
            while time.monotonic() < begin + seconds:
                await asyncio.wait_for(caller.send(MESSAGE), 2)
                await asyncio.sleep(0.02)
        except websockets.ConnectionClosed:
            pass
    secs = time.monotonic() - begin
    server.should_exit = True
    await serving
    code, reason, bot = caller.close_code, caller.close_reason, told.pop("bot")
    print(f"{kind}, {app.__name__}: {code} {reason!r} after {secs:.1f} s; the bot is told {bot}")
    return code, reason, bot


async def main() -> None:
    kinds = {"websockets": 1006, "websockets-sansio": 1005, "wsproto": 1005}
    seen = True
    for kind, code in kinds.items():
        seen &= await called(kind, deaf) == (1011, "keepalive ping timeout", code)
        seen &= await called(kind, listening, 3.0) == (1000, "", 1000)
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("uvicorn", version("uvicorn"), "websockets", version("websockets"))
asyncio.run(main())
PYTHON
