"""Scripts from YAML files, in the words of Pipecat's eval scenarios; see ``docs/callers.md``."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from twilio_frames.errors import ConfigurationError
from twilio_frames.testing.callers.tones import KEYS as DTMF_KEYS
from twilio_frames.testing.calls.facts import CallEnd
from twilio_frames.testing.lines.conditions import LineConditions
from twilio_frames.testing.scripts.script import (
    Event,
    Expectation,
    Limits,
    Script,
    ScriptTurn,
    SendAfter,
)
from twilio_frames.testing.scripts.yaml_values import Located, read_yaml
from twilio_frames.testing.speech import Speech

_ENDS = {end.value: end for end in CallEnd}
_FILE_KEYS = {"name", "scenarios"}
SCENARIO_KEYS = {
    *("name", "turns", "stop_on_failure", "limits", "voice", "line", "noise_db"),
    *("parameters", "from", "to"),
}
_UNUSED_KEYS = {"user", "judge", "context", "trigger_disconnect"}
"""Keys of Pipecat's scenarios about what no caller can see: who judges it, and by which model."""

TURN_KEYS = {"user", "say", "audio", "dtmf", "wait_ms", "hang_up", "send_after", "expect"}
EXPECTATION_KEYS = {
    *("event", "within_ms", "text_contains", "text_excludes", "reason", "code", "absent"),
    "check_from",
}
_LIMIT_KEYS = {
    "first_audio_ms": "first_audio",
    "answer_ms": "answer",
    "interruption_ms": "interruption",
    "gap_ms": "gap",
    "dead_air_ms": "dead_air",
    "call_ms": "call",
    "cut_off_ms": "cut_off",
}
LIMITS_KEYS = {*_LIMIT_KEYS, "warnings", "errors", "end", "flow"}
_SPEECH_EVENTS = (Event.BOT_STARTED_SPEAKING, Event.BOT_STOPPED_SPEAKING)
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
    "stall_ms": (Located.seconds, ("stall_secs",)),
    "lost_at_ms": (Located.seconds, ("lost_at",)),
    "half_open_at_ms": (Located.seconds, ("half_open_at",)),
    "reading_rate": (_bytes_a_second, ("reading_rate",)),
    "echo_db": (level_of, ("echo_level",)),
    "echo_delay_ms": (Located.seconds, ("echo_delay",)),
    "comfort_noise_db": (level_of, ("comfort_noise",)),
    "a_law": (Located.flag, ("is_over_a_law",)),
}


def _line_of(item: Located) -> LineConditions:
    """What the line is like, as far as it is told."""
    given: dict[str, Any] = {}
    for name, value in item.mapping("line").items():
        if name not in _KEYS:
            raise value.error(f"one of {', '.join(_KEYS)} in `line`", f"take `{name}` out")
        read, parameters = _KEYS[name]
        given |= dict.fromkeys(parameters, read(value, name))
    return LineConditions(**given)


def read_scripts(path: Path) -> tuple[Script, ...]:
    """The scenarios of a file, in its order.

    Raises:
        ConfigurationError: If it says something that a caller cannot do; with file and line.
    """
    root = read_yaml(path)
    file = root.mapping("the file")
    if "scenarios" in file:
        scenarios = file["scenarios"].items("scenarios")
        if not scenarios:
            raise file["scenarios"].error("at least one scenario", "write one, with its turns")
        defaults = {name: value for name, value in file.items() if name not in _FILE_KEYS}
        scripts = tuple(
            _scenario(each, defaults, _name(file, path), number, path)
            for number, each in enumerate(scenarios, start=1)
        )
    else:
        scripts = (_script(file, _name(file, path), root, path),)
    _refuse_twins(scripts, root)
    return scripts


def _name(keys: Mapping[str, Located], path: Path) -> str:
    return keys["name"].text("name") if "name" in keys else path.stem


def _scenario(
    item: Located, defaults: Mapping[str, Located], name: str, number: int, path: Path
) -> Script:
    own = item.mapping("scenarios")
    mine = own["name"].text("name") if "name" in own else str(number)
    return _script({**defaults, **own}, f"{name}/{mine}", item, path)


def _refuse_twins(scripts: Iterable[Script], root: Located) -> None:
    seen: set[str] = set()
    for script in scripts:
        if script.name in seen:
            raise ConfigurationError(
                f"expected each scenario's name once, got {script.name!r} twice at {root.path}: "
                "rename one"
            )
        seen.add(script.name)


