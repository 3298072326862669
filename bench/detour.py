"""How exact a call is that leaves its stream, and how soon its bot is heard again.

    python bench/detour.py [--detours 100]             memory and what was lost, in virtual time
    python bench/detour.py --real [--detours 10]       how long the way back takes, at real pace

A simulated Twilio, 60 ms away each way, rings a bot that speaks some 20 words. At a random moment
the bot leaves: for a second of Twilio's own, to be put through to somebody who is busy, to press
keys, or to let its caller wait with music on its own stream; in half of the calls about when its
caller speaks, which may interrupt it. Some leave in the middle of a word (`at_once`), the others
behind the last one. Each word has a sound of its own, so the ear says which were heard; the words
in the memory must be those. Nothing of this was tried on the real line.
"""

import argparse
import asyncio
import json
import random
import statistics
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web
from loguru import logger
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameProcessor
from truth_words import Author, Memory, compare, heard_words, pcm_of

from twilio_frames.audio import SAMPLE_RATE, encode_mulaw
from twilio_frames.call import Call
from twilio_frames.errors import CallFailedError
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.tts import PythonTTSService, SpeechChunk, SpokenWord
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.server import Bot, ServerSettings, create_app
from twilio_frames.testing import SimulatedTwilio
from twilio_frames.testing.calls.account import StartDelays
from twilio_frames.testing.calls.ringing import CallerOptions
from twilio_frames.testing.known_speech import said, sound
from twilio_frames.testing.lines.conditions import LineConditions
from twilio_frames.testing.virtual_time import VirtualEventLoop, take_over_time
from twilio_frames.twiml import Dial, Pause, PlayDigits

WAY = 0.06
"""Seconds from Twilio to the bot, and back."""
AWAY = 1
"""Seconds that Twilio does something else."""
TWILIO = StartDelays.measured()
BUSY = "+12125550123"
MUSIC = encode_mulaw((4000 * np.sin(np.arange(4000))).astype(np.int16).tobytes())
KINDS = ("away", "transfer", "keys", "hold")
BEHIND = "Perfectly fine."
"""What is said behind a detour, where nothing is left to say."""


class KnownVoice(PythonTTSService):
    """Says each word with a sound of its own, and when it does."""

    gives_word_times = True

    async def synthesise(self, text: str) -> AsyncIterator[SpeechChunk]:
        """Gives a sentence's sound in pieces, each with its word."""
        for word in said(text):
            pcm = pcm_of(sound([word]))
            yield SpeechChunk(
                pcm=pcm, sample_rate=SAMPLE_RATE, words=(SpokenWord(text=word.written),)
            )


@dataclass(kw_only=True)
class Found:
    """What came of one detour; times in seconds.

    Parameters:
        kind: What was done.
        memory: The memory beside what was heard.
        back_after: From the last sound on the old stream to the first on the new one, without what
            Twilio took; None where the caller spoke as well.
        words: How many there were to say.
    """

    kind: str
    memory: Memory
    back_after: float | None
    words: int


