#!/usr/bin/env bash
# A German date is spoken as two sentences, though the splitter that is asked knows better.
#
# Seen with pipecat-ai 1.14.0 and sentencex 1.0.32: SimpleTextAggregator, which all voices have,
# asks sentencex as soon as one letter stands behind a full stop. Of "Am 3. Mai" sentencex makes one
# sentence by its German rules, which know the months; of "Am 3. M" it makes two, and that is what
# it is asked. The language that the voice is set to makes no difference.
#
# For a phone bot: "Am drei." and a pause, then "Mai um 14 Uhr passt es.", for each appointment: a
# voice that is given "Am 3." alone cannot know that it is the third.
# Here: nothing mends it but what the LLM writes; a prompt for German has it write "am dritten Mai".
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

from pipecat.utils.text.simple_text_aggregator import SimpleTextAggregator
from sentencex import segment

SAID = "Am 3. Mai um 14 Uhr passt es. Danke"


async def spoken(text: str, language: str) -> list[str]:
    """What a voice is given, sentence by sentence, of a reply that comes in tokens."""
    aggregator, sentences = SimpleTextAggregator(language=language), []
    for token in text.split(" "):
        async for sentence in aggregator.aggregate(token + " "):
            sentences.append(sentence.text)
    print(f"{language}, aggregated: {sentences}")
    return sentences


async def main() -> None:
    whole = [sentence.strip() for sentence in segment("de", SAID)]
    print(f"de, sentencex alone: {whole}")
    german = await spoken(SAID, "de")
    seen = whole[0] == "Am 3. Mai um 14 Uhr passt es." and german[:2] == [
        "Am 3.",
        "Mai um 14 Uhr passt es.",
    ]
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("pipecat-ai", version("pipecat-ai"), "sentencex", version("sentencex"))
asyncio.run(main())
PYTHON
