"""What the bot has to say, in order, and what falls due as it is heard.

Positions are bytes of audio since the queue began: byte 8000 is one second in. Three pointers run
along it, ``heard <= sent <= length``. Things (words, the end of an utterance) lie at positions and
fall due when the audio up to there has been heard. What has been sent and was then thrown away by a
``clear`` can be sent once more (:meth:`OutputQueue.rewind`) or forgotten
(:meth:`OutputQueue.drop`).

Two kinds of places are counted in bytes. On the *line*: what has been sent since the stream began;
marks and ``clear`` tell of it (``twilio_frames.protocol.playback``). In the *output queue*: what
the bot has to say; words lie on it. They part where a background is sent between what is said, and
where what was cleared is sent again. :class:`SentAudio` is the one place that knows both.

No I/O happens here, and no clock is read.
"""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Generic, TypeVar

from twilio_frames.protocol.messages import BYTES_PER_SECOND

T = TypeVar("T")

_LONGEST_WORD = 10 * BYTES_PER_SECOND
_position = attrgetter("position")


@dataclass(slots=True, kw_only=True)
class Piece:
    """Audio to be sent next.

    Parameters:
        audio: Mu-law.
        begin: Where it begins in the output queue.
        end: Where it ends in the output queue.
        is_protected: Whether an interruption may not cut it.
        is_speech: Whether the bot speaks in it.
        ends_word: Whether a word ends with it, and is still to be heard.
    """

    audio: bytes = field(repr=False)
    begin: int
    end: int
    is_protected: bool
    is_speech: bool = True
    ends_word: bool = False


@dataclass(slots=True)
class _Due(Generic[T]):
    position: int
    thing: T
    is_protected: bool
    is_boundary: bool
    doubt: int
    is_barrier: bool


