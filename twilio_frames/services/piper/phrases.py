"""A text in the pieces in which it is spoken, and where its words are in them.

A piece is made whole before any of it is heard. So the first one is short, where the text has a
place to part it; the others are sentences, which sound best.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from pipecat.utils.string import match_endofsentence

from twilio_frames.audio.voices import speakable
from twilio_frames.services.piper.voice import PiperVoice

__all__ = ["Phrase", "phrases", "word_places"]


@dataclass(frozen=True, slots=True)
class _Pieces:
    """How a text is parted; lengths in phonemes, some 20 of which are said in a second."""

    whole: int = 40
    """A first sentence up to here is not parted: it is made in a quarter of a second."""
    least: int = 8
    """What is parted from it has at least so much."""
    most: int = 300
    """What is longer is parted where there is a blank: work and memory are bounded."""
    pause_secs: float = 0.25
    """Silence between two sentences."""


_PIECES = _Pieces()
_CLAUSE_ENDS = frozenset(",;:")
_STRESS = frozenset("\u02c8\u02cc")
# Two of them would begin phonemes, not text.
_BRACKETS = re.compile(r"\[+")
# Piper makes one word of the two that dots part.
_DOTS = re.compile(r"(?<=\S)\s*(?:\.{3,}|\u2026)(?=\s*\w)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """A piece of a text.

    Args:
        phonemes: How it is said.
        words: The words that begin in it, each with its place among the phonemes.
        pause_secs: Silence behind it.
    """

    phonemes: Sequence[str]
    words: Sequence[tuple[str, int]]
    pause_secs: float


def phrases(voice: PiperVoice, text: str) -> list[Phrase]:
    """The pieces of a text; none of one that makes no sound."""
    sentences = [sentence for sentence in voice.phonemes(_said(text)) if sentence]
    words = text.split()
    alone = [[sign for part in voice.phonemes(_said(word)) for sign in part] for word in words]
    places = word_places(alone, [sign for sentence in sentences for sign in sentence])
    pieces = [
        (piece, index == len(parts) - 1)
        for number, sentence in enumerate(_whole(sentences, text, places))
        for parts in [_parted(sentence, is_first=number == 0)]
        for index, piece in enumerate(parts)
    ]
    found: list[Phrase] = []
    begin = 0
    for number, (piece, ends_sentence) in enumerate(pieces):
        end, is_last = begin + len(piece), number == len(pieces) - 1
        within = [
            (word, place - begin)
            for word, place in zip(words, places, strict=True)
            if begin <= place and (place < end or is_last)
        ]
        pause = _PIECES.pause_secs if ends_sentence and not is_last else 0.0
        found.append(Phrase(phonemes=piece, words=within, pause_secs=pause))
        begin = end
    return found


def _whole(
    sentences: Sequence[Sequence[str]], text: str, places: Sequence[int]
) -> list[Sequence[str]]:
    """The sentences, without those breaks that are none: Piper ends one behind "Mr."."""
    ends = _sentence_ends(text)
    whole: list[Sequence[str]] = []
    begin = 0
    for sentence in sentences:
        words_before = sum(place < begin for place in places)
        if whole and words_before not in ends and whole[-1][-1] == ".":
            whole[-1] = [*whole[-1][:-1], " ", *sentence]
        else:
            whole.append(sentence)
        begin += len(sentence)
    return whole


def _sentence_ends(text: str) -> set[int]:
    """Behind how many words a sentence of the text ends, by what Pipecat parts sentences with."""
    ends, words = set[int](), 0
    while end := match_endofsentence(text):
        words += len(text[:end].split())
        ends.add(words)
        text = text[end:]
    return ends


def word_places(alone: Sequence[Sequence[str]], spoken: Sequence[str]) -> list[int]:
    """Where each word begins in what is said.

    Words run together ("of the"), and one may be read as many ("$5.50"): what is said is laid
    beside what each word would be by itself.

    Args:
        alone: How each word is said by itself.
        spoken: How all of them are said together.
    """
    sounds = [place for place, sign in enumerate(spoken) if _sounds(sign)]
    heard = [spoken[place] for place in sounds]
    expected, begins = [], []
    for word in alone:
        begins.append(len(expected))
        expected += [sign for sign in word if _sounds(sign)]
    after = _after(expected, heard)
    places: list[int] = []
    for begin in begins:
        place = sounds[after[begin]] if after[begin] < len(sounds) else len(spoken)
        # The stress of a word is noted ahead of it.
        while 0 < place < len(spoken) and spoken[place - 1] in _STRESS:
            place -= 1
        places.append(place)
    return places


def _said(text: str) -> str:
    return _BRACKETS.sub("[", _DOTS.sub(", ", speakable(text)))


def _sounds(sign: str) -> bool:
    return sign.isalnum() and sign not in _STRESS


def _after(expected: Sequence[str], heard: Sequence[str]) -> list[int]:
    """For each place in what was expected, the first sound that is heard from there on."""
    after = [0] * (len(expected) + 1)
    matcher = SequenceMatcher(None, expected, heard, autojunk=False)
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            after[block.a + offset] = block.b + offset
            after[block.a + offset + 1] = block.b + offset + 1
    # What is not found begins where what is ahead of it ends.
    for place in range(1, len(after)):
        after[place] = max(after[place], after[place - 1])
    return after


def _parted(sentence: Sequence[str], *, is_first: bool) -> list[Sequence[str]]:
    parts: list[Sequence[str]] = []
    if is_first and len(sentence) > _PIECES.whole:
        ends = [place for place, sign in enumerate(sentence) if sign in _CLAUSE_ENDS]
        end = next((place for place in ends if place >= _PIECES.least), None)
        if end is not None and end < len(sentence) - _PIECES.least:
            parts.append(sentence[: end + 2])  # with the blank behind the comma
            sentence = sentence[end + 2 :]
    while len(sentence) > _PIECES.most:
        blanks = [place for place in range(_PIECES.most) if sentence[place] == " "]
        end = blanks[-1] + 1 if blanks else _PIECES.most
        parts.append(sentence[:end])
        sentence = sentence[end:]
    return [*parts, sentence]
