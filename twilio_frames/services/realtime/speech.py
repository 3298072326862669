"""What a speech-to-speech model says: its audio and words as frames, and what was heard of it."""

from bisect import bisect_right
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import accumulate

from pipecat.frames.frames import (
    Frame,
    LLMTextFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)

from twilio_frames.frames import MulawOutputFrame

_MOST_ITEMS = 32
_BYTES_A_MILLISECOND = 8


@dataclass(slots=True)
class SpokenItem:
    """One message of the model's, as far as it has come.

    Parameters:
        id: The model's name of it; the ``context_id`` of its frames.
        content_index: Which part of the message is the audio.
        response_id: The response it belongs to.
        length: Bytes of mu-law so far.
        text: Its words so far.
        pushed: How many of their letters went on.
        is_lost: Whether the session that it was said in is gone.
        is_broken_off: Whether that ended it.
        heard_ms: Where it was cut; None if it was not.
    """

    id: str
    content_index: int
    response_id: str
    length: int = 0
    text: str = field(default="", repr=False)
    pushed: int = 0
    is_lost: bool = False
    is_broken_off: bool = False
    heard_ms: int | None = None

    @property
    def milliseconds(self) -> int:
        """How long its audio is so far."""
        return self.length // _BYTES_A_MILLISECOND

    @property
    def heard_text(self) -> str:
        """Its words up to where it was cut, laid over its audio by their letters."""
        if self.heard_ms is None or self.heard_ms >= self.milliseconds:
            return self.text.strip()
        words = self.text.split()
        ends = list(accumulate(map(len, words)))
        heard = self.heard_ms / self.milliseconds * (ends[-1] if ends else 0)
        return " ".join(words[: bisect_right(ends, heard)])


class ModelSpeech:
    """Brings a model's speech into the pipeline, mu-law as it came.

    Args:
        push: Pushes a frame downstream.
    """

    def __init__(self, push: Callable[[Frame], Awaitable[None]]):
        self._push = push
        self._items: deque[SpokenItem] = deque(maxlen=_MOST_ITEMS)
        self.unheard: deque[SpokenItem] = deque(maxlen=_MOST_ITEMS)
        """What has not been heard to its end yet as far as is known, in order."""
        self._dropped: deque[str] = deque(maxlen=_MOST_ITEMS)
        self.current: SpokenItem | None = None
        """What is being said; None between replies."""

    async def audio(self, item: SpokenItem, mulaw: bytes) -> None:
        """Hands audio on."""
        item.length += len(mulaw)
        await self._push(MulawOutputFrame.of(mulaw, context_id=item.id))

    async def words(self, item: SpokenItem, text: str) -> None:
        """Hands words on, whole ones only: the model's pieces part them anywhere."""
        item.text += text
        await self._push_words(item, max(0, item.text.rfind(" ")))

    async def item(self, item_id: str, content_index: int, response_id: str) -> SpokenItem | None:
        """The message that a piece belongs to; None if it is not to be heard any more."""
        if response_id in self._dropped:
            return None
        if self.current is None or self.current.id != item_id:
            await self.end()
            self.current = SpokenItem(item_id, content_index, response_id)
            self._items.append(self.current)
            self.unheard.append(self.current)
            await self._push(TTSStartedFrame(context_id=item_id))
        return self.current

    async def end(self) -> None:
        """No more of what is being said is to come."""
        item, self.current = self.current, None
        if item is not None:
            await self._push_words(item, len(item.text))
            await self._push(TTSStoppedFrame(context_id=item.id))

    def drop(self, response_id: str | None) -> None:
        """Leaves out what is still to come of a response."""
        self.current = None
        if response_id:
            self._dropped.append(response_id)

    def is_dropped(self, response_id: str | None) -> bool:
        """Whether the rest of a response is left out."""
        return response_id in self._dropped

    def find(self, item_id: str | None) -> SpokenItem | None:
        """A message by its name: of this session, or of one that is gone and was not heard yet."""
        return next((item for item in (*self._items, *self.unheard) if item.id == item_id), None)

    def note_cut(self, item: SpokenItem, heard_ms: int) -> None:
        """Takes in how much of a message was heard; the rest never will be."""
        item.heard_ms = heard_ms
        self.unheard = deque((one for one in self.unheard if one is not item), _MOST_ITEMS)

    def note_silence(self) -> None:
        """Takes in that all has been heard which has come."""
        self.unheard = deque((one for one in self.unheard if one is self.current), _MOST_ITEMS)

    async def break_off(self) -> None:
        """The session is gone: the model knows nothing of all this any more."""
        if self.current is not None:
            self.current.is_broken_off = True
        for item in self.unheard:
            item.is_lost = True
        self._items.clear()
        await self.end()

    async def _push_words(self, item: SpokenItem, end: int) -> None:
        text, item.pushed = item.text[item.pushed : end], max(item.pushed, end)
        if not text:
            return
        llm_text = LLMTextFrame(text)
        llm_text.append_to_context = False
        await self._push(llm_text)
        spoken = TTSTextFrame(text, "sentence", context_id=item.id)
        spoken.includes_inter_frame_spaces = True
        await self._push(spoken)
