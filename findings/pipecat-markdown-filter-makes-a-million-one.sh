#!/usr/bin/env bash
# What takes Markdown out of a reply takes zeros out of an amount, and the star key out of a menu.
#
# Seen with pipecat-ai 1.14.0: MarkdownTextFilter removes whatever stands five times or more in a
# row, digits too, all of it, by a setting that is on unasked (filter_repeated_sequences); and an
# asterisk that stands by itself, though it marks nothing. Since 1.14.0 strip_markdown is there to
# replace it, which leaves both as they are.
#
# For a phone bot: a loan of $1000000 is one of one dollar, a code of 0000042 is 42, and whoever is
# to "press * or #" hears "press or". The memory holds what the caller was not told.
# Here: no such filter is used; what an LLM writes reaches the voice as it is.
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
import warnings
from importlib.metadata import version

from loguru import logger

logger.remove()
warnings.simplefilter("ignore", DeprecationWarning)

from pipecat.utils.text.markdown_text_filter import MarkdownTextFilter
from pipecat.utils.text.transforms import strip_markdown

SAID = {
    "The loan is $1000000 today.": "The loan is $1 today.",
    "Your code is 0000042.": "Your code is 42.",
    "Call 800 5555555.": "Call 800 .",
    "Press * or # for help.": "Press  or # for help.",
    "Dial *67 first.": "Dial 67 first.",
}


async def main() -> None:
    markdown = MarkdownTextFilter()
    filtered = [await markdown.filter(text) for text in SAID]
    stripped = [await strip_markdown(text, "sentence") for text in SAID]
    for text, of_filter, of_transform in zip(SAID, filtered, stripped, strict=True):
        print(f"{text!r}: {of_filter!r}, by strip_markdown {of_transform!r}")
    seen = filtered == list(SAID.values()) and stripped == list(SAID)
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("pipecat-ai", version("pipecat-ai"))
asyncio.run(main())
PYTHON
