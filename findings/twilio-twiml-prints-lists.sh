#!/usr/bin/env bash
# A list given to a TwiML verb stands in the XML as Python writes it.
#
# Seen with twilio 9.13.0: TwiML.__init__() keeps attributes as they are and xml() calls str() on
# them. The REST half of the SDK takes the same list under the same name (status_callback_event),
# and repeats the parameter as the API wants it.
#
# For a phone bot: Twilio knows no event "['initiated',", and the callbacks never come.
# Here: the simulated Twilio goes by the words in the XML, so they do not come there either.
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

from twilio.twiml.voice_response import Dial

dial = Dial()
dial.number("+15005550006", status_callback_event=["initiated", "answered"])
xml = dial.to_xml(xml_declaration=False)
print("twilio", version("twilio"))
print(xml)
seen = "statusCallbackEvent=\"['initiated', 'answered']\"" in xml
print("seen as described" if seen else "NOT as described")
raise SystemExit(not seen)
PYTHON
