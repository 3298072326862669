"""A call on which much goes wrong, for a report to tell: its log and its recording.

The coffee shop, with an LLM that is slow once, work that blocks the event loop, a far line, and a
caller who murmurs, waits too long and hangs up in the middle of the goodbye::

    python bench/report_bad_call.py FOLDER
    twilio-frames report FOLDER/call.jsonl
"""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from loguru import logger
from pipecat.processors.aggregators.llm_context import LLMContext

from twilio_frames.call import Call
from twilio_frames.examples.bot import bot
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.services import choose_services
from twilio_frames.local.llm import DialogueLLMService
from twilio_frames.server import Server, ServerSettings, create_app
from twilio_frames.testing import Caller, CallerOptions, LineConditions, SimulatedTwilio
from twilio_frames.transport import CallRecorder

_THOUGHT_SECS = 2.6
_STALL_SECS = 0.9
_FAR_LINE = LineConditions.one_way(0.06, jitter=0.04)


class SlowLLM(DialogueLLMService):
    """Thinks for long about the caller's first words."""

    async def respond(self, context: LLMContext) -> AsyncIterator[str]:
        """Says what the dialogue says, once late."""
        if len(context.get_messages()) == 2:
            await asyncio.sleep(_THOUGHT_SECS)
        async for piece in super().respond(context):
            yield piece


class Shop:
    """The bot, for one call.

    Args:
        folder: Where log and recording go.
    """

    def __init__(self, folder: Path):
        self._folder = folder

    async def take_call(self, call: Call) -> None:
        """The bot, for a server."""
        dialogue = Dialogue()
        services = replace(await choose_services(dialogue, keys={}), llm=SlowLLM(dialogue))
        recorder = CallRecorder(self._folder / "call.wav")
        call.transport.add_tap(recorder)
        log = call.keep_log(self._folder / "call.jsonl", words=True)
        await bot(call, services)
        await asyncio.gather(recorder.wait_until_written(), log.wait_until_written())


async def talk(caller: Caller) -> None:
    """What the caller does."""
    await caller.wait_for_bot()
    await caller.say("A small cappuccino with honey, please.")
    await caller.wait_until_bot_speaks(for_seconds=1.2)
    await caller.say("Okay.")
    await asyncio.sleep(2.6)
    time.sleep(_STALL_SECS)  # noqa: ASYNC251  # bot and caller share an event loop
    await caller.wait_for_bot()
    await caller.say("Actually, make it a large.")
    await caller.wait_until_bot_speaks(for_seconds=2.0)
    await caller.say("Uh huh.")
    await caller.wait_for_bot()
    await asyncio.sleep(5)
    await caller.say("Yes.")
    await caller.wait_until_bot_speaks(for_seconds=1.0)


async def ring(folder: Path) -> None:
    """Makes the call."""
    async with SimulatedTwilio(seed=3) as twilio:
        settings = ServerSettings(account_sid=twilio.account_sid, auth_token=twilio.auth_token)
        async with Server(create_app(Shop(folder).take_call, settings)) as server:
            options = CallerOptions(noise_level=-50.0, line=_FAR_LINE)
            async with twilio.call(f"{server.url}/twiml", options=options) as caller:
                await talk(caller)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    logger.remove()
    asyncio.run(ring(folder))


if __name__ == "__main__":
    main()
