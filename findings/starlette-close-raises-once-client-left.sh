#!/usr/bin/env bash
# A WebSocket whose client has left raises when it is closed.
#
# Seen with starlette 1.10.0 on uvicorn 0.54.0: where the application has not received the client's
# leaving, WebSocket.close() raises WebSocketDisconnect, with code 1006 and no text.
#
# For a phone bot: a caller who hangs up while the bot does makes an error of the call's end.
# Here: whatever closing raises, the call ends as if it had not.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
  starlette==1.10.0 uvicorn==0.54.0 websockets==17.4

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
from importlib.metadata import version

import uvicorn
import websockets
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

left, closed = asyncio.Event(), asyncio.Event()
raised: list[str] = []


async def close_late(socket: WebSocket) -> None:
    await socket.accept()
    await left.wait()
    try:
        await socket.close()
    except Exception as error:
        raised.append(f"{type(error).__name__} {getattr(error, 'code', '')}")
    closed.set()


async def main() -> None:
    app = Starlette(routes=[WebSocketRoute("/", close_late)])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with websockets.connect(f"ws://127.0.0.1:{port}/", proxy=None):
        pass
    left.set()
    await asyncio.wait_for(closed.wait(), 10)
    server.should_exit = True
    await serving

    print("close() raised:", raised)
    seen = raised == ["WebSocketDisconnect 1006"]
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print(*(f"{name} {version(name)}" for name in ("starlette", "uvicorn", "websockets")))
asyncio.run(main())
PYTHON
