"""Which words the caller heard: by their sound where it is known, else by a recogniser.

Theory of operation
-------------------
Where the bot's words and the sound of each are known (``bot_words.py`` listens in where they are
spoken), the ear is searched for these sounds: a word was heard if its whole sound was, whatever was
sent, held back, cleared or resampled on the way. That is the truth to the word.

Elsewhere a recogniser is asked whether certain words were said, in what was heard of the bot's own
stream and nowhere else. It can be wrong: what it says is a guess, and comes as one.

What Twilio reads to the caller (``<Say>``) is known as well: it stands in the TwiML.
"""

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from twilio_frames.audio import MULAW_SILENCE, SAMPLE_RATE, decode_mulaw
from twilio_frames.errors import brought_by
from twilio_frames.testing.callers.voice import audible_samples

_SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_DIGITS = re.compile(r"\d+")


if TYPE_CHECKING:
    from twilio_frames.local.recognition.spotter import Spotter


_ALIKE = 0.9
_NOT_SPOKEN = re.compile(r"[^\w']+")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWord:
    """A word of the bot's, and how it sounds.

    Parameters:
        text: As it stands in the text.
        mulaw: Its sound, without the silence around it.
        utterance: Which utterance it belongs to. One that is cut is not taken up again later.
    """

    text: str = field(repr=False)
    mulaw: bytes = field(repr=False)
    utterance: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardWord:
    """A word that was heard to its end.

    Parameters:
        text: As it stands in the text.
        began_at: Seconds from the beginning of the audio.
        ended_at: Seconds from there to the end of its last sound.
    """

    text: str
    began_at: float
    ended_at: float

    @property
    def sounds_at(self) -> float:
        """A moment at which it surely sounds: what goes before may be a pause."""
        # The last sound of a word lasts so long at least, and a pause before it may be longer.
        return max((self.began_at + self.ended_at) / 2, self.ended_at - 0.05)


def plain_words(text: str) -> list[str]:
    """The words of a text as they are said: lower case, numbers spelled out, no punctuation."""
    straight = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").lower()
    words = _NOT_SPOKEN.sub(" ", spelled_out(straight)).split()
    return [word.strip("'_") for word in words if word.strip("'_")]


def is_same_speech(text: str, other: str) -> bool:
    """Whether two texts are the same words when they are said."""
    return plain_words(text) == plain_words(other)


def contains(heard: Sequence[str], phrase: str) -> bool:
    """Whether words that were heard hold a phrase, word after word."""
    said = [plain for word in heard for plain in plain_words(word)]
    wanted = plain_words(phrase)
    size = len(wanted)
    return any(said[at : at + size] == wanted for at in range(len(said) - size + 1))


def heard_words(mulaw: bytes, words: Sequence[KnownWord]) -> list[HeardWord]:
    """The words that were heard to their ends.

    Args:
        mulaw: What was played to the caller.
        words: Those that may be in it, in the order they were to be said.
    """
    search = _Search(mulaw)
    utterances = [list(each) for _, each in groupby(words, key=lambda word: word.utterance)]
    begins = search.begins(utterances)
    ends = [*(begin for begin, _ in begins[1:]), len(mulaw)]
    return [
        heard
        for (begin, utterance), end in zip(begins, ends, strict=False)
        for heard in search.words(utterance, begin, end)
    ]


class _Search:
    """Looks for sounds in what was heard."""

    def __init__(self, mulaw: bytes):
        self._mulaw = mulaw
        self._ear: np.ndarray | None = None

    def begins(self, utterances: Sequence[list[KnownWord]]) -> list[tuple[int, list[KnownWord]]]:
        """Where each utterance begins, of which anything was heard.

        What follows of one must come before the next begins: after a cut the same words may well
        be said again.
        """
        found: list[tuple[int, list[KnownWord]]] = []
        at = 0
        for utterance in utterances:
            begin = self.find(utterance[0].mulaw, at, len(self._mulaw))
            if begin is not None:
                found.append((begin, utterance))
                at = begin + len(utterance[0].mulaw)
        return found

    def words(self, utterance: Sequence[KnownWord], begin: int, end: int) -> Iterator[HeardWord]:
        """Those words of an utterance that were heard between two places."""
        at = begin
        missed = 0
        for word in utterance:
            place = self.find(word.mulaw, at, end)
            if place is None:
                missed += 1
                # Behind two words in a row that were not found, the rest was not heard.
                if missed == 2:
                    return
                continue
            missed = 0
            at = place + len(word.mulaw)
            began_at, ended_at = place / SAMPLE_RATE, at / SAMPLE_RATE
            yield HeardWord(text=word.text, began_at=began_at, ended_at=ended_at)

    def find(self, sound: bytes, begin: int, end: int) -> int | None:
        """Where a sound is between two places; None if it is not."""
        exact = self._mulaw.find(sound, begin, end)
        if exact >= 0:
            return exact
        # On its way through a resampler the sound has changed a little.
        if self._ear is None:
            self._ear = _samples(self._mulaw)
        place = _most_alike(self._ear[begin:end], _samples(sound))
        return None if place is None else begin + place


