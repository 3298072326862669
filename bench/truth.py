"""Whether a bot knows what its caller heard: this package beside stock Pipecat, on one machine.

    python bench/truth.py [--points 20] [--only NAME ...] [--side ours] [--json FILE]
    python bench/truth.py --virtual --points 200 [--only NAME ...] [--json FILE]

A simulated Twilio rings both bots, over lines good and bad, and callers talk over what they say.
The bots' words are known to the byte, so what the ear heard says which words were heard to their
ends; the words in the LLM's context must be those. The bots are of the same parts but for the
transport, the VAD and the context. Each runs in a process of its own, one side after the other: a
stalled event loop does not stall the line that knows the truth. All of it takes ten minutes.

A reply that was cut within 4 ms of a word's end is counted as "on edge", not as wrong, if all that
is off is that word: nobody hears the difference. ``--json`` has them all.

With ``--virtual`` this package's bot runs in the same process and in virtual time: a call takes as
long as its CPU time, so that hundreds of points can be tried on a machine that does other work.
"""

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loguru import logger
from truth_talks import Findings
from truth_trial import SCENARIOS, SIDES, Trial
from truth_words import Memory

from twilio_frames.testing.virtual_time import VirtualEventLoop, take_over_time

Figures = dict[str, Any]


def figures_of(found: Findings) -> Figures:
    """What was found in one scenario, for a JSON file; times in milliseconds."""
    return {
        "cut": _memories(found.cut),
        "whole": _memories(found.whole),
        "alarmed": _memories(found.alarmed),
        "turns": len(found.turns),
        "turns_out_of_order": found.turns.count(False),
        "turns_missed": found.missed,
        "words_lost": found.lost,
        "stopped_late": _milliseconds(found.stopped_late),
        "started_late": _milliseconds(found.started_late),
        "gaps": _milliseconds(found.gaps),
        "paused": _milliseconds(found.paused),
        "silenced": _milliseconds(found.silenced),
        "goodbyes": found.goodbyes,
        "errors": found.errors,
    }


def _memories(memories: Sequence[Memory]) -> Figures:
    off = [memory for memory in memories if not memory.is_right]
    wrong = [memory for memory in off if not memory.is_on_edge]
    return {
        "replies": len(memories),
        "wrong": len(wrong),
        "on_edge": len(off) - len(wrong),
        "words_heard": sum(len(memory.heard) for memory in memories),
        "words_extra": sum(len(memory.extra) for memory in memories),
        "words_missing": sum(len(memory.missing) for memory in memories),
        "words_repeated": sum(len(memory.repeated) for memory in memories),
        "off_by": sorted((memory.words_off for memory in memories), reverse=True),
        "out_of_order": sum(not memory.is_ordered for memory in memories),
        "marks": sorted({memory.beside for memory in memories}),
        "wrong_ones": [
            {
                "edge_ms": None if memory.edge is None else round(1000 * memory.edge, 1),
                "said": memory.said,
                "heard": memory.heard,
                "remembered": memory.remembered,
                "missing": memory.missing,
                "extra": memory.extra,
            }
            for memory in off
        ],
    }


def _milliseconds(seconds: Sequence[float]) -> list[float]:
    return [round(1000 * value, 1) for value in seconds]


def print_table(figures: dict[str, dict[str, Figures]]) -> None:
    """Prints a row for each scenario and figure, a column for each side."""
    sides = list(figures)
    print(f"{'':36}" + "".join(f"{side:>26}" for side in sides))
    for title, key in (
        ("interrupted replies wrong in memory", "cut"),
        ("whole replies wrong in memory", "whole"),
        ("replies hummed into, wrong in memory", "alarmed"),
    ):
        _print_rows(figures, title, lambda found, key=key: _wrong(found[key]))
    _print_rows(figures, "caller's turns not where they were said", _out_of_order)
    _print_rows(
        figures,
        "caller's turns that the VAD missed",
        lambda found: str(found["turns_missed"] or ""),
    )
    _print_rows(figures, "words never heard, of replies not interrupted", _lost)
    _print_rows(figures, "BotStoppedSpeaking after the ear, ms", _spread("stopped_late"))
    _print_rows(figures, "BotStartedSpeaking after the ear, ms", _spread("started_late"))
    _print_rows(figures, "longest gap in a reply, ms", _spread("gaps"))
    _print_rows(figures, "pause in a reply hummed into, ms", _spread("paused"))
    _print_rows(figures, "caller's onset to silence, ms", _spread("silenced"))
    _print_rows(figures, "goodbyes heard to the end", _goodbyes)
    _print_rows(figures, "calls that failed", lambda found: str(len(found["errors"]) or ""))


def _print_rows(figures: dict[str, dict[str, Figures]], title: str, cell: Any) -> None:
    sides = list(figures)
    rows: list[str] = []
    for name in figures[sides[0]]:
        cells = [cell(figures[side][name]) for side in sides]
        if any(cells):
            label = SCENARIOS[name].label
            rows.append(f"  {label:34}" + "".join(f"{text:>26}" for text in cells))
    if rows:
        print(title, *rows, sep="\n")


def _wrong(memories: Figures) -> str:
    if not memories["replies"]:
        return ""
    off = f"+{memories['words_extra']} -{memories['words_missing']} words"
    edge = f", {memories['on_edge']} on edge" * bool(memories["on_edge"])
    return f"{memories['wrong']} of {memories['replies']} ({off}{edge})"


def _out_of_order(found: Figures) -> str:
    return f"{found['turns_out_of_order']} of {found['turns']}" * bool(found["turns"])


def _lost(found: Figures) -> str:
    return f"{sum(found['words_lost'])} in {len(found['words_lost'])}" * bool(found["words_lost"])


def _spread(key: str) -> Any:
    def cell(found: Figures) -> str:
        values = found[key]
        if not values:
            return ""
        return f"{statistics.median(values):.0f} ({min(values):.0f} to {max(values):.0f})"

    return cell


def _goodbyes(found: Figures) -> str:
    heard = found["goodbyes"]
    return f"{sum(heard)} of {len(heard)}" if heard else ""


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, default=20, help="random points a scenario (20)")
    parser.add_argument("--only", nargs="+", choices=list(SCENARIOS), metavar="NAME")
    parser.add_argument("--side", choices=SIDES, help="one bot only")
    parser.add_argument("--at-once", type=int, default=5, help="calls at once to each bot (5)")
    parser.add_argument("--virtual", action="store_true", help="in virtual time, this side only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file")
    arguments = parser.parse_args()
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    if arguments.virtual:
        take_over_time()
    sides = ["ours"] if arguments.virtual else [arguments.side] if arguments.side else SIDES
    trial = Trial(
        arguments.only or list(SCENARIOS),
        points=arguments.points,
        sides=sides,
        at_once=arguments.at_once,
        is_here=arguments.virtual,
    )
    loop = VirtualEventLoop if arguments.virtual else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=loop) as runner:
        found = runner.run(trial.run())
    figures = {
        side: {name: figures_of(findings) for name, findings in scenarios.items()}
        for side, scenarios in found.items()
    }
    print_table(figures)
    for side, scenarios in figures.items():
        for name, scenario in scenarios.items():
            for error in scenario["errors"]:
                sys.stderr.write(f"{side}, {name}: {error}\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
