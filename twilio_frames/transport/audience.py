"""Who is told of what happens on a call, none of whom can hurt it."""

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from twilio_frames.errors import ConfigurationError
from twilio_frames.safe_logging import report_unforeseen

__all__ = ["Audience", "Failures"]

_MOST_KINDS = 100

Listener = TypeVar("Listener")


class Failures:
    """Counts what listeners raised; each kind is logged once.

    Args:
        whose: Whose listeners they are, for the log line.
    """

    def __init__(self, whose: Callable[[], str]):
        self._whose = whose
        self.counts: Counter[str] = Counter()
        """How often a listener's method raised, by ``class.method: exception``."""

    def note(self, listener: object, method: str, error: BaseException) -> None:
        """Notes what a listener raised."""
        kind = f"{type(listener).__name__}.{method}: {type(error).__name__}"
        if kind not in self.counts and len(self.counts) >= _MOST_KINDS:
            kind = "others"
        self.counts[kind] += 1
        if self.counts[kind] == 1:
            report_unforeseen(
                error,
                f"{self._whose()}: {type(listener).__name__}.{method}() failed; the call goes on, "
                "further ones of this kind are counted only",
            )


class Audience(Generic[Listener]):
    """Listeners, told one after the other.

    What one raises, be it no ``Exception``, reaches neither the others nor whoever tells them.

    Args:
        kind: What they are: a protocol, whose methods each of them has.
        failures: Counts what they raise.
    """

    def __init__(self, kind: type[Listener], failures: Failures):
        self._kind = kind
        self._failures = failures
        self._listeners: list[Listener] = []

    def __len__(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def add(self, listener: Listener) -> None:
        """Lets somebody listen.

        Raises:
            ConfigurationError: If a method is missing, or would have to be awaited.
        """
        for method in _methods(self._kind):
            told = getattr(listener, method, None)
            if not callable(told) or inspect.iscoroutinefunction(told):
                got = "a coroutine function" if callable(told) else "none"
                raise ConfigurationError(
                    f"expected a plain method `{method}` of {type(listener).__name__}, got {got}: "
                    f"{self._kind.__name__} in twilio_frames.transport.taps says what is called"
                )
        self._listeners.append(listener)

    def tell(self, method: str, *what: object) -> None:
        """Calls a method of each."""
        for listener in self._listeners:
            # Whatever it is, it is the listener's own: nothing is awaited here.
            try:
                getattr(listener, method)(*what)
            except BaseException as error:
                self._failures.note(listener, method, error)


def _methods(kind: type) -> Iterator[str]:
    return (name for name in vars(kind) if not name.startswith("_"))
