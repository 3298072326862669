"""How soon the caller hears the reply, in whole calls, with eager replies and without.

    python bench/turn_replies.py FOLDER [--turns N]

FOLDER holds recordings of callers, as for ``turn_ends.py``. They ring a bot through the simulated
Twilio at real pace, a call for each setting. The recogniser and the LLM (first word
after 0.4 s) are stand-ins; the speech is espeak's. Times are from the last sound of the caller to
the first one of the bot at the caller's ear, over a perfect line.
"""

import argparse
import asyncio
import statistics
import sys
from pathlib import Path

import turn_calls
from loguru import logger
from pipecat.pipeline.pipeline import Pipeline
from turn_calls import Line, Recogniser, Responder
from turn_recordings import Turn, read_turns

from twilio_frames.audio import encode_mulaw
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.context import PhoneContextAggregator, phone_turn_strategies
from twilio_frames.processors.endpointing import Endpointing
from twilio_frames.processors.turns import smart_turn
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.server import Call
from twilio_frames.testing import Caller, Phone


class Bot:
    """A bot whose turns end so, and a caller who says the turns to it."""

    def __init__(self, by: Endpointing, *, eager: bool):
        self._by = by
        self._eager = eager
        self._line = Line()
        self.waited: list[float] = []

    async def __call__(self, call: Call) -> None:
        """Answers whatever is said."""
        strategies = phone_turn_strategies(eager=self._eager)
        context = PhoneContextAggregator(turn_strategies=strategies)
        recogniser = Recogniser(self._line, audio_passthrough=False)
        parts = [PhoneVAD(endpointing=self._by), recogniser, context.user(), Responder()]
        way_out = [EspeakTTSService(), call.transport.output(), context.assistant()]
        await call.run(Pipeline([call.transport.input(), *parts, *way_out]))

    async def talk(self, caller: Caller, turns: list[Turn]) -> None:
        """Says one turn after the other, and notes how long the bot is silent after each."""
        await caller.wait(1.0)
        for turn in turns:
            self._line.turn, self._line.began_at = turn, turn_calls.time.monotonic()
            said = await caller.say(encode_mulaw(turn.pcm))
            await caller.wait_for_bot()
            ended = (said.began_at or 0.0) + turn.end
            heard = [spell.began_at for spell in caller.bot_spells if spell.began_at > ended]
            self.waited += [heard[0] - ended] if heard else []


async def measure(turns: list[Turn]) -> None:
    """Rings a bot with each setting, and prints a line for it."""
    await smart_turn.warm_up()
    bots = {
        (by, eager): Bot(by, eager=eager)
        for by in (Endpointing.PAUSE, Endpointing.LEARNED_PAUSE, Endpointing.SMART_TURN)
        for eager in (False, True)
    }
    for (by, eager), bot in bots.items():

        async def talk(caller: Caller, bot: Bot = bot) -> None:
            await bot.talk(caller, turns)

        await Phone().ring(bot, talk)
        cuts = statistics.quantiles(bot.waited, n=20, method="inclusive")
        print(f"| {by}{', eager' if eager else ''} | {cuts[9]:.2f}/{cuts[18]:.2f} |", flush=True)


def main() -> None:
    """Reads the arguments and measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # pyright: ignore[reportOptionalMemberAccess]
    parser.add_argument("folder", type=Path)
    parser.add_argument("--turns", type=int, default=6, help="how many, for each setting")
    arguments = parser.parse_args()
    if not (arguments.folder / "manifest.json").is_file():
        sys.exit(f"expected recordings with a manifest.json in {arguments.folder}, found none")
    logger.remove()
    turns = [turn for turn in read_turns(arguments.folder, every=6) if turn.end < 4 and turn.words]
    print("| setting | first sound of the reply p50/p95 s |\n| --- | --- |")
    asyncio.run(measure(turns[: arguments.turns]))


if __name__ == "__main__":
    main()
