"""A reply that one LLM began and another ends."""

import re

from pipecat.processors.aggregators.llm_context import LLMContext

_WORD = re.compile(r"\S+")
_LAST_WORD = re.compile(r"\S+$")
_SIGNS = ".,;:!?"

_GO_ON = (
    "Your reply was broken off behind the words above, which the caller has heard. Go on from "
    "exactly there, in the middle of the sentence if need be. Do not repeat anything, do not "
    "greet, and do not mention the interruption."
)


def continuation(context: LLMContext, said: str) -> LLMContext:
    """The conversation as it is given to the LLM that ends a reply.

    Args:
        context: The conversation up to the reply.
        said: How the reply began.
    """
    messages = [
        *context.get_messages(),
        {"role": "assistant", "content": said.strip()},
        {"role": "system", "content": _GO_ON},
    ]
    return LLMContext(messages, tools=context.tools, tool_choice=context.tool_choice)


class WholeWords:
    """Lets text through up to its last whole word, so that a reply never breaks off in a word."""

    def __init__(self) -> None:
        self._held = ""

    def take(self, text: str) -> str:
        """What may be said of a piece of text and what was held before it."""
        text = self._held + text
        last = _LAST_WORD.search(text)
        # What is not a letter behind it says that a word is whole.
        whole = last is None or last.group()[-1] in _SIGNS
        cut = len(text) if whole or last is None else last.start()
        self._held = text[cut:]
        return text[:cut]

    def rest(self) -> str:
        """What was held, when the reply is over."""
        text, self._held = self._held, ""
        return text


class Overlap:
    """Takes out what was said before from a reply that should have gone on, and begins anew.

    Args:
        said: How the reply began, in whole words.
    """

    def __init__(self, said: str):
        self._said = [_bare(word) for word in _WORD.findall(said)]
        self._needs_space = not said[-1:].isspace()
        self._is_joined = False
        self._text = ""
        self._is_open = bool(self._said)

    def take(self, text: str) -> str:
        """What is new in a piece of text, in whole words, and what came before it."""
        if not self._is_open:
            return self._joined(text)
        self._text += text
        words = list(_WORD.finditer(self._text))
        for index, (word, before) in enumerate(zip(words, self._said, strict=False)):
            if _bare(word.group()) != before:
                return self._let_go(0)
            if index + 1 == len(self._said):
                return self._let_go(word.end())
        return ""

    def rest(self) -> str:
        """What is left when the reply is over: nothing if all of it was said before."""
        self._is_open = False
        return ""

    def _let_go(self, begin: int) -> str:
        self._is_open = False
        return self._joined(self._text[begin:])

    def _joined(self, text: str) -> str:
        """The text with one space before it, where what was said needs one."""
        if self._is_joined or not text.strip():
            return text
        self._is_joined = True
        bare = text.lstrip()
        return bare if not self._needs_space or bare[0] in _SIGNS else f" {bare}"


def _bare(word: str) -> str:
    return "".join(filter(str.isalnum, word)).casefold()
