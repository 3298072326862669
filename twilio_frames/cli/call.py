"""``twilio-frames call URL|MODULE:BOT``: a simulated Twilio rings any Media Streams bot."""

import argparse
import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twilio_frames.cli.exit_status import ExitStatus
from twilio_frames.cli.options import (
    Commands,
    add_account,
    existing_file,
    file_to_write,
    phone_keys,
    positive_secs,
    wav_file,
    write_json,
)
from twilio_frames.cli.reaching import reached, words_in
from twilio_frames.cli.scripted import call_scripted, refuse_mixture, tell_timekeeping
from twilio_frames.cli.shown.console import Console
from twilio_frames.cli.shown.transcript import Transcript
from twilio_frames.errors import CallFailedError
from twilio_frames.testing import (
    CallEnd,
    Caller,
    CallerOptions,
    CallResult,
    Numbers,
    SimulatedTwilio,
    read_replay,
)
from twilio_frames.testing.exchange import (
    BOT_NUMBER,
    CALLER_NUMBER,
)
from twilio_frames.testing.replay import Replay
from twilio_frames.testing.stream import REFUSED, WHY_REFUSED

LISTEN_SECS = 10.0
"""How long a caller without a script stays on the line."""


_DESCRIPTION = """\
Rings a bot as Twilio would, and lets a caller speak with it. URL is the bot's TwiML webhook
(http://...), its stream (ws://..., opened without TwiML), or MODULE:BOT, a bot of this folder that
is served meanwhile: then its words are shown, and what it raises. What the caller says, plays and
presses is done in the order given; before each, and after the last, the bot is listened to.

With --script, the caller follows YAML files that say as well what is expected of the bot; with
--replay, the caller of a recorded call is heard again: docs/callers.md has both."""

_EPILOG = """\
exit status: 0 the bot was heard, with --script all was as expected; 1 there was no call, or it
broke off; 3 the bot was never heard on a stream (what <Say> and <Play> say for it does not count),
with --script not all was as expected.
TWILIO_AUTH_TOKEN signs the requests, and TWILIO_ACCOUNT_SID names the account, where set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing the caller does."""

    kind: str
    value: str | Path


