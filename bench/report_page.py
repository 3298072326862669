"""How fast the report of a long call opens, in a Chromium without a window.

Makes the log and the recording of a call of an hour, the report of it, and opens that::

    python bench/report_page.py --minutes 60

``opened`` is from the beginning of the navigation to the first frame with the timeline in it.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.chromium import browser
from twilio_frames.audio import encode_mulaw
from twilio_frames.report import page, read_report
from twilio_frames.report.lines import FORMAT, VERSION, Kind
from twilio_frames.report.picture import picture
from twilio_frames.transport.recorder.wav import StereoWav

_TEXT = """
your parcel is on its way and will be with you on Friday before noon if the weather holds would you
like it to be left with a neighbour or shall the driver ring the bell
"""
_WORDS = _TEXT.split()
_WORD_SECS = 0.34


class LongCall:
    """A made-up call: somebody asks, the bot answers, now and then is interrupted.

    Args:
        seconds: How long it is.
    """

    def __init__(self, seconds: float):
        self.seconds = seconds
        self._random = random.Random(1)
        self._contexts = 0
        self.lines: list[dict[str, Any]] = []
        self.speech: list[tuple[int, float, float]] = []

    def note(self, t: float, kind: Kind, **fields: Any) -> None:
        """Adds a line."""
        self.lines.append({"t": round(t, 4), "kind": kind, **fields})

    def make(self) -> None:
        """Makes all of it."""
        header = {"format": FORMAT, "version": VERSION, "began": "2026-01-01T12:00:00+00:00"}
        self.note(0.0, Kind.LOG, words=True, digits=False, **header)
        self.note(0.2, Kind.CALL, call_sid="CA" + "1" * 32, stream_sid="MZ" + "1" * 32)
        at = self._bot(0.4, cut=False)
        while at < self.seconds - 25:
            asked = self._caller(at + self._random.uniform(0.4, 1.2))
            at = self._bot(asked, cut=self._random.random() < 0.15)
        for second in range(1, int(self.seconds)):
            fields = {"longest_wait": 0.021, "sent": 0.5, "ahead": 0.4, "round_trip": 0.04}
            self.note(second, Kind.LINE, received=50, **fields)
        self.note(self.seconds, Kind.ENDED, reason="caller hung up", detail="stop received")
        ending = {"violations": {}, "line_ended": self.seconds, "dropped": 0}
        self.note(self.seconds + 0.01, Kind.CLOSED, **ending)

    def _caller(self, at: float) -> float:
        words = self._random.sample(_WORDS, self._random.randint(2, 9))
        end = at + len(words) * _WORD_SECS
        self.speech.append((0, at, end))
        self.note(at + 0.16, Kind.VAD_STARTED, after=0.16)
        self.note(at + 0.17, Kind.TURN_STARTED)
        self.note(end + 0.6, Kind.VAD_STOPPED, after=0.6)
        self.note(end + 0.7, Kind.TRANSCRIPT, words=len(words), text=" ".join(words))
        self.note(end + 0.7, Kind.TURN_STOPPED)
        return end + 0.7

    def _bot(self, at: float, *, cut: bool) -> float:
        words = self._random.sample(_WORDS, self._random.randint(5, 20))
        heard = len(words) // 2 if cut else len(words)
        thought = self._random.uniform(0.2, 0.5) * (8 if self._random.random() < 0.03 else 1)
        begin = at + thought + 0.1
        end = begin + heard * _WORD_SECS
        context, self._contexts = self._contexts, self._contexts + 1
        self.note(at, Kind.LLM_STARTED)
        text = " ".join(words)
        self.note(at + thought, Kind.SAID, context=context, words=len(words), text=text)
        self.note(at + thought + 0.08, Kind.TTS_AUDIO, context=context)
        self.note(begin, Kind.BOT_STARTED)
        for number, word in enumerate(words[:heard]):
            fields = {"context": context, "words": 1, "text": word}
            self.note(begin + (number + 1) * _WORD_SECS, Kind.WORD, **fields)
        if cut:
            self.note(end, Kind.HELD, left=2.0)
            self.note(end, Kind.CUT, position=0, bound=0, flushed=0.4)
            self.note(end + 0.5, Kind.INTERRUPTED)
        self.note(end + 0.5, Kind.BOT_STOPPED)
        self.note(end + 4, Kind.SENT, begin=begin - 0.02, end=end)
        self.note(end + 4, Kind.HEARD, begin=begin, end=end)
        self.speech.append((1, begin, end))
        return end

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Writes the log and a recording that hums where somebody speaks."""
        log, recording = folder / "call.jsonl", folder / "call.wav"
        log.write_text("".join(json.dumps(line) + "\n" for line in self.lines))
        wav = StereoWav(recording)
        for channel, begin, end in self.speech:
            wav.write(channel, round(begin * 8000), _hum(end - begin))
        wav.end(round(self.seconds * 8000))
        return log, recording


def _hum(seconds: float) -> bytes:
    at = np.arange(round(seconds * 8000)) / 8000
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * at / _WORD_SECS)
    return encode_mulaw((9000 * swell * np.sin(2 * np.pi * 160 * at)).astype(np.int16).tobytes())


async def opening(address: str, times: int) -> list[float]:
    """Seconds from the navigation to the first picture, each in a fresh browser."""
    found: list[float] = []
    for _ in range(times):
        async with browser() as opened:
            await opened.looks(1280, 900)
            await opened.open(address)
            await opened.wait_until("performance.getEntriesByName('drawn').length")
            found.append(await opened.value("performance.getEntriesByName('drawn')[0].startTime"))
            assert not opened.complaints, opened.complaints
    return [milliseconds / 1000 for milliseconds in found]


def _timed(what: str, begun: float, size: int) -> None:
    print(f"{what:<24}{time.perf_counter() - begun:8.2f} s{size / 1e6:10.2f} MB")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--embed", action="store_true", help="the page holds the recording")
    parser.add_argument("--keep", type=Path, help="folder for the files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = options.keep or Path(made)
        folder.mkdir(exist_ok=True)
        call = LongCall(60 * options.minutes)
        call.make()
        log, recording = call.write(folder)
        print(f"{len(call.lines)} lines, {log.stat().st_size / 1e6:.2f} MB of log")
        begun = time.perf_counter()
        report = read_report(log, recording)
        _timed("read", begun, log.stat().st_size + recording.stat().st_size)
        begun = time.perf_counter()
        path = folder / "call.html"
        path.write_text(page(report, beside=path, embed=options.embed or None), encoding="utf-8")
        _timed("page", begun, path.stat().st_size)
        begun = time.perf_counter()
        image = picture(report)
        _timed("picture", begun, len(image))
        (folder / "call.png").write_bytes(image)
        times = asyncio.run(opening(path.resolve().as_uri(), options.times))
        print(f"{'opened, median':<24}{statistics.median(times):8.2f} s, worst {max(times):.2f} s")


if __name__ == "__main__":
    main()
