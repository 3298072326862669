#!/usr/bin/env bash
# A caller who is keying in a number is taken for idle.
#
# Seen with pipecat-ai 1.14.0: UserIdleController knows of speech alone, and no InputDTMFFrame puts
# its time-out off. The transcript that DTMFAggregator makes comes behind the last key, when "#" was
# pressed or 2 s are over; a number of sixteen digits takes some ten seconds.
#
# For a phone bot: "are you still there?" in the middle of the card number; and what is said then
# counts as the bot's turn, behind which the rest of the number comes.
# Here: each key has the time begin anew, and while call.collect_digits() waits there is none.
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

A_MOMENT = SleepFrame(sleep=0.2)
PROMPT = [BotStartedSpeakingFrame(), A_MOMENT, BotStoppedSpeakingFrame()]
IDLE_SECS, KEY_SECS, PRESSED = 3.0, 0.6, "4155550199"


async def main() -> None:
    events = []
    context = LLMContext()
    params = LLMUserAggregatorParams(user_idle_timeout=IDLE_SECS)
    user = LLMContextAggregatorPair(context, user_params=params).user()
    keys = []
    for number, key in enumerate(PRESSED, start=1):
        keys += [SleepFrame(sleep=KEY_SECS), InputDTMFFrame(button=KeypadEntry(key))]
    user.add_event_handler("on_user_turn_idle", lambda _: events.append("idle"))

    @user.event_handler("on_after_process_frame")
    async def taken(_, frame) -> None:
        if isinstance(frame, InputDTMFFrame):
            events.append(frame.button.value)

    end = InputDTMFFrame(button=KeypadEntry.POUND)
    frames = [*PROMPT, *keys, end, SleepFrame(sleep=1.5)]
    await run_test(Pipeline([DTMFAggregator(), user]), frames_to_send=frames)

    print(f"a key each {KEY_SECS} s, idle after {IDLE_SECS} s:", " ".join(events))
    print("in the memory:", context.get_messages())
    written = [{"role": "user", "content": f"DTMF: {PRESSED}#"}]
    amid = events.index("idle") if "idle" in events else 0
    seen = 0 < amid < len(PRESSED) and context.get_messages() == written
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("pipecat-ai", version("pipecat-ai"))
asyncio.run(main())
PYTHON
