#!/usr/bin/env bash
# Of ten keys that a bot presses, an interruption a second later takes eight back.
#
# Seen with pipecat-ai 1.14.0: where a transport presses no keys itself, BaseOutputTransport writes
# a tone of 0.5 s for each, at the pace of its 40 ms of audio: 5 s of tones have left within 0.4 s,
# and wait where Twilio plays them. The next InterruptionFrame sends "clear", which throws away what
# is not played yet. Nobody is told which keys were heard.
#
# For a phone bot: whoever answers by a menu that goes on talking (IVRNavigator's case) interrupts
# the bot in the middle of an account number, and the memory holds all of it.
# Here: Twilio presses the keys, all of a frame and of those behind it together.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'pipecat-ai[websocket]==1.14.0'

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import base64
import json
import time
from importlib.metadata import version

from loguru import logger

logger.remove()

from pipecat.frames.frames import InterruptionFrame, OutputDTMFFrame
from pipecat.pipeline.worker import PipelineParams
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.tests.utils import SleepFrame, run_test
from pipecat.transports.websocket.fastapi import (
    FastAPIWebsocketParams,
    FastAPIWebsocketTransport,
)
from starlette.websockets import WebSocketState


class Twilio:
    """The far end of a media stream: notes what comes, and when."""

    client_state = application_state = WebSocketState.CONNECTED
    headers: dict = {}

    def __init__(self) -> None:
        self.came: list[tuple[float, str, float]] = []

    async def send_text(self, text: str) -> None:
        message = json.loads(text)
        payload = message.get("media", {}).get("payload", "")
        secs = len(base64.b64decode(payload)) / 8000
        self.came.append((time.monotonic(), message["event"], secs))

    async def close(self, *_: object, **__: object) -> None:
        """The end."""


async def main() -> None:
    twilio = Twilio()
    keep = TwilioFrameSerializer.InputParams(auto_hang_up=False)
    params = FastAPIWebsocketParams(
        audio_out_enabled=True,
        audio_out_end_silence_secs=0,
        serializer=TwilioFrameSerializer("MZ0", params=keep),
    )
    keys = OutputDTMFFrame.from_string("4155550199")
    await run_test(
        FastAPIWebsocketTransport(twilio, params).output(),
        frames_to_send=[keys, SleepFrame(sleep=1), InterruptionFrame(), SleepFrame(sleep=0.2)],
        pipeline_params=PipelineParams(audio_out_sample_rate=8000),
    )
    begin = twilio.came[0][0]
    tones = [(at - begin, secs) for at, event, secs in twilio.came if event == "media"]
    clear = next(at - begin for at, event, _ in twilio.came if event == "clear")
    print("tones of", [secs for _, secs in tones], f"s have left within {tones[-1][0]:.2f} s")
    played = round(clear / 0.5)
    print(f"clear after {clear:.2f} s: {played} of {len(tones)} keys are played")
    seen = [secs for _, secs in tones] == [0.5] * 10 and tones[-1][0] < 0.9 < clear < 3
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("pipecat-ai", version("pipecat-ai"))
asyncio.run(main())
PYTHON
