#!/usr/bin/env bash
# A switch of voices in the middle of a sentence loses what of it had come.
#
# Seen with pipecat-ai 1.14.0: a TTS service keeps the words of a sentence until it is complete.
# ServiceSwitcher gives the next words to the next service; what the one before keeps is never
# handed on, and what it says of it at last, at the call's end, the switcher leaves out.
#
# For a phone bot: "Your code is four two." is heard as "two."
# Here: the voice that takes over says the whole sentence.
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
    ManuallySwitchServiceFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.service_switcher import ServiceSwitcher
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.tests.utils import SleepFrame, run_test


class Voice(TTSService):
    def __init__(self) -> None:
        settings = TTSSettings(model=None, voice=None, language=None)
        super().__init__(push_start_frame=True, push_stop_frames=True, settings=settings)

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame, None]:
        yield TTSAudioRawFrame(bytes(4800), self.sample_rate, 1, context_id=context_id)


async def heard(*, switches: bool) -> str:
    first, second = Voice(), Voice()
    switch = [ManuallySwitchServiceFrame(service=second)] if switches else []
    down, _ = await run_test(
        Pipeline([ServiceSwitcher([first, second])]),
        frames_to_send=[
            LLMFullResponseStartFrame(),
            LLMTextFrame("Your code is four "),
            SleepFrame(sleep=0.3),
            *switch,
            SleepFrame(sleep=0.3),
            LLMTextFrame("two. "),
            LLMFullResponseEndFrame(),
            SleepFrame(sleep=3),
        ],
    )
    return " ".join(frame.text for frame in down if isinstance(frame, TTSTextFrame))


async def main() -> None:
    whole, cut = await heard(switches=False), await heard(switches=True)
    print(f"one voice: {whole!r}; two voices: {cut!r}")
    seen = (whole, cut) == ("Your code is four two.", "two.")
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("pipecat-ai", version("pipecat-ai"))
asyncio.run(main())
PYTHON