class _AddStep(argparse.Action):
    """Keeps the order of --say, --wav and --digits among each other."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        kind = (option_string or "").lstrip("-")
        given = values if isinstance(values, list) else [values]
        namespace.steps = [*namespace.steps, *(Step(kind=kind, value=value) for value in given)]


def add_to(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "call",
        help="ring a bot on this machine or elsewhere",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.set_defaults(run=run, log_level="WARNING", steps=[])
    parser.add_argument("url", metavar="URL|MODULE:BOT")
    _add_script(parser)
    _add_scripted(parser)
    _add_line(parser)
    files = parser.add_argument_group("files")
    files.add_argument("--record", type=file_to_write, help="stereo WAV: caller left, bot right")
    files.add_argument("--log", type=file_to_write, help="every message with its time, JSON lines")
    files.add_argument("--json", type=file_to_write, help="the result, for programs")
    files.add_argument(
        "--junit", type=file_to_write, help="what --script expected and got, as JUnit XML"
    )


def _add_script(parser: argparse.ArgumentParser) -> None:
    script = parser.add_argument_group("the caller")
    script.add_argument(
        "--say", action=_AddStep, nargs="+", metavar="TEXT", help="says this (extra `local`)"
    )
    script.add_argument(
        "--wav", action=_AddStep, nargs="+", type=wav_file, metavar="FILE", help="plays this"
    )
    script.add_argument(
        "--digits",
        action=_AddStep,
        type=phone_keys,
        metavar="KEYS",
        help="presses 0-9 * #; w waits half a second",
    )
    script.add_argument(
        "--patience",
        type=positive_secs,
        default=LISTEN_SECS,
        metavar="S",
        help="how long a silent bot is waited for before going on (%(default)g)",
    )
    script.add_argument(
        "--seconds",
        type=positive_secs,
        metavar="S",
        help=f"stays on the line at least so long (without a script {LISTEN_SECS:g})",
    )


def _add_scripted(parser: argparse.ArgumentParser) -> None:
    scripted = parser.add_argument_group("scripted and recorded callers")
    scripted.add_argument(
        "--script",
        nargs="+",
        action="extend",
        type=existing_file,
        default=[],
        metavar="FILE",
        help="follows these YAML files, scenario by scenario",
    )
    scripted.add_argument(
        "--at-once", type=_count, default=1, metavar="N", help="so many scenarios at one time"
    )
    scripted.add_argument(
        "--replay",
        type=existing_file,
        metavar="FILE",
        help="plays the caller of recorded Media Streams messages, of a call log or of a WAV file",
    )
    scripted.add_argument(
        "--skip-malformed",
        action="store_true",
        help="with --replay: goes without the lines that cannot be read, and says what is lost",
    )


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 100:
        raise argparse.ArgumentTypeError(f"expected a number up to 100, got {text!r}")
    return int(text)


def _add_line(parser: argparse.ArgumentParser) -> None:
    line = parser.add_argument_group("the line")
    line.add_argument("--from", dest="from_number", default=CALLER_NUMBER, metavar="NUMBER")
    line.add_argument("--to", dest="to_number", default=BOT_NUMBER, metavar="NUMBER")
    line.add_argument(
        "--noise",
        type=float,
        metavar="DB",
        help="background noise, dB of full scale (-55, with --replay none but the "
        "recording's own; no real line is silent)",
    )
    add_account(line)


def run(options: argparse.Namespace) -> int:
    """Makes the call; gives the exit status."""
    refuse_mixture(options)
    if options.noise is None and options.replay is None:
        options.noise = -55.0
    if options.script:
        return asyncio.run(call_scripted(options, Console()))
    return asyncio.run(_call(options, Console()))


async def _call(options: argparse.Namespace, console: Console) -> int:
    replay = _replay(options, console)
    sound = CallerOptions(record=options.record, log=options.log, noise_level=options.noise)
    numbers = Numbers(from_number=options.from_number, to_number=options.to_number)
    twilio = SimulatedTwilio(auth_token=options.auth_token, account_sid=options.account_sid)
    async with twilio, reached(options.url, twilio) as bot:
        console.say(f"Ringing {options.url}")
        async with twilio.call(
            bot.url,
            parameters={**(replay.parameters if replay else {}), **dict(options.parameter)},
            numbers=numbers,
            options=sound,
        ) as caller:
            bot.attend(caller)
            transcript = Transcript(console, words_in=words_in if bot.knows_words else None)
            following = asyncio.create_task(transcript.follow(caller))
            try:
                if replay is not None:
                    await replay.perform(caller)
                await _talk(caller, options, stay=0.0 if replay else LISTEN_SECS)
            except asyncio.CancelledError:
                # Ctrl-C hangs up; what was heard until then is told.
                await caller.hang_up()
                _conclude(caller, transcript, options, console, interrupted=True)
                raise
            finally:
                following.cancel()
        result = _conclude(caller, transcript, options, console)
        if _is_bot_heard(result):
            return ExitStatus.DONE
        raised = await bot.mistakes_of(caller)
    if any(
        each.details.get("close_code") == REFUSED for each in caller.log.events("stream_closed")
    ):
        raise CallFailedError(WHY_REFUSED)
    console.say(f"  the bot was never heard: {_why_unheard(result, raised)}", "bad")
    return ExitStatus.NOT_AS_IT_SHOULD_BE


def _why_unheard(result: CallResult, raised: Sequence[BaseException]) -> str:
    if raised:
        return f"it raised {type(raised[0]).__name__}"
    if result.end is CallEnd.BOT_HUNG_UP:
        return f"it ended the call after {result.seconds:.1f} s (a bot that returns hangs up)"
    if result.end in (CallEnd.CALLER_HUNG_UP, None):
        what = "sent only silence" if result.heard_spans else "sent no sound"
        return f"it {what} in {result.seconds:.1f} s"
    return f"{result.end.value} after {result.seconds:.1f} s"


def _conclude(
    caller: Caller,
    transcript: Transcript,
    options: argparse.Namespace,
    console: Console,
    *,
    interrupted: bool = False,
) -> CallResult:
    """Says what came of a call, and writes it down."""
    transcript.update(caller)
    result = caller.result
    _summarize(result, options, console)
    content = {"url": options.url, "interrupted": interrupted} | result.to_dict()
    write_json(options.json, "call", content)
    return result


def _is_bot_heard(result: CallResult) -> bool:
    """Whether the bot itself spoke, and not only the TwiML around it."""
    return any(
        turn.speaker == "bot" and span.began_at < turn.ended_at and span.ended_at > turn.began_at
        for turn in result.turns
        for span in result.heard_spans
    )


def _replay(options: argparse.Namespace, console: Console) -> Replay | None:
    """The recorded caller, if there is one; says what of the recording is lost."""
    if options.replay is None:
        return None
    replay = read_replay(options.replay, skip_malformed=options.skip_malformed)
    console.say(f"Replaying {replay.name}, {replay.seconds:.1f} s")
    for lost in replay.lost:
        console.fact("not replayed", lost, "bad")
    return replay


async def _talk(caller: Caller, options: argparse.Namespace, *, stay: float) -> None:
    """Does the script's steps, listening before each one. Ends early if the bot hangs up."""
    steps: list[Step] = options.steps
    stay = options.seconds or (0.0 if steps else stay)
    try:
        for step in steps:
            await _listen(caller, options.patience)
            await _do(caller, step)
        if steps:
            await _listen(caller, options.patience)
        if stay > caller.now:
            await caller.wait(stay - caller.now)
    except CallFailedError:
        if caller.is_connected:
            raise


async def _listen(caller: Caller, patience: float) -> None:
    """A bot that says nothing is not waited for any longer than this."""
    with suppress(CallFailedError):
        await caller.wait_until_bot_speaks(seconds=patience)
    if caller.hears_bot:
        await caller.wait_for_bot(seconds=600)


async def _do(caller: Caller, step: Step) -> None:
    match step:
        case Step(kind="digits", value=str(keys)):
            await caller.press(keys)
        case Step(value=value):
            await caller.say(value)


def _summarize(result: CallResult, options: argparse.Namespace, console: Console) -> None:
    console.say()
    console.fact("call", f"{result.seconds:.1f} s; {result.end.value if result.end else 'goes on'}")
    for turn in result.turns:
        if turn.answered_after is not None:
            console.fact("bot answered after", f"{turn.answered_after:.2f} s")
        if turn.silenced_after is not None:
            console.fact("bot silent after talk-over", f"{turn.silenced_after:.2f} s")
    if result.cut_off_secs:
        console.fact("bot cut off", f"{result.cut_off_secs:.1f} s were never heard", "bad")
    for alert in result.alerts:
        console.fact("Twilio would show", str(alert), "bad")
    tell_timekeeping(result, console)
    for name, path in (("recording", options.record), ("log", options.log)):
        if path is not None:
            console.fact(name, str(path))
