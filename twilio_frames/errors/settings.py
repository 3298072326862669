"""What may be set, and the words in which anything else is refused. Pure."""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from itertools import chain
from math import inf, isnan
from numbers import Integral, Real
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from twilio_frames.errors import ConfigurationError

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_KINDS: dict[type, tuple[type, str]] = {
    bool: (bool, "True or False"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    str: (str, "a text"),
}
"""By what a setting is declared to be: what it may be, and what that is called."""


def check_settings(settings: object, **bounds: Any) -> None:
    """Refuses a number, a text or a flag that is none, and a number out of its bounds.

    Args:
        settings: A dataclass or a model, by whose declarations its values are judged.
        bounds: As :func:`wrong_numbers` takes them.

    Raises:
        ConfigurationError: Names the first such setting, what it may be, and what it is.
    """
    for _, reason in chain(wrong_kinds(settings), wrong_numbers(settings, **bounds)):
        raise ConfigurationError(reason)


def wrong_kinds(settings: object, named: Callable[[str], str] = str) -> Iterator[tuple[str, str]]:
    """Gives the settings that are of another kind than declared, each with what is wrong.

    Args:
        settings: As above. What is declared to be something else than a number, a text or a flag
            is not looked at.
        named: How a setting's name is told.
    """
    for name, declared in _declared(type(settings)).items():
        if reason := wrong_kind(named(name), getattr(settings, name), declared):
            yield name, reason


def wrong_numbers(
    settings: object,
    *,
    above_zero: Collection[str] = (),
    at_least: Mapping[str, float] = _NOTHING,
    at_most: Mapping[str, float] = _NOTHING,
    signed: Collection[str] = (),
    named: Callable[[str], str] = str,
) -> Iterator[tuple[str, str]]:
    """Gives the numbers that are none, or out of their bounds, each with what is wrong.

    Args:
        settings: As above, all of its kind.
        above_zero: Names of the numbers that may not be 0.
        at_least: By name, the least that a number may be; 0 for all others.
        at_most: The most that it may be.
        signed: Names of the numbers that may be below 0.
        named: How a setting's name is told.
    """
    for name in _declared(type(settings)):
        value: Any = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, Real):
            continue
        value = float(value)
        least = at_least.get(name, -inf if name in signed else 0)
        if isnan(value):
            yield name, f"expected {named(name)} to be a number, got nan"
        elif name in above_zero and not value > 0:
            yield name, f"expected {named(name)} above 0, got {value:g}"
        elif not least <= value <= at_most.get(name, inf):
            most = at_most.get(name)
            span = f"of at least {least:g}" if most is None else f"from {least:g} to {most:g}"
            yield name, f"expected {named(name)} {span}, got {value:g}"


def wrong_kind(name: str, value: object, declared: Any) -> str | None:
    """Says that a value is of another kind than declared; None if it is not."""
    kinds = get_args(declared) if get_origin(declared) in (Union, UnionType) else (declared,)
    if not all(kind in _KINDS or kind is NoneType for kind in kinds):
        return None
    if any(_is_of(kind, value) for kind in kinds):
        return None
    wanted = " or ".join("None" if kind is NoneType else _KINDS[kind][1] for kind in kinds)
    # What was passed may be a secret; its kind is none.
    return f"expected {name} to be {wanted}, got {type(value).__name__}"


def _is_of(kind: type, value: object) -> bool:
    if kind is NoneType or value is None:
        return kind is NoneType and value is None
    if isinstance(value, bool):
        return kind is bool
    if kind is bool:
        return value in (0, 1)
    return isinstance(value, _KINDS[kind][0])


def check_known(
    what: str,
    given: Iterable[str],
    known: Collection[str],
    instead: Mapping[str, str] = _NOTHING,
) -> None:
    """Refuses a name that means nothing where it stands.

    Args:
        what: What is given these names.
        given: The names.
        known: Those that mean something.
        instead: By names that are known elsewhere, what to do instead.

    Raises:
        ConfigurationError: Names the first, and the known one that it may have been meant for.
    """
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            advice = f"did you mean {near[0]!r}?" if near else "leave it out"
            raise ConfigurationError(f"{what} has no option {name!r}: {instead.get(name, advice)}")


@cache
def _declared(kind: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(kind):
        return {field.name: field.type for field in dataclasses.fields(kind) if field.init}
    return {name: field.annotation for name, field in kind.model_fields.items()}
