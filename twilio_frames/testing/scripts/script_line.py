"""The ``line`` of a scripted call, from YAML; see ``docs/callers.md`` and ``docs/line.md``."""

from collections.abc import Callable
from typing import Any

from twilio_frames.testing.lines.conditions import LineConditions
from twilio_frames.testing.scripts.yaml_values import Located

_Read = Callable[[Located, str], Any]


def level_of(item: Located, name: str) -> float:
    """A level, dB of full scale."""
    level = item.number(name, "decibels", least=-200.0)
    if level > 0:
        raise item.error(f"decibels of full scale for `{name}`", "give a number of 0 or less")
    return level


def _bytes_a_second(item: Located, name: str) -> float:
    return item.number(name, "bytes a second", least=1.0)


_KEYS: dict[str, tuple[_Read, tuple[str, ...]]] = {
    "delay_ms": (Located.seconds, ("delay_to_bot", "delay_from_bot")),
    "jitter_ms": (Located.seconds, ("jitter_to_bot", "jitter_from_bot")),
    "stalls_a_minute": (Located.number, ("stalls_a_minute",)),
    "stall_ms": (Located.seconds, ("stall_seconds",)),
    "lost_at_ms": (Located.seconds, ("lost_at",)),
    "half_open_at_ms": (Located.seconds, ("half_open_at",)),
    "reading_rate": (_bytes_a_second, ("reading_rate",)),
    "echo_db": (level_of, ("echo_level",)),
    "echo_delay_ms": (Located.seconds, ("echo_delay",)),
    "comfort_noise_db": (level_of, ("comfort_noise",)),
    "a_law": (Located.flag, ("is_over_a_law",)),
}


def line_of(item: Located) -> LineConditions:
    """What the line is like, as far as it is told."""
    given: dict[str, Any] = {}
    for name, value in item.mapping("line").items():
        if name not in _KEYS:
            raise value.error(f"one of {', '.join(_KEYS)} in `line`", f"take `{name}` out")
        read, parameters = _KEYS[name]
        given |= dict.fromkeys(parameters, read(value, name))
    return LineConditions(**given)
