"""How much of recorded orders the keyless coffee shop understands.

    python bench/recognition.py FOLDER [--manifest orders.json] [--refuse manifest.json] [--offline]

FOLDER holds WAV files and a manifest: a JSON list of objects with ``file`` and ``slots``, the
details that were ordered. Each file is said by the caller of a simulated call, goes over a mu-law
channel through the phone bot's own server, transport, VAD and recogniser, and is read as an order.
``--offline`` leaves the sockets out, and real time with them. ``--refuse`` names a manifest
(objects with ``file`` and ``text``) of speech that is no order, and counts how much is refused.
"""

import argparse
import asyncio
import json
import time
import wave
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from pipecat.audio.vad.vad_analyzer import VADState
from recognition_calls import through_calls

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw, encode_mulaw
from twilio_frames.examples.coffee_shop.hearing import coffee_recogniser
from twilio_frames.examples.coffee_shop.understanding import understand
from twilio_frames.local.recognition.recogniser import UNINTELLIGIBLE, Recogniser
from twilio_frames.processors.vad import PhoneVADAnalyzer

_BYTES_PER_SECOND = 2 * SAMPLE_RATE
_LINES = 8
_STEP = _BYTES_PER_SECOND // 50
_BEFORE = int(0.7 * _BYTES_PER_SECOND)
_SILENCE_BEFORE, _SILENCE_AFTER = _BYTES_PER_SECOND // 2, 2 * _BYTES_PER_SECOND

Listen = Callable[[bytes], Awaitable[list[str]]]
"""From 8 kHz PCM to the text of each utterance in it."""


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
    audio_secs: float = 0.0

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
        return figures


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--manifest", default="orders.json")
    parser.add_argument("--refuse", metavar="MANIFEST", help="speech that is no order")
    parser.add_argument("--offline", action="store_true", help="without sockets")
    parser.add_argument("--errors", action="store_true", help="list what was misunderstood")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    figures = asyncio.run(_measure(arguments))
    for name, value in figures.items():
        print(f"{name:28}", f"{value:.3f}" if isinstance(value, float) else value)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1), "utf-8")


async def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    recogniser = await asyncio.to_thread(coffee_recogniser)
    if arguments.offline:
        figures = await _count(arguments, _offline(recogniser))
    else:
        async with through_calls() as listen:
            figures = await _count(arguments, listen)
    recogniser.close()
    return figures


async def _count(arguments: argparse.Namespace, listen: Listen) -> dict[str, Any]:
    tally = Tally()
    began = time.process_time()
    orders = _entries(arguments.folder / arguments.manifest)
    for entry, texts in await _heard(listen, tally, arguments.folder, orders):
        if not tally.count_order(entry["slots"], texts) and arguments.errors:
            print(entry["file"], texts, entry["slots"])
    others = _entries(arguments.folder / arguments.refuse) if arguments.refuse else []
    for entry, texts in await _heard(listen, tally, arguments.folder, others):
        tally.others += 1
        tally.others_refused += not understand(" ".join(texts)).order
        if arguments.errors:
            print(entry["file"], texts)
    spent = time.process_time() - began
    return {**tally.report(), "cpu_seconds_per_second": spent / max(tally.audio_secs, 1e-9)}


async def _heard(
    listen: Listen, tally: Tally, folder: Path, entries: list[dict[str, Any]]
) -> list[tuple[dict[str, Any], list[str]]]:
    """What was understood of each recording, several of them at a time."""
    lines = asyncio.Semaphore(_LINES)

    async def hear(entry: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        async with lines:
            pcm = _telephone_pcm(folder / entry["file"])
            tally.audio_secs += len(pcm) / _BYTES_PER_SECOND
            return entry, await listen(pcm)

    return await asyncio.gather(*map(hear, entries))


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


def _offline(recogniser: Recogniser) -> Listen:
    """The VAD and the recogniser as in the bot's pipeline, faster than real time."""

    async def listen(pcm: bytes) -> list[str]:
        texts: list[str] = []
        async for utterance in _utterances(pcm):
            recognition = await recogniser.recognise(utterance)
            if recognition.is_speech:
                texts.append(recognition.text or UNINTELLIGIBLE)
        return texts

    return listen


async def _utterances(pcm: bytes) -> AsyncIterator[bytes]:
    """Cuts audio as the VAD and ``UtteranceSTTService`` do."""
    vad = PhoneVADAnalyzer()
    audio = bytes(_SILENCE_BEFORE) + pcm + bytes(_SILENCE_AFTER)
    began: int | None = None
    for end in range(_STEP, len(audio) + 1, _STEP):
        state = await vad.analyze_audio(audio[end - _STEP : end])
        if state == VADState.SPEAKING and began is None:
            began = max(0, end - _BEFORE)
        elif state == VADState.QUIET and began is not None:
            yield audio[began:end]
            began = None
    await vad.cleanup()


if __name__ == "__main__":
    main()
