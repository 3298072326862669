"""How far a voice has got with what it was given."""

from collections import deque
from dataclasses import dataclass, field

from pipecat.frames.frames import AggregatedTextFrame, TTSStartedFrame, TTSTextFrame

from twilio_frames.processors.fallback.unspoken import words_in

_NANOSECONDS = 1_000_000_000
# How long a voice takes for a letter: at its slowest (rather a word twice than none), and quickest.
_SECONDS_A_LETTER = 0.09
_QUICKEST_SECONDS_A_LETTER = 0.055


@dataclass(slots=True)
class WordTimes:
    """Makes the times of all voices' words one course.

    A voice counts its words from where their audio was made, or from its own last word; whoever
    lays words on audio, from the last word of all.

    Parameters:
        shift: By how much the times of the voice that speaks are off.
        own: The last word's time as that voice gave it.
        last: The last word's time of all that have audio.
    """

    shift: int = 0
    own: int = 0
    last: int = 0
    _waiting: int = 0

    def take_over(self) -> None:
        """Another voice speaks from here on, which has not spoken yet."""
        self.own = self._waiting = 0

    def begin(self, now: int) -> int:
        """A context begins to be spoken; gives the time of the last word before it."""
        self.shift = max(self.last, now) - max(self.own, now)
        return self.last

    def of_word(self, pts: int) -> int:
        """The time of a word for those behind."""
        self.own = max(self.own, pts)
        self._waiting = max(self._waiting, pts + self.shift)
        return pts + self.shift

    def has_audio(self) -> None:
        """There is audio for the words that have come: those behind count from them on."""
        self.last = max(self.last, self._waiting)


@dataclass(slots=True)
class Speech:
    """One TTS context: its audio so far, and the words that lie on it.

    Parameters:
        context_id: Its name.
        is_remembered: Whether its words enter the memory.
        announced: Texts that are to be spoken and were not yet, in order.
        secs: How much audio there is.
        began_at: Pipeline clock at its first audio, nanoseconds.
        follows_pts: The time of the last word before it; None before it has begun.
        baseline: The time from which its words count; None before the first.
        segment_secs: Up to where texts have been spoken, of those without times.
        due: Words whose audio may not have come to its end, and where they begin.
        held: Texts without times that came ahead of their audio.
        is_timed: Whether words come with times.
    """

    context_id: str | None
    is_remembered: bool = True
    announced: deque[str] = field(default_factory=deque)
    secs: float = 0.0
    began_at: int = 0
    follows_pts: int | None = None
    baseline: int | None = None
    segment_secs: float = 0.0
    due: deque[tuple[float, TTSTextFrame]] = field(default_factory=deque)
    held: list[TTSTextFrame] = field(default_factory=list)
    is_timed: bool = False

    @property
    def words_left(self) -> int:
        """How many words were announced and have not been spoken."""
        return sum(words_in(text) for text in self.announced)

    def start(self, frame: TTSStartedFrame) -> None:
        """Notes what the voice says of it."""
        self.is_remembered = frame.append_to_context

    def announce(self, frame: AggregatedTextFrame) -> None:
        """Notes a text that is about to be spoken."""
        self.announced.append(frame.text)

    def audio(self, secs: float, now: int) -> tuple[int, list[TTSTextFrame]]:
        """Notes audio; gives how many words are spoken with it, and the words themselves."""
        if not self.secs:
            self.began_at = now
        self.secs += secs
        return self._settled()

    def word(self, frame: TTSTextFrame) -> tuple[int, list[TTSTextFrame]]:
        """Notes a word with its time; gives the same."""
        pts = frame.pts or 0
        self.is_timed = True
        if self.baseline is None:
            self.baseline = max(self.follows_pts or 0, min(self.began_at or pts, pts))
        self.due.append(((pts - self.baseline) / _NANOSECONDS, frame))
        return self._settled()

    def _settled(self) -> tuple[int, list[TTSTextFrame]]:
        """The words whose audio has come, up to where the next begins.

        Those behind take a word that they are told for one that is heard.
        """
        told: list[TTSTextFrame] = []
        while self.due and self.secs and self._end_of_first() <= self.secs:
            told.append(self.due.popleft()[1])
        return self._spoke(sum(words_in(frame.text) for frame in told)), told

    def _end_of_first(self) -> float:
        if len(self.due) > 1:
            return self.due[1][0]
        begin, frame = self.due[0]
        return begin + _letters(frame.text) * _QUICKEST_SECONDS_A_LETTER

    def text(self, frame: TTSTextFrame) -> int:
        """Notes a text without times behind its audio; gives how many words it is."""
        self.segment_secs = self.secs
        return self._spoke(words_in(frame.text))

    def leads(self) -> bool:
        """Whether a text that comes without a time comes ahead of its audio."""
        return bool(self.held) or self.secs <= self.segment_secs

    def stopped(self) -> tuple[int, list[TTSTextFrame]]:
        """The voice says that it is over; gives how many words are spoken, and what is told."""
        told = [*(frame for _, frame in self.due), *joined(self.held)]
        self.due.clear()
        return (self._spoke(self.words_left) if self.secs else 0), told

    def broken_off(self) -> tuple[int, str]:
        """What was spoken of it when it broke off, beyond what is known to be.

        Returns:
            How many words; and the words themselves, where the voice has not told them yet.
        """
        if self.is_timed:
            return 0, ""
        words = " ".join(self.announced).split()
        letters = (self.secs - self.segment_secs) / _SECONDS_A_LETTER
        spoken = 0
        while spoken < len(words) and letters >= (length := _letters(words[spoken])):
            letters -= length
            spoken += 1
        text = " ".join(words[:spoken])
        return words_in(text), text

    @property
    def may_be_complete(self) -> bool:
        """Whether there is so much audio that all of it may have been spoken."""
        if self.is_timed:
            begun = [frame.text for begin, frame in self.due if begin < self.secs]
            return self.words_left <= sum(map(words_in, begun))
        if not self.held:
            # A text that comes behind its audio says by itself that this is complete.
            return False
        letters = sum(_letters(text) for text in self.announced)
        return bool(self.secs) and (
            self.secs - self.segment_secs >= letters * _QUICKEST_SECONDS_A_LETTER
        )

    def _spoke(self, words: int) -> int:
        left = words
        while left > 0 and self.announced:
            text = self.announced.popleft().split()
            if (length := words_in(" ".join(text))) > left:
                kept = 0
                while left > 0:
                    left -= words_in(text[kept])
                    kept += 1
                self.announced.appendleft(" ".join(text[kept:]))
            left -= length if length <= left else 0
        return words


def joined(held: list[TTSTextFrame]) -> list[TTSTextFrame]:
    """Texts that came ahead of their audio, as one behind it."""
    if len(held) > 1:
        held[0].text = " ".join(frame.text for frame in held)
    return held[:1]


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))
