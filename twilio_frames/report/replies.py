"""What the bot had to say on a call, and which words of it were heard."""

from collections.abc import Sequence
from dataclasses import dataclass

from twilio_frames.report.lines import Kind, Line, number, text
from twilio_frames.report.reading import LoggedCall

# Words of no utterance in particular: a longer pause between two begins another.
_PAUSE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word the caller heard of the bot.

    Parameters:
        ended_at: When its last sound was heard.
        text: The word; empty if words were not logged.
    """

    ended_at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Something the bot had to say.

    Parameters:
        made_at: When its first text went to the speech service.
        text: All of it; empty if words were not logged.
        words: How many words it has.
        heard: The words that were heard.
        words_heard: How many they are.
        unheard: The words that were not.
        was_cut: Whether an interruption kept words from being heard.
        is_known: Whether it is known which words were heard.
    """

    made_at: float
    text: str
    words: int
    heard: tuple[Word, ...]
    words_heard: int
    unheard: str
    was_cut: bool = False
    is_known: bool

    def is_heard_by(self, at: float) -> bool:
        """Whether all of it had been heard by a time."""
        heard = sum(word.ended_at <= at for word in self.heard)
        return self.words > 0 and heard == len(self.heard) and not self.is_short

    @property
    def is_short(self) -> bool:
        """Whether words of it were not heard, as far as is known."""
        return self.is_known and self.words_heard < self.words

    def loses_words_to(self, interruptions: Sequence[float]) -> bool:
        """Whether one of the interruptions kept words of it from being heard."""
        last = max((word.ended_at for word in self.heard), default=self.made_at)
        return self.is_short and any(at > self.made_at and at > last - 1.0 for at in interruptions)


def replies(log: LoggedCall) -> list[Reply]:
    """What the bot had to say, in order; what was heard without a text before it is one too."""
    said: dict[object, list[Line]] = {}
    for line in log.of(Kind.SAID):
        said.setdefault(line.get("context"), []).append(line)
    heard: dict[object, list[Line]] = {}
    for line in log.of(Kind.WORD):
        heard.setdefault(line.get("context"), []).append(line)
    knows_words = bool(heard)
    found = [
        _reply(lines, heard.pop(context, []), is_known=knows_words)
        for context, lines in said.items()
    ]
    # A speech-to-speech model speaks without a text, and older logs have none of clips.
    began = {line.get("context"): line["t"] for line in log.of(Kind.TTS_STARTED)}
    for context, words in heard.items():
        for spell in _spells(words) if context is None else [words]:
            at = spell[0]["t"] if context is None else began.get(context, spell[0]["t"])
            found.append(_reply([], spell, is_known=True, made_at=min(at, spell[0]["t"])))
    return sorted(found, key=_made_at)


def _made_at(reply: Reply) -> float:
    return reply.made_at


def _spells(words: Sequence[Line]) -> list[list[Line]]:
    spells: list[list[Line]] = []
    for line in words:
        is_first = not spells or line["t"] - spells[-1][-1]["t"] > _PAUSE
        if is_first:
            spells.append([line])
        else:
            spells[-1].append(line)
    return spells


def _reply(
    said: Sequence[Line], heard: Sequence[Line], *, is_known: bool, made_at: float | None = None
) -> Reply:
    texts = said or heard
    whole = " ".join(filter(None, (text(line, "text") for line in texts)))
    words = sum(int(number(line, "words")) for line in texts)
    heard_words = sum(max(1, int(number(line, "words"))) for line in heard)
    is_short = is_known and heard_words < words
    return Reply(
        made_at=texts[0]["t"] if made_at is None else made_at,
        text=whole,
        words=words,
        heard=tuple(Word(ended_at=line["t"], text=text(line, "text")) for line in heard),
        words_heard=heard_words,
        unheard=" ".join(whole.split()[heard_words:]) if is_short else "",
        is_known=is_known,
    )
