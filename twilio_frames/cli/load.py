"""``twilio-frames load URL --calls N``: many calls at once, and whether the bot bears them."""

import argparse
import asyncio
import gc
from collections.abc import Sequence

from twilio_frames.cli.exit_status import ExitStatus
from twilio_frames.cli.options import (
    Commands,
    add_account,
    file_to_write,
    positive_secs,
    wav_file,
    write_json,
)
from twilio_frames.cli.shown.console import Console
from twilio_frames.cli.shown.load_view import LoadView, show_result, show_step, show_verdict
from twilio_frames.testing.load import (
    CallerBehaviour,
    LoadPlan,
    LoadResult,
    QualityLimits,
    run_load,
    search_largest,
)
from twilio_frames.testing.load.phrases import DEFAULT_WORDS, PhraseSet, prepare
from twilio_frames.testing.load.run import CALLS_PER_SECOND, SETTLING_SECS
from twilio_frames.testing.speech import Speech

_DESCRIPTION = """\
Keeps N calls up, each with a caller of its own who asks, listens and now and then talks over the
bot, and says what the callers noticed. URL is the bot's TwiML webhook (http://...) or its stream
(ws://..., opened without TwiML); of several, each is tried in turn. A caller whom the bot hangs up
on calls again."""

_EPILOG = """\
exit status: 0 quality was held; 1 it could not be tried; 3 the bot fell short of a limit, or the
simulator did not keep time and nothing is known. With --search: 0 if any number of calls held.
For figures worth having, give the bot and this command a core each (`taskset -c 0 ...`).
TWILIO_AUTH_TOKEN signs the requests, and TWILIO_ACCOUNT_SID names the account, where set."""


