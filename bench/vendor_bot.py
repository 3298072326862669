"""A bot on vendors' services at the addresses in its environment: ``vendor_bot.py ours|stock``.

What blocks its event loop for 20 ms and more goes to stdout, like its port.
"""

import asyncio
import os
import sys
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

import bot_loop
import our_bot
import stand_ins
import stock_bot
from loguru import logger
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.services.openai.llm import OpenAILLMService

from twilio_frames.services.cartesia import PhoneCartesiaTTSService
from twilio_frames.services.deepgram import PhoneDeepgramSTTService
from twilio_frames.services.openai import PhoneOpenAILLMService
from twilio_frames.testing import LoopWatch

_KEY = "any"
_MODEL = "gpt-4.1"
_VOICE = "71a7ad14-091c-4e8e-a314-022ece01c121"
_DEEPGRAM, _OPENAI, _CARTESIA = (
    os.environ[f"{name}_BASE_URL"] for name in ("DEEPGRAM", "OPENAI", "CARTESIA")
)


def ours(_: str) -> Sequence[FrameProcessor]:
    """This package's services, as they come."""
    return (
        PhoneDeepgramSTTService(api_key=_KEY, base_url=_DEEPGRAM),
        PhoneOpenAILLMService(
            api_key=_KEY,
            base_url=_OPENAI,
            settings=PhoneOpenAILLMService.Settings(model=_MODEL),
        ),
        PhoneCartesiaTTSService(
            api_key=_KEY,
            url=_CARTESIA,
            settings=PhoneCartesiaTTSService.Settings(voice=_VOICE),
        ),
    )


def stock(_: str) -> Sequence[FrameProcessor]:
    """Pipecat's services, as its telephony template has them."""
    return (
        DeepgramSTTService(api_key=_KEY, base_url=_DEEPGRAM),
        OpenAILLMService(
            api_key=_KEY, base_url=_OPENAI, settings=OpenAILLMService.Settings(model=_MODEL)
        ),
        CartesiaTTSService(
            api_key=_KEY, url=_CARTESIA, settings=CartesiaTTSService.Settings(voice=_VOICE)
        ),
    )


async def watched(serving: Coroutine[Any, Any, None]) -> None:
    """Serves, and notes what blocks the event loop."""
    told = 0
    async with LoopWatch() as watch:
        task = asyncio.create_task(serving)
        while not task.done():
            await asyncio.sleep(0.5)
            for block in watch.blocks[told:]:
                stand_ins.note(
                    "block",
                    ms=1000 * block.seconds,
                    cpu=1000 * block.cpu_secs,
                    stack=block.stack,
                )
            told = len(watch.blocks)


def main() -> None:
    """Serves one of the bots."""
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    if sys.argv[1] == "ours":
        bot_loop.run(watched(our_bot.serve_warm(partial(our_bot.talk, services=ours))))
    else:
        bot_loop.run(watched(stock_bot.serve(stock)))


if __name__ == "__main__":
    main()
