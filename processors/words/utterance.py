"""One stretch of the bot's speech, the texts that wait for their place on it, and a word of it."""

from bisect import insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from itertools import pairwise

from pipecat.frames.frames import (
    AggregatedTextFrame,
    SystemFrame,
    TTSStartedFrame,
    TTSTextFrame,
)

_GIVEN = tuple(one.name for one in fields(TTSTextFrame) if one.init and one.name != "text")

LATE = 4000
"""Bytes of mu-law, as many as a long word has: a voice that has made more of it tells late."""


@dataclass
class HeardTextFrame(SystemFrame, TTSTextFrame):
    """A word the caller has heard.

    A system frame, so that it reaches the assistant's memory before an interruption that follows it
    does (a data frame is overtaken, and then counts for the next reply).

    Parameters:
        doubt: By how many bytes its sound may end ahead of its place or behind it.
    """

    doubt: int = 0


def heard_text(source: TTSTextFrame, text: str) -> HeardTextFrame:
    """The frame of a word from a service's text frame.

    Args:
        source: What the service pushed.
        text: The word.
    """
    frame = HeardTextFrame(text=text, **{name: getattr(source, name) for name in _GIVEN})
    frame.append_to_context = source.append_to_context
    frame.includes_inter_frame_spaces = source.includes_inter_frame_spaces
    frame.transport_destination = source.transport_destination
    frame.interruptible = source.interruptible
    if text != source.text:
        frame.raw_text = None
        frame.includes_inter_frame_spaces = False
    return frame


