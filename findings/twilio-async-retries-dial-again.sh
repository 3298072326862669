#!/usr/bin/env bash
# With max_retries the SDK repeats a request to dial whose answer was lost.
#
# Seen with twilio 9.13.0 and aiohttp-retry 2.9.1: AsyncTwilioHttpClient builds an ExponentialRetry
# with its defaults, which repeats any method on any 5xx; calls.create_async() becomes three POSTs.
#
# For a phone bot: a gateway's 502 behind a call that was placed rings the same person three times.
# Here: nothing is repeated unless it is certain that it was not carried out.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check twilio==9.13.0 aiohttp-retry==2.9.1

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import warnings
from importlib.metadata import version

from aiohttp import web
from twilio.base.exceptions import TwilioException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

asked: list[str] = []


async def dial_but_fail(request: web.Request) -> web.Response:
    """A call that is begun, and an answer that is lost on the way: a gateway's 502."""
    form = await request.post()
    asked.append(f"{request.method} to dial {form['To']}")
    return web.Response(status=502)


class Elsewhere(Client):
    """The SDK's own client, led to this machine."""

    where = ""

    def get_hostname(self, uri):
        return self.where


async def dials(**options) -> int:
    """How often one create_async() asked for a call."""
    asked.clear()
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", dial_but_fail)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    async with AsyncTwilioHttpClient(**options) as http:
        client = Elsewhere("AC00000000000000000000000000000000", "token", http_client=http)
        client.where = url
        try:
            await client.calls.create_async(to="+15005550006", from_="+15005550006", url=url)
        except TwilioException as error:
            print(f"{options}: {len(asked)} x {asked[0]}, then {type(error).__name__}")
    await runner.cleanup()
    return len(asked)


async def main() -> None:
    again = await dials() == 1 and await dials(max_retries=3) == 3
    print("seen as described" if again else "NOT as described")
    raise SystemExit(not again)


warnings.simplefilter("ignore")
print("twilio", version("twilio"), "with aiohttp-retry", version("aiohttp-retry"))
asyncio.run(main())
PYTHON
