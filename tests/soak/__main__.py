"""Carries out runs of the soak, and says which went wrong.

    python -m tests.soak [--seed N] [--seeds N] [--register memory]

A run that went wrong is carried out again, as it was, by its seed; then all that happened in it is
printed.
"""

import argparse
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from loguru import logger

from tests.soak.whole import soak_whole_calls
from tests.soak.world import Outcome, soak


def carry_out(seed: int, kind: str, *, whole: bool = False) -> Outcome:
    """One run."""
    with tempfile.TemporaryDirectory() as folder:
        return (soak_whole_calls if whole else soak)(seed, Path(folder), kind=kind)


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def main() -> int:
    """Gives the exit status: 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, help="carry out this run alone, and print all of it")
    parser.add_argument("--seeds", type=int, default=50, help="how many runs")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--register", choices=("memory", "sqlite"), default="memory")
    parser.add_argument("--whole", action="store_true", help="with pipelines: 6 calls a run")
    parser.add_argument("--log", action="store_true", help="print what the workers log")
    given = parser.parse_args()
    if not given.log:
        logger.remove()
        logging.disable()
    if given.seed is not None:
        outcome = carry_out(given.seed, given.register, whole=given.whole)
        _say(*outcome.events, *outcome.wrong, outcome.digest)
        return int(bool(outcome.wrong))
    counts: Counter[str] = Counter()
    wrong, began = 0, time.process_time()
    for seed in range(given.first, given.first + given.seeds):
        outcome = carry_out(seed, given.register, whole=given.whole)
        counts += outcome.counts
        wrong += bool(outcome.wrong)
        for line in outcome.wrong:
            _say(f"seed {seed}: {line}")
    took = time.process_time() - began
    _say(f"{given.seeds} runs, {wrong} of them wrong, in {took:.0f} s of CPU")
    _say(", ".join(f"{name}: {counts[name]}" for name in sorted(counts)))
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
