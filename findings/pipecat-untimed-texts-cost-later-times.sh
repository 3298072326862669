#!/usr/bin/env bash
# Two texts without word times cost all words behind them, to the utterance's end, their times.
#
# Seen with pipecat-ai 1.14.0: AggregatedFrameSequencer.process_word() looks for a timed word in the
# text that is due and in the next one. Where a voice gave no times for two texts, the words of the
# third are in neither, and are dropped ("not recognised by any slot"); when the utterance is over
# all texts come at once, at one time.
#
# For a phone bot: a caller who interrupts the third sentence has heard nothing of it, by the memory.
# Here: words without a time are placed by the voice's sound.
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
from collections.abc import AsyncGenerator
from importlib.metadata import version

from loguru import logger

logger.remove()

from pipecat.frames.frames import (
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.tests.utils import SleepFrame, run_test

TEXTS = ("One is red.", "Two is blue.", "Three is green.")


class Voice(TTSService):
    """Gives word times for all of its texts but so many."""

    def __init__(self, untimed: int) -> None:
        settings = TTSSettings(model=None, voice=None, language=None)
        super().__init__(
            push_text_frames=False, push_start_frame=True, push_stop_frames=True, settings=settings
        )
        self.untimed = untimed
        self.seconds = 0.0

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame, None]:
        if TEXTS.index(text) >= self.untimed:
            times = [(word, self.seconds + 0.3 * n) for n, word in enumerate(text.split())]
            await self.add_word_timestamps(times, context_id)
        self.seconds += 1.0
        yield TTSAudioRawFrame(bytes(48000), self.sample_rate, 1, context_id=context_id)


async def times(untimed: int) -> int:
    """How many times the words of the last text have."""
    down, _ = await run_test(
        Voice(untimed),
        frames_to_send=[
            LLMFullResponseStartFrame(),
            *(LLMTextFrame(f"{text} ") for text in TEXTS),
            LLMFullResponseEndFrame(),
            SleepFrame(sleep=5),
        ],
    )
    words = [frame for frame in down if isinstance(frame, TTSTextFrame)]
    print(f"{untimed} texts untimed:", [(frame.text, frame.pts) for frame in words])
    last = [frame.pts for frame in words if set(frame.text.split()) & {"Three", "green."}]
    return len(set(last))


async def main() -> None:
    one, two = await times(1), await times(2)
    seen = (one, two) == (2, 1)
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("pipecat-ai", version("pipecat-ai"))
asyncio.run(main())
PYTHON
