#!/usr/bin/env bash
# A code that is read out loses its leading zeros, and a seat becomes a weight.
#
# Seen with pipecat-ai 1.14.0: expand_numbers() and VoiceFormatter(expand_numbers=True), text
# transforms for voices, read digits as int() does. "0712" is "seven hundred and twelve", whatever
# the digit_cutoff, "9:05" is "nine:five", and a London number has a digit less. expand_units(),
# which VoiceFormatter has on unasked, takes the letter behind a number for a unit: "14G" is "14
# grams".
#
# For a phone bot: the caller notes down a code that is refused, and the model, whose memory holds
# "0712", cannot know why.
# Here: no number is rewritten; digits that call.collect_digits() reads back are said one by one.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pipecat-ai==1.14.0

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
from importlib.metadata import version

from loguru import logger

logger.remove()

from pipecat.utils.text.transforms import VoiceFormatter, expand_numbers

SAID = (
    "Your code is 0712.",
    "Your card ends in 0007.",
    "It is at 9:05.",
    "Call +44 20 7946 0958.",
    "You have seat 14G.",
)
AS_THEY_COME = VoiceFormatter()
AS_NUMBERS = VoiceFormatter(expand_numbers=True)
CUT_OFF = expand_numbers(digit_cutoff=2025)
EXPECTED = {
    ("Your code is 0712.", AS_NUMBERS): "Your code is seven hundred and twelve.",
    ("Your code is 0712.", CUT_OFF): "Your code is seven hundred and twelve.",
    ("Your card ends in 0007.", CUT_OFF): "Your card ends in seven.",
    ("It is at 9:05.", AS_NUMBERS): "It is at nine:five.",
    ("Call +44 20 7946 0958.", CUT_OFF): (
        "Call +forty-four twenty 7 9 4 6 nine hundred and fifty-eight."
    ),
    ("You have seat 14G.", AS_THEY_COME): "You have seat 14 grams.",
}


async def main() -> None:
    seen = True
    for (text, transform), expected in EXPECTED.items():
        spoken = await transform(text, "*")
        print(f"{text!r} is said as {spoken!r}")
        seen = seen and spoken == expected
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("pipecat-ai", version("pipecat-ai"), "with num2words", version("num2words"))
asyncio.run(main())
PYTHON
