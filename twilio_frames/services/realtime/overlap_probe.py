"""What was said over the bot, asked of a realtime model's transcriber before it is a turn. No I/O.

A short word and an 'uh-huh' are equally long: only words tell them apart. So a short sound over the
bot is committed to the model's session as soon as the caller pauses, which has it transcribed, but
no answer is ordered. If the words interrupt the bot, the item is the turn's beginning. If not, the
item is deleted before the model is asked for anything.

What was transcribed has been told to the pipeline. A session that follows another gets the words of
those pieces of a turn, and the audio of the others.
"""

import re
from collections import deque
from dataclasses import dataclass, field

from twilio_frames.processors.turns.starts import SHORTEST_WORD_SECS

PAUSE_SECS = 0.12
"""So much silence may be the end of a word: a stop consonant within one is shorter."""

_MORE_SECS = 0.06


@dataclass(frozen=True, slots=True)
class _Limits:
    """How much may be open at one time, or be remembered."""

    open: int = 8
    withdrawn: int = 32
    pieces: int = 16
    # A session that confirms none of so many is dead.
    commits: int = 32


_MOST = _Limits()

_NOISE = re.compile(r"\[.*?\]|\(.*?\)|\*.*?\*")
_LETTER = re.compile(r"\w")


def spoken_words(transcript: str) -> str:
    """A transcript without what transcribers write for noises; empty if nothing is left."""
    text = _NOISE.sub(" ", transcript).strip()
    return text if _LETTER.search(text) else ""


@dataclass(eq=False, slots=True)
class ProbeSegment:
    """A stretch of the caller's audio that the session holds as an item of its own.

    Parameters:
        stretch: Where it begins and ends in the caller's audio.
        item_id: The item; None until the session has told.
        words: What was said in it; None until it is transcribed.
        is_deleted: Whether the session has been told to delete it.
        is_lost: Whether the session that held it is gone.
    """

    stretch: tuple[int, int]
    item_id: str | None = None
    words: str | None = field(default=None, repr=False)
    is_deleted: bool = False
    is_lost: bool = False


