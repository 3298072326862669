"""How a caller is asked for digits: for what, what they press and say, and what comes of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from pipecat.frames.frames import Frame, InterruptionFrame, LLMMessagesAppendFrame, TTSSpeakFrame
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContextMessage

from twilio_frames.call.digits.spoken import spoken_digits
from twilio_frames.errors import ConfigurationError
from twilio_frames.processors.clips import Clip, SpeakClipFrame
from twilio_frames.processors.pipeline.gates import parts_in, voice_in
from twilio_frames.processors.turns.attention import DigitsMuteStrategy
from twilio_frames.transport import TwilioTransport

__all__ = [
    "DigitsOutcome",
    "DigitsResult",
    "Keypad",
    "Prompt",
    "Remember",
    "Request",
    "request_for",
]

_MOST_KEYS = 200
"""Keys that wait to be taken in; more than anybody presses ahead."""
_TAIL_SECS = 1.5
"""How long behind the last digit its tone, and what was said, may still be on the line; and how
long somebody takes to press the end key behind digits that are complete without it."""
_CONFIRM = "You have entered {digits}. If that is right, press one. To enter it again, press two."
_YES = frozenset(["yes", "yeah", "yep", "right", "correct", "sure"])
_NO = frozenset(["no", "nope", "wrong", "again"])

Prompt = Clip | str | None
Remember = Literal["digits", "placeholder"] | None


class DigitsOutcome(StrEnum):
    """What came of asking for digits."""

    COMPLETE = "complete"
    TIMEOUT = "timeout"
    """No key came in time, or not enough of them."""
    WRONG = "wrong"
    """Too few or too many, or none of a menu's."""
    NOT_CONFIRMED = "not confirmed"
    OTHER_WORDS = "other words"
    """The caller said something else."""
    CALLER_HUNG_UP = "caller hung up"
    """Or the call ended otherwise: ``Call.end_reason`` says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DigitsResult:
    """What a caller has pressed or said. Printed, it shows neither.

    Parameters:
        outcome: What came of it.
        digits: Of ``0-9*#ABCD``; those pressed so far where it is not complete.
        words: What was said instead.
        choice: What a menu has for the digits; None if nothing.
    """

    outcome: DigitsOutcome
    digits: str = field(default="", repr=False)
    words: str = field(default="", repr=False)
    choice: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a caller is asked for.

    Parameters:
        least: How many digits at least.
        most: How many at most: then it is complete. None for any number.
        options: What may be pressed; None for anything.
        end: The key that ends it; empty for none.
        first_secs: How long the first may take, from when the prompt was heard.
        between_secs: How long each further one may.
        prompt: What is said first.
        wrong: What is said where it was none of the options.
        confirm: What is said to confirm it, with ``{digits}``; None if it need not be.
        attempts: How often it is begun at most.
        reads: Reads digits out of words; None where words do not count.
        is_private: Whether it is kept from logs and recordings.
    """

    least: int = 1
    most: int | None = None
    options: Collection[str] | None = None
    end: str = "#"
    first_secs: float = 10.0
    between_secs: float = 4.0
    prompt: Prompt = None
    wrong: str | None = None
    confirm: str | None = None
    attempts: int = 3
    reads: Callable[[str], str | None] | None = None
    is_private: bool = True

    def __post_init__(self):
        if self.least < 1 or (self.most is not None and self.most < self.least):
            raise ConfigurationError(
                f"expected a length of at least 1, such as 4 or (4, 6), got {self.least} to "
                f"{self.most}"
            )
        if len(self.end) > 1 or self.end not in "0123456789*#":
            raise ConfigurationError(
                "expected one key of 0-9*# as `end`, or an empty text for none"
            )
        if self.first_secs <= 0 or self.between_secs <= 0:
            raise ConfigurationError("expected seconds above 0 for each digit")
        if self.attempts < 1:
            raise ConfigurationError(f"expected at least 1 attempt, got {self.attempts}")
        if self.confirm is not None and "{digits}" not in self.confirm:
            raise ConfigurationError("expected {digits} in what is said to confirm them")

    def is_full(self, digits: str) -> bool:
        """Whether no more can follow."""
        if self.options is not None:
            return not any(one != digits and one.startswith(digits) for one in self.options)
        return self.most is not None and len(digits) >= self.most

    def judge(self, digits: str, *, is_late: bool) -> DigitsOutcome:
        """What has come, where no more will.

        Args:
            digits: What was pressed.
            is_late: Whether a pause has ended it.
        """
        if self.options is not None:
            is_wrong = digits not in self.options
        else:
            is_wrong = len(digits) < self.least or len(digits) > (self.most or len(digits))
        if not is_wrong:
            return DigitsOutcome.COMPLETE
        return DigitsOutcome.TIMEOUT if is_late else DigitsOutcome.WRONG


