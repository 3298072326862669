"""A run of whole calls: the simulated Twilio, pipelines, and words that each have a sound."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline

from tests.soak.processes import SoakLoop
from tests.soak.workers import AUTH_TOKEN, PUBLIC_URL, Worker
from tests.soak.world import Outcome, Plan, World, outcome_of
from twilio_frames.audio import SAMPLE_RATE, decode_mulaw
from twilio_frames.call import Call
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.tts import PythonTTSService, SpeechChunk, SpokenWord
from twilio_frames.testing import SimulatedTwilio
from twilio_frames.testing.calls.account import StartDelays
from twilio_frames.testing.known_speech import said, sound

__all__ = ["soak_whole_calls"]

_SYLLABLES = [f"{first}{second}" for first in "bdfgklmnprstvz" for second in "aeiou"]
_WORDS = 40
_LONGEST_SECS = 120.0


class KnownVoice(PythonTTSService):
    """Says each word with a sound of its own."""

    gives_word_times = True

    async def synthesise(self, text: str) -> AsyncIterator[SpeechChunk]:
        for word in said(text):
            yield SpeechChunk(
                pcm=decode_mulaw(sound([word])),
                sample_rate=SAMPLE_RATE,
                words=(SpokenWord(text=word.written),),
            )


def text_of(choose: random.Random) -> str:
    """Some sentences, no word of which is another one's."""
    syllables = choose.sample(_SYLLABLES, 2 * (_WORDS // 2))
    others = choose.sample(_SYLLABLES, len(syllables))
    words = [f"{one}{other}n" for one, other in zip(syllables, others, strict=True)][:_WORDS]
    sentences = [" ".join(words[at : at + 6]) + "." for at in range(0, len(words), 6)]
    return " ".join(sentences)


class WholeWorld(World):
    """A world whose calls are whole."""

    twilio: SimulatedTwilio
    memories: dict[str, PhoneContextAggregator]

    async def run(self) -> None:
        self.memories = {}
        self.text = text_of(self._part())
        connector = self.connector()
        session = aiohttp.ClientSession(connector=connector)
        with patch("twilio_frames.testing.simulated_twilio.client_session", lambda: session):
            twilio = SimulatedTwilio(auth_token=AUTH_TOKEN, seed=1, delays=StartDelays.measured())
            async with twilio:
                self.twilio = twilio
                await super().run()

    async def _call(self, sid: str, session: aiohttp.ClientSession) -> None:
        words = said(self.text)
        async with self.twilio.call(f"{PUBLIC_URL}/twiml") as caller:
            until = self.ledger.now + _LONGEST_SECS
            while self.ledger.now < until and caller.end is None:
                await caller.wait(0.5)
                if words[-1].mulaw[-40:] in caller.result.heard_bot:
                    await caller.wait(2.0)
                    break
        self._judge(
            caller.result.call_sid,
            [caller.result.heard_bot.count(word.mulaw[-40:]) for word in words],
        )

    def _judge(self, sid: str, counts: list[int]) -> None:
        ledger, written = self.ledger, self.text.split()
        ledger.note("ended", sid)
        missing = sum(count == 0 for count in counts)
        twice = sum(count > 1 for count in counts)
        ledger.counts["words"] += len(counts)
        ledger.counts["words again"] += twice
        if missing:
            ledger.is_wrong(f"{sid} heard {missing} of {len(counts)} words not at all")
        messages: list[Any] = list(self.memories[sid].context.messages)
        known = [word for one in messages for word in str(one["content"]).split()]
        wrong = Counter(known)
        wrong.subtract(word for word, count in zip(written, counts, strict=True) if count)
        if any(wrong.values()):
            ledger.is_wrong(f"{sid} remembers {sum(map(abs, wrong.values()))} words wrongly")

    async def _answer(self, worker: Worker, call: Call) -> None:
        self.ledger.note("bot begins", call.call_sid, worker.name, call.resumed is not None)
        memory = self.memories[call.call_sid] = PhoneContextAggregator()
        parts = [call.transport.input(), memory.user(), KnownVoice(), call.transport.output()]
        pipeline = Pipeline([*parts, memory.assistant()])
        text = [TTSSpeakFrame(self.text)]
        try:
            await call.run(pipeline, begin_with=text, ask_again=None)
        finally:
            self.ledger.note("bot ends", call.call_sid, worker.name, call.end_reason)


def soak_whole_calls(seed: int, folder: Path, *, kind: str = "memory") -> Outcome:
    """Does one run."""
    choose = random.Random(seed)
    plan = Plan(
        calls=6,
        workers=choose.randint(2, 3),
        every_secs=1.0,
        kill_secs=choose.choice((0.0, 8.0)),
        halt_secs=choose.choice((0.0, 10.0)),
        deploy_secs=choose.choice((0.0, 10.0)),
        trouble_secs=choose.choice((0.0, 12.0)),
        is_near=choose.random() < 0.5,
    )

    def made(loop: SoakLoop) -> WholeWorld:
        return WholeWorld(loop, seed, plan, kind, folder)

    return outcome_of(made, seed, has_threads=True)
