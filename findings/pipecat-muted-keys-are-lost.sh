#!/usr/bin/env bash
# Keys that are pressed while the caller is muted are gone, though a mute is about what is said.
#
# Seen with pipecat-ai 1.14.0: DTMFAggregator makes of keys an interruption and a transcript, which
# LLMUserAggregator drops under a mute as it drops speech. The interruption goes up, not down: the
# bot speaks on. The InputDTMFFrames pass, but nothing behind them knows of keys. When the mute is
# over nothing is left: no turn, no message, no word in the log above trace.
#
# For a phone bot: "press 1 for English" in a greeting that may not be talked over is the very
# place for keys, and each caller who knows the menu is asked again.
# Here: what is made of keys under a mute is kept, and counts when the mute is over.
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
from importlib.metadata import version

from loguru import logger

logger.remove()

from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.frames.frames import BotStartedSpeakingFrame, BotStoppedSpeakingFrame, InputDTMFFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.dtmf_aggregator import DTMFAggregator
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.tests.utils import SleepFrame, run_test
from pipecat.turns.user_mute import MuteUntilFirstBotCompleteUserMuteStrategy

KEYS = [InputDTMFFrame(button=KeypadEntry(key)) for key in "12#"]
A_MOMENT = SleepFrame(sleep=0.2)
GREETING = [BotStartedSpeakingFrame(), A_MOMENT, *KEYS, A_MOMENT, BotStoppedSpeakingFrame()]


async def pressed(when: str, mutes: list) -> list:
    """What is in the memory of keys that are pressed in the greeting."""
    context = LLMContext()
    params = LLMUserAggregatorParams(user_mute_strategies=mutes)
    user = LLMContextAggregatorPair(context, user_params=params).user()
    down, _ = await run_test(
        Pipeline([DTMFAggregator(), user]), frames_to_send=[*GREETING, SleepFrame(sleep=3)]
    )
    names = [type(frame).__name__ for frame in down]
    print(f"{when}: {context.get_messages()},")
    print(f"  interruptions that go on: {names.count('InterruptionFrame')},", end=" ")
    print(f"keys that do: {names.count('InputDTMFFrame')}")
    return context.get_messages()


async def main() -> None:
    heard = await pressed("not muted", [])
    lost = await pressed("muted until the greeting is over", [
        MuteUntilFirstBotCompleteUserMuteStrategy()
    ])
    seen = heard == [{"role": "user", "content": "DTMF: 12#"}] and lost == []
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("pipecat-ai", version("pipecat-ai"))
asyncio.run(main())
PYTHON