def _samples(mulaw: bytes) -> np.ndarray:
    return np.frombuffer(decode_mulaw(mulaw), dtype=np.int16).astype(np.float32)


def _most_alike(ear: np.ndarray, sound: np.ndarray) -> int | None:
    """Where a sound is; None if nowhere."""
    size = len(sound)
    if not size or len(ear) < size:
        return None
    length = 1 << (len(ear) + size - 1).bit_length()
    product = np.fft.rfft(ear, length) * np.conj(np.fft.rfft(sound, length))
    correlation = np.fft.irfft(product, length)[: len(ear) - size + 1]
    sums = np.concatenate([[0.0], np.cumsum(ear.astype(np.float64) ** 2)])
    energy = float((sound.astype(np.float64) ** 2).sum())
    heard = sums[size:] - sums[:-size]
    alike = correlation / np.sqrt(np.maximum(heard * energy, 1.0))
    # Of a word that was cut too little is there, and next to silence everything is like it.
    alike[heard < _ALIKE * _ALIKE * energy] = 0.0
    best = int(np.argmax(alike))
    return best if alike[best] >= _ALIKE else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What Twilio reads to the caller.

    Parameters:
        text: Its words.
        began_at: Seconds from the answer.
        seconds: How long it takes to read.
    """

    text: str
    began_at: float
    seconds: float

    def words(self) -> Iterator[HeardWord]:
        """Its words, at about the times of theirs: as long as their letters."""
        written = self.text.split()
        at, pace = self.began_at, self.seconds / max(1, sum(map(len, written)))
        for word in written:
            end = at + len(word) * pace
            yield HeardWord(text=word, began_at=at, ended_at=end)
            at = end


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Whether a phrase was heard; true if it was.

    Parameters:
        phrase: What was asked for.
        found: Whether it was heard.
        is_guess: Whether a recogniser had to guess. Else it is known: the bot's words are, or
            there was nothing of the bot's to be heard.
        sureness: Of a guess that it was heard: 1 where the words fit what was heard as well as any
            sounds would, next to 0 where they just do. None for all else.
        words: The words that were heard; None if they are not known.
    """

    phrase: str
    found: bool
    is_guess: bool = False
    sureness: float | None = None
    words: str | None = None

    def __bool__(self) -> bool:
        return self.found

    def __repr__(self) -> str:
        was = "heard" if self.found else "not heard"
        if self.is_guess:
            sure = "" if self.sureness is None else f", {self.sureness:.0%} sure"
            return f"<{self.phrase!r} {was}: a recogniser's guess{sure}>"
        return f"<{self.phrase!r} {was} in {self.words!r}>"


Span = tuple[float, float]
"""From when to when, seconds from the answer."""


