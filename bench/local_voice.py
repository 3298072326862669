"""What a Piper voice costs on one thread: a load, the first piece of a text, a second of speech.

    python bench/local_voice.py VOICE

VOICE is an ``.onnx`` file, or a name of Piper's list. Times are CPU times, which other work on the
machine changes little; the least of five.
"""

import argparse
import gc
import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from twilio_frames.services.piper.phrases import phrases
from twilio_frames.services.piper.voice import LocalPiper

_TEN_WORDS = "Hi there, what can I get you today, my friend?"
_LONG = (
    "So that is one large latte with oat milk, two sugars and an extra shot, and a small black "
    "coffee for you, is that right?"
)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("voice")
    name = parser.parse_args().voice
    before = _megabytes()
    began = time.process_time()
    voice = LocalPiper(name)
    print(
        f"load                    {time.process_time() - began:.2f} s, {_megabytes() - before} MB"
    )
    for text in (_TEN_WORDS, _LONG):
        pieces = phrases(voice, text)
        first = _least(lambda text=text: _spoken_secs(voice, text, pieces=1))[0]
        print(f"{len(text.split()):2} words, first of {len(pieces)}    {first:.2f} s")
    spent, secs = _least(partial(_spoken_secs, voice, _LONG))
    print(f"a second of speech      {spent / secs:.3f} s")


def _spoken_secs(voice: LocalPiper, text: str, *, pieces: int | None = None) -> float:
    rate = voice.sample_rate
    return sum(
        len(voice.speak(phrase.phonemes, speed=1.0, speaker=None).samples) / rate
        for phrase in phrases(voice, text)[:pieces]
    )


def _least(work: Callable[[], Any]) -> tuple[float, float]:
    """The least CPU time of several runs, and what that run gave."""
    runs: list[tuple[float, float]] = []
    for _ in range(5):
        began = time.process_time()
        found = work()
        runs.append((time.process_time() - began, found))
    return min(runs)


def _megabytes() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 2**20


if __name__ == "__main__":
    main()
