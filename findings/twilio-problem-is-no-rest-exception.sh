#!/usr/bin/env bash
# Whether `except TwilioRestException` catches a refusal depends on the words of its body.
#
# Seen with twilio 9.13.0: base/version.py makes a TwilioServiceException of an RFC 9457 body. It
# is the other's sibling, not its child, and has title and detail where the other has msg.
#
# For a phone bot: the hang-up's handler for refusals lets one through, and the task dies of it.
# Here: both become a RestError.
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

PLAIN = {"code": 21220, "message": "Call is not in-progress", "status": 400}
PROBLEM = {
    "type": "https://www.twilio.com/docs/errors/21220",
    "title": "Call is not in-progress",
    "code": 21220,
    "status": 400,
}


class Elsewhere(Client):
    """The SDK's own client, led to this machine."""

    where = ""

    def get_hostname(self, uri):
        return self.where


async def refusal(body: dict) -> TwilioException:
    """What the SDK makes of a refused hang-up with this body."""

    async def refuse(_: web.Request) -> web.Response:
        return web.json_response(body, status=400)

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with AsyncTwilioHttpClient() as http:
        client = Elsewhere("AC00000000000000000000000000000000", "token", http_client=http)
        client.where = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        try:
            await client.calls("CA00000000000000000000000000000000").update_async(
                status="completed"
            )
        except TwilioException as raised:
            error = raised
    await runner.cleanup()
    is_rest = isinstance(error, TwilioRestException)
    print(f"{type(error).__name__}: a TwilioRestException: {is_rest}, msg: {hasattr(error, 'msg')}")
    return error


async def main() -> None:
    plain, problem = await refusal(PLAIN), await refusal(PROBLEM)
    seen = isinstance(plain, TwilioRestException) and not isinstance(problem, TwilioRestException)
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


warnings.simplefilter("ignore")
print("twilio", version("twilio"))
asyncio.run(main())
PYTHON
