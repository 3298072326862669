"""How often callers are cut off in a pause, and how soon a turn ends, for each way to end it.

    python bench/turn_ends.py FOLDER [--every N] [--only WORD] [--hesitating]

FOLDER holds recordings of callers, ``manifest.json`` with their words, and ``orders/`` with more of
them. They are sent through whole pipelines in virtual time, eight turns a call: this package's, and
Pipecat's own with its defaults. Recogniser and LLM are stand-ins: interim words 0.15 s behind the
caller, the last ones 0.15 s after the VAD has heard the end, the LLM's first word after 0.4 s. A
Smart Turn answer takes 0.1 s. ``--hesitating`` has each caller make a pause of 0.5 to 1.1 s in the
middle of what they say.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import virtual_time

cpu_time = time.process_time
virtual_time.take_over_time()

import numpy as np  # noqa: E402
import turn_calls  # noqa: E402
from loguru import logger  # noqa: E402
from pipecat.audio.vad.silero import SileroVADAnalyzer  # noqa: E402
from pipecat.pipeline.pipeline import Pipeline  # noqa: E402
from pipecat.processors.aggregators.llm_context import LLMContext  # noqa: E402
from pipecat.processors.aggregators.llm_response_universal import (  # noqa: E402
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.turns.user_stop import (  # noqa: E402
    BaseUserTurnStopStrategy,
    SpeechTimeoutUserTurnStopStrategy,
)
from pipecat.turns.user_turn_strategies import UserTurnStrategies  # noqa: E402
from turn_calls import Heard, Line, Mouth, Recogniser, Responder  # noqa: E402
from turn_recordings import Turn, hesitating, read_turns  # noqa: E402

from twilio_frames.processors.context import (  # noqa: E402
    PhoneContextAggregator,
    phone_turn_strategies,
)
from twilio_frames.processors.endpointing import (  # noqa: E402
    Endpointing,
    phone_vad_params,
)
from twilio_frames.processors.turns.smart_turn import (  # noqa: E402
    PhoneSmartTurn,
    SmartTurnPool,
    probability_of_end,
)
from twilio_frames.processors.vad import PhoneVAD  # noqa: E402

_TURNS_A_CALL = 8

Build = Callable[[Line], Pipeline]


class _InlinePool(SmartTurnPool):
    """Answers at once, and takes its time on the loop's clock."""

    async def ask(self, pcm: bytes, *, time_limit: float) -> float | None:
        samples = np.frombuffer(pcm, np.int16).astype(np.float32) / 32768
        probability = probability_of_end(samples)
        await turn_calls.asyncio.sleep(virtual_time.MODEL_SECS)
        return probability


def ours(by: Endpointing, *, stop_secs: float = 0.6, eager: bool = False) -> Build:
    """This package's pipeline."""

    def build(line: Line) -> Pipeline:
        params = phone_vad_params().model_copy(update={"stop_secs": stop_secs})
        analyzer = PhoneSmartTurn(pool=_InlinePool()) if by is Endpointing.SMART_TURN else None
        vad = PhoneVAD(params=params, endpointing=by, turn_analyzer=analyzer)
        context = PhoneContextAggregator(turn_strategies=phone_turn_strategies(eager=eager))
        recogniser = Recogniser(line, audio_passthrough=False)
        return Pipeline([vad, recogniser, context.user(), Responder(), Mouth(line)])

    return build


def stock(timeout: float | None = None) -> Build:
    """Pipecat's pipeline: Smart Turn, as it is by default, or a speech timeout."""

    def build(line: Line) -> Pipeline:
        stop: list[BaseUserTurnStopStrategy] | None = None
        if timeout:
            stop = [SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=timeout)]
        params = LLMUserAggregatorParams(
            vad_analyzer=SileroVADAnalyzer(), user_turn_strategies=UserTurnStrategies(stop=stop)
        )
        context = LLMContextAggregatorPair(LLMContext(), user_params=params)
        return Pipeline([Recogniser(line), context.user(), Responder(), Mouth(line)])

    return build


SETTINGS: dict[str, Build] = {
    "pause 0.4 s": ours(Endpointing.PAUSE, stop_secs=0.4),
    "pause 0.6 s": ours(Endpointing.PAUSE),
    "pause 0.6 s, eager": ours(Endpointing.PAUSE, eager=True),
    "pause 0.9 s": ours(Endpointing.PAUSE, stop_secs=0.9),
    "learned pause": ours(Endpointing.LEARNED_PAUSE),
    "learned pause, eager": ours(Endpointing.LEARNED_PAUSE, eager=True),
    "smart turn": ours(Endpointing.SMART_TURN),
    "smart turn, eager": ours(Endpointing.SMART_TURN, eager=True),
    "Pipecat: smart turn": stock(),
    "Pipecat: timeout 0.6 s": stock(0.6),
}


async def measure(build: Build, turns: Sequence[Turn]) -> Heard:
    """All turns, some a call, one call after the other."""
    turn_calls.heard = Heard()
    began = cpu_time()
    for first in range(0, len(turns), _TURNS_A_CALL):
        line = Line()
        await turn_calls.call(line, build(line), turns[first : first + _TURNS_A_CALL])
    turn_calls.heard.cpu_secs = cpu_time() - began
    return turn_calls.heard


def _percentiles(seconds: Sequence[float]) -> str:
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return f"{cuts[9]:.2f}/{cuts[18]:.2f}"


def report(name: str, heard: Heard) -> None:
    """Prints a line."""
    print(
        f"| {name:22} | {heard.cut}/{heard.turns} | {heard.false_ends}/{heard.pauses} "
        f"| {_percentiles(heard.delays)} | {_percentiles(heard.replies)} "
        f"| {heard.started / heard.turns:.2f} | {heard.unended} "
        f"| {100 * heard.cpu_secs / heard.audio_secs:.1f} % |",
        flush=True,
    )


def main() -> None:
    """Reads the arguments, measures, prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # pyright: ignore[reportOptionalMemberAccess]
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take one order in N")
    parser.add_argument("--only", default="", help="only the settings with this in their name")
    parser.add_argument("--hesitating", action="store_true", help="callers who pause")
    arguments = parser.parse_args()
    if not (arguments.folder / "manifest.json").is_file():
        sys.exit(f"expected recordings with a manifest.json in {arguments.folder}, found none")
    logger.remove()
    turns = read_turns(arguments.folder, every=arguments.every)
    turns = list(hesitating(turns)) if arguments.hesitating else turns
    print(
        "| setting | turns cut off | pauses taken for the end | end of turn p50/p95 s "
        "| LLM's first word p50/p95 s | LLM runs a turn | never ended | CPU |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for name, build in SETTINGS.items():
        if arguments.only in name:
            report(name, virtual_time.run(measure(build, turns)))


if __name__ == "__main__":
    main()