def request_for(
    length: int | tuple[int, int] | None,
    confirm: str | bool,
    spoken: bool | Callable[[str], str | None],
    **options: Any,
) -> Request:
    """What a caller is asked for, as a bot says it; see ``Call.collect_digits``."""
    least, most = length if isinstance(length, tuple) else (length or 1, length)
    return Request(
        least=least,
        most=most,
        confirm=_CONFIRM if confirm is True else confirm or None,
        reads=spoken_digits if spoken is True else spoken or None,
        **options,
    )


@dataclass(frozen=True, slots=True)
class _Said:
    """Words of the caller's."""

    words: str = field(repr=False)


class _Ended:
    """The call is over."""


_Input = str | _Said | _Ended


class Keypad:
    """Asks one call's caller for digits, once at a time.

    Args:
        transport: The call's.
        worker: Finds the worker that runs its pipeline.
        heard: Awaited until what was said so far was heard.
    """

    def __init__(
        self,
        transport: TwilioTransport,
        worker: Callable[[], Awaitable[PipelineWorker]],
        heard: Callable[[], Awaitable[None]],
    ):
        self._transport = transport
        self._find_worker = worker
        self._heard = heard
        self._one_at_a_time = asyncio.Lock()
        self._inputs: asyncio.Queue[_Input] = asyncio.Queue(_MOST_KEYS)
        self._is_asking = False
        self._late_end, self._late_until = "", 0.0
        self._tail: asyncio.TimerHandle | None = None
        self._telling: set[asyncio.Task[None]] = set()
        transport.offer_keys(self._press)

    def _press(self, key: str) -> bool:
        if self._is_asking:
            self._put(key)
            return True
        late_end, self._late_end = self._late_end, ""
        return key == late_end and time.monotonic() < self._late_until

    def _hear(self, words: str) -> None:
        if words.strip():
            self._put(_Said(words))

    def _put(self, given: _Input) -> None:
        if not self._inputs.full():
            self._inputs.put_nowait(given)

    async def ask(self, request: Request, remember: Remember = None) -> DigitsResult:
        """Asks, and gives what came of it.

        Args:
            request: What is asked for.
            remember: What the LLM is told that the caller has entered.

        Raises:
            ConfigurationError: If the pipeline could not hear digits that are to be said.
        """
        worker = await self._find_worker()
        if request.reads and not any(map(DigitsMuteStrategy.serves, parts_in(worker.pipeline))):
            raise ConfigurationError(
                "expected a PhoneContextAggregator's user() in the pipeline, by which digits that "
                "are said are heard, got none"
            )
        async with self._one_at_a_time:
            watching = asyncio.create_task(self._watch_end(), name="digits")
            try:
                await self._begin(request)
                result = await _Asking(self._inputs, worker, self._transport, self._heard).run(
                    request
                )
            finally:
                watching.cancel()
                await self._end(request)
        if remember is not None and result.outcome is DigitsOutcome.COMPLETE:
            shown = result.digits if remember == "digits" else f"{len(result.digits)} digits"
            text = f"[The caller has entered {shown}.]"
            told: list[LLMContextMessage] = [{"role": "user", "content": text}]
            await worker.queue_frame(LLMMessagesAppendFrame(told, run_llm=False))
        return result

    async def _watch_end(self) -> None:
        await self._transport.wait_for_close()
        await self._inputs.put(_Ended())

    async def _begin(self, request: Request) -> None:
        if self._tail is not None:
            self._tail.cancel()
        self._inputs = asyncio.Queue(_MOST_KEYS)
        self._is_asking = True
        await self._transport.want_digits(
            True,
            is_private=request.is_private,
            take_words=self._hear if request.reads else None,
        )

    async def _end(self, request: Request) -> None:
        self._is_asking = False
        self._late_end, self._late_until = request.end, time.monotonic() + _TAIL_SECS
        await self._transport.want_digits(False, is_private=request.is_private)
        if request.is_private:
            loop = asyncio.get_running_loop()
            self._tail = loop.call_later(_TAIL_SECS, self._end_privacy)

    def _end_privacy(self) -> None:
        self._tail = None
        if self._transport.end_reason is None:
            task = asyncio.create_task(self._transport.want_digits(False, is_private=False))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)


