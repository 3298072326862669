"""How much of recorded orders a recogniser understands, over the telephone.

    python bench/recognition.py FOLDER [--manifest orders.json] [--refuse manifest.json]
        [--stt MODULE:FACTORY ...] [--table] [--json FILE]

FOLDER holds WAV files and a manifest: a JSON list of objects with ``file`` and ``slots``, the
details that were ordered. Each file is said by the caller of a simulated call, goes over a mu-law
channel through the server, transport, VAD and recogniser of a bot, and is read as an order of the
coffee shop. ``--refuse`` names a manifest (objects with ``file`` and ``text``) of speech that is no
order, and counts how much is refused.

``--stt`` names a function without arguments that gives a recogniser for one call, or a coroutine
function; by default the keyless bot's. Several are measured one after the other; ``--table`` prints
them as a table. ``bench/recognisers.py`` has some.

Calls are made one after the other in virtual time: each takes as long as its CPU time, on a busy
machine too, and the CPU time from the end of an utterance to its words is the recogniser's. A call
that fails is made again; one that fails three times is told, and counts as not understood.
"""

# ruff: noqa: E402 - what looks at the time is imported when it goes by virtual loops

from twilio_frames.testing.virtual_time import VirtualEventLoop, take_over_time, watch_threads

take_over_time()

import argparse
import asyncio
import json
import sys
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from loguru import logger
from recognition_calls import Heard, Listen, through_calls

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw, encode_mulaw
from twilio_frames.errors import ConfigurationError, TwilioFramesError
from twilio_frames.examples.coffee_shop.understanding import UNINTELLIGIBLE, understand

_ATTEMPTS = 3
_USUAL = "recognisers:grammar"


@dataclass
class Tally:
    """What was counted."""

    orders: int = 0
    orders_understood: int = 0
    orders_refused: int = 0
    details: int = 0
    details_understood: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    others: int = 0
    others_refused: int = 0
    failed: int = 0
    speech_secs: float = 0.0
    cpu_secs: list[float] = field(default_factory=list)

    def count_order(self, truth: dict[str, str], texts: list[str]) -> bool:
        """Counts one order; whether it was understood wholly."""
        slots = understand(" ".join(texts)).order.slots()
        right = [name for name, value in truth.items() if slots.get(name) == value]
        self.orders += 1
        self.orders_understood += slots == truth
        self.orders_refused += UNINTELLIGIBLE in texts
        self.details += len(truth)
        self.details_understood += len(right)
        self.wrong.update(truth.keys() - set(right))
        self.wrong.update(f"{name} (not said)" for name in slots.keys() - truth.keys())
        return slots == truth

    def count_other(self, texts: list[str]) -> bool:
        """Counts a recording that is no order; whether it was refused."""
        refused = not understand(" ".join(texts)).order
        self.others += 1
        self.others_refused += refused
        return refused

    def count_work(self, heard: Heard | None) -> None:
        """Counts what one call's recogniser had to do."""
        if heard is None:
            self.failed += 1
        else:
            self.speech_secs += heard.speech_secs
            self.cpu_secs += heard.cpu_secs

    def report(self) -> dict[str, Any]:
        """The figures, as they are printed and written."""
        figures: dict[str, Any] = {}
        if self.orders:
            figures |= {
                "orders": self.orders,
                "orders_understood": self.orders_understood / self.orders,
                "orders_refused": self.orders_refused / self.orders,
                "details": self.details,
                "details_understood": self.details_understood / self.details,
                "wrong": dict(self.wrong.most_common()),
            }
        if self.others:
            figures |= {
                "other_recordings": self.others,
                "other_recordings_refused": self.others_refused / self.others,
            }
        spent = sum(self.cpu_secs)
        return {
            **figures,
            "calls_failed": self.failed,
            "utterances": len(self.cpu_secs),
            "cpu_secs_per_utterance": spent / max(len(self.cpu_secs), 1),
            "cpu_secs_per_sec": spent / max(self.speech_secs, 1e-9),
        }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--manifest", default="orders.json")
    parser.add_argument("--refuse", metavar="MANIFEST", help="speech that is no order")
    parser.add_argument("--stt", metavar="MODULE:FACTORY", action="append", help="who recognises")
    parser.add_argument("--first", type=int, metavar="N", help="only so many of each manifest")
    parser.add_argument("--errors", action="store_true", help="list what was misunderstood")
    parser.add_argument("--table", action="store_true", help="print a table in Markdown")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    found = {name: _measured(arguments, name) for name in arguments.stt or [_USUAL]}
    for line in _table(found) if arguments.table else _lines(found):
        print(line)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1), "utf-8")


