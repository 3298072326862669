"""Writes down what another bot would need to go on with a call.

Theory of operation
-------------------
While a call is up, its *keeper* writes each time that something changes: a *snapshot* with each
turn (memory, parameters, the bot's own state, functions that are running), and *progress* with each
word: what is being said, how much of it was heard, and by when what Twilio has will have been. It
is told of each frame at once, as a call's log is. It writes to each place at that one's own pace,
one write at a time: one that is slow or gone holds up no other. Text counts as being said until it
stands in the memory.

A word is written down when it is sent, ahead of being heard by as much as Twilio is kept ahead; so
whoever goes on knows it, however suddenly this ends. When the stream ended Twilio tells. What was
heard just then nobody can tell, by the line's delay: it counts as not heard, and is said again.
Better a word twice than never; and the memory has it once.

A call is handed over in silence: where nobody says anything, or at once if that does not come, what
is to be said is kept back, what was sent is heard to its end, and only then is it written down how
the call stands, and the line closed. So it is known exactly what was heard.
"""

import asyncio
import contextlib
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    Frame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSSpeakFrame,
    UserStartedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.aggregators.llm_context import LLMContext

from twilio_frames.call.resuming import VERSION, CallState, calls_in, role_of
from twilio_frames.frames import CallEndReason, SendMarkFrame
from twilio_frames.processors.clips import SpeakClipFrame
from twilio_frames.processors.replies.goodbye import is_goodbye
from twilio_frames.processors.words import HeardTextFrame
from twilio_frames.processors.words.progress import behind_words, words_in
from twilio_frames.transport import TwilioTransport

__all__ = ["CallKeeper", "Place"]

_LARGEST_BYTES = 160 * 1024
"""Of a snapshot's memory: beyond it, the oldest turns are left out. Sealed, it is a third more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a call is kept.

    Parameters:
        save: Keeps a snapshot, or the one before where there is none, and progress; told how many
            saves there were before. False if it could not.
        is_found: Whether another worker would find it there.
    """

    save: Callable[[bytes | None, bytes, int], Awaitable[bool]]
    is_found: Callable[[], bool]


@dataclass(slots=True, kw_only=True)
class _Copy:
    """What a place has.

    Parameters:
        place: Where.
        edition: Of the snapshot that is there.
        wake: Set when there is more to write.
        one_at_a_time: Held by a write.
    """

    place: Place
    edition: int = 0
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)


_TELLING = (
    *(FunctionCallInProgressFrame, FunctionCallResultFrame, HeardTextFrame, InterruptionFrame),
    *(LLMContextFrame, LLMFullResponseEndFrame, LLMFullResponseStartFrame, LLMTextFrame),
    *(SendMarkFrame, SpeakClipFrame, TTSSpeakFrame, UserStartedSpeakingFrame),
)
_LEAVING = "leaving"
_FRAMES_KEPT = 256
"""A frame is told of by each processor that it passes, behind all that was laid with it."""


