"""What a bot's processor time is spent on, by py-spy where that is installed.

Sampled is who holds the interpreter (``--gil``), without stopping the bot (``--nonblocking``): a
sample that cannot be read is left out. Models run without the interpreter, on threads of their own;
those threads are counted by what the kernel says of them.
"""

import asyncio
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

_RATE = 200
_FRAME = re.compile(r"^(?P<name>.+) \((?P<file>.+?)(?::\d+)?\)$")

_LIBRARIES = (
    ("pipecat/processors/frame_processor", "Pipecat: processors' queues and tasks"),
    ("pipecat/pipeline", "Pipecat: pipeline, worker, observers"),
    ("pipecat/workers", "Pipecat: pipeline, worker, observers"),
    ("pipecat/observers", "Pipecat: pipeline, worker, observers"),
    ("pipecat/transports", "Pipecat: transport, serializer"),
    ("pipecat/serializers", "Pipecat: transport, serializer"),
    ("pipecat/audio", "Pipecat: VAD, turns, resampling"),
    ("pipecat/turns", "Pipecat: VAD, turns, resampling"),
    ("pipecat/", "Pipecat: everything else"),
    ("aiohttp/", "aiohttp"),
    ("uvicorn/", "uvicorn, websockets"),
    ("starlette/", "uvicorn, websockets"),
    ("fastapi/", "uvicorn, websockets"),
    ("websockets/", "uvicorn, websockets"),
    ("onnxruntime/", "onnxruntime"),
    ("loguru/", "logging"),
    ("/asyncio/", "asyncio"),
    ("uvloop/", "uvloop"),
    ("/bench/", "stand-ins for STT, LLM and TTS"),
)


def py_spy() -> str | None:
    """Where py-spy is; None if it is not installed."""
    return shutil.which("py-spy")


async def profile(pid: int, seconds: float, core: int | None) -> dict[str, float]:
    """Shares of the samples by what they were spent on, the largest first.

    Args:
        pid: The bot.
        seconds: How long it is looked at.
        core: The one that py-spy is kept on; None for any.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "stacks"
        kept = [] if core is None else ["taskset", "-c", str(core)]
        command = [*kept, py_spy() or "py-spy", "record", "--gil", "--nonblocking"]
        command += ["--rate", str(_RATE), "--duration", f"{seconds:.0f}", "--full-filenames"]
        command += ["--format", "raw", "--output", str(made), "--pid", str(pid)]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        _, told = await process.communicate()
        if process.returncode or not made.exists():
            sys.stderr.write(f"py-spy failed: {told.decode(errors='replace')[-300:]}\n")
            return {}
        return shares(await asyncio.to_thread(made.read_text))


def shares(stacks: str) -> dict[str, float]:
    """The same of py-spy's raw text: a stack's frames, outermost first, and its samples."""
    counts: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        if count.isdecimal():
            counts[_spent_on(stack.split(";"))] += int(count)
    whole = sum(counts.values())
    return {name: count / whole for name, count in counts.most_common()} if whole else {}


def _spent_on(frames: Iterable[str]) -> str:
    """What the innermost frame belongs to that is of a library; Python's own are their caller's."""
    for frame in reversed(list(frames)):
        found = _FRAME.match(frame)
        if found and (group := _group(found["file"])):
            return group
    return "everything else"


def _group(file: str) -> str | None:
    place = file.rpartition("site-packages/")[2]
    _, ours, rest = place.rpartition("twilio_frames/")
    if ours:
        return f"ours: {rest.removeprefix('processors/').partition('/')[0].removesuffix('.py')}"
    return next((name for part, name in _LIBRARIES if part in place), None)
