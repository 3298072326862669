"""What Pipecat has and how it does on either transport, each tied to the test that says so."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import pytest

_Test = TypeVar("_Test", bound=Callable[..., object])


class Side(StrEnum):
    """A transport, with the worker that goes with it."""

    STOCK = "Pipecat's"
    OURS = "ours"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """What a program sees of something that Pipecat has.

    Parameters:
        name: What it is called.
        stock: What it does on Pipecat's transport.
        ours: What it does on this one.
        test: The test that says so, on both.
        module: Where it is.
    """

    name: str
    stock: str
    ours: str
    test: str
    module: str


FEATURES: dict[str, Feature] = {}
both_sides = pytest.mark.parametrize("side", [Side.STOCK, Side.OURS], ids=["stock", "ours"])
_SAME = "the same"


def feature(name: str, stock: str, ours: str = _SAME) -> Callable[[_Test], _Test]:
    """Ties a feature to a test that runs on both sides."""

    def tie(test: _Test) -> _Test:
        key = getattr(test, "__name__", "")
        FEATURES[key] = Feature(name=name, stock=stock, ours=ours, test=key, module=test.__module__)
        return both_sides(test)

    return tie
