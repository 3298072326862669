"""A bot whose every word has a sound of its own: it says a text, and writes down what it remembers.

The text comes of the call's parameter ``seed``; each worker has the same for it.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from truth_words import Author, pcm_of

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.call import Call
from twilio_frames.frames import CallEndReason
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.tts import PythonTTSService, SpeechChunk, SpokenWord
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.testing.known_speech import said, sound

__all__ = ["bot", "sentences_of"]

WORDS = 7
"""Of a sentence."""


def sentences_of(seed: int, sentences: int) -> list[str]:
    """What is said on a call."""
    author = Author(seed)
    return [author.reply(WORDS) for _ in range(sentences)]


class KnownVoice(PythonTTSService):
    """Says each word with a sound of its own, and when it does."""

    gives_word_times = True

    async def synthesise(self, text: str) -> AsyncIterator[SpeechChunk]:
        """Gives a sentence's sound in pieces, each with its word."""
        for word in said(text):
            pcm = pcm_of(sound([word]))
            spoken = (SpokenWord(text=word.written),)
            yield SpeechChunk(pcm=pcm, sample_rate=SAMPLE_RATE, words=spoken)


async def bot(call: Call) -> None:
    """Says sentence by sentence, from the one behind what was begun."""
    memory = PhoneContextAggregator()
    parts = [
        *(call.transport.input(), PhoneVAD(), memory.user(), KnownVoice()),
        *(call.transport.output(), memory.assistant()),
    ]
    speaking = asyncio.create_task(_speak(call))
    reason = await call.run(Pipeline(parts), ask_again=None)
    speaking.cancel()
    await asyncio.wait({speaking})
    if reason is CallEndReason.BOT_HUNG_UP:
        messages: list[Any] = list(memory.context.messages)
        texts = [str(one["content"]) for one in messages if one["role"] == "assistant"]
        _write_down(call.call_sid, texts)


def _write_down(call_sid: str, texts: list[str]) -> None:
    Path(os.environ["FLEET_RESULTS"], call_sid).write_text(json.dumps({"texts": texts}))


async def _speak(call: Call) -> None:
    seed, sentences = int(call.parameters["seed"]), int(call.parameters["sentences"])
    worker = await call.running_worker()
    for text in sentences_of(seed, sentences)[_begun(call) :]:
        await worker.queue_frame(TTSSpeakFrame(text))
        await call.said_so_far()
    await call.said_so_far()
    await call.hang_up()


def _begun(call: Call) -> int:
    """How many sentences were begun by the bots before, the one included that is said on."""
    if call.resumed is None:
        return 0
    texts = [str(one["content"]) for one in call.resumed.messages if one["role"] == "assistant"]
    words = " ".join([*texts, call.resumed.heard, call.resumed.rest]).split()
    return -(-len(words) // WORDS)