@dataclass(slots=True)
class Utterance:
    """One TTS context: where its audio lies, and what is known of the texts on it.

    Parameters:
        begin: Where its audio begins in the output queue; None while there is none.
        end: Where it ends so far.
        began_at: Pipecat's clock at its first audio, nanoseconds.
        follows_pts: The time of the last word that was known then.
        baseline: The time from which its words count; None before the first.
        last_pts: The time of its last word.
        segment: Up to where sentences have been laid.
        announced: Texts that are about to be spoken, or to be shown between those, in order.
        leading: Those whose text has come, ahead of their audio.
        waiting: Words whose place is not known yet.
        placed: Words with the places where they begin.
        is_timed: Whether its words come with times.
        is_over: Whether it has no more audio.
        is_protected: Whether it may not be interrupted.
        has_begun: Whether the service has said that it begins.
        is_remembered: Whether it enters the memory.
        text_leads: Whether texts come ahead of their audio; None before the first.
        last_word: Of those that come with times, the last that came.
        seconds_before: How much audio the same context had before Pipecat began it again.
        words_timed: How many words have come with times.
        told: The texts that are laid.
        told_end: Where the last of those ends.
        was_announced: Whether texts of it have been announced.
        last_heard_of: The last of the texts that were announced ahead of its last audio.
        broken_at: Where the last word broke off, to be begun anew; None if it did not.
        skipped: Texts by their ids of which no word had a time.
        tells_late: Whether it has told of words long behind their sound.
        told_until: Where its audio ended when the last word came with a time.
        goes_on_from: Where the sound begins of a text that an earlier part of this has begun.
        came_at: How much sound of this segment there was when each piece of running text came, by
            the ids of the pieces.
    """

    begin: int | None = None
    end: int = 0
    began_at: int = 0
    follows_pts: int = 0
    baseline: int | None = None
    last_pts: int = 0
    segment: int = 0
    announced: deque[AggregatedTextFrame] = field(default_factory=deque)
    leading: list[AggregatedTextFrame] = field(default_factory=list)
    waiting: list[AggregatedTextFrame] = field(default_factory=list)
    placed: list[tuple[int, AggregatedTextFrame]] = field(default_factory=list)
    is_timed: bool = False
    is_over: bool = False
    is_protected: bool = False
    has_begun: bool = False
    is_remembered: bool = True
    text_leads: bool | None = None
    last_word: str = ""
    seconds_before: float = 0.0
    words_timed: int = 0
    told: list[str] = field(default_factory=list)
    told_end: int = 0
    was_announced: bool = False
    last_heard_of: int = 0
    broken_at: int | None = None
    skipped: set[int] = field(default_factory=set)
    tells_late: bool = False
    told_until: int = 0
    goes_on_from: int | None = None
    came_at: dict[int, int] = field(default_factory=dict)

    @property
    def is_unfinished(self) -> bool:
        """Whether more was to be said, for the memory, than is known to have a place."""
        if self.begin is None or not self.is_remembered:
            return False
        spoken = self.to_be_spoken
        if self.is_timed:
            return bool(spoken) and not self._ends_with(self.last_word)
        return bool(spoken or self.leading)

    @property
    def is_known(self) -> bool:
        """Whether it is somebody's speech, and not a text alone."""
        return self.has_begun or self.was_announced or self.begin is not None

    @property
    def is_awaited(self) -> bool:
        """Whether there are texts that have not come, or have no audio yet."""
        return bool(self.to_be_spoken or self.leading)

    @property
    def is_amid_a_text(self) -> bool:
        """Whether there is sound of a text that comes behind its sound, and has not come."""
        is_behind = not (self.is_timed or self.text_leads or self.leading)
        return is_behind and bool(self.to_be_spoken) and self.segment < self.end

    def go_on_from(self, paused: "Utterance") -> None:
        """Takes over the texts of which a part has been said, as a pause seemed to be the end."""
        self.announced, self.was_announced = deque(paused.announced), True
        self.is_remembered, self.goes_on_from = paused.is_remembered, paused.segment

    @property
    def to_be_spoken(self) -> list[AggregatedTextFrame]:
        """The texts that were announced and have not come."""
        return [text for text in self.announced if text.will_be_spoken]

    def _ends_with(self, word: str) -> bool:
        spoken = self.to_be_spoken
        return bool(spoken) and spoken[-1].text.split()[-1:] == [word]

    def start(self, frame: TTSStartedFrame) -> None:
        """Notes what the service says of it."""
        self.has_begun = True
        self.is_remembered = frame.append_to_context
        self.is_protected = not frame.interruptible

    def note_order(self) -> None:
        """Notes which texts its audio has come behind: a text, or the announcement of one."""
        if self.leading and self.text_leads is None:
            self.text_leads = not self.to_be_spoken
        if self.announced:
            self.last_heard_of = self.announced[-1].id

    def take_announced_behind(self) -> deque[AggregatedTextFrame]:
        """The texts that were announced behind its audio."""
        behind = deque(text for text in self.announced if text.id > self.last_heard_of)
        self.announced = deque(text for text in self.announced if text.id <= self.last_heard_of)
        return behind

    def announce(self, frame: AggregatedTextFrame) -> None:
        """Notes a text to be spoken or shown, in the order in which they were made.

        Pipecat may push what is shown ahead of the sentence before it.
        """
        insort(self.announced, frame, key=lambda text: text.id)
        self.was_announced = True

    def awaits_nothing_behind(self, word: AggregatedTextFrame) -> bool:
        """Whether this is the last word of what was to be spoken."""
        return self._ends_with(word.text)

    def awaits_words(self, place: int) -> bool:
        """Whether a time or a text is to come that says which words lie at a place of its sound.

        Not where texts come ahead of their sound: nobody says more of them.
        """
        is_here = self.begin is not None and self.begin < place <= self.end
        matters = self.is_remembered and not self.is_protected
        if not (is_here and matters and self.to_be_spoken) or self.text_leads:
            return False
        if self.is_timed:
            told = self.placed[-1][0] if self.placed else self.told_end
            return place >= told and not self._ends_with(self.last_word)
        return place >= self.segment

    @property
    def owes_words(self) -> bool:
        """Whether there is audio of which it has not told yet, as it tells late."""
        return self.tells_late and self.end > self.told_until

    def break_off_word(self) -> None:
        """Notes that the last word begins anew where the audio ends."""
        if self.placed:
            self.placed[-1] = (self.end, self.placed[-1][1])
            self.broken_at = self.end

    def drop_broken_word(self) -> None:
        """Drops the last word if it broke off and was not begun anew."""
        if self.broken_at == self.end and self.placed and self.placed[-1][0] == self.end:
            self.placed.pop()

    def take_sentence(self, frame: TTSTextFrame) -> list[AggregatedTextFrame]:
        """A sentence that was announced, along with what is to be shown beside it."""
        texts: list[AggregatedTextFrame] = []
        # Known to Pipecat since 1.13.
        segment_id = getattr(frame, "segment_id", None)
        if segment_id is None or any(text.id == segment_id for text in self.announced):
            while self.announced:
                text = self.announced.popleft()
                if text.will_be_spoken and segment_id in (text.id, None):
                    break
                # A sentence that was announced before this one and left out made no sound.
                if not text.will_be_spoken:
                    texts.append(text)
        texts.append(frame)
        while self.announced and not self.announced[0].will_be_spoken:
            texts.append(self.announced.popleft())
        return texts

    def note_running(self, frame: TTSTextFrame) -> None:
        """Notes a piece of running text, which comes beside its audio.

        Neither ends where the other does.
        """
        self.text_leads = True
        self.came_at[frame.id] = 0 if self.begin is None else self.end - self.segment

    def placeable(
        self, waiting: list[AggregatedTextFrame], *, is_last: bool
    ) -> tuple[list[AggregatedTextFrame], list[AggregatedTextFrame]]:
        """What of that which waits for its place can have one, and what is to wait on.

        A service that goes on with the next text has Pipecat give the rest of the one before the
        time of the next one's first word, which is told right behind it. More than that has one
        time where an utterance is over, and nothing was told of it.

        Args:
            waiting: What waits.
            is_last: Whether no word will be told any more.
        """
        before = self.last_pts
        for frame, behind in pairwise(waiting):
            if frame.pts != before and self._is_rest_of_another(frame, behind):
                self.skipped.add(frame.id)
            before = frame.pts
        count = len(waiting) - (not is_last and self.may_be_rest(waiting[-1]))
        return waiting[:count], waiting[count:]

    def may_be_rest(self, frame: AggregatedTextFrame) -> bool:
        """Whether several words came with one time, or the only one of a text."""
        if not isinstance(frame, TTSTextFrame):
            return False
        if len(frame.text.split()) > 1:
            return True
        whole = (getattr(frame, "segment_id", None), frame.text)
        return any((text.id, text.text) == whole for text in self.announced)

    def _is_rest_of_another(self, frame: AggregatedTextFrame, behind: AggregatedTextFrame) -> bool:
        is_at_once = frame.pts == behind.pts and len(behind.text.split()) == 1
        return is_at_once and self.may_be_rest(frame) and _segment_of(frame) != _segment_of(behind)

    def has_skipped(self, frames: Iterable[AggregatedTextFrame]) -> bool:
        """Whether the service has gone on behind one of these without a time for its words."""
        return any(frame.id in self.skipped for frame in frames)

    def take_awaited(self) -> list[TTSTextFrame]:
        """What was announced and has not come, as it would have come."""
        texts = [self._spoken(text) for text in self.to_be_spoken]
        self.announced = deque(text for text in self.announced if not text.will_be_spoken)
        left = [text for text in texts if isinstance(text, TTSTextFrame)]
        for text in left if self.is_timed else ():
            words = text.text.split()
            text.text = " ".join(words[self.words_timed :])
            self.words_timed = max(0, self.words_timed - len(words))
        return [text for text in left if text.text]

    def take_silent(self) -> list[TTSTextFrame]:
        """The texts that came behind where their audio should have been, and had none."""
        if self.text_leads or (self.text_leads is None and self.begin is not None):
            return []
        silent = [text for text in self.leading if isinstance(text, TTSTextFrame)]
        self.leading = [text for text in self.leading if not isinstance(text, TTSTextFrame)]
        return silent

    def take_unplaced(self) -> list[AggregatedTextFrame]:
        """The words with times of which no audio came, and what is to be shown among them."""
        left = [*self.waiting, *(frame for place, frame in self.placed if place >= self.end)]
        self.waiting.clear()
        self.placed = [one for one in self.placed if one[0] < self.end]
        return left

    def take_shown(self) -> list[AggregatedTextFrame]:
        """What is to be shown and not spoken."""
        shown = [text for text in self.announced if not text.will_be_spoken]
        self.announced = deque(self.to_be_spoken)
        return shown

    def take_unlaid(self) -> list[AggregatedTextFrame]:
        """The texts that have no place yet, those announced as they would have come."""
        texts = [*self.leading, *map(self._spoken, self.announced)]
        self.leading.clear()
        self.announced.clear()
        return texts

    def _spoken(self, announced: AggregatedTextFrame) -> AggregatedTextFrame:
        if not announced.will_be_spoken:
            return announced
        text = TTSTextFrame(announced.text, "sentence", context_id=announced.context_id)
        text.append_to_context = self.is_remembered
        text.interruptible = announced.interruptible
        return text

    def move(self, shift: int) -> int:
        """Moves everything that is not laid yet; gives the place where it begins."""
        self.begin = (self.begin or 0) + shift
        self.segment += shift
        self.end += shift
        self.placed = [(place + shift, frame) for place, frame in self.placed]
        self.told_end += shift
        self.told_until += shift
        self.broken_at = None if self.broken_at is None else self.broken_at + shift
        return self.begin


def _segment_of(frame: AggregatedTextFrame) -> int | None:
    # Known to Pipecat since 1.13.
    return getattr(frame, "segment_id", None)
