"""What a speech-to-speech model says, as frames, and what was heard of it. No I/O."""

import base64
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate

from pipecat.frames.frames import (
    Frame,
    LLMTextFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.services.openai.realtime import events

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.frames import MulawOutputFrame
from twilio_frames.processors.words.sounding import letters_of

_MOST_ITEMS = 32


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
        return 1000 * self.length // SAMPLE_RATE

    @property
    def heard_text(self) -> str:
        """Its words up to where it was cut, laid over its audio by their letters."""
        if self.heard_ms is None or self.heard_ms >= self.milliseconds:
            return self.text.strip()
        words = self.text.split()
        ends = list(accumulate(map(letters_of, words)))
        heard = self.heard_ms / self.milliseconds * (ends[-1] if ends else 0)
        return " ".join(words[: bisect_right(ends, heard)])


class ModelSpeech:
    """Brings a model's speech into the pipeline, mu-law as it came.

    Args:
        push: Takes a frame that is to go downstream.
    """

    CUT_SECS = 1.5
    """How long it is waited for where speech was cut."""

    def __init__(self, push: Callable[[Frame], None]):
        self._push = push
        self._items: deque[SpokenItem] = deque(maxlen=_MOST_ITEMS)
        self.unheard: deque[SpokenItem] = deque(maxlen=_MOST_ITEMS)
        """What has not been heard to its end yet as far as is known, in order."""
        self._dropped: deque[str] = deque(maxlen=_MOST_ITEMS)
        self.current: SpokenItem | None = None
        """What is being said; None between replies."""
        self._is_unheard = False
        self._bot_began_at: float | None = None
        self._cut_due_at: float | None = None
        self._uncut: tuple[int, tuple[SpokenItem, ...]] = (0, ())

    def take(self, event: events.ResponseAudioDelta | events.ResponseAudioTranscriptDelta) -> bool:
        """Takes a piece of what the model says; gives whether it is audio that is to be heard."""
        item = self.item(event.item_id, event.content_index, event.response_id)
        if item is None:
            return False
        if isinstance(event, events.ResponseAudioTranscriptDelta):
            self.words(item, event.delta)
            return False
        self.audio(item, base64.b64decode(event.delta))
        return True

    def audio(self, item: SpokenItem, mulaw: bytes) -> None:
        """Hands audio on."""
        self._is_unheard = True
        item.length += len(mulaw)
        self._push(MulawOutputFrame.of(mulaw, context_id=item.id))

    def words(self, item: SpokenItem, text: str) -> None:
        """Hands words on, whole ones only: the model's pieces part them anywhere."""
        item.text += text
        self._push_words(item, max(0, item.text.rfind(" ")))

    def item(self, item_id: str, content_index: int, response_id: str) -> SpokenItem | None:
        """The message that a piece belongs to; None if it is not to be heard any more."""
        if response_id in self._dropped:
            return None
        if self.current is None or self.current.id != item_id:
            self.end()
            self.current = SpokenItem(item_id, content_index, response_id)
            self._items.append(self.current)
            self.unheard.append(self.current)
            self._push(TTSStartedFrame(context_id=item_id))
        return self.current

    def end(self) -> None:
        """No more of what is being said is to come."""
        item, self.current = self.current, None
        if item is not None:
            self._push_words(item, len(item.text))
            self._push(TTSStoppedFrame(context_id=item.id))

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

    def note_sound(self, now: float) -> None:
        """The bot begins to be heard."""
        self._bot_began_at = now

    def note_silence(self) -> None:
        """All audio that has come has been heard."""
        self._bot_began_at, self._is_unheard = None, False
        self.unheard = deque((one for one in self.unheard if one is self.current), _MOST_ITEMS)

    @property
    def awaits_cut(self) -> bool:
        """Whether it is yet to be told where the interrupted speech was cut."""
        return self._cut_due_at is not None

    def interrupt(self, now: float) -> None:
        """The caller interrupts: how much was heard will be told soon, if any is left."""
        if self._is_unheard and not self.awaits_cut:
            heard_secs = 0.0 if self._bot_began_at is None else now - self._bot_began_at
            self._cut_due_at = now + self.CUT_SECS
            self._uncut = round(1000 * heard_secs), tuple(self.unheard)

    def note_cut_told(self) -> None:
        """It has been told where the speech was cut."""
        self._cut_due_at, self._is_unheard = None, False

    def without_cut(self, now: float) -> list[tuple[SpokenItem, int]] | None:
        """How much was heard, by the clock, where nobody tells: its audio never got that far.

        Returns:
            The messages, each with its milliseconds; None while it may still be told.
        """
        if self._cut_due_at is None or now < self._cut_due_at:
            return None
        self.note_cut_told()
        left_ms, items = self._uncut
        heard: list[tuple[SpokenItem, int]] = []
        for item in items:
            heard.append((item, min(left_ms, item.milliseconds)))
            left_ms -= heard[-1][1]
        return heard

    def break_off(self) -> None:
        """The session is gone: the model knows nothing of all this any more."""
        if self.current is not None:
            self.current.is_broken_off = True
        for item in self.unheard:
            item.is_lost = True
        self._items.clear()
        self.end()

    def _push_words(self, item: SpokenItem, end: int) -> None:
        text, item.pushed = item.text[item.pushed : end], max(item.pushed, end)
        if not text:
            return
        llm_text = LLMTextFrame(text)
        llm_text.append_to_context = False
        self._push(llm_text)
        spoken = TTSTextFrame(text, "sentence", context_id=item.id)
        spoken.includes_inter_frame_spaces = True
        self._push(spoken)
