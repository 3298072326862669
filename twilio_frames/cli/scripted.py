"""``twilio-frames call URL --script FILE``: scripted calls, judged one by one."""

import argparse
import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from twilio_frames.cli.exit_status import ExitStatus
from twilio_frames.cli.options import write_json
from twilio_frames.cli.reaching import Reached, reached, words_in
from twilio_frames.cli.shown.console import Console
from twilio_frames.cli.shown.junit import write_junit
from twilio_frames.cli.shown.transcript import Transcript
from twilio_frames.errors import CallFailedError, ConfigurationError
from twilio_frames.testing import (
    Caller,
    CallerOptions,
    CallResult,
    Script,
    SimulatedTwilio,
    Turn,
    read_scripts,
)
from twilio_frames.testing.callers.performance import Performance
from twilio_frames.testing.scripts.checks import Check


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedCall:
    """What came of one scenario.

    Parameters:
        script: What the caller did.
        checks: What came of each expectation.
        result: What came of the call; None if there was none.
        problem: Why there was none.
    """

    script: Script
    checks: tuple[Check, ...] = ()
    result: CallResult | None = None
    problem: str | None = None
    files: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The scenario's name."""
        return self.script.name

    @property
    def file(self) -> str:
        """Where it stands."""
        return str(self.script.file or "")

    @property
    def seconds(self) -> float:
        """How long the call lasted."""
        return self.result.seconds if self.result else 0.0

    @property
    def failures(self) -> tuple[Check, ...]:
        """What was not as expected."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def passed(self) -> bool:
        """Whether all was as expected."""
        return self.problem is None and not self.failures

    @property
    def story(self) -> str:
        """Who spoke when, line by line."""
        turns = self.result.turns if self.result else ()
        return "\n".join(_told(turn) for turn in turns)

    def to_dict(self) -> dict[str, object]:
        """The call for a JSON file."""
        return {
            "name": self.name,
            "file": self.file,
            "passed": self.passed,
            "problem": self.problem,
            "checks": [check.to_dict() for check in self.checks],
            "call": self.result.to_dict() if self.result else None,
            **self.files,
        }


def _told(turn: Turn) -> str:
    words = turn.told or f"speaks for {turn.ended_at - turn.began_at:.1f} s"
    return f"{turn.began_at:7.2f} s  {turn.speaker}: {words}"


async def call_scripted(options: argparse.Namespace, console: Console) -> int:
    """Makes all calls of all scripts; gives the exit status."""
    scripts = [script for path in options.script for script in read_scripts(path)]
    _tell_unused(scripts, console)
    places = asyncio.Semaphore(options.at_once)
    twilio = SimulatedTwilio(auth_token=options.auth_token, account_sid=options.account_sid)

    calls: list[ScriptedCall] = []

    is_interrupted = True
    try:
        async with twilio, reached(options.url, twilio) as bot:
            began = asyncio.get_running_loop().time()

            async def call(script: Script) -> None:
                async with places:
                    calls.append(await _call(twilio, bot, script, scripts, options, console))
                if len(calls) < len(scripts):
                    took = asyncio.get_running_loop().time() - began
                    console.say("  " + how_far(len(calls), len(scripts), took), "faint")

            await asyncio.gather(*(call(script) for script in scripts))
        is_interrupted = False
    finally:
        calls.sort(key=lambda each: scripts.index(each.script))
        status = _conclude(calls, options, console, is_interrupted=is_interrupted)
    return status


def how_far(done: int, of: int, took: float) -> str:
    """How many scenarios are done, and how long the others may take.

    Args:
        done: How many are.
        of: How many there are.
        took: Seconds that those took.
    """
    left = took / done * (of - done)
    told = f"{left / 60:.0f} min" if left >= 90 else f"{max(left, 1):.0f} s"
    return f"{done} of {of} scenarios, about {told} left"


def _conclude(
    calls: Sequence[ScriptedCall],
    options: argparse.Namespace,
    console: Console,
    *,
    is_interrupted: bool,
) -> int:
    """Says what came of the calls, and writes it down; gives the exit status."""
    passed = sum(each.passed for each in calls)
    console.say()
    colour = "good" if passed == len(calls) else "bad"
    console.fact("as expected", f"{passed} of {len(calls)} scenarios", colour)
    write_junit(options.junit, calls)
    content = {
        "url": options.url,
        "passed": passed == len(calls) and not is_interrupted,
        "interrupted": is_interrupted,
    }
    write_json(options.json, "call", content | {"scenarios": [each.to_dict() for each in calls]})
    if any(each.problem is not None for each in calls):
        return ExitStatus.FAILED
    return ExitStatus.DONE if passed == len(calls) else ExitStatus.NOT_AS_IT_SHOULD_BE


def _tell_unused(scripts: Sequence[Script], console: Console) -> None:
    for script in scripts:
        if script.unused:
            keys = ", ".join(f"`{key}`" for key in script.unused)
            console.say(f"{script.name}: {keys} mean nothing on a telephone line", "faint")


async def _call(
    twilio: SimulatedTwilio,
    bot: Reached,
    script: Script,
    scripts: Sequence[Script],
    options: argparse.Namespace,
    console: Console,
) -> ScriptedCall:
    performance = Performance(script)
    await performance.prepare()
    files = {
        name: _own(path, script, scripts)
        for name, path in (("record", options.record), ("log", options.log))
        if path is not None
    }
    sound = CallerOptions(
        record=files.get("record"), log=files.get("log"), noise_level=options.noise
    )
    if options.at_once == 1:
        console.say()
        console.say(f"{script.name}: ringing {options.url}")
    kept = {
        name: str(files[key])
        for name, key in (("recording", "record"), ("log", "log"))
        if key in files
    }
    try:
        caller = await _perform(twilio, bot, performance, sound, options, console)
    except CallFailedError as error:
        _summarize(console, script, (), str(error))
        return ScriptedCall(script=script, problem=str(error), files=kept)
    performance.judge(caller)
    checks = tuple(performance.checks)
    _summarize(console, script, checks, None)
    result = caller.result
    tell_timekeeping(result, console)
    return ScriptedCall(script=script, checks=checks, result=result, files=kept)


async def _perform(
    twilio: SimulatedTwilio,
    bot: Reached,
    performance: Performance,
    sound: CallerOptions,
    options: argparse.Namespace,
    console: Console,
) -> Caller:
    script = performance.script
    async with twilio.call(
        bot.url,
        parameters={**script.parameters, **dict(options.parameter)},
        numbers=script.numbers(options.from_number, options.to_number),
        options=script.options(sound),
    ) as caller:
        bot.attend(caller)
        performance.hearing = caller.hearing
        transcript = Transcript(console, words_in=words_in if bot.knows_words else None)
        # Two calls at once would speak over each other on the terminal too.
        follows = options.at_once == 1
        following = asyncio.create_task(transcript.follow(caller)) if follows else None
        try:
            await performance.perform(caller)
        finally:
            if following is not None:
                following.cancel()
    if follows:
        transcript.update(caller)
    return caller


def tell_timekeeping(result: CallResult, console: Console) -> None:
    """Says that the simulator was late, of a call of which times are told."""
    if not result.is_trustworthy and (result.answer_times or result.silence_times):
        console.fact("times", result.timekeeping.warning, "bad")


def _own(path: Path, script: Script, scripts: Sequence[Script]) -> Path:
    """A file of its own for each of several scenarios."""
    if len(scripts) == 1:
        return path
    number = scripts.index(script) + 1
    name = re.sub(r"[^\w.-]+", "-", script.name)
    return path.with_name(f"{path.stem}-{number}-{name}{path.suffix}")


def _summarize(
    console: Console, script: Script, checks: Sequence[Check], problem: str | None
) -> None:
    failures = [str(check) for check in checks if not check.passed]
    if problem is not None:
        failures = [problem]
    verdict = "not as expected" if failures else f"as expected ({len(checks)} checks)"
    console.fact(script.name, verdict, "bad" if failures else "good")
    for failure in failures:
        console.say(f"    {failure}", "bad")


def refuse_mixture(options: argparse.Namespace) -> None:
    """Refuses a command line that scripts a caller twice.

    Raises:
        ConfigurationError: If it does.
    """
    given = [
        name
        for name, is_given in (
            ("--script", bool(options.script)),
            ("--replay", options.replay is not None),
            ("--say, --wav or --digits", bool(options.steps)),
        )
        if is_given
    ]
    if len(given) > 1:
        raise ConfigurationError(
            f"expected one kind of caller, got {' and '.join(given)}: leave the others out"
        )
    if options.junit is not None and not options.script:
        raise ConfigurationError(
            "expected --script beside --junit, got none: only a script says what is expected"
        )
