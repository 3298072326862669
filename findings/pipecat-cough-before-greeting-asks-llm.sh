#!/usr/bin/env bash
# A cough before the bot has said anything has the LLM told that its reply was cut off.
#
# Seen with pipecat-ai 1.14.0: LLMUserAggregator._on_user_turn_started() takes any turn for an
# interruption unless the bot has finished speaking once; where such a turn ends without words,
# turns/empty_user_turn.py appends a message about a response that never was, and the LLM is run.
#
# For a phone bot: who coughs as they take up the phone hears an apology in the place of a
# greeting.
# Here: the greeting leaves as soon as the stream begins, and a sound that short does not cut it. A
# bot whose caller speaks first sets LLMUserAggregatorParams(empty_user_turn=None).
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

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    LLMContextFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.tests.utils import SleepFrame, run_test
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

COUGH = [
    VADUserStartedSpeakingFrame(),
    SleepFrame(sleep=0.2),
    VADUserStoppedSpeakingFrame(stop_secs=0.2),
    SleepFrame(sleep=2.0),
]
GREETING = [BotStartedSpeakingFrame(), SleepFrame(), BotStoppedSpeakingFrame(), SleepFrame()]


async def asked_after(frames) -> list[str]:
    """The last message of each context that the LLM is asked to answer."""
    stop = SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.2)
    params = LLMUserAggregatorParams(
        user_turn_strategies=UserTurnStrategies(stop=[stop]), user_turn_stop_timeout=1.0
    )
    aggregators = LLMContextAggregatorPair(LLMContext(), user_params=params)
    down, _ = await run_test(aggregators.user(), frames_to_send=frames)
    contexts = [frame.context for frame in down if isinstance(frame, LLMContextFrame)]
    return [context.messages[-1]["content"] for context in contexts]


async def main() -> None:
    silent = await asked_after(COUGH)
    spoken = await asked_after([*GREETING, *COUGH])
    print("cough before the bot's first word:", silent or "the LLM is not asked")
    print("cough after the bot's greeting:", spoken or "the LLM is not asked")
    seen = len(silent) == 1 and "Your response was cut off" in silent[0] and not spoken
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("pipecat-ai", version("pipecat-ai"))
asyncio.run(main())
PYTHON
