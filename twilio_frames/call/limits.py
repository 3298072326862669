"""A caller who says nothing is asked whether they are there; a call has a limit that is told."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    Frame,
    FunctionCallCancelFrame,
    FunctionCallResultFrame,
    FunctionCallsStartedFrame,
    InputDTMFFrame,
    InterruptionFrame,
    StartFrame,
    TTSSpeakFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.base_pipeline import BasePipeline
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from twilio_frames.errors import ConfigurationError
from twilio_frames.errors.settings import check_settings
from twilio_frames.frames import CallAwayFrame, CallBackFrame, DigitsWantedFrame
from twilio_frames.processors.replies.deadline import Deadline
from twilio_frames.processors.replies.goodbye import Goodbye
from twilio_frames.protocol import BotMessage, Dtmf, Event, Playback

__all__ = ["SilencePolicy", "TimeLimit", "watched"]

Then = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SilencePolicy:
    """What is done about a caller who says nothing.

    ``call.run(pipeline, silence=SilencePolicy(...))``, or :meth:`processor` in a pipeline. The time
    counts from what the caller heard last of the bot, or said. It does not run while a function of
    the model does, while digits are asked for, or while the call is away.

    Parameters:
        ask_after: Seconds of silence until they are asked.
        times: How often they are asked, one after the other.
        ask: What they are asked; or several, of which the last is said again.
        last_words: What is said when they have been asked often enough, and as many seconds have
            passed again; None for nothing. A caller who speaks up over it is listened to.
        then: Awaited when that was heard. None: the call is ended.
    """

    ask_after: float = 8.0
    times: int = 2
    ask: str | Sequence[str] = "Are you still there?"
    last_words: str | None = "I cannot hear you, so I will hang up. Goodbye."
    then: Then | None = None

    def __post_init__(self):
        check_settings(self, above_zero=("ask_after",))
        if not self.ask:
            raise ConfigurationError("expected a text to ask with at ask, got none")

    def processor(self) -> FrameProcessor:
        """The policy as a processor; anywhere ahead of the context's ``assistant()``."""
        return SilenceWatch(self)

    def question(self, number: int) -> str:
        """What is asked, counted from 0."""
        return self.ask if isinstance(self.ask, str) else self.ask[min(number, len(self.ask) - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimit:
    """How long a call may last, and what is said about it.

    ``call.run(pipeline, time_limit=TimeLimit(secs=600))``, or :meth:`processor` in a pipeline.
    Counts from the pipeline's start. A call that is away when it is over is ended when it is back.

    Parameters:
        secs: How long.
        warn_secs: How long before its end the warning is said; None for no warning.
        warning: The warning.
        last_words: What is said at the end; what is being said then is cut off. None for nothing.
    """

    secs: float
    warn_secs: float | None = 60.0
    warning: str = "We have one more minute."
    last_words: str | None = "Our time is up. Goodbye."

    def __post_init__(self):
        check_settings(self, above_zero=("secs", "warn_secs"))
        if self.warn_secs is not None and self.warn_secs >= self.secs:
            raise ConfigurationError(
                f"expected a warning within the {self.secs:g} s, got one {self.warn_secs:g} s "
                "before their end: pass a smaller warn_secs, or None"
            )

    def processor(self) -> FrameProcessor:
        """The limit as a processor, anywhere in a pipeline."""
        return TimeWatch(self)


def watched(
    pipeline: Any,
    silence: SilencePolicy | None,
    time_limit: TimeLimit | None,
    *,
    hang_up: Then,
    time_is_up: Then,
) -> tuple[Any, "SilenceWatch | None"]:
    """A pipeline with what watches over its call in front, and what is told of keys.

    Raises:
        ConfigurationError: If it is a worker's already.
    """
    silence_watch = SilenceWatch(silence, hang_up) if silence else None
    watches: list[FrameProcessor] = [silence_watch] if silence_watch else []
    if time_limit:
        watches.append(TimeWatch(time_limit, time_is_up))
    if watches and not isinstance(pipeline, BasePipeline):
        raise ConfigurationError(
            "expected a pipeline beside silence= and time_limit=, got a worker: put "
            "SilencePolicy(...).processor() and TimeLimit(...).processor() into its pipeline"
        )
    return Pipeline([*watches, pipeline]) if watches else pipeline, silence_watch


class _Watch(FrameProcessor):
    """Lets everything pass, and acts on what passes."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Takes note of a frame."""
        await super().process_frame(frame, direction)
        self._take(frame)
        await self.push_frame(frame, direction)

    def _take(self, frame: Frame) -> None:
        raise NotImplementedError

    async def _say(self, text: str) -> None:
        await self.pipeline_worker.queue_frame(TTSSpeakFrame(text))

    async def _end(self) -> None:
        await self.pipeline_worker.queue_frame(EndFrame())


class SilenceWatch(_Watch):
    """Asks a caller who says nothing.

    Args:
        policy: When, how often, with which words.
        hang_up: Ends the call; None to end the pipeline.
    """

    def __init__(self, policy: SilencePolicy, hang_up: Then | None = None):
        super().__init__()
        self._policy = policy
        self._then = policy.then or hang_up or self._end
        self._silence = Deadline(self._be_asked)
        self._watching: asyncio.Task[None] | None = None
        self._busy: set[object] = set()
        self._asked = 0
        self._is_over = False
        self._goodbye: Goodbye | None = None

    def received(self, event: Event, now: float) -> None:
        """Takes note of a key, as a watcher of the line."""
        if isinstance(event, Dtmf):
            self._caller_is_there()
            self._wait_or_not()

    def sending(self, message: BotMessage, playback: Playback, now: float) -> None:
        """Sees a message go, as a watcher of the line."""

    def _take(self, frame: Frame) -> None:
        match frame:
            case StartFrame():
                self._watching = self._watching or self.create_task(self._silence.run())
            case BotStartedSpeakingFrame() | BotStoppedSpeakingFrame():
                self._keep("bot", isinstance(frame, BotStartedSpeakingFrame))
            case VADUserStartedSpeakingFrame() | VADUserStoppedSpeakingFrame():
                self._keep("sound", isinstance(frame, VADUserStartedSpeakingFrame))
            case UserStartedSpeakingFrame() | UserStoppedSpeakingFrame():
                self._keep("caller", isinstance(frame, UserStartedSpeakingFrame))
                self._caller_is_there()
            case CallAwayFrame() | CallBackFrame():
                self._keep("away", isinstance(frame, CallAwayFrame))
            case DigitsWantedFrame(is_wanted=is_wanted):
                if is_wanted is ("digits" in self._busy):
                    return
                self._keep("digits", is_wanted)
            case InputDTMFFrame():
                self._caller_is_there()
            case EndFrame() | CancelFrame():
                self._keep("end", True)
            case _ if not self._take_function(frame):
                return
            case _:
                pass
        self._wait_or_not()

    def _take_function(self, frame: Frame) -> bool:
        match frame:
            case FunctionCallsStartedFrame():
                self._busy |= {("function", one.tool_call_id) for one in frame.function_calls}
            case FunctionCallResultFrame(properties=properties):
                if properties is None or properties.is_final:
                    self._keep(("function", frame.tool_call_id), False)
            case FunctionCallCancelFrame():
                self._keep(("function", frame.tool_call_id), False)
            case _:
                return False
        return True

    def _keep(self, what: object, is_so: bool) -> None:
        (self._busy.add if is_so else self._busy.discard)(what)

    def _caller_is_there(self) -> None:
        self._asked, self._is_over = 0, False

    def _wait_or_not(self) -> None:
        if self._busy or self._is_over:
            self._silence.clear()
        else:
            self._silence.set(self._policy.ask_after)

    async def _be_asked(self) -> None:
        if self._asked < self._policy.times:
            self._asked += 1
            # A voice that fails never ends what it says.
            self._silence.set(self._policy.ask_after)
            await self._say(self._policy.question(self._asked - 1))
            return
        self._is_over = True
        if self._policy.last_words is None:
            await self._then()
            return
        worker = self.pipeline_worker
        if self._goodbye is not None:
            await self._goodbye.forget()
        self._goodbye = Goodbye(worker, self._finish, push=worker.queue_frame)
        await self._say(self._policy.last_words)
        await worker.queue_frame(self._goodbye.mark)

    async def _finish(self) -> None:
        await self._then()

    async def cleanup(self) -> None:
        """Asks no more."""
        await super().cleanup()
        if self._goodbye is not None:
            await self._goodbye.forget()
        if self._watching is not None:
            await self.cancel_task(self._watching)


class TimeWatch(_Watch):
    """Ends a call that has lasted as long as it may.

    Args:
        limit: How long, and what is said.
        end: Ends the call; None to end the pipeline.
    """

    def __init__(self, limit: TimeLimit, end: Then | None = None):
        super().__init__()
        self._limit = limit
        self._end_call = end or self._end
        self._is_here = asyncio.Event()
        self._is_here.set()
        self._watching: asyncio.Task[None] | None = None

    def _take(self, frame: Frame) -> None:
        match frame:
            case StartFrame():
                self._watching = self._watching or self.create_task(self._watch())
            case CallAwayFrame():
                self._is_here.clear()
            case CallBackFrame():
                self._is_here.set()
            case _:
                pass

    async def _watch(self) -> None:
        left = self._limit.secs
        if self._limit.warn_secs is not None:
            await asyncio.sleep(left - self._limit.warn_secs)
            left = self._limit.warn_secs
            if self._is_here.is_set():
                await self._say(self._limit.warning)
        await asyncio.sleep(left)
        await self._is_here.wait()
        if self._limit.last_words is not None:
            await self.pipeline_worker.queue_frame(InterruptionFrame())
            await self._say(self._limit.last_words)
        await self._end_call()

    async def cleanup(self) -> None:
        """Lets the call go on."""
        await super().cleanup()
        if self._watching is not None:
            await self.cancel_task(self._watching)
