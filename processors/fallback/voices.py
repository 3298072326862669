"""How far a voice has got with what it was given."""

from collections import deque
from dataclasses import dataclass, field

from pipecat.frames.frames import AggregatedTextFrame, TTSStartedFrame, TTSTextFrame

from twilio_frames.processors.fallback.unspoken import words_in

_NANOSECONDS = 1_000_000_000
# How long a voice takes for a letter: as a rule, and at the quickest.
_SECONDS_A_LETTER = 0.065
_QUICKEST_SECONDS_A_LETTER = 0.04


@dataclass(slots=True)
class Speech:
    """One TTS context: its audio so far, and the words that lie on it.

    Parameters:
        context_id: Its name.
        is_remembered: Whether its words enter the memory.
        announced: Texts that are to be spoken and were not yet, in order.
        secs: How much audio there is.
        began_at: Pipeline clock at its first audio, nanoseconds.
        follows_pts: The time of the last word known then.
        baseline: The time from which its words count; None before the first.
        segment_secs: Up to where texts have been spoken, of those without times.
        due: Words that lie on audio which may not have come: where they begin, how many they are.
        held: Texts without times that came ahead of their audio.
        is_timed: Whether words come with times.
    """

    context_id: str | None
    is_remembered: bool = True
    announced: deque[str] = field(default_factory=deque)
    secs: float = 0.0
    began_at: int = 0
    follows_pts: int = 0
    baseline: int | None = None
    segment_secs: float = 0.0
    due: deque[tuple[float, int]] = field(default_factory=deque)
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

    def audio(self, secs: float, now: int, last_pts: int) -> int:
        """Notes audio; gives how many words are spoken with it."""
        if not self.secs:
            self.began_at, self.follows_pts = now, last_pts
        self.secs += secs
        return self._settled()

    def word(self, frame: TTSTextFrame) -> int:
        """Notes a word with its time; gives how many are known to be spoken with it."""
        pts = frame.pts or 0
        self.is_timed = True
        if self.baseline is None:
            self.baseline = max(self.follows_pts, min(self.began_at or pts, pts))
        self.due.append(((pts - self.baseline) / _NANOSECONDS, words_in(frame.text)))
        return self._settled()

    def _settled(self) -> int:
        spoken = 0
        while len(self.due) > 1 and self.due[1][0] <= self.secs:
            spoken += self.due.popleft()[1]
        return self._spoke(spoken)

    def text(self, frame: TTSTextFrame) -> int:
        """Notes a text without times behind its audio; gives how many words it is."""
        self.segment_secs = self.secs
        return self._spoke(words_in(frame.text))

    def leads(self) -> bool:
        """Whether a text that comes without a time comes ahead of its audio."""
        return bool(self.held) or self.secs <= self.segment_secs

    def stopped(self) -> int:
        """The voice says that it is over; gives how many words are spoken with it."""
        self.due.clear()
        return self._spoke(self.words_left) if self.secs else 0

    def broken_off(self) -> tuple[int, str]:
        """What was spoken of it when it broke off, beyond what is known to be.

        Returns:
            How many words; and the words themselves, where the voice has not told them yet.
        """
        if self.is_timed:
            begun = [words for begin, words in self.due if begin < self.secs]
            return (sum(begun[:1]) if len(self.due) == 1 else 0), ""
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
            begun = sum(words for begin, words in self.due if begin < self.secs)
            return self.words_left <= begun
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


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))
