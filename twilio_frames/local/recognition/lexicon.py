"""Which sounds the words of a grammar are made of. No part of this listens."""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from pathlib import Path

from twilio_frames.errors import ConfigurationError

__all__ = ["Pronunciations", "dictionary_text", "grammar_words", "pronounced"]

Pronunciations = Mapping[str, Iterable[str]]
"""A word's pronunciations, each a string of ARPAbet phones without stress: ``"L AA T EY"``."""

# Comments, the header line, rule names, tags and weights hold no words to be spoken.
_NOT_SPOKEN = re.compile(
    r"//[^\n]*|/\*.*?\*/|#JSGF[^;]*;|\bgrammar\s[^;]*;|<[^>]*>|\{[^}]*\}|/[\d.eE+-]+/|\bpublic\b",
    re.DOTALL,
)
_WORD = re.compile(r"[\w'.-]+")


def grammar_words(grammar: str) -> frozenset[str]:
    """Every word that a JSGF grammar can produce."""
    return frozenset(_WORD.findall(_NOT_SPOKEN.sub(" ", grammar)))


def pronounced(
    words: Iterable[str], dictionary: Path, extra: Pronunciations
) -> dict[str, list[str]]:
    """How each word may be pronounced.

    Words joined by underscores (``a_lot_of``) are one word, said as its parts are in a row.

    Args:
        words: The words to look for.
        dictionary: A file with a word and its phones on each line, further ways of saying it
            under the word's name with a number: ``the(2) DH IY``.
        extra: Pronunciations besides those in the file.

    Raises:
        ConfigurationError: If a word is in neither, naming all such words.
    """
    wanted = set(words)
    parts = {part for word in wanted for part in word.split("_")}
    known = {part: list(dict.fromkeys(extra.get(part, ()))) for part in parts}
    for part, phones in _entries(dictionary):
        if part in known and phones not in known[part]:
            known[part].append(phones)
    if missing := sorted(part for part, ways in known.items() if not ways):
        raise ConfigurationError(
            f"expected every word of the grammar in the dictionary, found no {', '.join(missing)}: "
            "spell it differently or pass its pronunciations"
        )
    return {word: _in_a_row([known[part] for part in word.split("_")]) for word in sorted(wanted)}


def dictionary_text(pronunciations: Mapping[str, Iterable[str]]) -> str:
    """The same in the form of a dictionary file."""
    return "".join(
        f"{word if number == 1 else f'{word}({number})'} {phones}\n"
        for word, ways in pronunciations.items()
        for number, phones in enumerate(ways, start=1)
    )


def _entries(dictionary: Path) -> Iterator[tuple[str, str]]:
    with dictionary.open(encoding="utf-8") as lines:
        for line in lines:
            name, _, phones = line.strip().partition(" ")
            yield name.partition("(")[0], phones.strip()


def _in_a_row(parts: list[list[str]]) -> list[str]:
    ways = (" ".join(phones) for phones in product(*parts))
    # A word of many parts has more ways than anybody says it in.
    return list(dict.fromkeys(ways))[:12]
