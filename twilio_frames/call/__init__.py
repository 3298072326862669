"""One call as a bot sees it, from the start of its stream to its end."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from loguru import logger
from pipecat.frames.frames import EndFrame, Frame, FunctionCallResultProperties, TTSSpeakFrame
from pipecat.observers.base_observer import BaseObserver
from pipecat.pipeline.base_pipeline import BasePipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.services.llm_service import FunctionCallParams

from twilio_frames.call.answering import Answer, AnswerPolicy
from twilio_frames.call.answering.actions import Answers
from twilio_frames.call.caller import Attestation, KnownCaller, Withheld
from twilio_frames.call.digits import DigitsOutcome, DigitsResult
from twilio_frames.call.digits.keyed import KeyedCall
from twilio_frames.call.keeping import CallKeeper, Place
from twilio_frames.call.limits import SilencePolicy, TimeLimit, watched
from twilio_frames.call.overhearing import OverheardCall
from twilio_frames.call.plans import DetourResult
from twilio_frames.call.resuming import CallState, Resumed, context_in
from twilio_frames.call.transfers import TransferOutcome, TransferResult
from twilio_frames.call.transfers.consulting import Briefing
from twilio_frames.calllog import CallLog
from twilio_frames.calllog.direct import add_observers
from twilio_frames.errors import CallFailedError, ConfigurationError
from twilio_frames.frames import CallEndReason
from twilio_frames.processors.clips import Clip, SpeakClipFrame
from twilio_frames.processors.greeting import Greeting
from twilio_frames.processors.pipeline.audio_warnings import advise_on_ends
from twilio_frames.processors.pipeline.gates import speech_gates
from twilio_frames.processors.replies.goodbye import Goodbye
from twilio_frames.protocol import Start
from twilio_frames.rest import TwilioRest
from twilio_frames.running import PipelineRun
from twilio_frames.transport import TwilioTransport
from twilio_frames.transport.coming_up import why_not_up
from twilio_frames.worker import check_options, phone_worker, worker_for

__all__ = [
    "Attestation",
    "Briefing",
    "Call",
    "DetourResult",
    "DigitsOutcome",
    "DigitsResult",
    "SilencePolicy",
    "TimeLimit",
    "TransferOutcome",
    "TransferResult",
    "Withheld",
    "phone_worker",
]

_ASK_AGAIN = "Sorry, the line broke off for a moment. Could you say that again?"
TOKEN_PARAMETER = "token"  # noqa: S105 - the name of the parameter, not its value
"""The ``<Parameter>`` that proves a stream was asked for; bots do not get to see it."""


class Call(KnownCaller, OverheardCall, KeyedCall):
    """One phone call: who calls, its audio, its end; and what a telephone can do.

    The LLM gets to end it by ``LLMContext(tools=[call.end_call])``: its goodbye, which the
    pipeline's TTS service speaks, is heard to the end, and a caller who talks over it is listened
    to.

    Args:
        transport: The call's transport, whose ``start`` message has come.
        start: That message.
        rest: The account's REST API, for ``hang_up(by_rest=True)``.
        prepared: What has been made ready for the call, or is being made.
        resumed: What is known of the call, if its bot before is gone.
    """

    _WIND_UP_SECS: float = 10.0
    """How long a pipeline may run on behind the end of the line."""
    _PREPARED_SECS: float = 5.0
    """How long a bot waits for what was to be prepared for it, once its call is there."""

    def __init__(
        self,
        transport: TwilioTransport,
        start: Start,
        *,
        rest: TwilioRest | None = None,
        prepared: "asyncio.Task[Any] | None" = None,
        resumed: Resumed | None = None,
    ):
        super().__init__(transport, start.call_sid, rest)
        self._start = start
        self._prepared = prepared
        self._ends_by_rest = False
        self._line_ended = asyncio.Event()
        self._run: PipelineRun | None = None
        self._goodbye: Goodbye | None = None
        self._logs: list[CallLog] = []
        self._first_frames: list[Frame] = []
        self.answers = Answers(self)
        """Who has answered the call, as the server helps to find out."""
        self.observers: list[BaseObserver] = []
        """Pipecat observers that ``run()`` lets watch the pipeline."""
        self.resumed = resumed
        """What is known of the call, if another bot had it before, which is gone; else None."""
        self.state = CallState(resumed.state if resumed is not None else None)
        """What the bot wants kept, for whoever may have to go on with the call: JSON, by names."""
        self.keeper: CallKeeper | None = None
        """Keeps what another bot would need, where there may be one."""
        self.tasks_left: set[asyncio.Task[Any]] = set()
        """Tasks of the pipeline that could not be stopped."""
        self._parameters = MappingProxyType(
            {name: v for name, v in start.custom_parameters.items() if name != TOKEN_PARAMETER}
        )
        transport.add_event_handler("on_call_ended", self._on_call_ended)

    @property
    def stream_sid(self) -> str:
        """This media stream of the call (``MZ...``)."""
        return self._start.stream_sid

    @property
    def account_sid(self) -> str:
        """The account the call belongs to (``AC...``)."""
        return self._start.account_sid

    def keep_log(
        self,
        path: Path | str,
        *,
        words: bool = False,
        digits: bool = False,
        follow: Callable[[dict[str, Any]], object] | None = None,
    ) -> CallLog:
        """Write the call down as it goes, from here to its end; before ``run()``.

        Args:
            path: The file; what was there is gone.
            words: Whether what was said is written down; else only how many words it was.
            digits: Whether the keys that were pressed are; else only that one was.
            follow: Called with each line as it is written down, for whoever looks on.
        """
        log = CallLog(path, transport=self.transport, words=words, digits=digits, follow=follow)
        self._logs.append(log)
        self.observers.append(log)
        return log

    def keep(self, *places: Place) -> None:
        """Has what another bot would need to go on with the call kept; before ``run()``."""
        kept = self.call_sid, self.parameters, self.state
        self.keeper = CallKeeper(*kept, places, self.transport)
        if self.resumed is None:
            # What the bot before has written stands until this one has its memory.
            self.keeper.begin(None)
        self.observers.append(self.keeper)

    async def hand_over(self, within_secs: float) -> bool:
        """Let another worker go on with the call: the stream is closed between two sentences.

        Args:
            within_secs: How long it may take until nobody says anything; then it is closed all the
                same, and the other one says on.

        Returns:
            Whether it is closed: not where what another one needs cannot be kept.
        """
        if self.keeper is None or self.end_reason is not None:
            return False
        return await self.keeper.hand_over(within_secs)

    async def prepared(self) -> Any:
        """What the server's ``prepare`` made for this call; from then on it is the bot's to close.

        Waits for it, for some seconds at most. None if it failed or took longer, if there is no
        ``prepare``, and the second time.
        """
        if (task := self.take_prepared()) is None:
            return None
        try:
            async with asyncio.timeout(self._PREPARED_SECS):
                return await task
        except TimeoutError:
            logger.bind(call_sid=self.call_sid).warning(
                f"{self.call_sid}: what was to be prepared took over {self._PREPARED_SECS:g} s "
                "from the stream's start; the bot goes on without"
            )
            return None

    def take_prepared(self) -> "asyncio.Task[Any] | None":
        """The task behind :meth:`prepared`, once; whoever takes it sees to its end."""
        task, self._prepared = self._prepared, None
        return task

    @property
    def end_reason(self) -> CallEndReason | None:
        """Why the call ended, None while it is up."""
        return self.transport.end_reason

    @property
    def underruns(self) -> int:
        """How often the caller heard a hole in a sentence because its audio came too late."""
        return self.transport.underruns

    async def greet(self, greeting: Clip | Greeting | str) -> None:
        """Says something before the pipeline is there, ahead of what takes long in a bot.

        ``run(greeting=...)`` does the same when it is called. Speech that is ready is on its way at
        once; what is not is said by the pipeline's TTS service, first of all.

        Nothing in a pipeline holds back what is said ahead of it, a voicemail detector's gate say;
        what ``run(greeting=...)`` is given, it does.

        Args:
            greeting: A clip, a :class:`twilio_frames.processors.greeting.Greeting`, or a text.
        """
        clip = greeting.clip if isinstance(greeting, Greeting) else greeting
        if self.resumed is not None and self.resumed.has_begun:
            return
        if isinstance(clip, Clip):
            if self.keeper is not None:
                self.keeper.say(clip.text)
            await self.transport.greet(clip)
            return
        if isinstance(greeting, Greeting):
            greeting.prepare_soon()
        text = greeting.text if isinstance(greeting, Greeting) else str(greeting)
        self._first_frames.append(TTSSpeakFrame(text))

    async def run(
        self,
        pipeline: BasePipeline | PipelineWorker,
        *,
        greeting: Clip | Greeting | str | None = None,
        begin_with: Sequence[Frame] = (),
        answering: AnswerPolicy | None = None,
        silence: SilencePolicy | None = None,
        time_limit: TimeLimit | None = None,
        ask_again: str | None = _ASK_AGAIN,
        **options: Any,
    ) -> CallEndReason | None:
        """Run the bot's pipeline until the call has ended, and return why it ended.

        Args:
            pipeline: A pipeline, or a worker made for it (see ``phone_worker``).
            greeting: What is said first. A clip, or a ``Greeting`` whose recording is ready, is
                heard at once, unless something between the last service and the output may hold
                it back, a voicemail detector's gate or a processor of your own: then it comes by
                there. The pipeline's TTS service says a text, or one that is not ready.
            begin_with: Frames for the pipeline's start; an ``LLMRunFrame`` lets the bot greet.
            answering: What is done about whoever answers a call that was placed. The greeting and
                ``begin_with`` then wait until somebody is there whom they are for.
            silence: What is done about a caller who says nothing; with a pipeline only.
            time_limit: How long the call may last, and what is said about it; likewise.
            ask_again: What is said where the bot before is gone (``call.resumed``), and words of
                the caller's may be lost with it. Such a call has its memory restored, and goes on
                without ``greeting`` and ``begin_with``.
            options: Arguments of ``PipelineWorker``, with a pipeline only.

        Raises:
            ConfigurationError: ``silence``, ``time_limit`` or an option of ``PipelineWorker``
                stands beside a worker, or an option is none.
            CallFailedError: The pipeline did not come up: a processor raised where it was set up,
                or at the ``StartFrame``, or one did not let it through. Or one held a later frame
                up, and the caller heard nothing for too long.
            RestError: ``hang_up(by_rest=True)`` was asked for, and Twilio refused.
        """
        check_options(self.run, options)
        pipeline, silence_watch = watched(
            pipeline, silence, time_limit, hang_up=self.hang_up, time_is_up=self._end_in_time
        )
        if silence_watch is not None:
            self.transport.add_watcher(silence_watch)
        worker = worker_for(pipeline, options)
        advise_on_ends(worker.pipeline, self.transport.input(), self.transport.output())
        if (frames := self._resume(worker, ask_again)) is not None:
            greeting, begin_with, answering = None, frames, None
        await self._begin_pipeline(worker, greeting, begin_with, answering)
        await self._run_pipeline(PipelineRun(worker, self.call_sid))
        self._check_pipeline()
        if self._ends_by_rest:
            await self._end_by_rest()
        return self.end_reason

    def _resume(self, worker: PipelineWorker, ask_again: str | None) -> Sequence[Frame] | None:
        """Gives what a bot begins with that goes on for another one; None for any other bot."""
        context, frames = context_in(worker.pipeline), None
        if self.resumed is not None and self.resumed.has_begun:
            frames = self.resumed.go_on(context, ask_again)
            self._first_frames.clear()
            if self.resumed.is_ending:
                self._goodbye = Goodbye(worker, self.hang_up, push=worker.queue_frame)
                frames.append(self._goodbye.mark)
        if self.keeper is not None:
            self.keeper.begin(context)
        return frames

    async def _begin_pipeline(
        self,
        worker: PipelineWorker,
        greeting: Clip | Greeting | str | None,
        begin_with: Sequence[Frame],
        answering: AnswerPolicy | None,
    ) -> None:
        await self.began(worker)
        add_observers(worker, self.observers)
        if answering is not None:
            greetings = [] if greeting is None else [greeting]
            first = [*self._first_frames, *greetings, *begin_with]
            self.answers.begin(worker, answering, first)
        else:
            if greeting is not None:
                await self._greet_by(worker.pipeline, greeting)
            await worker.queue_frames([*self._first_frames, *begin_with])

    async def _run_pipeline(self, run: PipelineRun) -> None:
        self._run = run
        if self._line_ended.is_set():
            run.expect_end(self._WIND_UP_SECS)
        try:
            await run.run(self.transport.expect_break_off)
        finally:
            self.stopped()
            self._run, self.tasks_left = None, run.left
            if self.keeper is not None:
                await self.keeper.close()
            await self.answers.stop()
            await self._forget_goodbye()
            await self.finish_requests()
            await self.transport.close()
            await run.sweep(was_up=self.transport.pipeline_is_up)
            for log in self._logs:
                log.close()

    async def _greet_by(self, pipeline: BasePipeline, greeting: Clip | Greeting | str) -> None:
        clip = greeting.clip if isinstance(greeting, Greeting) else greeting
        if isinstance(clip, Clip) and (gates := speech_gates(pipeline)):
            logger.bind(call_sid=self.call_sid).debug(
                f"{self.call_sid}: the greeting waits for {', '.join(gates)}"
            )
            self._first_frames.append(SpeakClipFrame(clip))
        else:
            await self.greet(greeting)

    async def wait_for_answer(self) -> Answer:
        """Wait until it is known who has answered, while ``run(answering=...)`` runs.

        Whoever else it is after all is told by :class:`twilio_frames.frames.AnsweredByFrame`.

        Returns:
            The first answer; ``UNKNOWN`` by ``HUNG_UP`` if the call ends before.
        """
        return await self.answers.wait()

    def _check_pipeline(self) -> None:
        if self.end_reason is not CallEndReason.ERROR:
            return
        if (failure := self.transport.pipeline_failure) is not None:
            if isinstance(failure.exception, CallFailedError):
                raise failure.exception
            raise CallFailedError(why_not_up(failure)) from failure.exception
        if self.transport.pipeline_is_up:
            return
        raise CallFailedError(
            "expected the pipeline to come up, got one that did not in time: look for a processor "
            "whose setup() does not return, or that does not pass the StartFrame on"
        )

    async def hang_up(self, *, by_rest: bool = False) -> None:
        """End the call: what was said before is heard to its end, then the stream is closed.

        From then on the bot is deaf: a caller who talks over its last words is not listened to.
        Over the goodbye of :meth:`end_call` they are.

        With a pipeline running this asks it to end and returns at once; ``run()`` returns when it
        has. When a stream is closed Twilio goes on with the TwiML behind it.

        Args:
            by_rest: Also end the call itself over the REST API, whatever its TwiML says.

        Raises:
            ConfigurationError: ``by_rest`` without Twilio credentials.
            RestError: Twilio refused, with no pipeline running; otherwise ``run()`` raises it.
        """
        if by_rest and self.rest is None:
            raise ConfigurationError(
                "expected Twilio credentials for hanging up by REST, got none: set "
                "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or let the TwiML end the call"
            )
        self._ends_by_rest = self._ends_by_rest or by_rest
        await self.hold_music.let_go()
        if self.worker is not None:
            self.transport.expect_end()
            await self.worker.queue_frame(EndFrame())
            return
        await self.transport.close()
        self._line_is_over()
        if self._ends_by_rest:
            await self._end_by_rest()

    async def _end_in_time(self) -> None:
        self.transport.expect_end(CallEndReason.TIME_LIMIT)
        await (await self.running_worker()).queue_frame(EndFrame())

    # The docstring, and the result, are what the model gets to read.
    async def end_call(self, params: FunctionCallParams, goodbye: str) -> None:
        """End the telephone call.

        Args:
            params: The call of the function.
            goodbye: Your last words to the caller, to be spoken before the line is closed; do not
                say them anywhere else.
        """
        await self._forget_goodbye()
        self._goodbye = Goodbye(params.pipeline_worker, self.hang_up, push=params.llm.push_frame)
        if goodbye.strip():
            await params.llm.push_frame(TTSSpeakFrame(goodbye))
        await params.llm.push_frame(self._goodbye.mark)
        await params.result_callback(
            "The goodbye is being spoken. Then the call ends, unless the caller goes on.",
            properties=FunctionCallResultProperties(run_llm=False),
        )

    async def _forget_goodbye(self) -> None:
        goodbye, self._goodbye = self._goodbye, None
        if goodbye is not None:
            await goodbye.forget()

    async def _end_by_rest(self) -> None:
        assert self.rest is not None  # noqa: S101 - hang_up() checked it
        self._ends_by_rest = False
        await self.rest.hang_up(self.call_sid)

    async def _on_call_ended(self, *_: object) -> None:
        if self.keeper is not None:
            self.keeper.line_ended()
        self.detours.ended()
        self.hold_music.ended()
        self._line_is_over()
        self.answers.ended()

    def _line_is_over(self) -> None:
        self._line_ended.set()
        if self._run is not None:
            self._run.expect_end(self._WIND_UP_SECS)

    async def line_ended(self) -> None:
        """Return once the stream is over, whoever ended it."""
        await self._line_ended.wait()
