#!/usr/bin/env bash
# The validator tries a wss:// URL with port 80, where it would be 443.
#
# Seen with twilio 9.13.0: request_validator.add_port() knows 443 for https alone. A signature that
# was made over the URL with its default port is accepted for https://, and refused for wss://.
#
# For a phone bot: behind a proxy that names the port, webhooks pass and every stream is refused.
# Here: twilio_frames.signature tries each scheme's own default port.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check twilio==9.13.0

"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version
from urllib.parse import urlparse

from twilio.request_validator import RequestValidator, add_port

validator = RequestValidator("token")


def accepted(scheme: str) -> bool:
    """Whether a URL passes whose signer wrote its default port out."""
    signature = validator.compute_signature(f"{scheme}://bot.example.com:443/stream", {})
    url = f"{scheme}://bot.example.com/stream"
    passes = validator.validate(url, {}, signature)
    print(f"{url}: also tried as {add_port(urlparse(url))}, accepted: {passes}")
    return passes


print("twilio", version("twilio"))
seen = accepted("https") and not accepted("wss")
print("seen as described" if seen else "NOT as described")
raise SystemExit(not seen)
PYTHON