def _script(keys: Mapping[str, Located], name: str, item: Located, path: Path) -> Script:
    if "persona" in keys:
        raise keys["persona"].error(
            "a scenario with `turns`",
            "a caller that a language model plays is not there; write down what is said",
        )
    _know(keys, SCENARIO_KEYS | _UNUSED_KEYS, "a scenario")
    if "turns" not in keys:
        raise item.error("a scenario with `turns`", "write down what the caller says")
    voice = keys["voice"].text("voice") if "voice" in keys else ""
    numbers = {key: keys[key].text(key) for key in ("from", "to") if key in keys}
    parameters = keys["parameters"].mapping("parameters") if "parameters" in keys else {}
    stop = keys["stop_on_failure"].flag("stop_on_failure") if "stop_on_failure" in keys else True
    return Script(
        name=name,
        turns=tuple(_turn(each, path) for each in keys["turns"].items("turns")),
        limits=_limits(keys["limits"]) if "limits" in keys else Limits(where=item.where),
        stop_on_failure=stop,
        voice=voice,
        line=_line_of(keys["line"]) if "line" in keys else None,
        noise_level=level_of(keys["noise_db"], "noise_db") if "noise_db" in keys else None,
        parameters={key: str(value.value) for key, value in parameters.items()},
        from_number=numbers.get("from", ""),
        to_number=numbers.get("to", ""),
        file=path,
        unused=tuple(sorted(keys.keys() & _UNUSED_KEYS)),
    )


def _know(keys: Mapping[str, Located], known: Iterable[str], what: str) -> None:
    for name, value in keys.items():
        if name not in known:
            raise ConfigurationError(
                f"expected one of {', '.join(sorted(known))} in {what}, got `{name}` at "
                f"{value.where}: rename it or take it out"
            )


def _turn(item: Located, path: Path) -> ScriptTurn:
    keys = item.mapping("turns")
    _know(keys, TURN_KEYS, "a turn")
    say = _say(keys, path)
    dtmf = _dtmf(keys["dtmf"]) if "dtmf" in keys else ""
    if say and dtmf:
        raise item.error("either words or keys in a turn", "make two turns of it")
    send_after = _send_after(keys["send_after"]) if "send_after" in keys else None
    expected = keys["expect"].items("expect") if "expect" in keys else []
    turn = ScriptTurn(
        say=say,
        dtmf=dtmf,
        wait=keys["wait_ms"].seconds("wait_ms") if "wait_ms" in keys else 0.0,
        hang_up_after=_hang_up(keys["hang_up"]) if "hang_up" in keys else None,
        send_after=send_after,
        expect=tuple(_expectation(each) for each in expected),
        where=item.where,
    )
    does_something = say or dtmf or turn.wait or turn.hang_up_after is not None
    if send_after is not None and not does_something:
        raise keys["send_after"].error(
            "something that is sent after it", "add `user`, `audio`, `dtmf`, `wait_ms` or `hang_up`"
        )
    if not does_something and not expected:
        raise item.error("a turn that does or expects something", "add `user` or `expect`")
    return turn


def _say(keys: Mapping[str, Located], path: Path) -> tuple[Speech | float, ...]:
    if "user" in keys and "say" in keys:
        raise keys["say"].error("either `user` or `say`", "they mean the same; take one out")
    name = "say" if "say" in keys else "user"
    words = _parts(keys[name], name) if name in keys else ()
    if "audio" not in keys:
        return words
    if len(words) > 1:
        raise keys[name].error("one text beside `audio`", "a recording has its own pauses")
    audio = keys["audio"]
    file = audio.path.parent / audio.text("audio")
    if not file.is_file():
        raise ConfigurationError(
            f"expected a WAV file for `audio`, got none called {audio.value} at {audio.where}: "
            f"paths start from the folder {audio.path.parent}"
        )
    return (file,)


def _parts(item: Located, name: str) -> tuple[Speech | float, ...]:
    if not isinstance(item.value, list):
        return (item.text(name),)
    parts = tuple(_part(each, name) for each in item.items(name))
    if not any(isinstance(part, str) for part in parts):
        raise item.error(f"some text for `{name}`", "use `wait_ms` for silence alone")
    return parts


