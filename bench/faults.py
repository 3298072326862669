"""What a caller hears of each fault, whatever part has it and whenever it begins: a matrix.

    python bench/faults.py [--only PART ...] [--fault FAULT ...] [--moment MOMENT ...]
                           [--write docs/fault-matrix.md]

For each cell a simulated Twilio rings a bot of this package and the vendors' real clients, in one
process and in virtual time, and the fault begins at the cell's moment: ``fault_doors.py`` has the
faults, ``fault_world.py`` the parts, ``fault_calls.py`` the call and the rules. Where a rule is
broken the command names the cell and exits with 1.
"""

import argparse
import asyncio
import itertools
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from twilio_frames.testing.virtual_time import VirtualEventLoop, take_over_time

take_over_time()  # before anybody has kept a clock
# ruff: noqa: E402

from fault_calls import (
    ANSWERS,
    ASKS,
    BEFORE,
    GREETED,
    MOMENTS,
    RULES,
    THINKS,
    UNNOTICED_SECS,
    Outcome,
    Speech,
    make_speech,
    try_call,
)
from fault_doors import DIES, FAULTS, GARBAGE, REFUSED, SLOW_SECS
from fault_world import World
from loguru import logger

PARTS: dict[str, Callable[[World, str], None]] = {
    "register": World.break_register,
    "worker": World.break_worker,
    "proxy": lambda world, fault: world.front.go_wrong(fault),
    "webhook": lambda world, fault: world.front.go_wrong(fault, only=b"POST"),
    "stream": lambda world, fault: world.front.go_wrong(fault, only=b"GET", is_one=True),
    "REST": World.break_rest,
    "STT": lambda world, fault: world.stt.go_wrong(fault),
    "LLM": lambda world, fault: world.llm.go_wrong(fault),
    "TTS": lambda world, fault: world.tts.go_wrong(fault),
    "disk": World.break_disk,
    "clock": World.break_clock,
    "loop": World.break_loop,
}

ANY = ""
NONSENSE: dict[tuple[str, str, str], str] = {
    **{
        ("webhook", ANY, moment): "Twilio asks its webhooks before a stream and behind it alone"
        for moment in (GREETED, ASKS, THINKS, ANSWERS)
    },
    ("REST", ANY, BEFORE): "nobody asks it for anything before a call has come",
    ("disk", GARBAGE, ANY): "nothing that is written in a call is read in it; for the register's "
    "file, see the register",
    ("clock", REFUSED, ANY): "a clock refuses nobody",
    ("loop", REFUSED, ANY): "an event loop refuses nobody",
    ("loop", DIES, ANY): "its worker dies with it",
    ("loop", ANY, BEFORE): "a loop that is wrong before the call is one that is wrong in it",
}
"""Why some cells are none: by part, fault and moment; an empty one stands for any."""

