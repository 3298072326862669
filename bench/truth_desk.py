"""What a bot of the truth benchmark is told to do in a call, and what it tells of it."""

import asyncio
import time
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pipecat.frames.frames import EndFrame, Frame, LLMMessagesAppendFrame, TTSSpeakFrame
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.dtmf_aggregator import DTMFAggregator
from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage
from pipecat.processors.frame_processor import FrameProcessor
from truth_realtime import RealtimeModel
from truth_services import Behaviour, Hearer, Kind, Prompter, Replier, Timestamps, speaker, turns_of

from twilio_frames.audio import encode_mulaw
from twilio_frames.call import Call
from twilio_frames.twiml import Dial, PlayDigits

BUSY = "+12125550123"


_MUSIC = encode_mulaw((4000 * np.sin(np.arange(4000))).astype(np.int16).tobytes())


_QUESTION: LLMContextMessage = {"role": "user", "content": "Go on."}


@dataclass(kw_only=True)
class BotCall:
    """One call as the bot has it.

    Parameters:
        behaviour: How its services behave.
        context: The memory.
        prompter: Interrupts.
        worker: Runs its pipeline.
        line: What leaves its stream; None where that is stock Pipecat's.
    """

    behaviour: Behaviour
    context: LLMContext = field(default_factory=LLMContext)
    prompter: Prompter = field(default_factory=Prompter)
    worker: PipelineWorker | None = None
    line: Call | None = None

    def __post_init__(self) -> None:
        """Makes the services."""
        self.replier = Replier(self.behaviour)
        self.keypad: list[FrameProcessor] = (
            [DTMFAggregator(timeout=0.5)] if self.behaviour.is_muted else []
        )
        self.hearer = Hearer(self.behaviour)
        self.model = RealtimeModel(self.behaviour) if self.has_model else None

    @property
    def has_model(self) -> bool:
        """Whether one model hears, thinks and speaks."""
        return self.behaviour.kind is Kind.REALTIME

    @property
    def told(self) -> int:
        """How often the caller's words were told."""
        return self.model.told if self.model else self.hearer.told

    @property
    def asked(self) -> list[list[tuple[str, str]]] | None:
        """What the LLM was asked with; a model that hears for itself keeps that to itself."""
        return None if self.model else self.replier.asked

    @asynccontextmanager
    async def services(self, user: FrameProcessor) -> AsyncIterator[list[FrameProcessor]]:
        """What hears, thinks and speaks, in order, with the user's side of the context among it."""
        if self.model is None:
            yield [self.hearer, user, self.replier, speaker(self.behaviour)]
            return
        async with self.model.service() as service:
            yield [user, service]

    async def queue(self, *frames: Frame) -> None:
        """Queues frames at the pipeline's beginning."""
        assert self.worker is not None
        await self.worker.queue_frames(frames)

    def memory(self, begin: int) -> list[str]:
        """The assistant's messages from one on, counting all messages."""
        found: list[str] = []
        for message in self.context.get_messages()[begin:]:
            content = message.get("content") if isinstance(message, dict) else None
            if isinstance(message, dict) and message.get("role") == "assistant" and content:
                found.append(content if isinstance(content, str) else str(content))
        return found


