"""A reply that breaks off and is gone on with: in whole words, each of them said once."""

import operator
import re
import unicodedata
from itertools import takewhile

from pipecat.processors.aggregators.llm_context import LLMContext

__all__ = ["Continuation", "to_go_on"]

_GO_ON = (
    "(Your last message broke off where it ends; it was heard so far. Say only what is missing, "
    "from the very next word on, in the middle of the sentence if need be, without repeating "
    "anything, without a greeting and without a remark about this.)"
)

# Thai, Lao, Burmese, Khmer, Japanese and Chinese are written without spaces.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3001-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff01-\uff9f"
)
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_SIGNS = ".,;:!?…"
_DASHES = "\u2013\u2014"
# Of those scripts: the comma and the full stop, and the signs in their width.
_WIDE_SIGNS = "\u3001\u3002\uff01\uff0c\uff0e\uff1a\uff1b\uff1f"
_LONE_SIGN = re.compile(rf"\s*(?:[{_SIGNS}{_DASHES}]+(?=\s|$)|[{_WIDE_SIGNS}])")


def to_go_on(context: LLMContext, said: str) -> LLMContext:
    """The conversation as it is given to the LLM that ends a reply.

    The caller's is the one role in which all vendors take a message anywhere: a system's behind the
    beginning is refused by some and moved to the front by others.

    Args:
        context: The conversation up to the reply.
        said: How the reply began.
    """
    messages = [
        *context.get_messages(),
        {"role": "assistant", "content": said.strip()},
        {"role": "user", "content": _GO_ON},
    ]
    return LLMContext(messages, tools=context.tools, tool_choice=context.tool_choice)


class Continuation:
    """What to say of a reply that may go on where another broke off.

    It lets a word through when it is whole, so that a reply never breaks off in a word. An LLM that
    is asked to go on often begins the sentence anew, or the whole reply, or with the last word:
    what repeats the end of what was said, however much of it, is taken out. What could be such a
    repetition is held until it is clear. Words are the same whatever their case and punctuation.

    Args:
        said: What was said, in whole words; empty for a reply that begins.
    """

    def __init__(self, said: str = ""):
        words = [_bare(word) for word in _WORD.findall(said)]
        self._said = [word for word in words if word]
        self._lone_signs = len(list(takewhile(operator.not_, reversed(words))))
        self._ends_with_sign = bool(said.strip()) and not _bare(said.rstrip()[-1])
        self._ends_with_space = said[-1:].isspace()
        self._ends_unspaced = _is_unspaced(said[-1:])
        # Where in what was said the next word would be, for each beginning of a repetition.
        self._places = list(range(len(self._said)))
        self._is_decided = not self._places
        self._is_joined = not said.strip()
        self._held = ""
        self._read = 0
        self._repeated = 0

    def add(self, text: str) -> str:
        """What to say, of the next piece of text and of what was held before it."""
        self._held += text
        return self._told(_end_of_whole_words(self._held))

    def finish(self) -> str:
        """What to say of what is held, since no more comes for now."""
        text = self._told(len(self._held))
        if self._is_decided:
            return text
        self._decide()
        return self._told(len(self._held))

    def _told(self, end: int) -> str:
        if not self._is_decided:
            self._look_for_repetition(end)
            if not self._is_decided:
                return ""
            end -= self._repeated
        if self._is_joined and end:
            # With the space behind, by which the next who looks knows that the word is whole.
            end += len(self._held[end:]) - len(self._held[end:].lstrip())
        text, self._held = self._held[:end], self._held[end:]
        return text if self._is_joined else self._joined(text)

    def _look_for_repetition(self, end: int) -> None:
        begin, self._read = self._read, end
        for word in _WORD.finditer(self._held, begin, end):
            bare = _bare(word.group())
            if not bare:
                continue
            places = [place + 1 for place in self._places if self._said[place] == bare]
            if len(self._said) in places:
                self._repeated = self._end_of_repetition(word)
            self._places = [place for place in places if place < len(self._said)]
            if not self._places:
                self._decide()
                return

    def _end_of_repetition(self, word: re.Match[str]) -> int:
        """Behind the punctuation, or before it if what was said has none."""
        text = word.group()
        while not self._ends_with_sign and not _bare(text[-1]):
            text = text[:-1]
        return word.start() + len(text)

    def _decide(self) -> None:
        self._is_decided = True
        self._held = self._held[self._repeated :]

    def _joined(self, text: str) -> str:
        """The beginning of the rest, parted from what was said as it should be."""
        repeats = self._repeated > 0 or not self._said
        while repeats and self._lone_signs and (sign := _LONE_SIGN.match(text)):
            text = text[sign.end() :]
            self._lone_signs -= 1
        rest = text.lstrip()
        if not rest:
            return ""
        self._is_joined = True
        if self._ends_with_space:
            return rest
        touches = (
            self._repeated or rest[0] in _SIGNS or self._ends_unspaced or _is_unspaced(rest[0])
        )
        return rest if touches and rest == text else f" {rest}"


def _bare(word: str) -> str:
    """A word without punctuation and case; empty if it is no word."""
    # Marks are kept: in many scripts they are the vowels.
    return "".join(char for char in word if unicodedata.category(char)[0] in "LMN").casefold()


def _is_unspaced(char: str) -> bool:
    return re.match(f"[{_UNSPACED}]", char) is not None


def _end_of_whole_words(text: str) -> int:
    end = 0
    for word in _WORD.finditer(text):
        if word.end() < len(text) or _is_unspaced(word.group()):
            end = word.end()
    return end
