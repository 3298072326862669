"""Words whose sound is known to the byte, what an ear heard of them, and what a memory holds. Pure.

Each word is a burst of its own, 0.2 to 0.4 s, unlike every other word's at each of its bytes. So
the audio that reached the ear says by itself which words were heard, in whole or in part, when, how
often and with which gaps, whatever the bot did with it on the way: a word counts as heard if its
last bytes were.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twilio_frames.audio import MULAW_SILENCE, SAMPLE_RATE, decode_mulaw
from twilio_frames.testing.known_speech import SaidWord as Word
from twilio_frames.testing.known_speech import WordVoice as Voice
from twilio_frames.testing.known_speech import bare_word, burst, said, sound

__all__ = ["Voice", "Word", "bare_word", "burst", "said", "sound"]

TAIL = 40
"""Bytes at the end of a word by which it is found."""

EDGE_SECS = 0.004
"""So much of a word's end nobody misses who hears the rest."""

_CONSONANTS, _VOWELS = "bdfgklmnprstvz", "aeiou"


def pcm_of(mulaw: bytes) -> bytes:
    """16-bit PCM that becomes the same mu-law bytes again."""
    return decode_mulaw(mulaw)


class Author:
    """Writes replies in which no word ever comes twice.

    Args:
        seed: Makes them the same each time.
    """

    def __init__(self, seed: int):
        self._random = random.Random(seed)
        syllables = [consonant + vowel for consonant in _CONSONANTS for vowel in _VOWELS]
        self._unused = [first + second for first in syllables for second in syllables]
        self._random.shuffle(self._unused)

    def reply(self, *sentences: int) -> str:
        """A text of sentences with so many words each; a comma here and there."""
        return " ".join(self._sentence(length) for length in sentences)

    def _sentence(self, length: int) -> str:
        words = [self._unused.pop() for _ in range(length)]
        for index in range(length - 1):
            if self._random.random() < 0.12:
                words[index] += ","
        return " ".join(words).capitalize() + "."


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardWord:
    """A word that was heard to its end.

    Parameters:
        word: The word.
        ended_at: Sample at the ear behind its last.
        times: How often it was heard.
    """

    word: Word
    ended_at: int
    times: int = 1


def heard_words(ear: bytes, words: Sequence[Word], *, begin: int = 0) -> list[HeardWord]:
    """The words that were heard to their ends, in the order they were.

    Args:
        ear: All that was played to the caller, mu-law.
        words: Those that may be in it.
        begin: Where in it to look from.
    """
    samples = np.frombuffer(ear, dtype=np.uint8)[begin:]
    # Without its silence the sound is whole again where it was heard with holes in it.
    places = np.flatnonzero(samples != MULAW_SILENCE)
    sounding = samples[places].tobytes()
    found: list[HeardWord] = []
    for word in words:
        tail = _without_silence(word.mulaw)[-TAIL:]
        at = sounding.find(tail)
        if at >= 0:
            end = at + len(tail)
            times = 1 + (sounding.find(tail, end) >= 0)
            ended_at = begin + int(places[end - 1]) + 1
            found.append(HeardWord(word=word, ended_at=ended_at, times=times))
    return sorted(found, key=lambda heard: heard.ended_at)


def _without_silence(mulaw: bytes) -> bytes:
    return mulaw.replace(bytes([MULAW_SILENCE]), b"")


def gaps(heard: Sequence[HeardWord]) -> list[float]:
    """Seconds of silence in what should have been without, between words that follow each other."""
    found: list[float] = []
    for index in range(len(heard) - 1):
        before, after = heard[index], heard[index + 1]
        due = before.ended_at + before.word.pause + len(after.word.mulaw)
        found.append((after.ended_at - due) / SAMPLE_RATE)
    return found