def add_to(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "load",
        help="call a bot many times at once",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.set_defaults(run=run, log_level="WARNING")
    parser.add_argument("urls", metavar="URL", nargs="+")
    parser.add_argument(
        "--json", type=file_to_write, metavar="FILE", help="write the figures to a file"
    )
    _add_amount(parser)
    _add_search(parser)
    _add_callers(parser)
    _add_limits(parser)


def _add_amount(parser: argparse.ArgumentParser) -> None:
    amount = parser.add_argument_group("how much")
    amount.add_argument(
        "--calls", type=_count, default=10, metavar="N", help="calls at once (%(default)s)"
    )
    amount.add_argument(
        "--ramp",
        type=positive_secs,
        metavar="S",
        help=f"seconds over which they are made (so many that it is {CALLS_PER_SECOND:g} a second)",
    )
    amount.add_argument(
        "--settling",
        type=positive_secs,
        default=SETTLING_SECS,
        metavar="S",
        help="how long they are left alone when all are up (%(default)g)",
    )
    amount.add_argument(
        "--seconds",
        type=positive_secs,
        default=30.0,
        metavar="S",
        help="how long they are measured then (%(default)g)",
    )
    amount.add_argument(
        "--call-secs",
        type=positive_secs,
        metavar="S",
        help="how long a caller stays before hanging up and calling again (to the end)",
    )
    amount.add_argument("--seed", type=int, default=0, help="draws all that callers do (0)")


def _add_search(parser: argparse.ArgumentParser) -> None:
    search = parser.add_argument_group("the largest number of calls that holds its quality")
    search.add_argument(
        "--search",
        action="store_true",
        help="look for it: double the calls until the limits are broken, then close in",
    )
    search.add_argument(
        "--first", type=_count, default=4, metavar="N", help="calls to begin with (%(default)s)"
    )
    search.add_argument(
        "--most", type=_count, default=512, metavar="N", help="calls to end at (%(default)s)"
    )


def _add_callers(parser: argparse.ArgumentParser) -> None:
    callers, behaviour = parser.add_argument_group("the callers"), CallerBehaviour()
    callers.add_argument(
        "--say", action="append", default=[], metavar="TEXT", help="one of the things they say"
    )
    callers.add_argument(
        "--wav", action="append", default=[], type=wav_file, metavar="FILE", help="another"
    )
    callers.add_argument(
        "--noise", type=float, default=-55.0, metavar="DB", help="of full scale (%(default)g)"
    )
    callers.add_argument(
        "--interrupting",
        type=_share,
        default=behaviour.interrupting,
        metavar="SHARE",
        help="share of the bot's answers that are talked over (%(default)g)",
    )
    callers.add_argument(
        "--patience",
        type=positive_secs,
        default=behaviour.patience,
        metavar="S",
        help="how long an answer is waited for (%(default)g)",
    )
    add_account(callers)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    group, limits = parser.add_argument_group("quality"), QualityLimits()
    group.add_argument(
        "--first-audio",
        type=positive_secs,
        default=limits.first_audio,
        metavar="S",
        help="that 95 %% of the bot's first sounds may take (%(default)g)",
    )
    group.add_argument(
        "--times-slower",
        type=float,
        default=limits.times_slower,
        metavar="X",
        help="than in the first step of a search (%(default)g)",
    )
    group.add_argument(
        "--barge-in",
        type=positive_secs,
        metavar="S",
        help="that the bot may speak on, in 95 %% of the cases (any)",
    )
    group.add_argument(
        "--gaps",
        type=float,
        default=limits.gaps_per_minute,
        metavar="X",
        help="over 60 ms, in each minute of the bot's speech (%(default)g)",
    )
    group.add_argument(
        "--failed", type=int, default=limits.failed, metavar="N", help="calls that may (0)"
    )
    group.add_argument(
        "--late",
        type=positive_secs,
        default=limits.lateness,
        metavar="S",
        help="that the simulator itself may be late, in 99 %% of its turns (%(default)g)",
    )


def run(options: argparse.Namespace) -> int:
    """Makes the calls; gives the exit status."""
    console = Console()
    try:
        return asyncio.run(_load(options, console))
    finally:
        gc.unfreeze()


async def _load(options: argparse.Namespace, console: Console) -> int:
    phrase_set = await prepare(_speech(options), noise_level=options.noise, seed=options.seed)
    # What is there by now stays, and a collection that walks through it would hold up the clock.
    gc.collect()
    gc.freeze()
    found: list[dict[str, object]] = []
    statuses: list[int] = []
    view = LoadView(console)
    content: dict[str, object] = {"loads": found, "interrupted": None}
    try:
        for url in options.urls:
            kind = _search if options.search else _once
            outcome, status = await kind(url, options, phrase_set, console, view)
            found.append(outcome)
            statuses.append(status)
    except asyncio.CancelledError:
        content["interrupted"] = view.last
        raise
    finally:
        write_json(options.json, "load", content)
    return ExitStatus.FAILED if ExitStatus.FAILED in statuses else max(statuses)


async def _once(
    url: str,
    options: argparse.Namespace,
    phrase_set: PhraseSet,
    console: Console,
    view: LoadView,
) -> tuple[dict[str, object], int]:
    result = await _run(url, options.calls, options, phrase_set, view)
    limits = _limits(options)
    show_result(console, result, limits)
    shortfalls, is_trusted = limits.shortfalls(result), limits.trusts(result)
    outcome = {**result.to_dict(), "shortfalls": shortfalls, "is_trusted": is_trusted}
    is_good = is_trusted and not shortfalls
    return outcome, _status(was_tried=result.was_tried, is_good=is_good)


def _status(*, was_tried: bool, is_good: bool) -> int:
    if not was_tried:
        return ExitStatus.FAILED
    return ExitStatus.DONE if is_good else ExitStatus.NOT_AS_IT_SHOULD_BE


async def _search(
    url: str,
    options: argparse.Namespace,
    phrase_set: PhraseSet,
    console: Console,
    view: LoadView,
) -> tuple[dict[str, object], int]:
    found = await search_largest(
        lambda calls: _run(url, calls, options, phrase_set, view),
        _limits(options),
        first=options.first,
        most=options.most,
        on_step=lambda step: show_step(console, step),
    )
    show_verdict(console, url, found)
    status = _status(was_tried=found.was_tried, is_good=found.largest > 0)
    return {"url": url, **found.to_dict()}, status


async def _run(
    url: str, calls: int, options: argparse.Namespace, phrase_set: PhraseSet, view: LoadView
) -> LoadResult:
    plan = LoadPlan(
        url=url,
        calls=calls,
        seconds=options.seconds,
        ramp=options.ramp,
        settling=options.settling,
        call_secs=options.call_secs,
        behaviour=CallerBehaviour(interrupting=options.interrupting, patience=options.patience),
        parameters=dict(options.parameter),
        auth_token=options.auth_token,
        account_sid=options.account_sid,
        seed=options.seed,
    )
    with view.of(url):
        return await run_load(plan, phrase_set=phrase_set, on_progress=view.show)


def _speech(options: argparse.Namespace) -> Sequence[Speech]:
    return [*options.say, *options.wav] or DEFAULT_WORDS


def _limits(options: argparse.Namespace) -> QualityLimits:
    return QualityLimits(
        first_audio=options.first_audio,
        times_slower=options.times_slower,
        barge_in=options.barge_in,
        gaps_per_minute=options.gaps,
        failed=options.failed,
        lateness=options.late,
    )


def _count(text: str) -> int:
    """An argument that counts calls."""
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"expected 1 to 10000, got {text!r}")
    return int(text)


def _share(text: str) -> float:
    """An argument from 0 to 1."""
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to 1, got {text!r}")
    return share