def _part(item: Located, name: str) -> str | float:
    if not isinstance(item.value, dict):
        return item.text(name)
    keys = item.mapping(name)
    _know(keys, ("pause_ms",), f"a part of `{name}`")
    if "pause_ms" not in keys:
        raise item.error(f"text or `pause_ms` in `{name}`", "say how long the pause is")
    return keys["pause_ms"].seconds("pause_ms")


def _dtmf(item: Located) -> str:
    # YAML makes a number of keys without quotes.
    whole = isinstance(item.value, int) and not isinstance(item.value, bool)
    keys = str(item.value) if whole else item.text("dtmf")
    if any(key.upper() not in DTMF_KEYS and key != "w" for key in keys):
        raise ConfigurationError(
            f"expected the keys 0-9 * # A-D or w for `dtmf`, got another one at {item.where}: "
            "put them in quotes"
        )
    return keys


def _hang_up(item: Located) -> float | None:
    if isinstance(item.value, bool):
        return float("inf") if item.value else None
    keys = item.mapping("hang_up")
    _know(keys, ("delay_ms",), "`hang_up`")
    return keys["delay_ms"].seconds("delay_ms") if "delay_ms" in keys else float("inf")


def _send_after(item: Located) -> SendAfter:
    keys = item.mapping("send_after")
    _know(keys, ("event", "delay_ms"), "`send_after`")
    delay = keys["delay_ms"].seconds("delay_ms") if "delay_ms" in keys else 0.0
    if "event" not in keys and not delay:
        raise item.error("an `event` or a `delay_ms`", "say after what, or how much later")
    return SendAfter(
        event=_event(keys["event"], _SPEECH_EVENTS) if "event" in keys else None, delay=delay
    )


def _event(item: Located, known: Iterable[Event]) -> Event:
    for event in known:
        if item.value == event.value:
            return event
    raise item.error(
        f"one of {', '.join(known)}", "nothing else can be told at the caller's end of the line"
    )


def _expectation(item: Located) -> Expectation:
    keys = item.mapping("expect")
    _know(keys, EXPECTATION_KEYS, "an expectation")
    if "event" not in keys:
        raise item.error("an `event`", f"name one of {', '.join(Event)}")
    event = _event(keys["event"], Event)
    texts = {
        name: keys[name].text(name) for name in ("text_contains", "text_excludes") if name in keys
    }
    try:
        return Expectation(
            event=event,
            within=keys["within_ms"].seconds("within_ms") if "within_ms" in keys else None,
            text_contains=texts.get("text_contains"),
            text_excludes=texts.get("text_excludes"),
            reason=_end(keys["reason"]) if "reason" in keys else None,
            code=keys["code"].whole("code") if "code" in keys else None,
            absent=keys["absent"].flag("absent") if "absent" in keys else False,
            from_turn_start=_is_from_turn_start(keys),
            where=item.where,
        )
    except ConfigurationError as error:
        if item.path.name in str(error):
            raise
        raise ConfigurationError(f"{error} at {item.where}: take it out") from error


def _is_from_turn_start(keys: Mapping[str, Located]) -> bool:
    if "check_from" not in keys:
        return False
    item = keys["check_from"]
    if item.value not in ("previous", "turn_start"):
        raise item.error("`previous` or `turn_start` for `check_from`", "write one of them")
    return item.value == "turn_start"


def _end(item: Located) -> str:
    if item.value not in _ENDS:
        raise item.error(f"one of {', '.join(_ENDS)}", "say how the call is to end")
    return str(item.value)


def _limits(item: Located) -> Limits:
    keys = item.mapping("limits")
    _know(keys, LIMITS_KEYS, "`limits`")
    seconds = {_LIMIT_KEYS[name]: keys[name].seconds(name) for name in _LIMIT_KEYS if name in keys}
    counts = {name: _count(keys[name], name) for name in ("warnings", "errors") if name in keys}
    flow = keys["flow"].items("flow") if "flow" in keys else []
    limits = Limits(
        end=_end(keys["end"]) if "end" in keys else None,
        flow=tuple(each.text("flow") for each in flow),
        where=item.where,
    )
    return replace(limits, **seconds, **counts)


def _count(item: Located, name: str) -> int | None:
    return None if item.value == "any" else item.whole(name)
