"""What is to be said and has not been spoken yet."""

import re
from collections import deque
from dataclasses import dataclass
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
)

_WORD = re.compile(r"\s*\S+")
_SPEAKABLE = re.compile(r"\w")


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


class Unspoken:
    """What a voice was given and has not done, in order.

    What has been spoken of it is told in words, as the voice counts them.
    """

    def __init__(self) -> None:
        self._pieces: deque[_Piece] = deque()

    @property
    def is_empty(self) -> bool:
        """Whether everything has been said."""
        return not any(piece.text and _SPEAKABLE.search(piece.text) for piece in self._pieces)

    @property
    def has_whole_text(self) -> bool:
        """Whether there is text that no more need be waited for to speak it."""
        return any(
            piece.is_whole and piece.text and _SPEAKABLE.search(piece.text)
            for piece in self._pieces
        )

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
            while words > 0 and piece.text and (word := _WORD.match(piece.text)):
                words -= bool(_SPEAKABLE.search(word.group()))
                piece.text = piece.text[word.end() :]
            if words <= 0:
                break
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
            elif _SPEAKABLE.search(piece.text):
                frames.append(_with_text(piece.frame, piece.text))
        return frames

    def _tidy(self) -> None:
        while self._pieces and self._pieces[0].text is not None:
            first = self._pieces[0]
            if not first.is_whole or _SPEAKABLE.search(first.text or ""):
                return
            self._pieces.popleft()


def words_in(text: str) -> int:
    """How many words there are to speak in a text."""
    return sum(bool(_SPEAKABLE.search(word)) for word in text.split())


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
