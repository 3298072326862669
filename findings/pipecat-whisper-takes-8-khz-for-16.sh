#!/usr/bin/env bash
# Whisper hears a telephone at twice its pace, an octave up.
#
# Seen with pipecat-ai 1.14.0 and faster-whisper 1.2.1: WhisperSTTService gives the model the
# samples as they come, without a word of their rate, and faster-whisper takes them for 16 kHz.
# WhisperSTTService(sample_rate=16000) makes no difference: it relabels, and resamples nothing.
#
# For a phone bot, whose pipeline runs at the line's 8 kHz: words that nobody said, or none, and not
# a line in the log.
# Here: a pipeline with it in warns, and PhoneWhisperSTTService makes 16 kHz of the line's 8.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
  'pipecat-ai[whisper]==1.14.0' faster-whisper==1.2.1

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
from importlib.metadata import version

import numpy as np
from loguru import logger

logger.remove()

from faster_whisper.feature_extractor import FeatureExtractor
from pipecat.frames.frames import (
    InputAudioRawFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.worker import PipelineParams
from pipecat.services.whisper.stt import WhisperSTTService
from pipecat.tests.utils import SleepFrame, run_test

LINE, SECS, HERTZ = 8000, 2, 500


class Model:
    """Notes what a model of faster-whisper's is given; makes no words of it."""

    supported_languages = ["en"]

    def transcribe(self, audio: np.ndarray, **_: object) -> tuple[list, None]:
        self.given = audio
        return [], None


class Service(WhisperSTTService):
    """Whisper without its weights, which do not matter here."""

    def _load(self) -> None:
        self._model = Model()


async def heard(**options: object) -> tuple[float, float]:
    """How long, and how high, a tone of 500 Hz and 2 s is to faster-whisper."""
    tone = 8000 * np.sin(2 * np.pi * HERTZ * np.arange(SECS * LINE) / LINE)
    pcm = tone.astype(np.int16).tobytes()
    service = Service(trailing_silence_secs=0, **options)
    await run_test(
        service,
        frames_to_send=[
            VADUserStartedSpeakingFrame(),
            *(InputAudioRawFrame(pcm[n : n + 320], LINE, 1) for n in range(0, len(pcm), 320)),
            VADUserStoppedSpeakingFrame(stop_secs=0.2),
            SleepFrame(sleep=0.5),
        ],
        pipeline_params=PipelineParams(audio_in_sample_rate=LINE),
    )
    given, rate = service._model.given, FeatureExtractor().sampling_rate
    secs = len(given) / rate
    hertz = float(np.argmax(np.abs(np.fft.rfft(given)))) / secs
    print(f"{options or 'as it comes'}: {SECS} s of {HERTZ} Hz are {secs:g} s of {hertz:g} Hz")
    return secs, hertz


async def main() -> None:
    seen = await heard() == await heard(sample_rate=16000) == (1.0, 1000.0)
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("pipecat-ai", version("pipecat-ai"), "with faster-whisper", version("faster-whisper"))
asyncio.run(main())
PYTHON