class _Asking:
    """One request of a caller.

    Args:
        inputs: What they press and say.
        worker: Runs the pipeline.
        transport: The call's.
        heard: Awaited until what was said so far was heard.
    """

    def __init__(
        self,
        inputs: "asyncio.Queue[_Input]",
        worker: PipelineWorker,
        transport: TwilioTransport,
        heard: Callable[[], Awaitable[None]],
    ):
        self._inputs = inputs
        self._worker = worker
        self._transport = transport
        self._heard = heard

    async def run(self, request: Request) -> DigitsResult:
        """Asks until it is answered, or often enough."""
        result = DigitsResult(outcome=DigitsOutcome.TIMEOUT)
        prompt: Prompt = request.prompt
        for attempt in range(request.attempts):
            if attempt and request.wrong and result.outcome is DigitsOutcome.WRONG:
                await self._say(request.wrong)
            result = await self._gather(request, prompt)
            if result.outcome is DigitsOutcome.COMPLETE and request.confirm:
                result = await self._confirm(request, result)
            if result.outcome in _FINAL or not _may_ask_again(request, result):
                break
        return result

    async def _gather(self, request: Request, prompt: Prompt) -> DigitsResult:
        given = await self._prompt(_spoken(prompt) if prompt else None)
        digits, patience = "", request.first_secs
        while True:
            given = given or await self._next(patience)
            match given:
                case None:
                    return _result(request, digits, is_late=True)
                case _Ended():
                    return DigitsResult(outcome=DigitsOutcome.CALLER_HUNG_UP, digits=digits)
                case _Said(words=words):
                    read = request.reads(words) if request.reads else None
                    if read is None:
                        return DigitsResult(
                            outcome=DigitsOutcome.OTHER_WORDS, digits=digits, words=words
                        )
                    digits += read.removesuffix(request.end) if request.end else read
                    if request.end and read.endswith(request.end):
                        return _result(request, digits)
                case key if key == request.end:
                    return _result(request, digits)
                case key:
                    digits += key
            if digits and request.is_full(digits):
                return _result(request, digits)
            given = None
            patience = request.between_secs if digits else request.first_secs

    async def _confirm(self, request: Request, result: DigitsResult) -> DigitsResult:
        """Reads the digits back, which nobody remembers, and has them confirmed."""
        text = (request.confirm or "").replace("{digits}", " ".join(result.digits))
        given = await self._prompt(
            TTSSpeakFrame(text, append_to_context=False), passing_over=request.end
        )
        given = given or await self._next(request.first_secs)
        match given:
            case _Ended():
                return DigitsResult(outcome=DigitsOutcome.CALLER_HUNG_UP)
            case "1":
                return result
            case _Said(words=words) if _YES & set(_bare(words)) and not _NO & set(_bare(words)):
                return result
            case _Said(words=words) if request.reads and request.reads(words) == "1":
                return result
            case _:
                return DigitsResult(outcome=DigitsOutcome.NOT_CONFIRMED)

    async def _say(self, text: str) -> None:
        await self._worker.queue_frame(TTSSpeakFrame(text))

    async def _prompt(self, frame: Frame | None, *, passing_over: str = "") -> _Input | None:
        """Says something, until it was heard or a key stops it; what came meanwhile."""
        if frame is not None:
            await self._worker.queue_frame(frame)
        heard = asyncio.ensure_future(self._heard())
        try:
            while True:
                coming = asyncio.create_task(self._inputs.get())
                await asyncio.wait({heard, coming}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    coming.cancel()
                    return None
                if passing_over and coming.result() == passing_over:
                    passing_over = ""
                    continue
                if not heard.done():
                    await self._fall_silent()
                return coming.result()
        finally:
            heard.cancel()

    async def _fall_silent(self) -> None:
        """Stops what is being said; a function that runs meanwhile goes on."""
        voice = voice_in(self._worker.pipeline) or self._transport.output()
        await voice.queue_frame(InterruptionFrame())

    async def _next(self, patience: float) -> _Input | None:
        try:
            async with asyncio.timeout(patience):
                return await self._inputs.get()
        except TimeoutError:
            return None


_FINAL = (
    DigitsOutcome.COMPLETE,
    DigitsOutcome.CALLER_HUNG_UP,
    DigitsOutcome.OTHER_WORDS,
)


def _may_ask_again(request: Request, result: DigitsResult) -> bool:
    """Whether it is worth another attempt: a menu's is, and what was not confirmed."""
    return request.options is not None or result.outcome is DigitsOutcome.NOT_CONFIRMED


def _result(request: Request, digits: str, *, is_late: bool = False) -> DigitsResult:
    return DigitsResult(outcome=request.judge(digits, is_late=is_late), digits=digits)


def _spoken(prompt: Clip | str) -> Frame:
    return SpeakClipFrame(prompt) if isinstance(prompt, Clip) else TTSSpeakFrame(prompt)


def _bare(words: str) -> list[str]:
    return [word.strip(".,!?'\"") for word in words.lower().split()]
