#!/usr/bin/env bash
# AsyncTwilioHttpClient takes a time-out, and never applies it.
#
# Seen with twilio 9.13.0: http/async_http_client.py stores timeout=, and request() hands aiohttp
# its own argument, None, which there means no limit at all.
#
# For a phone bot: a hang-up or a transfer may wait for ever while the caller listens to silence.
# Here: BoundedHttpClient stands in its place, with a limit for each request.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check twilio==9.13.0 aiohttp==3.14.5

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import time
import warnings
from importlib.metadata import version

from aiohttp import web
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

ANSWER_SECONDS, TIMEOUT = 4.0, 0.5


async def answer_late(_: web.Request) -> web.Response:
    await asyncio.sleep(ANSWER_SECONDS)
    return web.json_response({"sid": "CA00000000000000000000000000000000"}, status=201)


class Elsewhere(Client):
    """The SDK's own client, led to this machine."""

    where = ""

    def get_hostname(self, uri):
        return self.where


async def main() -> None:
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer_late)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"

    async with AsyncTwilioHttpClient(timeout=TIMEOUT) as http:
        client = Elsewhere("AC00000000000000000000000000000000", "token", http_client=http)
        client.where = url
        began = time.monotonic()
        try:
            call = await client.calls.create_async(to="+15005550006", from_="+15005550006", url=url)
            outcome = f"a call {call.sid}"
        except Exception as error:
            outcome = type(error).__name__
        waited = time.monotonic() - began
    await runner.cleanup()
    print(f"timeout={TIMEOUT}: waited {waited:.1f} s for {outcome}")
    ignored = waited >= ANSWER_SECONDS and outcome.startswith("a call")
    print("seen as described" if ignored else "NOT as described")
    raise SystemExit(not ignored)


warnings.simplefilter("ignore")
print("twilio", version("twilio"), "with aiohttp", version("aiohttp"))
asyncio.run(main())
PYTHON