MEANINGS = {
    "clock": "slow, it goes at half its speed; hang, it stands still; garbage, it is a day ahead; "
    "dies, it begins again at 1970",
    "loop": "slow, it is blocked for 0.3 s each second; hang, for 5 s once; garbage, a callback of "
    "somebody's raises each second",
    "disk": "refused, it is full, under the register as well; dies, its folder is gone",
    "register": "slow, 0.2 s later; garbage, what stands in it is none of ours; dies, it is back "
    "at once and has forgotten all",
    "worker": "the process that has the call, or is to get it; one that dies does not come back",
    "proxy": "it gives a connection to the first worker that takes one, and looks after them every "
    "two seconds",
    "stream": "hang, this one; the next one is well",
    "REST": "it is asked to record the call at that moment",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """What goes wrong, how, and when."""

    part: str
    fault: str
    moment: str

    def __str__(self) -> str:
        return f"{self.part}, {self.fault}, {self.moment}"

    @property
    def nonsense(self) -> str | None:
        """Why there is no such cell; None if there is."""
        for fault, moment in itertools.product((self.fault, ANY), (self.moment, ANY)):
            if reason := NONSENSE.get((self.part, fault, moment)):
                return reason
        return None


def cells(
    parts: Iterable[str] = PARTS, faults: Iterable[str] = FAULTS, moments: Iterable[str] = MOMENTS
) -> list[Cell]:
    """The cells of these."""
    return [Cell(*one) for one in itertools.product(parts, faults, moments)]


async def try_cell(cell: Cell, speech: Speech) -> Outcome:
    """Makes the cell's call."""
    disk = cell.fault if cell.part == "disk" else ""
    return await try_call(
        cell.moment, lambda world: PARTS[cell.part](world, cell.fault), speech, disk=disk
    )


async def run(wanted: Iterable[Cell], tell: Callable[[Cell, Outcome], None]) -> dict[Cell, Outcome]:
    """Tries cells, one after the other."""
    speech = await make_speech()
    found: dict[Cell, Outcome] = {}
    for cell in wanted:
        if cell.nonsense is None:
            found[cell] = await try_cell(cell, speech)
            tell(cell, found[cell])
    return found


def document(found: dict[Cell, Outcome], before: str) -> str:
    """The page about all of it; parts of which nothing was tried are as they were before."""
    sections = {section.partition("\n")[0]: section for section in before.split("\n## ")[1:]}
    for part in dict.fromkeys(cell.part for cell in found):
        sections[part] = "\n".join(_section(part, found)) + "\n"
    count = sum(cell.nonsense is None for cell in cells())
    rules = "".join(f"- {rule};\n" for rule in RULES)
    head = _HEAD.format(slow=SLOW_SECS, count=count, rules=rules, secs=UNNOTICED_SECS)
    return "\n## ".join([head, *(sections[part] for part in PARTS if part in sections)])


def _section(part: str, found: dict[Cell, Outcome]) -> Iterator[str]:
    yield f"{part}\n"
    if meaning := MEANINGS.get(part):
        yield f"{meaning[:1].upper()}{meaning[1:]}.\n"
    yield "| fault | begins | the caller hears | the memory holds | the call ends | the log says |"
    yield "|---|---|---|---|---|---|"
    reasons: dict[str, list[str]] = {}
    for fault in FAULTS:
        rows: dict[tuple[str, ...], list[str]] = {}
        for cell in cells([part], [fault]):
            if (reason := cell.nonsense) is not None:
                reasons.setdefault(reason, []).append(f"{fault}, {cell.moment}")
            elif cell in found:
                rows.setdefault(found[cell].row, []).append(cell.moment)
        for row, moments in rows.items():
            yield f"| {fault} | {_when(moments)} | {' | '.join(row)} |"
    for reason, which in reasons.items():
        yield f"\n— ({_which(which)}): {reason}."


def _when(moments: list[str]) -> str:
    return "whenever" if len(moments) == len(MOMENTS) else "; ".join(moments)


def _which(cells_of_reason: list[str]) -> str:
    faults = list(dict.fromkeys(one.partition(", ")[0] for one in cells_of_reason))
    moments = list(dict.fromkeys(one.partition(", ")[2] for one in cells_of_reason))
    shown = ["any fault"] if len(faults) == len(FAULTS) else faults
    return f"{', '.join(shown)}: {_when(moments)}"


_HEAD = """\
# Every part, every fault, at every moment

Made by `python bench/faults.py --write docs/fault-matrix.md`; do not edit it by hand. Each of the
{count} cells is a whole call in virtual time: two workers with one register behind a proxy, a
simulated Twilio, and the real clients of Deepgram, OpenAI and Cartesia against local servers. The
bot greets, answers a question, and says goodbye when the caller does; no second vendor takes over
from any. The fault begins at its moment: *bot thinking* is right behind the question, *at the end*
is in the goodbye. It lasts to the end of the call, but for garbage and death, which come once:

- **refused**: whoever connects is refused, and what is open is broken;
- **slow**: all that comes from there comes {slow:g} s later;
- **hang**: what is open, and whatever comes, stays open, and nothing passes any more;
- **garbage**: what comes next from there begins with bytes that are none of the protocol's;
- **dies**: what is open is broken; who connects anew is served.

*Everything* is every word once; a silence is told where it is longer than {secs:g} s. The log is
its first warning or error. What vendors answer on a bad day is in [Bad days](faults.md). In each
cell it is true that:

{rules}
Where one of these is not, the command says so, and fails.
"""


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--fault", nargs="+", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--moment", nargs="+", choices=MOMENTS, default=list(MOMENTS))
    parser.add_argument("--write", type=Path, metavar="FILE", help="the page to put it into")
    arguments = parser.parse_args()
    is_whole = (len(arguments.fault), len(arguments.moment)) == (len(FAULTS), len(MOMENTS))
    if arguments.write and not is_whole:
        parser.error("expected all faults and moments of a part for its page, got some")
    logger.remove()
    logging.disable()

    def tell(cell: Cell, outcome: Outcome) -> None:
        print(
            f"{cell}: {' | '.join(outcome.row)}", *outcome.broken, sep="\n    BROKEN: ", flush=True
        )

    with asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
        found = runner.run(run(cells(arguments.only, arguments.fault, arguments.moment), tell))
    if arguments.write:
        before = arguments.write.read_text() if arguments.write.exists() else ""
        arguments.write.write_text(document(found, before))
    sys.exit(any(one.broken for one in found.values()))


if __name__ == "__main__":
    main()
