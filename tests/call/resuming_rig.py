"""A keeper of a call, and frames that it is told of."""

from collections.abc import Callable, Sequence
from typing import Any

from pipecat.frames.frames import (
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSSpeakFrame,
)
from pipecat.observers.base_observer import FramePushed
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from tests.waiting import time_passes
from twilio_frames.call.keeping import CallKeeper, Place
from twilio_frames.call.resuming import CallState, Resumed
from twilio_frames.frames import CallEndReason
from twilio_frames.processors.words import HeardTextFrame
from twilio_frames.protocol import Start

GREETED: list[dict[str, Any]] = [
    {"role": "system", "content": "You take orders."},
    {"role": "assistant", "content": "Hello."},
]
ASKED = [*GREETED, {"role": "user", "content": "A coffee."}]
RUNS = [
    *ASKED,
    {
        "role": "assistant",
        "tool_calls": [
            {"id": "call-1", "type": "function", "function": {"name": "order", "arguments": "{}"}}
        ],
    },
    {"role": "tool", "content": "IN_PROGRESS", "tool_call_id": "call-1"},
]


class Line:
    """A line that can be closed, and on which speech can be kept back."""

    end_reason: CallEndReason | None = None
    is_held = False
    start = Start(stream_sid="MZ1")

    def __init__(self) -> None:
        self.ahead: list[tuple[float, object]] = []

    def words_ahead(self) -> list[tuple[float, object]]:
        return self.ahead

    def when_word_sent(self, tell: Callable[[], None]) -> None:
        self.word_sent = tell

    def hold_speech(self, is_held: bool = True, *, by: str = "") -> None:
        self.is_held = is_held

    async def heard_out(self) -> None:
        assert self.is_held

    async def close(self, reason: CallEndReason, _: str) -> None:
        self.end_reason = reason


class Kept:
    """A keeper, and what it has kept."""

    def __init__(self, messages: Sequence[Any] = ()):
        self.snapshot: bytes | None = None
        self.progress = b""
        self.snapshots = 0
        self.is_gone = False
        self.line = Line()
        self.state = CallState()
        self.context = LLMContext(list(messages))
        self.places = [Place(save=self._save, is_found=lambda: True)]
        given: Any = "CA1", {"from": "somebody"}, self.state, self.places, self.line
        self.keeper = CallKeeper(*given)
        self._source = FrameProcessor()
        self.keeper.begin(self.context)

    async def _save(self, snapshot: bytes | None, progress: bytes, _: int) -> bool:
        if self.is_gone:
            return False
        self.snapshots += snapshot is not None
        self.snapshot, self.progress = snapshot or self.snapshot, progress
        return True

    async def happens(self, *frames: Frame) -> None:
        self.observe(*frames)
        await time_passes(0.2)

    def observe(self, *frames: Frame) -> None:
        for frame in frames:
            for _ in range(2):
                self.keeper.observe(
                    FramePushed(
                        source=self._source,
                        destination=self._source,
                        frame=frame,
                        direction=FrameDirection.DOWNSTREAM,
                        timestamp=0,
                    )
                )

    async def handed_over(self, within_secs: float) -> bool:
        handed_over = await self.keeper.hand_over(within_secs)
        assert handed_over is (self.line.end_reason is CallEndReason.HANDED_OVER)
        assert not self.line.is_held
        return handed_over

    async def resumed(self) -> Resumed:
        await time_passes(0.2)
        await self.keeper.close()
        resumed = Resumed.read(self.snapshot, self.progress, "CA1")
        assert resumed is not None
        return resumed


class Worker:
    """Runs nothing."""

    async def add(self, _: object) -> None:
        return

    def add_observer(self, _: object) -> None:
        return

    remove_observer = add


def heard(*words: str) -> list[HeardTextFrame]:
    return [HeardTextFrame(word, "word") for word in words]


def reply(*pieces: str, is_whole: bool = True) -> list[Frame]:
    text = [LLMTextFrame(piece) for piece in pieces]
    end = [LLMFullResponseEndFrame()] if is_whole else []
    return [LLMFullResponseStartFrame(), *text, *end]


def texts(frames: Sequence[Frame]) -> list[str]:
    return [one.text if isinstance(one, TTSSpeakFrame) else type(one).__name__ for one in frames]