def _measured(arguments: argparse.Namespace, name: str) -> dict[str, Any]:
    module, _, factory = name.partition(":")
    try:
        make = getattr(import_module(module), factory)
    except (ImportError, AttributeError) as error:
        raise SystemExit(f"--stt {name}: {error}") from None
    try:
        with asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
            return runner.run(_count(arguments, make))
    except ConfigurationError as error:
        raise SystemExit(f"--stt {name}: {error}") from None


async def _count(arguments: argparse.Namespace, make: Callable[[], Any]) -> dict[str, Any]:
    watch_threads()  # models have threads of their own
    tally = Tally()
    folder: Path = arguments.folder
    orders, others = (
        _entries(folder / manifest)[: arguments.first] if manifest else []
        for manifest in (arguments.manifest, arguments.refuse)
    )
    count = len(orders) + len(others)
    async with through_calls(make) as listen:
        for number, entry in enumerate([*orders, *others], start=1):
            heard = await _heard(listen, folder / entry["file"])
            tally.count_work(heard)
            texts = heard.texts if heard else []
            is_order = number <= len(orders)
            right = (
                tally.count_order(entry["slots"], texts) if is_order else tally.count_other(texts)
            )
            if arguments.errors and not right:
                print(entry["file"], texts, entry.get("slots", ""), flush=True)
            if sys.stderr.isatty():
                print(f"\r{number} of {count}", end="", file=sys.stderr, flush=True)
    return tally.report()


async def _heard(listen: Listen, path: Path) -> Heard | None:
    """What was understood of a recording; None if no call came of it."""
    pcm = await asyncio.to_thread(_telephone_pcm, path)
    for _ in range(_ATTEMPTS):
        try:
            return await listen(pcm)
        except (TwilioFramesError, TimeoutError) as error:
            print(f"{path.name}: {type(error).__name__}: {error}", file=sys.stderr)
    return None


def _entries(manifest: Path) -> list[dict[str, Any]]:
    content = json.loads(manifest.read_text("utf-8"))
    return content if isinstance(content, list) else content["files"]


def _telephone_pcm(path: Path) -> bytes:
    """The recording as it comes out of a mu-law channel."""
    with wave.open(str(path)) as reader:
        rate = reader.getframerate()
        samples = np.frombuffer(reader.readframes(reader.getnframes()), np.int16)
        samples = samples.reshape(-1, reader.getnchannels())[:, 0]
    if rate != SAMPLE_RATE:
        samples = np.asarray(soxr.resample(samples, rate, SAMPLE_RATE), np.int16)
    return decode_mulaw(encode_mulaw(samples.tobytes()))


def _lines(found: dict[str, dict[str, Any]]) -> Iterator[str]:
    for name, figures in found.items():
        yield name
        for title, value in figures.items():
            yield (
                f"  {title:28} {value:.3f}" if isinstance(value, float) else f"  {title:28} {value}"
            )


def _table(found: dict[str, dict[str, Any]]) -> Iterator[str]:
    columns = {
        "orders whole": partial(_share, "orders_understood"),
        "details": partial(_share, "details_understood"),
        "other speech refused": partial(_share, "other_recordings_refused"),
        "CPU s an utterance": partial(_number, "cpu_secs_per_utterance"),
        "CPU s a second": partial(_number, "cpu_secs_per_sec"),
    }
    yield f"| | {' | '.join(columns)} |"
    yield f"|---|{'---|' * len(columns)}"
    for name, figures in found.items():
        cells = " | ".join(write(figures) for write in columns.values())
        yield f"| `{name}` | {cells} |"


def _share(name: str, figures: dict[str, Any]) -> str:
    return f"{100 * figures[name]:.1f} %" if name in figures else "-"


def _number(name: str, figures: dict[str, Any]) -> str:
    return f"{figures[name]:.2f}"


if __name__ == "__main__":
    main()
