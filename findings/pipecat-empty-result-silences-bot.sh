#!/usr/bin/env bash
# A function that found nothing leaves the bot silent, and the model is told that all went well.
#
# Seen with pipecat-ai 1.14.0: LLMAssistantAggregator asks the LLM anew only `if frame.result`, and
# writes "COMPLETED" into the context where there is none. An empty list, 0, False, {} and "" count
# as none, as None does, of which it is meant.
#
# For a phone bot: "are there tables left?" is answered if there are some; if there are none the
# line falls silent, and the caller has to speak first to hear anything again.
# Here: the model is told {"result": []}, and speaks; None alone says that it need not.
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
    FunctionCallFromLLM,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    FunctionCallsStartedFrame,
    LLMContextFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.tests.utils import SleepFrame, run_test

ABOUT = {"function_name": "free_tables", "tool_call_id": "1", "arguments": {}}
A_MOMENT = SleepFrame(sleep=0.2)


async def returned(result: object) -> tuple[int, str]:
    """How often the LLM is asked by what a function returned, and what it is told of that."""
    context = LLMContext()
    call = FunctionCallFromLLM(context=context, **ABOUT)
    _, up = await run_test(
        LLMContextAggregatorPair(context).assistant(),
        frames_to_send=[
            FunctionCallsStartedFrame(function_calls=[call]),
            FunctionCallInProgressFrame(cancel_on_interruption=True, **ABOUT),
            A_MOMENT,
            FunctionCallResultFrame(result=result, **ABOUT),
            A_MOMENT,
        ],
    )
    asked = sum(isinstance(frame, LLMContextFrame) for frame in up)
    told = context.get_messages()[-1]["content"]
    print(f"{result!r}: the LLM is asked {asked} times, and told {told}")
    return asked, told


async def main() -> None:
    some = await returned(["at seven"])
    none = [await returned(result) for result in ([], 0, False, {}, "")]
    seen = some == (1, '["at seven"]') and set(none) == {(0, "COMPLETED")}
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("pipecat-ai", version("pipecat-ai"))
asyncio.run(main())
PYTHON
