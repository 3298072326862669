#!/usr/bin/env bash
# aiohttp closes the ears of open WebSockets before it runs the on_shutdown handlers.
#
# Seen with aiohttp 3.14.5: BaseRunner.cleanup() calls Server.pre_shutdown(), which marks each
# connection as closing, and RequestHandler.data_received() drops all that comes from then on. Only
# then do the handlers of on_shutdown run; the sockets look open, and can be written to.
#
# For a phone bot: an on_shutdown handler that lets calls finish hears no caller while it waits.
# Here: twilio-frames lets calls finish before it cleans its runner up.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check aiohttp==3.14.5

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio

import aiohttp
from aiohttp import web

heard: list[str] = []
phase = "before"


async def hear(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for _ in socket:
        heard.append(phase)
    return socket


async def drain(_: web.Application) -> None:
    global phase
    phase = "on_shutdown"
    await asyncio.sleep(1.5)
    phase = "after"


async def main() -> None:
    app = web.Application()
    app.router.add_get("/", hear)
    app.on_shutdown.append(drain)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]

    url = f"http://127.0.0.1:{port}/"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        sent: list[str] = []

        async def speak() -> None:
            while not socket.closed:
                sent.append(phase)
                await socket.send_str("hello")
                await asyncio.sleep(0.05)

        speaking = asyncio.create_task(speak())
        await asyncio.sleep(1)
        await runner.cleanup()
        speaking.cancel()

    before, during = (sent.count(name) for name in ("before", "on_shutdown"))
    print(f"before cleanup():    {before} messages sent, {heard.count('before')} heard")
    print(f"during on_shutdown:  {during} messages sent, {heard.count('on_shutdown')} heard")
    deaf = heard.count("before") > 5 and during > 5 and not heard.count("on_shutdown")
    print("seen as described" if deaf else "NOT as described")
    raise SystemExit(not deaf)


print("aiohttp", aiohttp.__version__)
asyncio.run(main())
PYTHON
