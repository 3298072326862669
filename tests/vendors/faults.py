"""What callers hear on a bad day, each tied to the test that says so."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

ROLES = {
    "deepgram": "Deepgram hears",
    "openai": "OpenAI thinks",
    "langchain": "A LangChain chain thinks",
    "cartesia": "Cartesia speaks",
    "realtime": "OpenAI Realtime does all three",
    "google": "Google hears and speaks",
    "fallback": "A second service takes over",
    "bot": "The bot fails, hangs or does not end",
    "air": "Nothing is said, or nothing was meant",
    "line": "The line is not what it should be",
    "server": "Strangers, crowds and restarts",
}

_Test = TypeVar("_Test", bound=Callable[..., object])


@dataclass(frozen=True, slots=True, kw_only=True)
class BadDay:
    """What a caller hears of a fault.

    Parameters:
        role: Whose fault, one of :data:`ROLES`.
        fault: What goes wrong, in a few words.
        heard: What the caller hears of it, in a sentence.
        test: The test that says so.
        place: The file and the line where it is.
    """

    role: str
    fault: str
    heard: str
    test: str
    place: tuple[str, int]


SEEN: dict[str, BadDay] = {}


def bad_day(role: str, fault: str, heard: str) -> Callable[[_Test], _Test]:
    """Ties what a caller hears of a fault to a test."""

    def tie(test: _Test) -> _Test:
        name, code = getattr(test, "__name__", ""), inspect.unwrap(test).__code__
        place = (code.co_filename, code.co_firstlineno)
        day = BadDay(role=role, fault=fault, heard=heard, test=name, place=place)
        SEEN[f"{role}:{name}"] = day
        return test

    return tie
