"""The rest of a reply that broke off, joined to what was said of it."""

import re

__all__ = ["Continuation"]

_WORD_BEGINS = re.compile(r"(?<!\S)\S")


class Continuation:
    """Takes out of the rest what repeats the end of what was said, be it all of it.

    A model that is asked to go on often begins the sentence anew, or the whole reply. What could be
    such a repetition is held until it is clear.

    Args:
        said: What was said; empty for a reply that begins.
    """

    def __init__(self, said: str = ""):
        self._said = said
        self._ends = [said[match.start() :].rstrip() for match in _WORD_BEGINS.finditer(said)]
        self._held = ""
        self._is_open = not self._ends

    def add(self, text: str) -> str:
        """What to say of the next piece; empty while it may be a repetition."""
        if self._is_open:
            return text
        self._held += text
        begins = self._held.lstrip()
        if any(len(end) >= len(begins) and end.startswith(begins) for end in self._ends):
            return ""
        return self.finish()

    def finish(self) -> str:
        """What is still held, if it was no repetition."""
        if self._is_open:
            return ""
        self._is_open = True
        begins = self._held.lstrip()
        repeated = next((end for end in self._ends if begins.startswith(end)), None)
        if repeated is None:
            return self._joined(begins)
        rest = begins[len(repeated) :]
        # What was said may end with a space that the repetition lacks, or the other way round.
        return rest.lstrip() if self._said != self._said.rstrip() else rest

    def _joined(self, rest: str) -> str:
        needs_space = rest[:1].isalnum() and not self._said[-1:].isspace()
        return f" {rest}" if needs_space else rest
