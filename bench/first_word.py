"""How long a caller waits for the bot's first word: ours, and stock Pipecat's, in one run.

    python bench/first_word.py           # three minutes
    python bench/first_word.py --quick   # one

Each bot is a process of its own, rung by a simulated Twilio in this one: its first call, calls one
after the other, and five at once. The time is that from the stream's ``start`` to the first sound
at the caller's ear, on a line without delay. Once with services that are there at once, so that
what is left is the bot's own; and once with services as far away as a vendor's: STT and TTS each
take 150 ms to connect, the TTS 200 ms to its first audio.
"""

import argparse
import asyncio
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bot_process import BenchProcess
from loguru import logger

from twilio_frames.testing import CallResult, SimulatedTwilio
from twilio_frames.testing.logs.log import CallLog

AT_ONCE = 5
NEAR = {"BENCH_CONNECT_SECONDS": "0", "BENCH_SPEECH_SECONDS": "0"}
FAR = {"BENCH_CONNECT_SECONDS": "0.15", "BENCH_SPEECH_SECONDS": "0.2"}
BOTS = {
    "ours, recorded greeting": ("first_word_bot.py", "clip"),
    "ours, spoken live": ("first_word_bot.py", "live"),
    "ours, live, not warmed up": ("first_word_bot.py", "cold"),
    "stock Pipecat": ("stock_bot.py", "greet"),
}


@dataclass
class Waits:
    """How long callers of one bot waited, seconds.

    Parameters:
        first: The first caller of the process.
        later: Those after it, one at a time.
        together: Those who called at once.
        late: Calls in which the simulator did not keep time: they may seem longer than they were.
    """

    first: float = float("nan")
    later: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    late: int = 0

    def row(self) -> dict[str, float]:
        """The figures, milliseconds."""
        return {
            "first call": self.first * 1000,
            "p50": percentile(self.later, 0.5),
            "p95": percentile(self.later, 0.95),
            f"{AT_ONCE} at once p50": percentile(self.together, 0.5),
            f"{AT_ONCE} at once p95": percentile(self.together, 0.95),
        }


def percentile(values: Sequence[float], share: float) -> float:
    """Milliseconds that this share of the values does not exceed."""
    if not values:
        return float("nan")
    if len(values) == 1:
        return values[0] * 1000
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1] * 1000


def wait_of(log: CallLog, result: CallResult) -> float:
    """Seconds from a stream's start to the first sound of the bot."""
    answered = next(entry.time for entry in log.entries if entry.event == "answered")
    start = next(entry.time for entry in log.entries if entry.event == "start")
    assert result.first_audio is not None
    return answered + result.first_audio - start


async def measure(name: str, environment: dict[str, str], *, calls: int, rounds: int) -> Waits:
    """Rings one bot."""
    waits = Waits()
    async with BenchProcess(*BOTS[name], environment=environment) as bot, SimulatedTwilio() as line:
        url = (await bot.wait_for("serving"))["url"]

        async def ring() -> float:
            async with line.call(url) as caller:
                await caller.wait_until_bot_speaks(for_seconds=0.3)
            waits.late += not caller.result.is_trustworthy
            return wait_of(caller.log, caller.result)

        waits.first = await ring()
        for _ in range(calls):
            waits.later.append(await ring())
        for _ in range(rounds):
            waits.together += await asyncio.gather(*(ring() for _ in range(AT_ONCE)))
    return waits


async def main(arguments: argparse.Namespace) -> None:
    """Measures everything, prints it as it comes."""
    figures: dict[str, dict[str, dict[str, float]]] = {}
    calls, rounds = (20, 4) if arguments.quick else (50, 10)
    for title, environment in (("services there at once", NEAR), ("services far away", FAR)):
        rows = figures[title] = {}
        print(f"\nstart -> first sound at the ear, ms; {title}")
        for name in BOTS:
            waits = await measure(name, environment, calls=calls, rounds=rounds)
            rows[name] = waits.row()
            if name == next(iter(BOTS)):
                print(f"{'':28}" + "".join(f"{column:>15}" for column in rows[name]))
            shown = "".join(f"{value:15.0f}" for value in rows[name].values())
            rung = 1 + calls + rounds * AT_ONCE
            print(f"{name:28}{shown}   {waits.late} of {rung} on a late clock")
        ours, stock = rows["ours, recorded greeting"], rows["stock Pipecat"]
        ratios = "".join(f"{stock[column] / ours[column]:14.1f}x" for column in ours)
        print(f"{'stock / ours, recorded':28}{ratios}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="20 calls and 4 times 5 at once each")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file")
    logger.remove()
    asyncio.run(main(parser.parse_args()))