class Trial:
    """One call.

    Args:
        seed: Draws the moment and the words.
    """

    def __init__(self, seed: int):
        self._seed = seed
        self._random = random.Random(seed)
        self._text = Author(seed).reply(7, 6, 7)
        self.kind = KINDS[seed % len(KINDS)]
        # Music on the stream comes behind what is being said.
        self._at_once = bool(seed // 4 % 2) and self.kind != "hold"
        self._caller_speaks = bool(seed // 8 % 2)
        self._context = PhoneContextAggregator()

    async def _bot(self, call: Call) -> None:
        parts: list[FrameProcessor] = [
            *(call.transport.input(), PhoneVAD(), self._context.user(), KnownVoice()),
            *(call.transport.output(), self._context.assistant()),
        ]
        acting = asyncio.create_task(self._act(call))
        await call.run(Pipeline(parts), begin_with=[TTSSpeakFrame(self._text)])
        await acting

    async def _act(self, call: Call) -> None:
        await asyncio.sleep(0.5 + 4.0 * self._random.random())
        await self._leave(call)
        if not self._at_once:
            await call.say(BEHIND)
        await call.hang_up()

    async def _leave(self, call: Call) -> None:
        match self.kind:
            case "hold":
                async with call.on_hold(MUSIC):
                    await asyncio.sleep(AWAY)
            case "transfer":
                await call.detour(Dial(targets=(BUSY,)), at_once=self._at_once)
            case "keys":
                await call.detour(PlayDigits(digits="12"), at_once=self._at_once)
            case _:
                await call.detour(Pause(seconds=AWAY), at_once=self._at_once)

    async def run(self) -> Found:
        """Rings, and gives what came of it."""
        line = LineConditions(delay_to_bot=WAY, delay_from_bot=WAY)
        async with SimulatedTwilio(delays=TWILIO) as twilio, _served(self._bot, twilio) as url:
            twilio.answer_with(BUSY, None)
            options = CallerOptions(line=line, seed=self._seed)
            async with twilio.call(url, options=options) as caller:
                if self._caller_speaks:
                    await caller.wait_until_bot_speaks()
                    # The bot may be done before the caller is.
                    with suppress(CallFailedError):
                        await caller.say("Hello, are you still there at all?")
                await caller.wait_for_end(seconds=60)
                result = caller.result
        words = [*said(self._text), *([] if self._at_once else said(BEHIND))]
        messages: list[Any] = list(self._context.context.get_messages())
        texts = [str(one["content"]) for one in messages if one["role"] == "assistant"]
        memory = compare(texts, words, heard_words(result.heard_bot, words))
        streams = [[s for s in result.heard_spans if s.stream == number] for number in (0, 1)]
        back_after = None
        if all(streams) and not self._caller_speaks and self.kind == "away":
            away = streams[1][0].began_at - streams[0][-1].ended_at
            back_after = away - AWAY - TWILIO.connect
        return Found(kind=self.kind, memory=memory, back_after=back_after, words=len(words))


@asynccontextmanager
async def _served(bot: Bot, twilio: SimulatedTwilio) -> AsyncIterator[str]:
    settings = ServerSettings(auth_token=twilio.auth_token, warm=False)
    runner = web.AppRunner(create_app(bot, settings), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/twiml"
    finally:
        await runner.cleanup()


async def run(detours: int) -> list[Found]:
    """Makes so many detours, one call each."""
    return [await Trial(seed).run() for seed in range(detours)]


def figures_of(found: list[Found]) -> dict[str, Any]:
    """What was found, for a JSON file."""
    wrong = [one.memory for one in found if not one.memory.is_right]
    unheard = [one.words - len(one.memory.heard) for one in found]
    backs = [one.back_after for one in found if one.back_after is not None]
    return {
        "detours": len(found),
        "memories_wrong": len(wrong),
        "memories_wrong_by_kind": dict(Counter(one.kind for one in found if one.memory in wrong)),
        "words_wrong": sum(memory.words_off for memory in wrong),
        "words_never_heard": sum(unheard),
        "words_heard_twice": sum(len(one.memory.repeated) for one in found),
        "back_secs": [round(each, 3) for each in backs],
    }


def main() -> None:
    """Measures, and prints it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--detours", type=int)
    parser.add_argument("--real", action="store_true", help="at real pace")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    logger.remove()
    if not arguments.real:
        take_over_time()
    loop = asyncio.new_event_loop if arguments.real else VirtualEventLoop
    with asyncio.Runner(loop_factory=loop) as runner:
        found = runner.run(run(arguments.detours or (10 if arguments.real else 100)))
    figures = figures_of(found)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures))
    backs = sorted(figures.pop("back_secs"))
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):24}{value!s:>8}")
    if backs:
        print(
            "last sound of the old stream to first of the new, beyond Twilio's own time: "
            f"median {statistics.median(backs):.3f} s, longest {backs[-1]:.3f} s"
        )


if __name__ == "__main__":
    main()
