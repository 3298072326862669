#!/usr/bin/env bash
# A refused list is no TwilioRestException, and says neither status nor code by a name.
#
# Seen with twilio 9.13.0: base/page.py raises a bare TwilioException("Unable to fetch page",
# response) for whatever is no 200, where fetch and create raise a TwilioRestException.
#
# For whoever dials: `except TwilioRestException` around a look for a call that may have been made
# lets a 429 or 503 through, and the look dies when it is needed.
# Here: it is a RestError as all the others, and asked again where that may be.
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
import warnings
from importlib.metadata import version

from aiohttp import web
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

REFUSAL = {"code": 20429, "message": "Too Many Requests", "status": 429}


class Elsewhere(Client):
    """The SDK's own client, led to this machine."""

    where = ""

    def get_hostname(self, uri):
        return self.where


async def main() -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response(REFUSAL, status=429)

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    errors = []
    async with AsyncTwilioHttpClient() as http:
        client = Elsewhere("AC00000000000000000000000000000000", "token", http_client=http)
        client.where = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        call = client.calls("CA00000000000000000000000000000000")
        for name, ask in (("fetch", call.fetch_async), ("list", client.calls.list_async)):
            try:
                await ask()
            except TwilioException as error:
                errors.append(error)
                is_rest = isinstance(error, TwilioRestException)
                print(f"{name}: a TwilioRestException: {is_rest}, code: {hasattr(error, 'code')}")
    await runner.cleanup()
    fetched, listed = errors
    seen = isinstance(fetched, TwilioRestException) and type(listed) is TwilioException
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


warnings.simplefilter("ignore")
print("twilio", version("twilio"))
asyncio.run(main())
PYTHON