def edge_of(ear: bytes, reply: Sequence[Word], heard: Sequence[HeardWord]) -> float | None:
    """Seconds from the nearest end of a word to where the reply was cut; None if it was not.

    Negative if the cut came before that end. A cut in a pause counts as at the pause's end.
    """
    rest = [word for word in reply if all(one.word is not word for one in heard)]
    if not rest:
        return None
    after = heard[-1].word.pause if heard else 0
    began = (heard[-1].ended_at + after) if heard else ear.find(rest[0].mulaw[:TAIL])
    cut = began
    sounds = rest[0].mulaw
    while cut - began < len(sounds) and ear[cut : cut + 1] == sounds[cut - began : cut - began + 1]:
        cut += 1
    behind, before = cut - began + after, cut - began - len(sounds)
    return (behind if heard and behind < -before else before) / SAMPLE_RATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a memory holds beside what was heard.

    Parameters:
        said: The words that were to be said.
        heard: Those heard to their ends.
        remembered: The words in the memory.
        missing: Heard, and not in the memory.
        extra: In the memory, and not heard, or once too often.
        repeated: Heard twice.
        is_ordered: Whether the memory has them in the order in which they were heard.
        beside: What else the memory says: the mark of a reply that was cut.
        edge: Of a reply that was cut: seconds from the nearest end of a word to the cut.
    """

    said: tuple[str, ...]
    heard: tuple[str, ...]
    remembered: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    repeated: tuple[str, ...]
    is_ordered: bool
    beside: str = ""
    edge: float | None = None

    @property
    def is_right(self) -> bool:
        """Whether it is what was heard, no more and no less."""
        return not self.missing and not self.extra and self.is_ordered

    @property
    def is_on_edge(self) -> bool:
        """Whether all that is wrong is a word at whose end, to 4 ms, the reply was cut.

        Nobody hears whether the last 4 ms of a word are there: either is right.
        """
        is_close = self.edge is not None and abs(self.edge) <= EDGE_SECS
        return is_close and self.is_ordered and self.words_off == 1

    @property
    def words_off(self) -> int:
        """How many words it has too many or too few."""
        return len(self.missing) + len(self.extra)


def compare(
    texts: Sequence[str],
    reply: Sequence[Word],
    heard: Sequence[HeardWord],
    earlier: Sequence[Word] = (),
    edge: float | None = None,
) -> Memory:
    """Compares a memory with what was heard.

    Args:
        texts: The assistant's messages.
        reply: What the bot was to say.
        heard: What the ear heard of it.
        earlier: What it said before, which has no business in these messages.
        edge: See :class:`Memory`.
    """
    known = {word.text for word in (*earlier, *reply)}
    tokens = " ".join(texts).split()
    remembered = [bare_word(token) for token in tokens if bare_word(token) in known]
    wholly = [one.word.text for one in heard]
    counts = Counter(remembered)
    return Memory(
        said=tuple(word.text for word in reply),
        heard=tuple(wholly),
        remembered=tuple(remembered),
        missing=tuple(word for word in wholly if word not in counts),
        extra=tuple((counts - Counter(wholly)).elements()),
        repeated=tuple(one.word.text for one in heard if one.times > 1),
        is_ordered=[word for word in wholly if word in counts]
        == [word for word in dict.fromkeys(remembered) if word in wholly],
        beside=" ".join(token for token in tokens if bare_word(token) not in known),
        edge=edge,
    )


def are_in_order(
    turns: Sequence[tuple[str, str]],
    asked: Sequence[Sequence[tuple[str, str]]] | None,
    answer: str,
    before: Sequence[str],
    heard: Sequence[Word],
) -> bool:
    """Whether a caller's words stand where they were said, and the LLM was asked with that.

    Args:
        turns: The memory, role by role.
        asked: What the LLM was asked with, each time; None if nobody knows.
        answer: The caller's words.
        before: The bot's words that were heard before the caller spoke.
        heard: All of its words that were heard.
    """
    places = [place for place, (role, text) in enumerate(turns) if (role, text) == ("user", answer)]
    if len(places) != 1:
        return False
    place = places[0]
    wholly = [word.text for word in heard]
    known = set(wholly)

    def bots(some: Sequence[tuple[str, str]]) -> list[str]:
        tokens = " ".join(text for role, text in some if role == "assistant").split()
        return [word for token in tokens if (word := bare_word(token)) in known]

    # Which words are there at all is another question.
    there = bots(turns)
    wholly = [word for word in wholly if word in there]
    ahead = bots(turns[:place])
    was_asked = asked is None or any(
        one and tuple(one[-1]) == ("user", answer) and bots(one[:-1]) == ahead for one in asked
    )
    known_before = [word for word in before if word in there]
    return was_asked and ahead[: len(known_before)] == known_before and there == wholly