class CallKeeper(BaseObserver):
    """Writes a call down for whoever may have to go on with it; see the top of the module.

    Args:
        call_sid: The call.
        parameters: Its parameters.
        state: What its bot wants kept.
        places: Where it is kept.
        line: Of which the words are asked for that Twilio has, and whether it has ended.
    """

    _PAUSE_SECS: float = 0.05
    """Between two writes: the model writes some fifty pieces a second."""
    _AGAIN_SECS: float = 1.0
    """Until a place is tried again that could not keep it."""

    def __init__(
        self,
        call_sid: str,
        parameters: Mapping[str, str],
        state: CallState,
        places: Sequence[Place],
        line: TwilioTransport,
    ):
        super().__init__(observe_every_push=False)
        self._call_sid = call_sid
        self._parameters = dict(parameters)
        self._state = state
        self._line = line
        self._copies = [_Copy(place=place) for place in places]
        self._context: LLMContext | None = None
        self._telling: dict[type, bool] = {}
        self._seen: OrderedDict[int, None] = OrderedDict()
        self._said = ""
        self._heard = 0
        self._is_cut = False
        self._is_generating = False
        self._caller_spoke = False
        self._is_planned = False
        self._is_ending = False
        self._is_over = False
        self._turns = 0
        self._is_stale = True
        self._kept = b""
        self._edition = self._saves = 0
        self._has_told_ahead = False
        self._moved = asyncio.Event()
        self._on_silence: Callable[[], None] | None = None
        self._writing: list[asyncio.Task[None]] = []
        self._there_is_more()
        state.changed = self._state_changed
        line.when_word_sent(self._there_is_more)

    def begin(self, context: LLMContext | None) -> None:
        """Writes from now on.

        Args:
            context: The memory of the call's pipeline; None where it has none.
        """
        self._context = context
        self._turns = len(context.messages) if context is not None else 0
        if not self._writing:
            self._writing = [
                asyncio.create_task(self._write_on(copy), name="call-keeper")
                for copy in self._copies
            ]

    def line_ended(self) -> None:
        """Nothing more is heard: what a pipeline does at its end changes nothing."""
        self._is_over = True
        self._moved.set()

    async def close(self) -> None:
        """Writes no more."""
        for writing in self._writing:
            writing.cancel()
        if self._writing:
            await asyncio.wait(self._writing)

    def _there_is_more(self) -> None:
        for copy in self._copies:
            copy.wake.set()

    @property
    def is_between_sentences(self) -> bool:
        """Whether nobody is saying anything, and nothing is due."""
        rest, _ = behind_words(self._said, self._heard)
        is_quiet = not rest.strip() or self._is_cut
        return is_quiet and not (self._is_generating or self._caller_spoke or self._awaits_reply)

    @property
    def _awaits_reply(self) -> bool:
        messages = self._context.messages if self._context is not None else []
        return bool(messages) and role_of(messages[-1]) in ("user", "tool")

    async def hand_over(self, within_secs: float) -> bool:
        """Closes the line, for another bot to go on; not where what that needs cannot be kept.

        Args:
            within_secs: How long it waits until nobody says anything.
        """
        line = self._line
        self._on_silence = partial(line.hold_speech, by=_LEAVING)
        try:
            self._look_for_silence()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_secs):
                    while not (self.is_between_sentences or self._is_over):
                        self._moved.clear()
                        await self._moved.wait()
        finally:
            self._on_silence = None
        if self._is_over:
            return False
        line.hold_speech(by=_LEAVING)
        await line.heard_out()
        self._is_planned = self._is_stale = True
        if not await self._is_kept() or line.end_reason is not None:
            self._is_planned = False
            line.hold_speech(False, by=_LEAVING)
            return False
        await line.close(CallEndReason.HANDED_OVER, "another worker goes on")
        # Nobody hears it any more, and whoever waits for its end is not to wait.
        line.hold_speech(False, by=_LEAVING)
        return True

    def _look_for_silence(self) -> None:
        """Keeps back what is said next, as soon as nobody says anything."""
        if self._on_silence is not None and self.is_between_sentences:
            self._on_silence()

    async def _is_kept(self) -> bool:
        """Writes, and gives whether another worker finds it."""
        kept = await asyncio.gather(*map(self._write, self._copies))
        both = zip(kept, self._copies, strict=True)
        return any(is_kept and copy.place.is_found() for is_kept, copy in both)

    def say(self, text: str) -> None:
        """Notes what is said beside the pipeline."""
        self._add(text, " ")
        self._there_is_more()

    def _state_changed(self) -> None:
        self._is_stale = True
        self._there_is_more()

    def observe(self, data: FramePushed) -> None:
        """Takes a frame. Quick: most frames tell nothing."""
        kind = type(data.frame)
        telling = self._telling.get(kind)
        if telling is None:
            telling = self._telling[kind] = issubclass(kind, _TELLING)
        if telling and not self._is_over and data.frame.id not in self._seen:
            self._seen[data.frame.id] = None
            if len(self._seen) > _FRAMES_KEPT:
                self._seen.popitem(last=False)
            self._take(data.frame)
            self._look_for_silence()
            if not (isinstance(data.frame, HeardTextFrame) and self._tells_ahead()):
                # When a word is heard was written when it was sent, and is again with the next.
                self._there_is_more()

    def _take(self, frame: Frame) -> None:
        match frame:
            case HeardTextFrame():
                self._heard += words_in(frame.text)
            case LLMTextFrame() if not frame.skip_tts:
                self._add(frame.text, "")
            case TTSSpeakFrame():
                self._add(frame.text, " ")
            case SpeakClipFrame():
                self._add(frame.clip.text, " ")
            case InterruptionFrame():
                self._is_cut, self._is_generating = bool(self._said), False
                self._is_ending = False
            case SendMarkFrame():
                self._is_ending = self._is_ending or is_goodbye(frame)
            case LLMFullResponseStartFrame():
                self._is_generating = True
            case LLMFullResponseEndFrame():
                self._is_generating = False
            case UserStartedSpeakingFrame():
                self._caller_spoke = True
            case _:
                self._is_stale = True

    def _add(self, text: str, between: str) -> None:
        if self._line.end_reason is not None:
            # Nobody hears it, and a bot that waits for nothing any more may say all that it has.
            return
        if self._is_cut:
            self._said, self._heard, self._is_cut = "", 0, False
        self._said += (between if self._said else "") + text

    async def _write_on(self, copy: _Copy) -> None:
        while True:
            is_kept = False
            await copy.wake.wait()
            try:
                is_kept = await self._write(copy)
            except Exception as error:
                # Whatever a bot keeps in its memory: the next turn may be kept.
                logger.bind(call_sid=self._call_sid).warning(
                    f"{self._call_sid}: no snapshot: {type(error).__name__}"
                )
            await asyncio.sleep(self._PAUSE_SECS)
            if not is_kept:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._AGAIN_SECS):
                        await copy.wake.wait()
                copy.wake.set()

    async def _write(self, copy: _Copy) -> bool:
        """Writes how the call stands to one place."""
        async with copy.one_at_a_time:
            copy.wake.clear()
            self._follow_memory()
            self._moved.set()
            if self._is_stale:
                self._kept, self._is_stale = self._snapshot(), False
                self._edition += 1
            edition = self._edition
            self._saves += 1
            snapshot = None if copy.edition == edition else self._kept
            is_kept = await copy.place.save(snapshot, self._progress(), self._saves)
            if is_kept:
                copy.edition = edition
            return is_kept

    def _follow_memory(self) -> None:
        """What has come into the memory is no longer being said."""
        if self._context is None:
            self._drop_heard_out()
            return
        messages = self._context.messages
        if len(messages) == self._turns:
            return
        for message in messages[self._turns :]:
            if role_of(message) == "assistant" and not calls_in(message):
                self._remember(words_in(str(_content_of(message))))
            elif role_of(message) == "user":
                self._caller_spoke = False
        self._turns, self._is_stale = len(messages), True

    def _remember(self, words: int) -> None:
        """So many words of what was heard stand in the memory."""
        words = min(words, self._heard)
        self._said, _ = behind_words(self._said, words)
        self._heard -= words
        self._drop_heard_out()

    def _drop_heard_out(self) -> None:
        rest, _ = behind_words(self._said, self._heard)
        if self._is_cut or not rest.strip():
            self._said, self._heard, self._is_cut = "", 0, False

    def _progress(self) -> bytes:
        told = {
            "said": self._said,
            "heard": self._heard,
            "cut": self._is_cut,
            "generating": self._is_generating,
            "caller": self._caller_spoke,
            "planned": self._is_planned,
            "ending": self._is_ending,
            "ahead": self._ahead(),
            "stream": self._line.start.stream_sid if self._line.start else "",
        }
        return json.dumps({name: value for name, value in told.items() if value}).encode()

    def _tells_ahead(self) -> bool:
        """Whether it has been written when words are heard, and will be."""
        return self._has_told_ahead and bool(self._line.words_ahead())

    def _ahead(self) -> list[tuple[float, int]]:
        """When how many more words will have been heard, if nothing comes between, UTC."""
        since_1970 = time.time() - time.monotonic()
        ahead = [
            (round(since_1970 + heard_at, 3), words_in(word.text))
            for heard_at, word in self._line.words_ahead()
            if isinstance(word, HeardTextFrame)
        ]
        self._has_told_ahead = bool(ahead)
        return ahead

    def _snapshot(self) -> bytes:
        messages = list(self._context.messages) if self._context is not None else []
        kept = [text for one in messages if (text := _encoded(one)) is not None]
        size, first = sum(map(len, kept)), 0
        instructions = [text for text in kept[:1] if '"role": "system"' in text]
        while size > _LARGEST_BYTES and first < len(kept):
            size -= len(kept[first])
            first += 1
        # The first of all may say who the bot is.
        kept = [*(instructions if first else ()), *kept[first:]]
        head = {"version": VERSION, "parameters": self._parameters, "state": dict(self._state)}
        return f'{json.dumps(head)[:-1]}, "messages": [{", ".join(kept)}]}}'.encode()


def _content_of(message: Any) -> Any:
    return message.get("content", "")


def _encoded(message: Any) -> str | None:
    """A message as JSON; None for one that is for a vendor alone."""
    try:
        return json.dumps(message)
    except (TypeError, ValueError):
        return None
