#!/usr/bin/env bash
# A sentence of which the voice made no sound is remembered as said.
#
# Seen with pipecat-ai 1.14.0: TTSService._push_spoken_text() pushes the text of a service without
# word times behind its audio, whether there was any or run_tts() gave an ErrorFrame alone; the
# assistant's aggregator writes it down.
#
# For a phone bot: the model believes that it gave the caller a code which nobody heard.
# Here: what is remembered is what Twilio has played.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pipecat-ai[openai]==1.14.0

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import os
from importlib.metadata import version

from aiohttp import web
from loguru import logger

logger.remove()

from pipecat.frames.frames import (
    ErrorFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.tests.utils import SleepFrame, run_test

os.environ["no_proxy"] = "*"
SENTENCE = "Your code is four two."


async def refuse(_: web.Request) -> web.Response:
    return web.json_response({"error": {"message": "overloaded"}}, status=400)


async def main() -> None:
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()

    context = LLMContext()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    voice = OpenAITTSService(api_key="none", base_url=url)
    down, up = await run_test(
        Pipeline([voice, LLMContextAggregatorPair(context).assistant()]),
        frames_to_send=[
            LLMFullResponseStartFrame(),
            LLMTextFrame(SENTENCE),
            LLMFullResponseEndFrame(),
            SleepFrame(sleep=2),
        ],
    )
    await runner.cleanup()
    errors = sum(isinstance(frame, ErrorFrame) for frame in up)
    sound = sum(isinstance(frame, TTSAudioRawFrame) for frame in down)
    said = [message.get("content") for message in context.messages]
    print(f"errors: {errors}, frames of audio: {sound}, remembered as said: {said}")
    seen = errors > 0 and not sound and said == [SENTENCE]
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("pipecat-ai", version("pipecat-ai"))
asyncio.run(main())
PYTHON
