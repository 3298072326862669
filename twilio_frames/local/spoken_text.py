"""Text as the synthesiser takes it: what can be read out, in pieces of bounded length. Pure."""

import re
from collections.abc import Iterator

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n\s*\n")


def speakable(text: str) -> str:
    """The text with a blank in place of each character that cannot be read out.

    Those are control characters (one of them would be a command to espeak-ng), lone surrogates,
    and emoji (whose names it would say).
    """
    return "".join(" " if _unspeakable(ord(character)) else character for character in text)


def _unspeakable(code: int) -> bool:
    return (
        (code < 0x20 and code != 0x0A)
        or 0x7F <= code < 0xA0
        or 0xD800 <= code < 0xE000
        or 0x2600 <= code < 0x27C0
        or code in (0x200D, 0xFE0F)
        or code >= 0x1F000
    )


def pieces(text: str, *, longest: int = 300) -> Iterator[str]:
    """The text sentence by sentence; a long sentence is cut at a blank, a longer word anywhere.

    Args:
        text: Of any length.
        longest: Characters in a piece, at most.
    """
    for sentence in _SENTENCE_END.split(text):
        rest = sentence.strip()
        while len(rest) > longest:
            blank = rest.rfind(" ", 1, longest + 1)
            cut = blank if blank > 0 else longest
            yield rest[:cut].rstrip()
            rest = rest[cut:].lstrip()
        if rest:
            yield rest
