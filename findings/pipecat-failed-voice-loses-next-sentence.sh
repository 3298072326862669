#!/usr/bin/env bash
# A voice that cannot be reached loses the next sentence as well, and leaves its first letter.
#
# Seen with pipecat-ai 1.14.0: OpenAITTSService.run_tts() raises on HTTP 503 and on a connection
# that breaks. That ends TTSService._process_text_frame(), which was in the middle of a frame's
# text: what of it came behind the sentence is lost, but for the letter by which the sentence was
# known to be over. That one is spoken at the head of the next.
#
# For a phone bot: one failed request leaves out two sentences, and makes another "TThree is green."
# Here: what a voice made no sound of is said once more; a fallback has another voice say it.
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

from pipecat.frames.frames import LLMFullResponseEndFrame, LLMFullResponseStartFrame, LLMTextFrame
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.tests.utils import SleepFrame, run_test

os.environ["no_proxy"] = "*"
asked: list[str] = []


async def speak(request: web.Request) -> web.Response:
    text = (await request.json())["input"]
    asked.append(text)
    if text.startswith("One"):
        return web.Response(status=503, headers={"x-should-retry": "false"})
    return web.Response(body=bytes(4800))


async def main() -> None:
    app = web.Application()
    app.router.add_post("/audio/speech", speak)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()

    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    await run_test(
        OpenAITTSService(api_key="none", base_url=url),
        frames_to_send=[
            LLMFullResponseStartFrame(),
            LLMTextFrame("One is red. "),
            LLMTextFrame("Two is blue. "),
            LLMTextFrame("Three is green."),
            LLMFullResponseEndFrame(),
            SleepFrame(sleep=3),
        ],
    )
    await runner.cleanup()
    print("asked for:", asked)
    seen = asked == ["One is red.", "TThree is green."]
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("pipecat-ai", version("pipecat-ai"))
asyncio.run(main())
PYTHON