class OutputQueue(Generic[T]):
    """The bot's side of a call, as audio with things lying on it."""

    def __init__(self) -> None:
        self.length = 0
        """Up to where there is audio."""
        self.sent = 0
        """Up to where audio has been handed out to be sent."""
        self.heard = 0
        """Up to where audio has been heard."""
        self.has_news = False
        """Whether something was laid that may be due at once; whoever acts on it takes it back."""
        self.on_news: Callable[[], None] = lambda: None
        """Called when such a thing was laid."""
        self.has_barrier = self.has_sending = False
        """Whether a barrier is laid on it; whether something falls due when audio is sent."""
        self._restarts: deque[int] = deque([0], maxlen=2)
        self._pieces: deque[Piece] = deque()
        self._due: list[_Due[T]] = []
        self._ended_last: _Due[T] | None = None
        self._sending: list[_Due[T]] = []

    def add_audio(
        self, audio: bytes, *, is_protected: bool = False, is_speech: bool = True
    ) -> None:
        """Appends mu-law audio."""
        if not audio:
            return
        begin, end = self.length, self.length + len(audio)
        piece = Piece(
            audio=audio, begin=begin, end=end, is_protected=is_protected, is_speech=is_speech
        )
        self._pieces.append(piece)
        self.length = end
        # What is sent waits for its time, and with it what lies behind.
        if self.sent == begin:
            self.tell_news()

    def add(
        self,
        thing: T,
        *,
        at: int | None = None,
        is_protected: bool = False,
        is_boundary: bool = False,
        doubt: int = 0,
        when_sent: bool = False,
        is_barrier: bool = False,
    ) -> None:
        """Lays a thing on the audio.

        Args:
            thing: What falls due.
            at: Where; behind all audio there is if left out. What lies at one place falls due in
                the order it was laid there.
            is_protected: Whether it survives :meth:`drop`.
            is_boundary: Whether a word ends here, so that speech may be taken up again from here.
            doubt: How many bytes ahead of this place or behind it that word may end as well.
            when_sent: Whether it falls due when the audio before it is sent (:meth:`sent_things`)
                rather than heard.
            is_barrier: Whether no audio behind it is handed out until it has fallen due.
        """
        position = self.length if at is None else at
        self.has_barrier = self.has_barrier or is_barrier
        self.has_sending = self.has_sending or when_sent
        due = _Due(position, thing, is_protected, is_boundary, doubt, is_barrier)
        insort(self._sending if when_sent else self._due, due, key=_position)
        if position <= (self.sent if when_sent else self.heard):
            self.tell_news()

    def tell_news(self) -> None:
        """Says that something may be due at once."""
        self.has_news = True
        self.on_news()

    @property
    def is_barred(self) -> bool:
        """Whether no more audio is handed out, as a barrier has been reached."""
        if not self.has_barrier:
            return False
        barrier = next((due for due in self._due if due.is_barrier), None)
        self.has_barrier = barrier is not None
        return barrier is not None and barrier.position <= self.sent

    def take(self, longest: int) -> Piece | None:
        """The audio to send next: up to a length, and not past a place where something falls due.

        Gives None if all has been sent, or a barrier has been reached.
        """
        if self.has_barrier and self.is_barred:
            return None
        begin = self.sent
        wanted = begin + longest
        for due in (self._due, self._sending):
            index = bisect_right(due, begin, key=_position)
            if index < len(due):
                wanted = min(wanted, due[index].position)
        first: Piece | None = None
        audio = b""
        for piece in self._pieces:
            if piece.end <= begin:
                continue
            if first is None:
                first, audio = piece, piece.audio[begin - piece.begin : wanted - piece.begin]
            elif piece.begin >= wanted or not _is_alike(piece, first):
                break
            else:
                audio += piece.audio[: wanted - piece.begin]
        if first is None:
            return None
        self.sent = end = begin + len(audio)
        at = bisect_left(self._due, end, key=_position)
        ending = self._due[at : bisect_right(self._due, end, at, key=_position)]
        return Piece(
            audio=audio,
            begin=begin,
            end=end,
            is_protected=first.is_protected,
            is_speech=first.is_speech,
            ends_word=any(due.is_boundary for due in ending),
        )

    def sent_things(self) -> list[T]:
        """What falls due by what has been sent."""
        index = bisect_right(self._sending, self.sent, key=_position)
        things = [due.thing for due in self._sending[:index]]
        del self._sending[:index]
        self.has_sending = bool(self._sending)
        return things

    def audio(self, begin: int, end: int) -> bytes:
        """The audio between two places, as far as it is still kept."""
        parts: list[bytes] = []
        # What is asked for is near the end, as a rule, and before it lies all that is queued.
        for piece in reversed(self._pieces):
            if piece.end <= begin:
                break
            if piece.begin < end:
                parts.append(piece.audio[max(0, begin - piece.begin) : end - piece.begin])
        return b"".join(reversed(parts))

    @property
    def is_protected(self) -> bool:
        """Whether what is being heard may not be interrupted."""
        for piece in self._pieces:
            if piece.end > self.heard:
                return piece.is_protected and piece.begin <= self.heard
        return False

    @property
    def speaks_on(self) -> bool:
        """Whether speech is next to be heard, or has been sent already behind other sound."""
        left = [piece for piece in self._pieces if piece.end > self.heard]
        return any(
            piece.is_speech
            for number, piece in enumerate(left)
            if number == 0 or piece.begin < self.sent
        )

    def words_sent(self) -> list[tuple[int, T]]:
        """Where the words end that have been sent to their ends, and are still to be heard."""
        return [(due.position, due.thing) for due in self._due if self._is_sent_word(due)]

    def _is_sent_word(self, due: _Due[T]) -> bool:
        return due.is_boundary and due.position <= self.sent

    @property
    def is_waiting(self) -> bool:
        """Whether anything is still to be heard, or to fall due."""
        return self.heard < self.length or bool(self._due)

    def drop_unsent(self) -> None:
        """Forgets what has not been sent, but for what is protected; what is sent plays on."""
        pieces = [
            piece
            for piece in self._pieces_parted_at(self.sent)
            if piece.is_protected or piece.end <= self.sent
        ]
        due = [due for due in self._due if due.is_protected or due.position <= self.sent]
        self._lay_anew(pieces, due, pieces[0].begin if pieces else self.sent)

    def _pieces_parted_at(self, position: int) -> list[Piece]:
        pieces: list[Piece] = []
        for piece in self._pieces:
            at = position - piece.begin
            if 0 < at < len(piece.audio):
                pieces.append(replace(piece, audio=piece.audio[:at], end=position))
                pieces.append(replace(piece, audio=piece.audio[at:], begin=position))
            else:
                pieces.append(piece)
        return pieces

    def _lay_anew(self, pieces: list[Piece], due: list[_Due[T]], begin: int) -> None:
        """Lays audio from a place on without a gap, and what lay on it along with it."""
        self._pieces.clear()
        self._due, self._ended_last = [], None
        self.length = begin
        for piece in pieces:
            shift, start = self.length - piece.begin, self.length
            self.length = start + len(piece.audio)
            self._pieces.append(replace(piece, begin=start, end=self.length))
            while due and due[0].position <= piece.end:
                moved = due.pop(0)
                self._due.append(replace(moved, position=max(start, moved.position + shift)))
        self._due += [replace(each, position=self.length) for each in due]

    def hear(self, position: int, *, passes_barrier: bool = True) -> list[T]:
        """Notes that audio was heard up to a position; gives what falls due by it, in order.

        Nothing that lies behind a barrier falls due along with it: it is to be asked for again.

        Args:
            position: Up to where.
            passes_barrier: Whether a barrier may fall due.
        """
        self.has_news = False
        self.heard = max(self.heard, min(position, self.sent))
        index = bisect_right(self._due, self.heard, key=_position)
        if self.has_barrier:
            barriers = (n for n, due in enumerate(self._due[:index]) if due.is_barrier)
            index = min(index, next(barriers, index) + passes_barrier)
            self.has_news = index < len(self._due)
        passed = self._due[:index]
        del self._due[:index]
        for due in passed:
            if due.is_boundary and due.position > self._restarts[-1]:
                self._restarts.append(due.position)
                self._ended_last = due
        is_far = self.heard - self._restarts[-1] > _LONGEST_WORD
        if is_far or (self.heard > self._restarts[-1] and self._is_wordless(self.heard)):
            self._restarts.append(self.heard)
        while self._pieces and self._pieces[0].end <= self._restarts[0]:
            self._pieces.popleft()
        return [due.thing for due in passed]

    def _is_wordless(self, position: int) -> bool:
        """Whether what ends at a place is no speech, and may be cut anywhere."""
        piece = next((piece for piece in self._pieces if piece.end >= position), None)
        return piece is not None and not piece.is_speech

    def rewind(self, doubt: int = 0) -> int:
        """Goes back to the last place at or before what was heard where a word ended.

        From there the speech can be taken up again; nothing that falls due does so twice.

        Args:
            doubt: How many bytes fewer may have been heard: better a word twice than never.
        """
        sure = [at for at in self._restarts if at <= self.heard - doubt]
        self.sent = sure[-1] if sure else self._restarts[0]
        return self.sent

    def drop(self) -> list[T]:
        """Forgets what has not been heard, but for what is protected.

        Protected audio stays, and is the next to be sent.

        Returns:
            The protected things, if there is no protected audio that they could wait for.
        """
        pieces = [
            piece
            for piece in self._pieces_parted_at(self.heard)
            if piece.is_protected and piece.begin >= self.heard
        ]
        kept = [due for due in self._due if due.is_protected]
        self._sending.clear()
        self.has_sending = False
        self.sent = self.heard
        self._restarts = deque([self.heard], maxlen=2)
        self._lay_anew(pieces, kept if pieces else [], self.heard)
        return [] if pieces else [due.thing for due in kept]

    def sure_place(self, position: int, doubt: int) -> int:
        """The first place from one on at which it is sure which words have ended.

        Args:
            position: The place.
            doubt: By how many bytes it may be off.
        """
        for due in [self._ended_last, *self._due] if self._ended_last else self._due:
            reach = due.doubt + doubt
            if due.is_boundary and due.position - reach < position < due.position + reach:
                position = due.position + reach
        return position


