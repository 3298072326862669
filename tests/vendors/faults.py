"""What callers hear on a vendor's bad day, each tied to the test that says so."""

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
    """

    role: str
    fault: str
    heard: str
    test: str


SEEN: dict[str, BadDay] = {}


def bad_day(role: str, fault: str, heard: str) -> Callable[[_Test], _Test]:
    """Ties what a caller hears of a fault to a test of a whole call."""

    def tie(test: _Test) -> _Test:
        name = getattr(test, "__name__", "")
        SEEN[f"{role}:{name}"] = BadDay(role=role, fault=fault, heard=heard, test=name)
        return test

    return tie
