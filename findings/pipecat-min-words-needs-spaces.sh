#!/usr/bin/env bash
# A caller who speaks Japanese, Chinese or Thai cannot interrupt a bot that waits for three words.
#
# Seen with pipecat-ai 1.14.0: MinWordsUserTurnStartStrategy counts what str.split() gives. Where
# words are written without spaces a whole sentence is one word, so a bot that speaks is not
# interrupted by however long an objection; the words are dropped from the turn as well.
#
# For a phone bot: min_words=3, which keeps an "mhm" from silencing the bot, makes it deaf while it
# speaks, in these languages alone.
# Here: InterruptBy.WORDS counts so many letters of these scripts for a word.
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

from pipecat.frames.frames import BotStartedSpeakingFrame, TranscriptionFrame
from pipecat.turns.types import ProcessFrameResult
from pipecat.turns.user_start import MinWordsUserTurnStartStrategy

SPACED = ["please wait a moment", "잠깐만 기다려 주세요"]
UNSPACED = [
    "ちょっと待ってください、それは違います。",
    "等一下，这个不对，请停下来。",
    "รอสักครู่นั่นไม่ถูกต้อง",
]


async def interrupts(text: str) -> bool:
    """Whether these words, said over the bot, begin a turn."""
    strategy = MinWordsUserTurnStartStrategy(min_words=3)
    await strategy.process_frame(BotStartedSpeakingFrame())
    result = await strategy.process_frame(TranscriptionFrame(text, "caller", "now"))
    print(f"{text}: {result.name}")
    return result is ProcessFrameResult.STOP


async def main() -> None:
    spaced = [await interrupts(text) for text in SPACED]
    unspaced = [await interrupts(text) for text in UNSPACED]
    seen = all(spaced) and not any(unspaced)
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("pipecat-ai", version("pipecat-ai"))
asyncio.run(main())
PYTHON
