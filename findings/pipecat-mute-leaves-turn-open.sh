#!/usr/bin/env bash
# A mute that begins while the caller speaks leaves their turn open, and nobody speaks any more.
#
# Seen with pipecat-ai 1.14.0: LLMUserAggregator drops the end of speech with all else that comes
# under a mute. UserTurnController takes the caller for one who speaks on: neither its time-out of 5
# s nor that of an idle caller runs, long after the mute is over. Only if they speak once more, and
# stop, does the turn end.
#
# For a phone bot: "Hello?" just as the greeting begins, FirstSpeechUserMuteStrategy, and a caller
# who then waits to be asked: no reply, no "are you still there?".
# Here: the end of that speech is told when the mute is over, and the turn ends.
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
    TranscriptionFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.tests.utils import SleepFrame, run_test
from pipecat.turns.user_mute import FirstSpeechUserMuteStrategy

HELLO = [VADUserStartedSpeakingFrame(), SleepFrame(sleep=0.3)]
END_OF_HELLO = [VADUserStoppedSpeakingFrame(stop_secs=0.2), TranscriptionFrame("Hello?", "", "")]
GREETING = [BotStartedSpeakingFrame(), SleepFrame(sleep=0.2), *END_OF_HELLO, SleepFrame(sleep=1)]


async def ends(when: str, mutes: list) -> int:
    """How often the caller's turn ends, or they are idle, in 10 s behind a greeting."""
    idle = []
    params = LLMUserAggregatorParams(user_mute_strategies=mutes, user_idle_timeout=2.0)
    user = LLMContextAggregatorPair(LLMContext(), user_params=params).user()
    user.add_event_handler("on_user_turn_idle", lambda _: idle.append(1))
    down, _ = await run_test(
        user,
        frames_to_send=[*HELLO, *GREETING, BotStoppedSpeakingFrame(), SleepFrame(sleep=10)],
    )
    ended = sum(isinstance(frame, UserStoppedSpeakingFrame) for frame in down)
    print(f"{when}: turns that end {ended}, idle {len(idle)} times")
    return ended + len(idle)


async def main() -> None:
    heard = await ends("not muted", [])
    lost = await ends("muted in the greeting", [FirstSpeechUserMuteStrategy()])
    seen = heard > 0 and lost == 0
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("pipecat-ai", version("pipecat-ai"))
asyncio.run(main())
PYTHON