def _is_alike(one: Piece, other: Piece) -> bool:
    return (one.is_protected, one.is_speech) == (other.is_protected, other.is_speech)


@dataclass(slots=True)
class Stretch:
    """Audio that was sent in one message.

    Parameters:
        line: Where it begins on the line.
        queue: Where in the output queue it is from; for a background, where the queue waits.
        audio: Mu-law.
        plays_at: When its first byte plays, but for the line's delay.
        is_speech: Whether the bot speaks in it.
        is_queued: Whether it is from the queue; a background is not.
    """

    line: int
    queue: int
    audio: bytes = field(repr=False)
    plays_at: float
    is_speech: bool = True
    is_queued: bool = True


class SentAudio:
    """What has been sent and not been heard, in the order of the line."""

    def __init__(self) -> None:
        self.line_heard = 0
        """Up to where the line has been heard."""
        self._queue_heard = 0
        self._stretches: deque[Stretch] = deque()
        self.add = self._stretches.append
        """Notes audio, behind all that was noted before."""

    def __len__(self) -> int:
        """How many stretches have not been heard to their ends."""
        return len(self._stretches)

    @property
    def ends_in_speech(self) -> bool:
        """Whether the last that was sent is speech, and has not been heard to its end."""
        return bool(self._stretches) and self._stretches[-1].is_speech

    def forget(self) -> None:
        """Forgets what was not heard: it was thrown away."""
        self._stretches.clear()

    def plays_at(self, position: int) -> float:
        """When a place in the output queue plays, but for the line's delay; 0 where it has."""
        for stretch in reversed(self._stretches):
            if stretch.is_queued and stretch.queue < position:
                return stretch.plays_at + (position - stretch.queue) / BYTES_PER_SECOND
        return 0.0

    def queue_position(self, line: int) -> int | None:
        """Where in the output queue a place on the line lies; None if nothing was sent there.

        Args:
            line: The place.
        """
        for stretch in self._stretches:
            if stretch.line <= line <= stretch.line + len(stretch.audio):
                return stretch.queue + (line - stretch.line) * stretch.is_queued
        return None

    def hear(self, line: int, tell: Callable[[Stretch], None] | None = None) -> int:
        """Forgets what has been heard by now.

        Args:
            line: Up to where the line has been heard.
            tell: Told what was heard, in order, a message cut in two where need be; nothing twice.

        Returns:
            Up to where that is in the output queue.
        """
        self.line_heard = line
        while self._stretches and line > self._stretches[0].line:
            heard = self._stretches.popleft()
            if (length := line - heard.line) < len(heard.audio):
                self._stretches.appendleft(_part(heard, length, len(heard.audio)))
                heard = _part(heard, 0, length)
            self._queue_heard = heard.queue + len(heard.audio) * heard.is_queued
            if tell is not None:
                tell(heard)
        return self._queue_heard


def _part(stretch: Stretch, begin: int, end: int) -> Stretch:
    return Stretch(
        stretch.line + begin,
        stretch.queue + begin * stretch.is_queued,
        stretch.audio[begin:end],
        stretch.plays_at + begin / BYTES_PER_SECOND,
        stretch.is_speech,
        stretch.is_queued,
    )