class Desk:
    """Takes orders: each public coroutine is one, and gives its answer."""

    def __init__(self) -> None:
        self._calls: dict[str, asyncio.Future[BotCall]] = {}
        self._behaviours: dict[str, Behaviour] = {}

    def behaviour(self, name: str) -> Behaviour:
        """How the services of a call behave."""
        return self._behaviours[name]

    def announce(self, name: str, call: BotCall, worker: PipelineWorker) -> None:
        """Lets orders be given to a call, once its pipeline runs."""
        call.worker = worker
        ready = self._future(name)

        async def started(*_: object) -> None:
            ready.set_result(call)

        worker.add_event_handler("on_pipeline_started", started)

    async def expect(self, name: str, *, kind: str, timestamps: str, **behaviour: Any) -> None:
        """A call of this name will come in, whose services behave so; see ``Behaviour``."""
        self._behaviours[name] = Behaviour(
            kind=Kind[kind], timestamps=Timestamps[timestamps], **behaviour
        )

    async def ready(self, name: str) -> None:
        """Waits until the call's pipeline runs."""
        await self._future(name)

    async def ask(
        self,
        name: str,
        *,
        reply: str,
        first: str = "",
        hiccup_at: float | None = None,
        silent_texts: int = 0,
        silent_behind: int = 0,
        sounds: dict[str, str],
    ) -> dict[str, int]:
        """Has the bot reply, behind another utterance if there is one.

        Args:
            name: The call.
            reply: What it replies.
            first: The utterance before.
            hiccup_at: See ``Behaviour``.
            silent_texts: See ``Behaviour``.
            silent_behind: See ``Behaviour``.
            sounds: What the words sound like where they are no bursts, base64.

        Returns:
            How many messages were in the memory until then.
        """
        call = await self._future(name)
        messages = len(call.context.get_messages())
        call.behaviour.hiccup_at = hiccup_at
        call.behaviour.silent_texts = silent_texts
        call.behaviour.silent_behind = silent_behind
        call.behaviour.sounds |= _decoded(sounds)
        call.behaviour.replies.append(reply)
        frames: list[Frame] = [TTSSpeakFrame(first)] if first else []
        frames.append(LLMMessagesAppendFrame(messages=[_QUESTION], run_llm=True))
        await call.queue(*frames)
        return {"messages": messages}

    async def announce_first(
        self, name: str, *, notice: str, reply: str, sounds: dict[str, str]
    ) -> dict[str, int]:
        """Has the bot say what may not be interrupted, and reply to whoever speaks next.

        Args:
            name: The call.
            notice: What may not be interrupted.
            reply: What it replies.
            sounds: See :meth:`ask`.

        Returns:
            How many messages were in the memory until then.
        """
        call = await self._future(name)
        messages = len(call.context.get_messages())
        call.behaviour.sounds |= _decoded(sounds)
        call.behaviour.replies.append(reply)
        speech = TTSSpeakFrame(notice)
        speech.interruptible = False
        await call.queue(speech)
        return {"messages": messages}

    async def interrupt(self, name: str) -> None:
        """Interrupts, as the user aggregator does when the caller's turn begins."""
        await (await self._future(name)).prompter.broadcast_interruption()

    async def leave(self, name: str, *, leaves_for: str, at_once: bool) -> None:
        """Leaves the call's stream for something else, and comes back.

        Args:
            name: The call.
            leaves_for: ``transfer`` to somebody who is busy, ``hold`` with music, or ``keys``.
            at_once: Whether in the middle of what is being said.
        """
        call = (await self._future(name)).line
        assert call is not None
        match leaves_for:
            case "transfer":
                await call.detour(Dial(targets=(BUSY,)), at_once=at_once)
            case "keys":
                await call.detour(PlayDigits(digits="12"), at_once=at_once)
            case _:
                async with call.on_hold(_MUSIC):
                    await asyncio.sleep(1.0)

    async def end(self, name: str, *, goodbye: str, sounds: dict[str, str]) -> None:
        """Says goodbye, with the end of the pipeline right behind."""
        call = await self._future(name)
        call.behaviour.sounds |= _decoded(sounds)
        call.behaviour.silent_texts = call.behaviour.silent_behind = 0
        await call.queue(TTSSpeakFrame(goodbye), EndFrame())

    async def stall(self, *, seconds: float) -> None:
        """Blocks the event loop, as a model that is built on it does."""
        time.sleep(seconds)  # noqa: ASYNC251  # the stall that is to be measured

    async def report(self, name: str, *, messages: int) -> dict[str, Any]:
        """What the memory holds from a message on, and when the bot was taken to speak."""
        call = await self._future(name)
        return {
            "memory": call.memory(messages),
            "told": call.told,
            "turns": turns_of(call.context)[messages:],
            "asked": None if call.asked is None else [turns[messages:] for turns in call.asked],
            "started": call.replier.started,
            "stopped": call.replier.stopped,
        }

    def _future(self, name: str) -> "asyncio.Future[BotCall]":
        return self._calls.setdefault(name, asyncio.get_running_loop().create_future())


def _decoded(sounds: dict[str, str]) -> dict[str, bytes]:
    return {word: b64decode(sound) for word, sound in sounds.items()}
