#!/usr/bin/env bash
# A time that has its zone is sent to Twilio as if it were UTC, some hours off.
#
# Seen with twilio 9.13.0: base/serialize.py writes a datetime's own hour with a "Z" behind it,
# whatever its tzinfo. What comes back is parsed as UTC, so a time of Twilio's own is sent right
# again; nine o'clock in New York is not, and in Tokyo neither. A day is sent by its own date as
# well, where Twilio's days are UTC's.
#
# For a phone bot: "which calls have I placed to this number since I asked?" by a local clock misses
# the call of a minute ago, east of Greenwich, and it is placed once more; a message for nine
# o'clock is sent at another hour.
# Here: no time is sent; what was made is looked for by its number, and told by the times of the
# answer.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check twilio==9.13.0

"$folder/venv/bin/python" - <<'PYTHON'
import datetime
import logging
from importlib.metadata import version
from zoneinfo import ZoneInfo

from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client

ASKED = datetime.datetime(2026, 3, 4, 14, tzinfo=datetime.timezone.utc)


class Notes(HttpClient):
    """Answers that there are no calls, and notes what was asked."""

    def __init__(self) -> None:
        super().__init__(logging.getLogger("twilio"), False)

    def request(self, method, url, params=None, **about) -> Response:
        self.params = params
        return Response(200, '{"calls": [], "page_size": 1, "next_page_uri": null}')


def sent(zone: str) -> str:
    """How one and the same moment is sent, by whose clock it is told."""
    http = Notes()
    client = Client("AC" + "0" * 32, "secret", http_client=http)
    client.calls.list(start_time_after=ASKED.astimezone(ZoneInfo(zone)), limit=1)
    print(f"14:00 UTC, by the clock of {zone}: {http.params['StartTime>']}")
    return http.params["StartTime>"]


print("twilio", version("twilio"))
seen = (
    sent("UTC") == "2026-03-04T14:00:00Z"
    and sent("America/New_York") == "2026-03-04T09:00:00Z"
    and sent("Asia/Tokyo") == "2026-03-04T23:00:00Z"
)
print("seen as described" if seen else "NOT as described")
raise SystemExit(not seen)
PYTHON