class Hearing:
    """Tells whether words were heard.

    Args:
        known: Gives the bot's words so far with their sounds; None, or giving None, if the bot is
            not in this process.
        understood: Gives what the bot understood so far, each with its time on the event loop's
            clock; None, or giving None, if that is not known.
        announced: Gives what Twilio itself read to the caller.
        bot_spans: Gives when the caller heard the bot's streams; None if all may be the bot's.
    """

    def __init__(
        self,
        known: Callable[[], Sequence[KnownWord] | None] | None = None,
        *,
        understood: Callable[[], Sequence[tuple[float, str]] | None] = lambda: None,
        announced: Callable[[], Sequence[Announcement]] = lambda: (),
        bot_spans: Callable[[], Sequence[Span]] | None = None,
    ):
        self.known = known
        self.understood = understood
        self._announced = announced
        self._bot_spans = bot_spans
        self._spotter: Spotter | None = None

    def words(self, mulaw: bytes, begin: float = 0.0) -> list[HeardWord] | None:
        """The bot's words that were heard; None if they are not known.

        Args:
            mulaw: All that was played to the caller since the answer.
            begin: Seconds from the answer; words that began before are left out.
        """
        known = self.known() if self.known else None
        if not known:
            # What is of another process, or has a sound but no words, is anybody's guess.
            return [] if known is not None and not self._of_bot(mulaw, begin) else None
        return [word for word in heard_words(mulaw, known) if word.began_at >= begin]

    def announced(self, mulaw: bytes, begin: float = 0.0) -> list[HeardWord]:
        """The words that Twilio read to the caller, and that were heard."""
        end = len(mulaw) / SAMPLE_RATE
        return [
            word
            for announcement in self._announced()
            for word in announcement.words()
            if begin <= word.began_at and word.ended_at <= end
        ]

    async def prepare(self, phrases: Sequence[str]) -> None:
        """Makes the recogniser ready for phrases, if it will be needed.

        Raises:
            MissingExtraError: If it is needed and the ``local`` extra is not installed.
            ConfigurationError: If a word has no pronunciation; it names the word.
        """
        if phrases and self.known is None:
            await asyncio.to_thread(self._learn, phrases)

    async def has_heard(self, phrase: str, mulaw: bytes, begin: float = 0.0) -> Heard:
        """Whether a phrase is in what was heard, while the event loop goes on."""
        return await asyncio.to_thread(self.has_heard_in_thread, phrase, mulaw, begin)

    def has_heard_in_thread(self, phrase: str, mulaw: bytes, begin: float = 0.0) -> Heard:
        """The same for a thread that may wait.

        Args:
            phrase: The words, one after another; capitals and punctuation do not matter.
            mulaw: All that was played to the caller since the answer.
            begin: Seconds from the answer; what was heard before is left out.

        Raises:
            MissingExtraError: If the recogniser is needed and not installed.
            ConfigurationError: If a word has no pronunciation; it names the word.
        """
        words, announced = self.words(mulaw, begin), self.announced(mulaw, begin)
        for known in (words, announced):
            if known and contains([word.text for word in known], phrase):
                return Heard(phrase=phrase, found=True, words=_text(known))
        if words is not None:
            return Heard(phrase=phrase, found=False, words=_text([*words, *announced]))
        return self._guess(phrase, self._of_bot(mulaw, begin))

    def _guess(self, phrase: str, mulaw: bytes) -> Heard:
        if not mulaw:
            return Heard(phrase=phrase, found=False, words="")
        spotted = self._learn([phrase]).find(_spoken(phrase), decode_mulaw(mulaw))
        if spotted is None:
            return Heard(phrase=phrase, found=False, is_guess=True)
        return Heard(phrase=phrase, found=True, is_guess=True, sureness=spotted.sureness)

    def _of_bot(self, mulaw: bytes, begin: float) -> bytes:
        """What was heard of the bot from a time on, silence in the place of all else.

        Empty if there is no sound in it.
        """
        spans = [(0.0, len(mulaw) / SAMPLE_RATE)] if self._bot_spans is None else self._bot_spans()
        first = round(begin * SAMPLE_RATE)
        heard = bytearray(bytes([MULAW_SILENCE]) * max(0, len(mulaw) - first))
        for began_at, ended_at in spans:
            start, end = (round(at * SAMPLE_RATE) for at in (max(began_at, begin), ended_at))
            heard[start - first : max(start, end) - first] = mulaw[start:end]
        return bytes(heard) if len(audible_samples(bytes(heard))) else b""

    def _learn(self, phrases: Sequence[str]) -> "Spotter":
        if self._spotter is None:
            self._spotter = _make_spotter()
        for phrase in phrases:
            self._spotter.learn(_spoken(phrase))
        return self._spotter


def _text(words: Sequence[HeardWord]) -> str:
    return " ".join(word.text for word in words)


def _spoken(phrase: str) -> str:
    return " ".join(plain_words(phrase))


def _make_spotter() -> "Spotter":
    with brought_by("local"):
        from twilio_frames.local.recognition.spotter import Spotter
    return Spotter()


def spelled_out(text: str) -> str:
    """A text with its numbers in words: up to 999 as numbers, beyond digit by digit."""
    return _DIGITS.sub(lambda match: f" {_spelled(match.group())} ", text)


def _spelled(digits: str) -> str:
    if len(digits) > 3 or (digits[0] == "0" and len(digits) > 1):
        return " ".join(_SMALL[int(digit)] for digit in digits)
    return _number(int(digits))


def _number(number: int) -> str:
    if number < 20:
        return _SMALL[number]
    if number < 100:
        tens, rest = divmod(number, 10)
        return _TENS[tens - 2] + (f" {_SMALL[rest]}" if rest else "")
    hundreds, rest = divmod(number, 100)
    return f"{_SMALL[hundreds]} hundred" + (f" {_number(rest)}" if rest else "")
