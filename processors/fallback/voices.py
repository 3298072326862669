"""What voices were given to say, and how far they have got with it."""

from collections import deque
from dataclasses import dataclass, field
from itertools import islice

from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    SystemFrame,
    TextFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSTextFrame,
)

from twilio_frames.processors.words.progress import (
    NANOSECONDS,
    baseline_of,
    behind_words,
    is_speakable,
    words_in,
)
from twilio_frames.processors.words.sounding import SPEAKING_RATE, letters_of


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
        leads: Whether texts come without times, ahead of their audio.
        is_timed: Whether words come with times.
        seconds_before: How much audio the same context had before it was begun again.
        words_behind: How many of the words announced were so behind the last audio.
        is_stuck: Whether the last word broke off and no other has come since.
    """

    context_id: str | None
    is_remembered: bool = True
    announced: deque[str] = field(default_factory=deque)
    secs: float = 0.0
    began_at: int = 0
    follows_pts: int | None = None
    baseline: int | None = None
    segment_secs: float = 0.0
    due: deque[tuple[float, str]] = field(default_factory=deque)
    leads: bool = False
    is_timed: bool = False
    seconds_before: float = 0.0
    words_behind: int = 0
    is_stuck: bool = False

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
        self.words_behind += words_in(frame.text)

    def audio(self, secs: float, now: int) -> int:
        """Notes audio; gives how many words are spoken with it."""
        if not self.secs:
            self.began_at = now
        self.secs += secs
        self.words_behind = 0
        return self._settled()

    def word(self, frame: TTSTextFrame) -> int:
        """Notes a word with its time; gives how many are known to be spoken with it."""
        pts = frame.pts or 0
        self.is_timed, self.is_stuck = True, False
        if self.baseline is None:
            self.baseline = baseline_of(
                pts,
                began_at=self.began_at or pts,
                follows_pts=self.follows_pts or 0,
                seconds_before=self.seconds_before,
            )
        self.due.append(((pts - self.baseline) / NANOSECONDS, frame.text))
        return self._settled()

    def _settled(self) -> int:
        """The words whose audio has come, up to where the next begins."""
        spoken = 0
        while len(self.due) > 1 and self.due[1][0] <= self.secs:
            spoken += words_in(self.due.popleft()[1])
        return self._spoke(spoken)

    def word_broken_off(self) -> None:
        """Notes that the last word begins anew where the audio ends."""
        if self.due:
            self.due[-1] = (self.secs, self.due[-1][1])
            self.is_stuck = True

    def text(self, frame: TTSTextFrame) -> int:
        """Notes a text without times behind its audio; gives how many words it is."""
        self.segment_secs = self.secs
        return self._spoke(words_in(frame.text))

    def lead(self, frame: TTSTextFrame) -> bool:
        """Notes a text without a time, if it comes ahead of its audio."""
        if self.leads or self.secs <= self.segment_secs:
            self.leads = True
        return self.leads

    def begun_again(self) -> int:
        """The voice has taken it for over in between; gives how many words are known as spoken."""
        self.seconds_before += self.secs
        self.secs = self.segment_secs = 0.0
        self.began_at = 0
        self.follows_pts = self.baseline = None
        self.is_stuck = False
        self.due.clear()
        return self._spoke(max(0, self.words_left - self.words_behind))

    def stopped(self) -> int:
        """The voice says that it is over; gives how many words are spoken with it."""
        self.due.clear()
        return self._spoke(self.words_left) if self.secs else 0

    def given_up(self) -> int:
        """The voice says that no more comes of it; gives how many words are spoken with it."""
        whole = [text for begin, text in self.due if begin < self.secs]
        self.due.clear()
        return self._spoke(sum(map(words_in, whole)))

    def broken_off(self) -> tuple[int, str]:
        """What was spoken of it when it broke off, beyond what is known to be.

        Returns:
            How many words; and the words themselves, where the voice has not told them yet.
        """
        if self.is_timed:
            return (words_in(self.due[0][1]) if self._is_last_spoken() else 0), ""
        words = " ".join(self.announced).split()
        # Rather a word twice than none: of a slow voice.
        letters = (self.secs - self.segment_secs) / SPEAKING_RATE.slowest_letter_secs
        spoken = 0
        while spoken < len(words) and letters >= (length := _letters(words[spoken])):
            letters -= length
            spoken += 1
        text = " ".join(words[:spoken])
        return words_in(text), "" if self.leads else text

    def _is_last_spoken(self) -> bool:
        if len(self.due) != 1 or self.is_stuck:
            return False
        begin, text = self.due[0]
        return self.secs >= begin + _letters(text) * SPEAKING_RATE.quickest_letter_secs

    @property
    def may_be_complete(self) -> bool:
        """Whether there is so much audio that all of it may have been spoken."""
        if self.is_timed:
            begun = [text for begin, text in self.due if begin < self.secs]
            return self.words_left <= sum(map(words_in, begun))
        if not self.leads:
            # A text that comes behind its audio says by itself that this is complete.
            return False
        letters = sum(_letters(text) for text in self.announced)
        return bool(self.secs) and (
            self.secs - self.segment_secs >= letters * SPEAKING_RATE.quickest_letter_secs
        )

    def _spoke(self, words: int) -> int:
        left = words
        while left > 0 and self.announced:
            rest, left = behind_words(self.announced.popleft(), left)
            if is_speakable(rest):
                self.announced.appendleft(rest)
        return words


def _letters(text: str) -> int:
    return sum(letters_of(word) for word in text.split() if words_in(word))


@dataclass(slots=True)
class _Piece:
    """Something that a voice was given.

    Parameters:
        frame: What it was given; of a reply's text, the first frame.
        text: What is still to be spoken of it; None for what is not spoken.
        is_whole: Whether no more text belongs to it.
    """

    frame: Frame
    text: str | None = None
    is_whole: bool = True

    @property
    def has_words(self) -> bool:
        """Whether there is something left to speak."""
        return self.text is not None and is_speakable(self.text)


class Unspoken:
    """What a voice was given and has not done, in order.

    What has been spoken of it is told in words, as the voice counts them.
    """

    def __init__(self) -> None:
        self._pieces: deque[_Piece] = deque()

    @property
    def is_empty(self) -> bool:
        """Whether everything has been said."""
        return not any(piece.has_words for piece in self._pieces)

    @property
    def has_whole_text(self) -> bool:
        """Whether there is text that no more need be waited for to speak it."""
        return any(piece.is_whole and piece.has_words for piece in self._pieces)

    def take(self, frame: Frame) -> None:
        """Keeps what a voice is given."""
        match frame:
            case SystemFrame():
                pass
            case TTSSpeakFrame():
                self._pieces.append(_Piece(frame, frame.text))
            case LLMTextFrame() | TextFrame() if not frame.skip_tts:
                self._take_text(frame)
            case _:
                if isinstance(frame, LLMFullResponseEndFrame):
                    for piece in self._pieces:
                        piece.is_whole = True
                self._pieces.append(_Piece(frame))

    def _take_text(self, frame: TextFrame) -> None:
        text = frame.text if frame.includes_inter_frame_spaces else f"{frame.text} "
        last = self._pieces[-1] if self._pieces else None
        if last is not None and isinstance(last.frame, LLMTextFrame) and not last.is_whole:
            last.text = f"{last.text or ''}{text}"
        else:
            is_whole = isinstance(frame, AggregatedTextFrame)
            self._pieces.append(_Piece(frame, text, is_whole=is_whole))

    def spoke(self, words: int) -> None:
        """So many words more have been spoken."""
        for piece in self._pieces:
            if piece.text is not None:
                piece.text, words = behind_words(piece.text, words)
        self._tidy()

    def done(self, frame: Frame) -> None:
        """A frame came out of the voice again; those before it have been worked on.

        The beginning of a reply stays until its end: another voice needs it too.
        """
        places = [i for i, piece in enumerate(self._pieces) if piece.frame is frame]
        if not places:
            return
        kept = [piece for piece in islice(self._pieces, places[0]) if not piece.is_whole]
        for _ in range(places[0] + (not isinstance(frame, LLMFullResponseStartFrame))):
            self._pieces.popleft()
        self._pieces.extendleft(reversed(kept))

    def interrupt(self) -> None:
        """Only what may not be interrupted is still to be said."""
        self._pieces = deque(one for one in self._pieces if not one.frame.interruptible)

    def frames(self) -> list[Frame]:
        """What another voice has to be given."""
        frames: list[Frame] = []
        for piece in self._pieces:
            if piece.text is None:
                frames.append(piece.frame)
            elif piece.has_words:
                frames.append(_with_text(piece.frame, piece.text))
        return frames

    def _tidy(self) -> None:
        while self._pieces and self._pieces[0].text is not None:
            if not self._pieces[0].is_whole or self._pieces[0].has_words:
                return
            self._pieces.popleft()


def _with_text(frame: Frame, text: str) -> Frame:
    """A frame that says what is left of another."""
    match frame:
        case TTSSpeakFrame():
            other = TTSSpeakFrame(text.strip(), append_to_context=frame.append_to_context)
            if hasattr(frame, "text_type"):
                other.text_type = frame.text_type
        case AggregatedTextFrame():
            # Called otherwise before Pipecat 1.13.
            kinds = vars(frame)
            kind = kinds["text_type"] if "text_type" in kinds else kinds["aggregated_by"]
            other = AggregatedTextFrame(text, kind)
        case _:
            other = LLMTextFrame(text)
    other.interruptible = frame.interruptible
    return other
