"""The figures of ``calls_per_core.py`` as tables, as a place in a page, and as a picture.

They are read from what it writes as JSON. A load whose callers were late themselves gives none.
"""

import math
import os
import re
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from picture import draw_bars

Figures = dict[str, Any]
_PLACE = re.compile(r"(<!-- calls_per_core -->\n).*?(<!-- /calls_per_core -->)", re.S)
_LATE = "callers late"
_MEMORY = "memory_call_mb"
_SHORT_CALL = "CPU of a call of half a second"
NONE = "–"  # noqa: RUF001 - as in the other tables


@dataclass(frozen=True)
class Table:
    """A table.

    Parameters:
        title: Stands above it.
        heads: Of the columns.
        rows: Their cells, the first of each says what it is.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """The table for a page."""
        lines = [self.heads, tuple("---" for _ in self.heads), *self.rows]
        return f"{self.title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def text(self) -> str:
        """The table for a terminal."""
        bare = (tuple(cell.strip("*") for cell in row) for row in self.rows)
        lines = [self.heads, *bare]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        shown = (
            "  ".join(
                [line[0].ljust(widths[0])]
                + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
            )
            for line in lines
        )
        return f"{self.title}\n\n" + "\n".join(shown)


def text(found: Figures) -> str:
    """All of it for a terminal."""
    return "\n\n".join([*(table.text() for table in tables(found)), *notes(found)])


def markdown(found: Figures) -> str:
    """All of it for a page."""
    return "\n\n".join([*(table.markdown() for table in tables(found)), *notes(found)])


def fill(page: Path, found: Figures, picture: Path | None) -> None:
    """Puts it into a page's place, between two comments ``calls_per_core``.

    Raises:
        SystemExit: If the page has no such place.
    """
    before = page.read_text("utf-8")
    shown = markdown(found)
    if picture is not None:
        where = os.path.relpath(picture, page.parent).replace(os.sep, "/")
        shown += f"\n\n![What a call costs: ours, as a drop-in, stock Pipecat]({where})"
    after, count = _PLACE.subn(lambda place: f"{place[1]}{shown}\n{place[2]}", before)
    if not count:
        raise SystemExit(f"expected <!-- calls_per_core --> and its end in {page}, got none")
    page.write_text(after, "utf-8")


def draw(found: Figures, path: Path) -> None:
    """Draws the bars."""
    titles = {
        "calls on a core at quality": lambda side: _number(side.get("search"), "largest"),
        "CPU of a call, % of the core": _cpu("steady"),
        f"{_SHORT_CALL}, ms": lambda side: _number(side.get("set_up"), "short_call_ms"),
        "memory of a further call, MB": _bot("steady", _MEMORY),
    }
    draw_bars(
        {
            title: {name: value(side) for name, side in found["sides"].items()}
            for title, value in titles.items()
        },
        path,
    )


def tables(found: Figures) -> Iterator[Table]:
    """The sides beside each other, and what ours spends its time on."""
    sides: dict[str, Figures] = found["sides"]
    calls = found["about"]["calls"]
    rows = [
        (label, *cells)
        for label, value in _rows(calls, found["about"]["churn_secs"])
        if set(cells := [value(side) for side in sides.values()]) != {NONE}
    ]
    yield Table(_title(found["about"]), ("", *sides), tuple(rows))
    shares: dict[str, float] = found.get("profile", {}).get("shares", {})
    if shares:
        yield _profile_table(found["profile"], shares)


def _title(about: Figures) -> str:
    turns = ", Smart Turn throughout" if about.get("smart") else ""
    turns += ", the clients of Deepgram, OpenAI and Cartesia" if about.get("vendors") else ""
    return (
        f"{about['date']}, Python {about['python']}, {about['loop']}, 8 kHz{turns}, one core of "
        f"{about['cores']} for the bot and one for the callers, loads of {about['seconds']:g} s:"
    )


def _profile_table(profile: Figures, shares: dict[str, float]) -> Table:
    loop_share = profile["loop_cpu"] / profile["cpu"]
    shown = [(name, share) for name, share in shares.items() if share >= 0.01]
    rows = [
        (name, f"{100 * share:.0f} %", f"{share * profile['loop_cpu']:.3f}")
        for name, share in shown
    ]
    rest = profile["cpu"] - profile["loop_cpu"]
    rows.append(("beside the event loop: models, files", "", f"{rest:.3f}"))
    return Table(
        f"Where ours spends it, {profile['calls']} calls: {profile['cpu']:.2f} % of the core each, "
        f"{100 * loop_share:.0f} % of it on the event loop:",
        ("", "of the event loop", "% of the core, a call"),
        tuple(rows),
    )


Cell = Callable[[Figures], str]


def _rows(calls: int, churn_secs: float) -> Iterator[tuple[str, Cell]]:
    largest = "at the largest number"
    yield "calls on a core at quality", _largest
    yield f"CPU of a call, % of the core, {calls} calls", _shown(_cpu("steady"), 2)
    yield f"CPU-seconds a call-minute, {calls} calls", _shown(_cpu("steady"), 2, times=0.6)
    yield f"CPU of a call, % of the core, {largest}", _shown(_cpu("search"), 2)
    yield "memory of a further call, MB", _shown(_bot("steady", _MEMORY), 1)
    yield "asyncio tasks of a call", _shown(_bot("steady", "tasks"), 0)
    yield f"{_SHORT_CALL}, ms", lambda side: _plain(side.get("set_up"), "short_call_ms")
    yield (
        "longest step of the loop in setting up, ms",
        lambda side: _plain(side.get("set_up"), "longest_step_ms"),
    )
    for part, what in (("one", "1 call"), ("steady", f"{calls} calls"), ("search", largest)):
        yield f"first audio p50 / p95, ms, {what}", _times(part, "first_audio")
    for part, what in (("steady", f"{calls} calls"), ("search", largest)):
        yield f"caller's onset to silence p50 / p95, ms, {what}", _times(part, "barge_in")
    yield f"event loop late p99 / worst, ms, {largest}", _loop("search")
    yield f"gaps over 60 ms a minute of speech, {calls} calls", _gaps("steady")
    yield from _mode_rows("churn", f"{calls} who stay some {churn_secs:g} s")
    yield f"gaps over 60 ms a minute of speech, {calls} while 20 arrive in 1 s", _gaps("burst")
    yield "of those 20: failed, unanswered, gaps", _newcomers
    yield from _mode_rows("long", f"five minutes {largest}")
    yield from _mode_rows("smart", f"{calls} with Smart Turn")
    yield (
        f"memory of a further call, MB, {calls} with Smart Turn",
        _shown(_bot("smart", _MEMORY), 1),
    )
    for part, what in (("without_logs", "without logs"), ("with_logs", "with logs")):
        yield f"CPU of a call, % of the core, {calls} {what}", _shown(_cpu(part), 2)


def _mode_rows(part: str, what: str) -> Iterator[tuple[str, Cell]]:
    yield f"CPU of a call, % of the core, {what}", _shown(_cpu(part), 2)
    yield f"first audio p50 / p95, ms, {what}", _times(part, "first_audio")
    yield f"gaps over 60 ms a minute of speech, {what}", _gaps(part)


def _newcomers(side: Figures) -> str:
    came = side.get("newcomers")
    if came is None:
        return NONE
    if not came["is_trustworthy"]:
        return _LATE
    return f"{came['failed']}, {came['unanswered']}, {came['gaps']['count']}"


def _loads(side: Figures, part: str) -> list[Figures] | None:
    """The loads of a part that can be believed; None if there are none of the part at all."""
    if part == "search":
        search = side.get("search")
        if search is None:
            return None
        return [step for step in search["steps"] if step["calls"] == search["largest"]][-1:]
    loads = side.get(part)
    return None if loads is None else [load for load in loads if load["is_trusted"]]


def _largest(side: Figures) -> str:
    search = side.get("search")
    if search is None:
        return NONE
    largest = search["largest"]
    if search["is_bot_at_fault"]:
        return f"**{largest}**"
    reason = f" ({_LATE} above)" if search["broke_at"] else ""
    return f"at least {largest}{reason}" if largest else f"no verdict ({_LATE})"


def _values(side: Figures, part: str, value: Callable[[Figures], float | None]) -> float | str:
    loads = _loads(side, part)
    if loads is None:
        return NONE
    values = [found for load in loads if (found := value(load)) is not None]
    return statistics.median(values) if values else _LATE if not loads else NONE


def _value(side: Figures, part: str, name: str) -> float:
    found = _values(side, part, lambda load: load[name])
    return math.nan if isinstance(found, str) else found


def _bot(part: str, name: str) -> Callable[[Figures], float]:
    # Memory that is resident stays so: the first load of a kind is the one that tells.
    if name == _MEMORY:
        return lambda side: _first(side, part, name)
    return lambda side: _value(side, part, name)


def _first(side: Figures, part: str, name: str) -> float:
    loads = side.get(part)
    return loads[0][name] if loads else math.nan


def _cpu(part: str) -> Callable[[Figures], float]:
    return _bot(part, "cpu")


def _shown(value: Callable[[Figures], float], digits: int, *, times: float = 1.0) -> Cell:
    def cell(side: Figures) -> str:
        found = value(side)
        return NONE if math.isnan(found) else f"{times * found:.{digits}f}"

    return cell


def _number(found: Figures | None, name: str) -> float:
    return math.nan if found is None else float(found[name])


def _plain(found: Figures | None, name: str) -> str:
    value = _number(found, name)
    return NONE if math.isnan(value) else f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _times(part: str, name: str) -> Cell:
    def cell(side: Figures) -> str:
        shown = [
            _values(side, part, lambda load, share=share: load[name][share])
            for share in ("p50", "p95")
        ]
        return _pair(shown)

    return cell


def _loop(part: str) -> Cell:
    def cell(side: Figures) -> str:
        return _pair(
            [_values(side, part, lambda load, which=which: load[which]) for which in _LATENESS]
        )

    return cell


_LATENESS = ("late_p99", "late_worst")


def _pair(shown: list[float | str]) -> str:
    low, high = shown
    if isinstance(low, str) or isinstance(high, str):
        return str(low) if isinstance(low, str) else str(high)
    return f"{1000 * low:.0f} / {1000 * high:.0f}"


def _gaps(part: str) -> Cell:
    def cell(side: Figures) -> str:
        loads = _loads(side, part)
        if loads is None:
            return NONE
        minutes = sum(load["bot_minutes"] for load in loads)
        if not minutes:
            return _LATE
        return f"{sum(load['gaps']['count'] for load in loads) / minutes:.2f}"

    return cell


def notes(found: Figures) -> Iterator[str]:
    """Whether the callers kept time, and what is missing."""
    if driver := found.get("driver"):
        yield _about_driver(driver)
    late = sum(not load["is_trusted"] for load in _every(found))
    if late:
        loads = "one load" if late == 1 else f"{late} loads"
        yield f"The callers were late themselves in {loads}: no figure here is of those."
    if not found["about"]["own_core"]:
        yield "There was one core for the bots and the callers: nothing of this is to be believed."
    if "profile" in found and not found["profile"]:
        yield "No profile: py-spy is not installed."


def _about_driver(driver: Figures) -> str:
    late = "" if driver["is_trustworthy"] else ", which is too late to judge by"
    return (
        f"The callers themselves: {driver['calls']} calls to a bot that costs next to nothing "
        f"took {100 * (driver['driver_cpu'] or 0):.0f} % of their core; 99 % of their turns came "
        f"at most {1000 * driver['timekeeping']['p99']:.1f} ms late{late}."
    )


def _every(found: Figures) -> Iterator[Figures]:
    for side in found["sides"].values():
        for part, loads in side.items():
            if part == "search":
                yield from loads["steps"]
            elif part not in ("set_up", "newcomers"):
                yield from loads
