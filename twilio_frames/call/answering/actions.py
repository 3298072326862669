"""Finds out who has answered a call, and does what a policy says about it.

Theory of operation
-------------------
Until it is known who has answered, the bot listens and nothing that it says is heard: it waits at
the output. Whoever waits for a reply longer than ``longest_hold_secs`` gets it all the same. With a
person the bot goes on: its greeting is said then, or the reply that waited. With a machine what
waited is dropped, the callee's side is muted for the turns (a language model need not answer a
greeting), and the policy's action runs; words are still transcribed, and a person who speaks up
gets the bot back at once, with what they have said.

A message begins behind the beep, and is begun anew if the machine talks on: then the beep was
another one.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Protocol

from loguru import logger
from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    LLMMessagesAppendFrame,
    TTSSpeakFrame,
)
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregator
from pipecat.turns.user_mute import BaseUserMuteStrategy

from twilio_frames.answering import (
    Answer,
    AnswerDecider,
    AnsweredBy,
    AnswerLimits,
    AnswerReason,
    MachineVerdict,
)
from twilio_frames.call.answering import AnswerAction, AnswerPolicy, Spoken
from twilio_frames.call.answering.listener import AnswerListener
from twilio_frames.frames import AnsweredByFrame, SendMarkFrame
from twilio_frames.pipecat_internals import add_mute_strategy
from twilio_frames.processors.clips import Clip, SpeakClipFrame
from twilio_frames.processors.greeting import Greeting
from twilio_frames.processors.output.speech_gate import SpeechGateFrame
from twilio_frames.processors.pipeline.gates import parts_in
from twilio_frames.safe_logging import report_unforeseen
from twilio_frames.transport import TwilioTransport

__all__ = ["Answers"]

_NUMBERS = itertools.count(1)
_LONG = 3600.0


class _Mute(BaseUserMuteStrategy):
    """Has turns begin, or not, by what is known of who has answered."""

    def __init__(self) -> None:
        super().__init__()
        self.is_muted = False

    async def process_frame(self, frame: Frame) -> bool:
        """Tells whether the callee is muted; Pipecat asks at each frame."""
        return self.is_muted


class AnsweredCall(Protocol):
    """The call, as far as it is needed."""

    @property
    def call_sid(self) -> str:
        """Its name."""
        ...

    @property
    def transport(self) -> TwilioTransport:
        """Its audio."""
        ...

    async def hang_up(self) -> None:
        """Ends it when all has been said."""
        ...


class Answering:
    """Finds out who has answered a call, and does what a policy says.

    Args:
        call: The call; its pipeline is about to run.
        worker: Runs it.
        policy: What is done about whom.
        first: What the bot begins with, as soon as somebody is there to hear it.
        on_answer: Called with each answer.
    """

    _PASS_SECS: float = 2.0
    """How long a frame may take through the pipeline."""
    _AFTER_BEEP_SECS: float = 0.2
    """What is said sooner, some machines do not record."""
    _PROMPT_SECS: float = 1.0
    """Silence behind which a screener's question is over."""
    _TALKS_ON_SECS: float = 0.8
    """A machine that goes on for so long under a message is not recording it, if it began"""
    _RESTART_SECS: float = 3.0
    """so soon behind the message's begin."""
    _TRIES: int = 3
    """How often a message is begun, and a screener answered, at most."""
    _MESSAGE_SECS: float = 180.0
    """How long a message may take, the making of its speech included."""

    def __init__(
        self,
        call: AnsweredCall,
        worker: PipelineWorker,
        policy: AnswerPolicy,
        first: Sequence[Frame | Spoken],
        *,
        on_answer: Callable[[Answer], None],
    ):
        self._call = call
        self._worker = worker
        self._policy = policy
        self._first = first
        self._told = on_answer
        self._answers: list[Answer] = []
        self._acting: asyncio.Task[None] | None = None
        self._screened = 0
        self._is_up = asyncio.Event()
        limits = AnswerLimits(
            first_word_secs=policy.first_word_secs,
            limit_secs=policy.longest_hold_secs,
            change_secs=policy.change_secs,
        )
        self._listener = AnswerListener(
            AnswerDecider(limits, policy.phrases),
            opened_at=call.transport.opened_at,
            on_answer=self._take,
        )
        self._mute = _Mute()
        parts = parts_in(worker.pipeline)
        self._users = [part for part in parts if isinstance(part, LLMUserAggregator)]
        for user in self._users:
            add_mute_strategy(user, self._mute)
        call.transport.add_tap(self._listener)
        worker.add_observer(self._listener)
        worker.add_event_handler("on_pipeline_started", self._pipeline_started)
        # What the bot begins with is its answer to the first word, which is no turn then.
        self._mute.is_muted = bool(first)
        call.transport.hold_speech()
        self._running = asyncio.create_task(self._run(), name="answering")

    def take_verdict(self, verdict: MachineVerdict) -> None:
        """Takes what Twilio's machine detection says of the call."""
        self._listener.take_verdict(verdict)

    async def stop(self) -> None:
        """Does nothing more."""
        for task in (self._running, self._acting):
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait({task})

    async def _run(self) -> None:
        await self._is_up.wait()
        while True:
            # It looks by itself now and then, where no audio comes.
            await self._listener.until(lambda: bool(self._answers), secs=_LONG)
            if self._answers:
                await self._stop_acting()
                answer = self._answers.pop(0)
                self._acting = asyncio.create_task(self._act(answer), name="answer")

    async def _pipeline_started(self, *_: object) -> None:
        self._is_up.set()

    def _take(self, answer: Answer) -> None:
        sid = self._call.call_sid
        logger.bind(call_sid=sid).info(
            f"{sid}: answered by: {answer.answered_by}, told by {answer.reason} "
            f"{answer.after_secs:.1f} s after the begin"
        )
        self._answers.append(answer)
        self._told(answer)

    async def _stop_acting(self) -> None:
        task, self._acting = self._acting, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _act(self, answer: Answer) -> None:
        # Whatever fails here, the bot may speak: somebody is on the line.
        self._listener.is_needed = True
        try:
            await self._worker.queue_frame(AnsweredByFrame(answer))
            await self._do(self._policy.for_answer(answer.answered_by), answer.answered_by)
        except Exception as error:
            report_unforeseen(error, f"{self._call.call_sid}: what was to be done about an answer")
            self._call.transport.hold_speech(False)
        self._listener.is_needed = False

    async def _do(self, wanted: Spoken | AnswerAction, answered_by: AnsweredBy) -> None:
        match wanted:
            case AnswerAction.GO_ON:
                await self._go_on()
            case AnswerAction.HANG_UP:
                await self._hang_up()
            case _ if answered_by is AnsweredBy.SCREENING:
                await self._answer_screener(wanted)
            case _:
                await self._leave(wanted)

    async def _go_on(self) -> None:
        was_muted, self._mute.is_muted = self._mute.is_muted, False
        said = self._listener.decider.said
        first, self._first = self._first, ()
        frames = [one if isinstance(one, Frame) else _frame_of(one) for one in first]
        if was_muted and said:
            append = LLMMessagesAppendFrame([{"role": "user", "content": said}], run_llm=not frames)
            frames.insert(0, append)
        await self._drop_speech(is_open=True, interrupts=was_muted)
        await self._worker.queue_frames(frames)

    async def _hang_up(self) -> None:
        self._mute.is_muted = True
        await self._drop_speech(is_open=True)
        await self._call.hang_up()

    async def _leave(self, message: Spoken) -> None:
        self._mute.is_muted = True
        listener, policy = self._listener, self._policy
        await self._drop_speech(is_open=False)
        began_at = 0.0
        for left in reversed(range(self._TRIES)):
            await listener.until(
                lambda since=began_at: self._may_begin(since), secs=policy.greeting_secs
            )
            began_at = listener.now
            # Whatever sounds under the last one, it is heard whole.
            if await self._say(message, is_restarted=left > 0):
                break
        await self._call.hang_up()

    def _may_begin(self, since: float) -> bool:
        """Whether a machine records by now."""
        silent = self._listener.silent_secs()
        if self._listener.beeped_since(since):
            return silent >= self._AFTER_BEEP_SECS
        verdict = self._listener.decider.verdict
        if verdict is not None and verdict.is_over and not since:
            return silent >= self._AFTER_BEEP_SECS
        return silent >= self._policy.no_beep_secs

    async def _answer_screener(self, words: Spoken) -> None:
        self._mute.is_muted = True
        self._screened += 1
        if self._screened > self._TRIES:
            await self._hang_up()
            return
        await self._drop_speech(is_open=False)
        listener, policy = self._listener, self._policy
        await listener.until(
            lambda: listener.silent_secs() >= self._PROMPT_SECS, secs=policy.greeting_secs
        )
        secs = policy.put_through_secs
        listener.decider = AnswerDecider(
            AnswerLimits(first_word_secs=secs, limit_secs=secs, change_secs=2 * secs),
            # It may ask to hold the line, and does not offer a menu any more.
            replace(policy.phrases, menu=()),
            began_at=listener.now,
            by_words=True,
        )
        await self._say(words, is_restarted=False)
        await self._drop_speech(is_open=False)

    async def _say(self, what: Spoken, *, is_restarted: bool = True) -> bool:
        """Says something, and waits until it was heard; False if the machine talks on over it."""
        listener, began_at = self._listener, self._listener.now
        mark = SendMarkFrame(mark=f"answer {next(_NUMBERS)}")
        gate = SpeechGateFrame(is_open=True)
        # What somebody else has let be said meanwhile is not for a machine.
        for frame in (InterruptionFrame(), gate, _frame_of(what), mark):
            await self._push(frame)

        def talks_on() -> bool:
            is_soon = listener.now < began_at + self._RESTART_SECS + self._TALKS_ON_SECS
            return (
                is_restarted and is_soon and listener.talks_since(began_at) >= self._TALKS_ON_SECS
            )

        await listener.until(
            lambda: listener.has_heard_mark(mark.mark) or talks_on(), secs=self._MESSAGE_SECS
        )
        if listener.has_heard_mark(mark.mark):
            return True
        await self._drop_speech(is_open=False)
        return False

    async def _drop_speech(self, *, is_open: bool, interrupts: bool = True) -> None:
        """Drops what the bot says, or was about to; from then on it is heard, or not."""
        gate = SpeechGateFrame(is_open=is_open)
        if interrupts:
            await self._push(InterruptionFrame())
        await self._push(gate)
        try:
            async with asyncio.timeout(self._PASS_SECS):
                await gate.passed.wait()
        except TimeoutError:
            self._call.transport.hold_speech(not is_open)

    @property
    def _push(self) -> Callable[[Frame], Awaitable[None]]:
        # Behind the aggregator, which lets no interruption by while it is muted.
        return self._users[0].push_frame if self._users else self._worker.queue_frame


