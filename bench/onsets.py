"""How soon the VAD hears that a caller speaks, how often it errs, and how long what it hears is.

    python bench/onsets.py [--likely-secs S] [--likely-confidence C] [WAV ...]

*Likely* is when the bot falls silent for a start, *certain* when the VAD takes it for speech. A
likely onset that never becomes certain makes a pause in what the bot says, some 0.3 s long. Speech
is synthetic unless WAV files of 8 kHz are named: recordings of callers, silence around them or not.
The times are those of the model alone: the line's frames and the way to Twilio come on top.
"""

import argparse
import asyncio
import functools
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from loguru import logger
from noises import LINE_NOISE, NOISES, Samples, noisy_line, to_mulaw

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw
from twilio_frames.processors.silero_model import WINDOW
from twilio_frames.processors.vad import LIKELY_CONFIDENCE, LIKELY_SECS, PhoneVADAnalyzer
from twilio_frames.testing.callers.voice import audible_samples
from twilio_frames.testing.speech import read_wav, to_utterance

_WINDOW_SECS = WINDOW / SAMPLE_RATE
_LINES = 4
_LINE_SECS = 60.0
_OFFSETS = range(0, WINDOW, WINDOW // 4)
_VOICES = ("en-us+f2", "en-us+f3", "en-us+f4", "en-us+m3", "en-us+m7", "en-us")
_SENTENCES = (
    "When is my parcel going to arrive, please?",
    "Wait a moment, please. I want something else.",
    "I would like a large latte please.",
    "Hello? Are you still there?",
)
_WORDS = "No. Stop! Yes. Wait. Hey! Hello? What? Okay. One. Two. Six. Eight."

Likely = Callable[[], PhoneVADAnalyzer]


@dataclass
class Heard:
    """What the VAD made of some lines; seconds.

    Parameters:
        seconds: How much was listened to.
        likely_after: From the first sound of each line to the first likely onset.
        certain_after: The same to the first certain one.
        ahead: By how much each certain onset was likely before.
        in_vain: How many likely onsets never became certain.
        lengths: How long each certain stretch of speech was, pauses apart.
    """

    seconds: float = 0.0
    likely_after: list[float] = field(default_factory=list)
    certain_after: list[float] = field(default_factory=list)
    ahead: list[float] = field(default_factory=list)
    in_vain: int = 0
    lengths: list[float] = field(default_factory=list)


async def listen(lines: Iterable[tuple[Samples, int]], likely: Likely) -> Heard:
    """Has the VAD listen to lines, each with the sample at which its first sound begins."""
    heard = Heard()
    # All at once: the model takes them together.
    await asyncio.gather(
        *(_listen(heard, line, first / SAMPLE_RATE, likely()) for line, first in lines)
    )
    return heard


async def _listen(heard: Heard, line: Samples, began: float, vad: PhoneVADAnalyzer) -> None:
    vad.set_sample_rate(SAMPLE_RATE)
    heard.seconds += len(line) / SAMPLE_RATE
    pcm = decode_mulaw(to_mulaw(line))
    likely_at = certain_at = None
    length, is_first_likely, is_first_certain = 0.0, True, True
    for number, begin in enumerate(range(0, len(pcm), 2 * WINDOW), start=1):
        await vad.analyze_audio(pcm[begin : begin + 2 * WINDOW])
        now = number * _WINDOW_SECS
        if vad.speech_secs == 0.0:
            heard.in_vain += likely_at is not None and certain_at is None
            heard.lengths += [length] if certain_at is not None else []
            likely_at = certain_at = None
            continue
        length = vad.speech_secs
        if likely_at is None:
            likely_at = now
            heard.likely_after += [now - began] * is_first_likely
            is_first_likely = False
        if vad.is_certain and certain_at is None:
            certain_at = now
            heard.ahead.append(now - likely_at)
            heard.certain_after += [now - began] * is_first_certain
            is_first_certain = False
    await vad.cleanup()


def on_lines(speech: Sequence[bytes]) -> Iterable[tuple[Samples, int]]:
    """Each utterance on a quiet line, at several places of the model's windows."""
    random = np.random.default_rng(1)
    for mulaw in speech:
        samples = np.frombuffer(decode_mulaw(mulaw), np.int16) / 32768
        first = audible_samples(mulaw)[0]
        for offset in _OFFSETS:
            before = SAMPLE_RATE + offset
            line = random.normal(0, 10 ** (LINE_NOISE / 20), before + len(samples) + SAMPLE_RATE)
            line[before : before + len(samples)] += samples
            yield line, before + int(first)


async def _spoken(texts: Iterable[str]) -> list[bytes]:
    return [(await to_utterance(text, voice=voice)).mulaw for text in texts for voice in _VOICES]


def _percentiles(seconds: Sequence[float]) -> str:
    if len(seconds) < 2:
        return f"{'-':>9}"
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return f"{1000 * cuts[9]:5.0f}/{1000 * cuts[18]:<5.0f}"


def _print_onsets(title: str, heard: Heard) -> None:
    ahead = 1000 * statistics.fmean(heard.ahead)
    in_vain = 60 * heard.in_vain / heard.seconds
    print(
        f"{title:24}likely {_percentiles(heard.likely_after)} certain "
        f"{_percentiles(heard.certain_after)} ms (p50/p95); likely {ahead:.0f} ms ahead, "
        f"{in_vain:.2f} a minute in vain; lasts {_span(heard.lengths)}"
    )


def _span(lengths: Sequence[float]) -> str:
    if not lengths:
        return "-"
    cuts = np.quantile(lengths, [0.0, 0.5, 0.75, 0.9])
    return "{:.2f} at least, {:.2f}, {:.2f}, {:.2f} s (p50, p75, p90)".format(*cuts)


async def measure(files: Sequence[Path], likely: Likely) -> None:
    """Measures, and prints a line each."""
    if files:
        recorded = [read_wav(path) for path in files]
        _print_onsets("recordings", await listen(on_lines(recorded), likely))
        return
    sentences, words = await _spoken(_SENTENCES), await _spoken(_WORDS.split())
    _print_onsets("sentences", await listen(on_lines(sentences), likely))
    _print_onsets("single words", await listen(on_lines(words), likely))
    for name in NOISES:
        lines = [(noisy_line(name, _LINE_SECS, seed=seed), 0) for seed in range(_LINES)]
        heard = await listen(lines, likely)
        minutes = heard.seconds / 60
        print(
            f"{name:24}likely in vain {heard.in_vain / minutes:5.2f} a minute, taken for speech "
            f"{len(heard.ahead) / minutes:5.2f}; lasts {_span(heard.lengths)}"
        )


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="WAV")
    parser.add_argument("--likely-secs", type=float, default=LIKELY_SECS)
    parser.add_argument("--likely-confidence", type=float, default=LIKELY_CONFIDENCE)
    arguments = parser.parse_args()
    likely = functools.partial(
        PhoneVADAnalyzer,
        likely_secs=arguments.likely_secs,
        likely_confidence=arguments.likely_confidence,
    )
    logger.disable("pipecat")
    asyncio.run(measure(arguments.files, likely))


if __name__ == "__main__":
    main()
