"""Talks with a bot in writing: its own dialogue, functions and memory, without any sound.

::

    async with phone.text(bot) as talk:
        assert "Welcome" in await talk.reply()
        assert "What size" in await talk.say("A latte, please.")
        await talk.say("Large.", cut_after=3)
        assert "Sorry" in await talk.say("No, wait.")

The bot is the one that answers the telephone, as it is: it is given a call, and runs its pipeline
on it. Speech recognition, voice and VAD are taken out of that pipeline; nothing is waited for.
"""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self

from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputDTMFFrame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.utils.time import time_now_iso8601

from twilio_frames.bulkhead import Compartment
from twilio_frames.call import Call
from twilio_frames.errors import CallFailedError
from twilio_frames.frames import CallEndReason
from twilio_frames.testing.phone.mistakes import (
    is_of_vendor,
    mistake_of,
    raise_first,
    tell_what_is_lost,
)
from twilio_frames.testing.text.call import TextCall

__all__ = ["TextConversation"]

_NUMBERS = {"from": "+15005550001", "to": "+15005550002", "direction": "inbound"}
_WIND_UP_SECS = 5.0


class TextConversation:
    """One conversation with a bot, in writing. An asynchronous context manager; leaving hangs up.

    The bot's words are heard one by one, while :meth:`say` or :meth:`reply` waits for them. What
    has not been heard does not get into the bot's memory.

    Args:
        bot: The bot, ``async def bot(call)``.
        parameters: What the TwiML passes to the stream, besides who calls whom.
        time_limit: Seconds that the bot may take for each reply.
        keep_errors: Whether what the bot raises is kept in :attr:`bot_errors`. Else it is raised
            in the test, by what waits for the bot.
    """

    def __init__(
        self,
        bot: Callable[[Call], Awaitable[Any]],
        *,
        parameters: Mapping[str, str] | None = None,
        time_limit: float = 5.0,
        keep_errors: bool = False,
    ):
        self._bot = bot
        self._call = TextCall({**_NUMBERS, **(parameters or {})})
        self._mouth, self._ear = self._call.line.mouth, self._call.line.ear
        self._time_limit = time_limit
        self._heard_of = 0
        self._is_cut = False
        self.bot_errors: list[BaseException] = []
        """What the bot has raised so far, and its pipeline."""
        self._keep_errors = keep_errors
        self._raised = 0
        self._has_failed = asyncio.Event()
        self._compartment = Compartment(self._note, self._lost)
        self._mouth.add_event_handler("on_before_process_frame", self._on_frame)
        self._running: asyncio.Task[Any] | None = None

    @property
    def call(self) -> Call:
        """The call as the bot has it."""
        return self._call

    @property
    def context(self) -> LLMContext:
        """The bot's memory: what was said to it, and what was heard of what it said.

        Raises:
            CallFailedError: If the bot has no memory, or none yet.
        """
        if self._call.context is None:
            raise CallFailedError(
                "expected a pipeline with a context aggregator, got none: hear the bot first, and "
                "put the two ends of a PhoneContextAggregator into its pipeline"
            )
        return self._call.context

    @property
    def memory(self) -> list[tuple[str, str]]:
        """What the bot remembers of what was said: each message's role and its words, in order.

        Raises:
            CallFailedError: If it has no memory, or none yet.
        """
        messages = (message for message in self.context.get_messages() if isinstance(message, dict))
        return [
            (message["role"], content)
            for message in messages
            if isinstance(content := message.get("content"), str)
        ]

    @property
    def end_reason(self) -> CallEndReason | None:
        """Why the call ended, None while it is up."""
        return self._call.end_reason

    async def __aenter__(self) -> Self:
        """Calls the bot."""
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Hangs up, and waits until the bot has noticed."""
        assert self._running is not None  # noqa: S101 - it was entered
        await self._ear.listen()
        if self._mouth.started.is_set():
            await self._call.line.hang_up()
        done, _ = await asyncio.wait({self._running}, timeout=_WIND_UP_SECS)
        if not done:
            self._running.cancel()
            await asyncio.wait({self._running}, timeout=_WIND_UP_SECS)
        if error is None or isinstance(error, Exception):
            # What the test made of it is the context of what the bot raised.
            self._check_on_bot()
        if error is None and not done:
            raise CallFailedError("expected the bot to end when the call did, it went on")

    async def say(self, text: str, *, cut_after: int | None = None) -> str:
        """Says something to the bot; gives the words of its reply.

        Where a reply was cut, or not heard to its end, this interrupts it.

        Args:
            text: What the caller says.
            cut_after: How many words of the reply are heard: what is said next cuts in there.

        Raises:
            CallFailedError: If the bot does not reply in time, or the call is over.
        """
        await self._ready()
        if not self._is_cut and not self._ear.is_idle:
            # Nobody has asked yet to hear it.
            await self.reply()
        self._ear.take_words()
        self._heard_of, self._is_cut = self._ear.activity, False
        await self._cut_in(text)
        await self._push(TranscriptionFrame(text, "", time_now_iso8601(), finalized=True))
        return await self.reply(cut_after=cut_after)

    async def reply(self, *, cut_after: int | None = None) -> str:
        """Waits for what the bot says next, a greeting say, or the rest of a reply that was cut.

        Args:
            cut_after: How many words of it are heard: what is said next cuts in there.

        Raises:
            CallFailedError: If the bot does not say anything in time, or the call is over.
        """
        await self._ready()
        try:
            async with asyncio.timeout(self._time_limit):
                await self._hear(math.inf if cut_after is None else cut_after)
        except TimeoutError:
            words = " ".join(self._ear.take_words())
            raise CallFailedError(
                f"expected the bot's reply to end within {self._time_limit:g} s, got "
                f"{len(words.split())} words of it"
            ) from None
        finally:
            self._ear.stop_listening()
        self._check_on_bot()
        self._is_cut = not self._ear.is_idle
        return " ".join(self._ear.take_words())

    async def press(self, digits: str, *, cut_after: int | None = None) -> str:
        """Presses keys; gives the words of the bot's reply. See :meth:`say`."""
        await self._ready()
        self._heard_of, self._is_cut = self._ear.activity, False
        for digit in digits:
            await self._push(InputDTMFFrame(KeypadEntry(digit)))
        return await self.reply(cut_after=cut_after)

    async def hang_up(self) -> None:
        """Hangs up; returns when the bot has ended."""
        await self._ready()
        await self._call.line.hang_up()
        await self.ended()

    async def ended(self) -> CallEndReason | None:
        """Waits until the bot has ended; gives why the call did. What it says meanwhile is heard.

        Raises:
            CallFailedError: If it goes on for longer than a reply may take.
        """
        if self._running is not None:
            await self._ear.listen()
            await asyncio.wait({self._running}, timeout=self._time_limit)
            self._check_on_bot()
            if not self._running.done():
                raise CallFailedError("expected the bot to end, it went on")
        return self.end_reason

    async def _run(self) -> None:
        try:
            tell_what_is_lost()
            await self._compartment.run(self._bot(self._call))
        except Exception as error:
            self._note(error)
        finally:
            self._compartment.settle()

    def _lost(self, error: BaseException) -> None:
        if not is_of_vendor(error):
            self._note(error)

    def _on_frame(self, _: object, frame: Frame) -> None:
        if isinstance(frame, ErrorFrame) and (mistake := mistake_of(frame)) is not None:
            self._note(mistake)

    def _note(self, error: BaseException) -> None:
        if not any(error is noted for noted in self.bot_errors):
            self.bot_errors.append(error)
        if not self._keep_errors:
            self._has_failed.set()

    async def _ready(self) -> None:
        if self._running is None:
            raise CallFailedError("expected `async with` around the conversation, it was not there")
        await self._either(self._mouth.started)
        self._check_on_bot()
        if self._running.done():
            raise CallFailedError(
                f"expected the call to be up, it is over: {self.end_reason or 'the bot returned'}"
            )

    def _check_on_bot(self) -> None:
        """Raises what the bot raised, once."""
        errors, self._raised = self.bot_errors[self._raised :], len(self.bot_errors)
        self._has_failed.clear()
        if not self._keep_errors:
            raise_first(errors)

    async def _push(self, frame: Frame) -> None:
        await self._mouth.hear(frame)

    async def _cut_in(self, text: str) -> None:
        """Begins to speak; returns when the bot has fallen silent, and remembers what was heard."""
        interrupted = self._call.line.end.interrupted
        interrupted.clear()
        await self._push(InterimTranscriptionFrame(text, "", time_now_iso8601()))
        if self._mouth.is_deaf:
            return
        # A bot that does not let the caller cut in goes on.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await interrupted.wait()
            self._heard_of = self._ear.activity_before

    async def _hear(self, words: float) -> None:
        """Listens until so many words have been heard, or the bot has no more to say."""
        await self._ear.listen(words)
        while not self._is_over() and not self._ear.is_full:
            news = self._ear.news
            if not self._has_replied():
                await self._either(news)
            elif await self._stays_idle():
                break
        self._heard_of = self._ear.activity

    def _is_over(self) -> bool:
        return self._running is None or self._running.done() or self._has_failed.is_set()

    def _has_replied(self) -> bool:
        return self._ear.is_idle and (self._is_cut or self._ear.activity > self._heard_of)

    async def _stays_idle(self) -> bool:
        before = self._ear.activity
        await asyncio.sleep(0.02)
        return self._ear.is_idle and self._ear.activity == before

    async def _either(self, event: asyncio.Event) -> None:
        """Returns when this has happened, or the bot has failed or is no more."""
        assert self._running is not None  # noqa: S101 - it was entered
        waiting = [asyncio.create_task(each.wait()) for each in (event, self._has_failed)]
        try:
            await asyncio.wait([*waiting, self._running], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