class Answers:
    """Who has answered one call, and what is done about it.

    Args:
        call: The call.
    """

    def __init__(self, call: AnsweredCall):
        self._call = call
        self.verdict: MachineVerdict | None = None
        """What Twilio's machine detection has said."""
        self._answer: Answer | None = None
        self._is_known = asyncio.Event()
        self._answering: Answering | None = None

    def begin(
        self, worker: PipelineWorker, policy: AnswerPolicy, first: Sequence[Frame | Spoken]
    ) -> None:
        """Begins to find out; the pipeline is about to run.

        Args:
            worker: Runs it.
            policy: What is done about whom.
            first: What the bot begins with, as soon as somebody is there to hear it.
        """
        self._answering = Answering(self._call, worker, policy, first, on_answer=self._note)
        if self.verdict is not None:
            self._answering.take_verdict(self.verdict)

    def take_verdict(self, verdict: MachineVerdict) -> None:
        """Takes what Twilio's machine detection says; the first verdict counts."""
        if self.verdict is None:
            self.verdict = verdict
            if self._answering is not None:
                self._answering.take_verdict(verdict)

    def ended(self) -> None:
        """Takes note that the call is over."""
        secs = time.monotonic() - self._call.transport.opened_at
        reason = AnswerReason.HUNG_UP
        self._note(Answer(answered_by=AnsweredBy.UNKNOWN, reason=reason, after_secs=secs))

    async def wait(self) -> Answer:
        """Waits for the first answer; there is one at the end of the call in any case."""
        await self._is_known.wait()
        assert self._answer is not None  # noqa: S101 - it is set before
        return self._answer

    async def stop(self) -> None:
        """Does nothing more."""
        if self._answering is not None:
            await self._answering.stop()

    def _note(self, answer: Answer) -> None:
        if self._answer is None:
            self._answer = answer
            self._is_known.set()


def _frame_of(what: Spoken) -> Frame:
    """What says it: a clip if there is one, else the pipeline's TTS service."""
    if isinstance(what, Greeting):
        if what.clip is None:
            what.prepare_soon()
        return SpeakClipFrame(what.clip) if what.clip is not None else TTSSpeakFrame(what.text)
    return SpeakClipFrame(what) if isinstance(what, Clip) else TTSSpeakFrame(what)
