#!/usr/bin/env bash
# At the default rates four of five messages give no audio, and speech lacks its end.
#
# Seen with pipecat-ai 1.14.0: TwilioFrameSerializer resamples with soxr's best stream resampler,
# which holds samples back: from 8 to 16 kHz, the pipeline's default, 20 ms come in at a time and
# some 95 ms come out, now and then; on the way out, from 24 kHz, the last piece stays in the
# filter.
#
# For a phone bot: the VAD and the recogniser hear the caller up to a tenth of a second late.
# Here: the pipeline runs at the line's 8 kHz; what has another rate is resampled and flushed.
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
import base64
import json
from importlib.metadata import version

from loguru import logger

logger.remove()

from pipecat.clocks.system_clock import SystemClock
from pipecat.frames.frames import OutputAudioRawFrame
from pipecat.processors.frame_processor import FrameProcessorSetup
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.utils.asyncio.task_manager import TaskManager

MESSAGES = 200  # of 20 ms each, as Twilio sends them
PAYLOAD = base64.b64encode(bytes(range(96, 256)))


async def serializer(**rates: int) -> TwilioFrameSerializer:
    """One as a pipeline with these rates sets it up."""
    made = TwilioFrameSerializer("MZ", params=TwilioFrameSerializer.InputParams(auto_hang_up=False))
    tasks = TaskManager()
    await made.setup(FrameProcessorSetup(SystemClock(), tasks, pipeline_worker=None, **rates))
    return made


async def frames_heard(**rates: int) -> list[float]:
    """How many milliseconds of audio come of each message, where any do."""
    made = await serializer(**rates)
    media = {"track": "inbound", "payload": PAYLOAD.decode()}
    message = json.dumps({"event": "media", "streamSid": "MZ", "media": media})
    frames = [await made.deserialize(message) for _ in range(MESSAGES)]
    return [len(one.audio) / 2 / one.sample_rate * 1000 for one in frames if one is not None]


async def seconds_sent(rate: int) -> float:
    """How much of 2 s of speech at this rate goes out, in pieces of 40 ms."""
    made = await serializer()
    piece = OutputAudioRawFrame(bytes(rate * 2 // 25), rate, 1)
    messages = [await made.serialize(piece) for _ in range(50)]
    payloads = [json.loads(one)["media"]["payload"] for one in messages if one]
    return sum(len(base64.b64decode(payload)) for payload in payloads) / 8000


async def main() -> None:
    usual, at_line = await frames_heard(), await frames_heard(audio_in_sample_rate=8000)
    for name, heard in (("as it is", usual), ("audio_in_sample_rate=8000", at_line)):
        share = f"{len(heard)} of {MESSAGES} messages"
        print(f"{name}: audio from {share}, {max(heard):.0f} ms at once")
    sent = {rate: await seconds_sent(rate) for rate in (24000, 8000)}
    print(f"of 2 s of speech are sent: {sent[24000]} s from 24 kHz, {sent[8000]} s from 8 kHz")
    seen = len(usual) < MESSAGES / 3 and len(at_line) == MESSAGES and sent[24000] < sent[8000] == 2
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("pipecat-ai", version("pipecat-ai"), "with soxr", version("soxr"))
asyncio.run(main())
PYTHON