class OverlapProbe:
    """Which snippets the session holds, and when the next one is due."""

    def __init__(self) -> None:
        # Those that the session has not confirmed.
        self._commits: deque[ProbeSegment] = deque(maxlen=_MOST.commits)
        self._open: list[ProbeSegment] = []
        self._withdrawn: deque[ProbeSegment] = deque(maxlen=_MOST.withdrawn)
        self._turn: deque[ProbeSegment] = deque(maxlen=_MOST.pieces)
        self._speech_secs = 0.0
        self._asked_secs = 0.0
        self._is_asking = False
        self._is_part_of_turn = False

    def note_speech(self, speech_secs: float) -> None:
        """Takes in how much was said since the onset of speech, seconds."""
        if speech_secs < self._speech_secs:
            self._asked_secs = 0.0
        self._speech_secs = speech_secs

    def is_due(self, silence_secs: float) -> bool:
        """Whether what was said by now should be asked for, by the pause behind it."""
        new_secs = self._speech_secs - self._asked_secs
        shortest = _MORE_SECS if self._is_asking else SHORTEST_WORD_SECS
        has_room = len(self._open) < _MOST.open
        return has_room and silence_secs >= PAUSE_SECS and new_secs >= shortest

    def ask(self, stretch: tuple[int, int]) -> None:
        """What was said by now has been committed to be transcribed.

        Args:
            stretch: Where it lies in the caller's audio, and did not lie in a snippet before.
        """
        snippet = ProbeSegment(stretch)
        self._open.append(snippet)
        self._commits.append(snippet)
        self._asked_secs = self._speech_secs
        self._is_asking = True

    def turn_committed(self, stretch: tuple[int, int]) -> None:
        """The rest of a turn has been committed, and what was lost of it before."""
        piece = ProbeSegment(stretch)
        self._turn.append(piece)
        self._commits.append(piece)

    def committed(self, item_id: str) -> None:
        """The session has made an item of the oldest commit."""
        if self._commits:
            self._commits.popleft().item_id = item_id

    def commit_refused(self) -> None:
        """The session has not taken the oldest commit."""
        if self._commits:
            self._commits.popleft()

    def transcribed(self, item_id: str, transcript: str) -> ProbeSegment | None:
        """The snippet that an item is, with its words; None if the item is part of a turn."""
        for snippet in (*self._open, *self._withdrawn):
            if snippet.item_id == item_id:
                snippet.words = spoken_words(transcript)
                return snippet
        if any(piece.item_id == item_id for piece in self._turn):
            self._transcribed_in_turn(item_id, transcript)
        return None

    def _transcribed_in_turn(self, item_id: str, transcript: str) -> None:
        for piece in self._turn:
            if piece.item_id == item_id:
                piece.words = transcript.strip()
                return
            if piece.is_lost and piece.words is None:
                # Its audio was sent once more ahead of this.
                piece.words = ""

    @property
    def is_open(self) -> bool:
        """Whether the session holds snippets that may yet begin a turn."""
        return bool(self._open)

    def is_withdrawn(self, snippet: ProbeSegment) -> bool:
        """Whether it is of no interest any more."""
        return snippet not in self._open

    def begin_turn(self) -> None:
        """What was asked for is the beginning of a turn.

        The transcripts that are still to come are the turn's.
        """
        self._turn = deque(self._open, _MOST.pieces)
        self._is_part_of_turn = bool(self._open)
        self._is_asking = False
        self._open.clear()

    @property
    def turn_words(self) -> str:
        """The words of the latest turn, as far as they are there."""
        return " ".join(piece.words for piece in self._turn if piece.words)

    @property
    def turn_end(self) -> int | None:
        """Where its last piece ends in the caller's audio; None if there is none."""
        return self._turn[-1].stretch[1] if self._turn else None

    def lost(self) -> None:
        """The session is gone, and all items with it."""
        self._commits.clear()
        self._withdrawn.clear()
        for snippet in (*self._open, *self._turn):
            snippet.item_id, snippet.is_lost = None, True

    @property
    def lost_words(self) -> str:
        """The words of the turn's pieces that a session was lost with."""
        return " ".join(piece.words for piece in self._turn if piece.is_lost and piece.words)

    @property
    def lost_stretches(self) -> list[tuple[int, int]]:
        """Where those lie that have not been transcribed."""
        return [piece.stretch for piece in self._turn if piece.is_lost and piece.words is None]

    def end_turn(self) -> bool:
        """The turn is over; gives whether the session holds all that was said in it."""
        is_more = self._speech_secs - self._asked_secs >= _MORE_SECS
        is_whole, self._is_part_of_turn = self._is_part_of_turn and not is_more, False
        return is_whole

    def dismiss(self) -> None:
        """It was a false alarm. What has no words yet may still turn out to be none.

        Unless the session is gone that was to say so.
        """
        self._asked_secs = self._speech_secs
        self._is_asking = False
        settled = [one for one in self._open if one.is_lost or one.words is not None]
        self.withdraw(*settled)

    def withdraw(self, *snippets: ProbeSegment) -> None:
        """Has some snippets deleted."""
        self._withdrawn += [snippet for snippet in self._open if snippet in snippets]
        self._open = [snippet for snippet in self._open if snippet not in snippets]

    def withdraw_all(self) -> None:
        """Has all deleted that are not part of a turn."""
        self.withdraw(*self._open)

    def take_deletions(self) -> list[str]:
        """The items to be deleted, each once."""
        item_ids: list[str] = []
        for snippet in self._withdrawn:
            if snippet.item_id is not None and not snippet.is_deleted:
                snippet.is_deleted = True
                item_ids.append(snippet.item_id)
        return item_ids
