#!/usr/bin/env bash
# A muted recogniser writes down what the caller says, if it is one that hears whole utterances.
#
# Seen with pipecat-ai 1.14.0: STTService.process_audio_frame() drops audio while it is muted by an
# STTMuteFrame; SegmentedSTTService (Whisper, OpenAI's and Groq's, fal's, Moonshine and others) has
# its own, which keeps it. `is_muted` is True meanwhile. The whole utterance is transcribed.
#
# For a phone bot: who says a card number aloud that they were asked to key in was muted for just
# that, and has it in the transcript, the model's memory and the vendor's logs.
# Here: UtteranceSTTService and what is made of it keep nothing of a caller who is muted.
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
    InputAudioRawFrame,
    STTMuteFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import SegmentedSTTService, STTService
from pipecat.tests.utils import SleepFrame, run_test


class Writes:
    """Says that it was given sound."""

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        yield TranscriptionFrame("a card number", "", "")


class Streaming(Writes, STTService):
    """Is given audio as it comes."""


class Segmented(Writes, SegmentedSTTService):
    """Is given whole utterances."""


async def written(kind: type[STTService]) -> int:
    """How much a recogniser writes of an utterance that comes while it is muted."""
    service = kind(settings=STTSettings(model=None, language=None), ttfs_p99_latency=1.0)
    down, _ = await run_test(
        service,
        frames_to_send=[
            STTMuteFrame(mute=True),
            VADUserStartedSpeakingFrame(),
            *(InputAudioRawFrame(bytes(320), 8000, 1) for _ in range(50)),
            VADUserStoppedSpeakingFrame(stop_secs=0.2),
            SleepFrame(sleep=0.5),
        ],
    )
    texts = [frame.text for frame in down if isinstance(frame, TranscriptionFrame)]
    print(f"{kind.__bases__[1].__name__}: is_muted {service.is_muted}, writes {texts}")
    return len(texts) if service.is_muted else -1


async def main() -> None:
    seen = await written(Streaming) == 0 and await written(Segmented) == 1
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("pipecat-ai", version("pipecat-ai"))
asyncio.run(main())
PYTHON
