"""Attends to the bots in this process: their words, what they understand, and what they raise.

Whatever application a bot lives in, if it speaks over a ``TwilioTransport`` in this process its
words are known, and its mistakes are the test's: what it raises itself, or in its pipeline (see
``mistakes.py``), and what the application raises that it lives in.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

from pipecat.frames.frames import ErrorFrame, Frame, StartFrame, TranscriptionFrame
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregator
from pipecat.processors.frame_processor import FrameProcessor

from twilio_frames.bulkhead import Compartment
from twilio_frames.processors.pipeline.gates import parts_around
from twilio_frames.stopping import cancel_until_done
from twilio_frames.testing.callers.hearing import Hearing, KnownWord
from twilio_frames.testing.phone.bot_words import BotWords
from twilio_frames.testing.phone.mistakes import (
    is_of_vendor,
    mistake_of,
    raise_first,
    tell_what_is_lost,
)
from twilio_frames.transport.attending import AttendedTransport, attending

_MOST_UNDERSTOOD = 1000
"""Of a call's texts, the last so many are kept."""


class _WitnessedCall:
    """What is known of one call's bot.

    Args:
        transport: Over which it speaks.
    """

    def __init__(self, transport: AttendedTransport):
        self.transport = transport
        self.carrier = asyncio.current_task()
        self.words = BotWords(transport.output())
        self.errors: list[BaseException] = []
        self.understood: deque[tuple[float, str]] | None = None
        self._seen: set[int] = set()
        self.compartment = Compartment(self.note, self._lost)
        for end in (transport.input(), transport.output()):
            end.add_event_handler("on_before_process_frame", self._on_frame)
            end.add_event_handler("on_before_push_frame", self._on_frame)

    @property
    def call_sid(self) -> str | None:
        """Which call it is; None until its stream has begun."""
        return self.transport.start.call_sid if self.transport.start else None

    def note(self, error: BaseException) -> None:
        """Takes a mistake down, once."""
        if id(error) not in self._seen and len(self.errors) < 20:
            self._seen.add(id(error))
            self.errors.append(error)

    def _lost(self, error: BaseException) -> None:
        if not is_of_vendor(error):
            self.note(error)

    def _on_frame(self, processor: FrameProcessor, frame: Frame) -> None:
        if isinstance(frame, StartFrame) and self.understood is None:
            self._listen_behind(processor)
        if isinstance(frame, ErrorFrame) and frame.id not in self._seen:
            self._seen.add(frame.id)
            if (mistake := mistake_of(frame)) is not None:
                self.note(mistake)

    def _listen_behind(self, end: FrameProcessor) -> None:
        """Has what a memory is told of the caller's words written down."""
        for part in chain(*parts_around(end)):
            if isinstance(part, LLMUserAggregator):
                self.understood = deque(maxlen=_MOST_UNDERSTOOD)
                part.add_event_handler("on_before_process_frame", self._on_words)

    def _on_words(self, _: FrameProcessor, frame: Frame) -> None:
        if isinstance(frame, TranscriptionFrame) and self.understood is not None:
            self.understood.append((asyncio.get_running_loop().time(), frame.text))


class Witness:
    """What is known of the bots of a desk: an attendant of all calls in this process."""

    def __init__(self) -> None:
        self._calls: list[_WitnessedCall] = []
        self._errors: list[BaseException] = []

    @contextmanager
    def attending(self) -> Iterator[None]:
        """Attends to all calls that begin meanwhile."""
        tell_what_is_lost()
        with attending(self):
            yield

    def application_failed(self, error: BaseException) -> None:
        """Takes down what the application raised that a bot lives in."""
        if not _says_gone(error):
            self._errors.append(error)

    def transport_made(self, transport: AttendedTransport) -> None:
        """Attends to a call, and to what comes of the task that runs."""
        call = _WitnessedCall(transport)
        call.compartment.enter()
        self._calls.append(call)

    def bot_failed(self, transport: AttendedTransport, error: BaseException) -> None:
        """Takes down what a bot raised."""
        for call in self._calls:
            if call.transport is transport:
                call.note(error)

    def inform(self, call_sid: str, hearing: Hearing) -> None:
        """Lets a hearing know what a call's bot says and understands, as it comes.

        It knows of nothing while no bot of this process has the call.
        """

        def words() -> Sequence[KnownWord] | None:
            calls = self._of(call_sid)
            return [word for call in calls for word in call.words.words()] if calls else None

        def understood() -> Sequence[tuple[float, str]] | None:
            told = [call.understood for call in self._of(call_sid) if call.understood is not None]
            return [each for texts in told for each in texts] if told else None

        hearing.known, hearing.understood = words, understood

    async def settle(self, call_sid: str) -> None:
        """Lets a call's bot wind up, for a while: what it raises then is its mistake as well."""
        me = asyncio.current_task()
        carriers = {call.carrier for call in self._of(call_sid) if call.carrier} - {me}
        if carriers:
            await asyncio.wait(carriers, timeout=5.0)
        for call in self._of(call_sid):
            call.compartment.settle()

    async def dismiss(self, call_sids: Iterable[str]) -> None:
        """Ends what still carries one of these calls."""
        carriers = {call.carrier for sid in call_sids for call in self._of(sid) if call.carrier}
        await cancel_until_done(carriers - {asyncio.current_task()}, seconds=3.0)

    def mistakes_of(self, call_sid: str) -> list[BaseException]:
        """What went wrong on a call, and in the application, each once."""
        errors = [error for call in self._of(call_sid) for error in call.errors] + self._errors
        return list({id(error): error for error in errors}.values())

    def raise_first(self, call_sid: str) -> None:
        """Raises the first mistake that was made on a call, if any was; see :func:`raise_first`."""
        raise_first(self.mistakes_of(call_sid))

    def _of(self, call_sid: str) -> list[_WitnessedCall]:
        return [call for call in self._calls if call.call_sid == call_sid]


def _says_gone(error: BaseException) -> bool:
    """Whether an exception says no more than that the other end of a socket has gone."""
    return isinstance(error, ConnectionError) or type(error).__name__ == "WebSocketDisconnect"
