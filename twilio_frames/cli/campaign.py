"""``twilio-frames campaign calls.csv MODULE:bot``: many numbers are called, each as agreed."""

import argparse
import asyncio
import contextlib
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from twilio_frames.cli.dial import add_call_options, call_options
from twilio_frames.cli.exit_status import ExitStatus
from twilio_frames.cli.options import (
    Commands,
    existing_file,
    file_to_write,
    port_number,
    write_json,
)
from twilio_frames.cli.serve import beside, load_bot
from twilio_frames.cli.shown.console import Console
from twilio_frames.errors import ConfigurationError
from twilio_frames.private_files import write_private

if TYPE_CHECKING:
    from twilio_frames.campaign import Campaign, CampaignLine, CampaignPolicy, Retry
    from twilio_frames.campaign.contacts import ContactList
    from twilio_frames.campaign.plan import Progress
    from twilio_frames.rest import CallOptions
    from twilio_frames.server import Server, ServerSettings

_DESCRIPTION = """\
Calls the numbers of a CSV file, each as often as its outcomes say, at the hours of its time zone.
CALLS is a table with a heading: number; zone, if wanted (America/New_York); each other column is a
parameter that the bot finds in call.parameters. BOT is MODULE:BOT, served here meanwhile, or the
public TwiML webhook of a bot that is served elsewhere (https://...).

What was done is kept in an SQLite file: whatever ends the command, the same line goes on where it
was. Ctrl-C lets the calls that are up end; a second one leaves at once."""

_EPILOG = """\
TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN sign in, TWILIO_PHONE_NUMBER is called from; a bot that is
served here needs TWILIO_FRAMES_PUBLIC_URL, and all that serve says of the environment holds.
exit status: 0 every number has its outcome; 1 it could not be done, and why was said; 130 it was
stopped before."""

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_TELL_EVERY_SECS = 10.0


def add_to(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "campaign",
        help="call many numbers",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.set_defaults(run=run, log_level="WARNING")
    parser.add_argument("calls", type=existing_file, metavar="CALLS", help="the CSV file")
    parser.add_argument("bot", metavar="BOT", help="such as my_bot:bot")
    parser.add_argument("--from", dest="caller_id", metavar="NUMBER", help="the number called from")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=port_number, default=8000, help="port to listen on (%(default)s)"
    )
    _add_policy(parser.add_argument_group("whom, when, how often"))
    add_call_options(parser.add_argument_group("each call"))
    files = parser.add_argument_group("files")
    files.add_argument(
        "--state", type=file_to_write, metavar="FILE", help="what was done (CALLS.campaign)"
    )
    files.add_argument(
        "--results",
        type=file_to_write,
        metavar="FILE",
        help="what came of each number: CSV, or with a name in .jsonl JSON lines",
    )
    files.add_argument(
        "--json", type=file_to_write, metavar="FILE", help="the counts, for programs"
    )


def _add_policy(group: Any) -> None:
    group.add_argument(
        "--per-second", type=float, default=1.0, metavar="N", help="calls placed (%(default)g)"
    )
    group.add_argument(
        "--at-once", type=int, default=10, metavar="N", help="calls at a time (%(default)s)"
    )
    group.add_argument(
        "--hours",
        type=_hours,
        default=(time(9), time(20)),
        metavar="H:M-H:M",
        help="when people are called, by their own clock (9:00-20:00)",
    )
    group.add_argument(
        "--days", type=_days, default=(0, 1, 2, 3, 4, 5), help="and on which days (mon-sat)"
    )
    group.add_argument("--zone", help="time zone of numbers whose own is not known")
    group.add_argument(
        "--retry",
        type=_retry,
        action="append",
        default=[],
        metavar="OUTCOME=TIMES/WAIT",
        help="such as busy=2/10m, no-answer=2/2h, machine=1/4h, failed=1/1h, canceled=1/1h (these "
        "unless given otherwise); TIMES 0 for no more",
    )
    group.add_argument(
        "--most-calls", type=int, default=3, metavar="N", help="of one number (%(default)s)"
    )
    group.add_argument(
        "--do-not-call",
        type=existing_file,
        action="append",
        default=[],
        metavar="FILE",
        help="numbers that are not called, one a line",
    )
    group.add_argument(
        "--on-machine",
        default="talk",
        choices=("talk", "hang-up"),
        help="what is done where --machine-detection finds one (%(default)s)",
    )
    group.add_argument(
        "--settle",
        type=float,
        default=30.0,
        metavar="S",
        help="how long a call may come of a request that Twilio did not answer (%(default)g)",
    )


def run(options: argparse.Namespace) -> int:
    """Runs a campaign; gives the exit status."""
    from twilio_frames.campaign import Outcome, read_contacts
    from twilio_frames.campaign.contacts import read_numbers

    console = Console()
    policy = _policy(options)
    listed = read_contacts(options.calls)
    barred = {
        **listed.barred,
        **dict.fromkeys(read_numbers(options.do_not_call), Outcome.DO_NOT_CALL),
    }
    _tell_rows(console, listed)
    return asyncio.run(_run(options, console, listed, policy, barred))


async def _run(
    options: argparse.Namespace,
    console: Console,
    listed: "ContactList",
    policy: "CampaignPolicy",
    barred: dict[str, Any],
) -> int:
    from twilio_frames.campaign import Campaign, Outcome
    from twilio_frames.server import ServerSettings
    from twilio_frames.server.dialing.destinations import Destinations

    settings = ServerSettings.from_environment(
        **({"phone_number": options.caller_id} if options.caller_id else {}),
        # The campaign's own pace holds.
        dials_per_minute=10**6,
    )
    base = options.bot.removesuffix("/twiml") if "://" in options.bot else settings.public_url
    asked = call_options(options, **_told_to(options, (base or "http://127.0.0.1").rstrip("/")))
    destinations = Destinations(settings.dial_prefixes, own=settings.phone_number)
    for contact in listed.contacts:
        if contact.number not in barred and not destinations.allow(contact.number):
            barred[contact.number] = Outcome.NOT_ALLOWED
    state = options.state or options.calls.with_suffix(".campaign")
    teller = _Teller(console)
    async with _reached(options, settings, asked, policy, teller) as line:
        campaign = Campaign(
            listed.contacts, line, policy, state=state, barred=barred, tell=teller.tell
        )
        try:
            with _stops(campaign, console):
                is_done = await campaign.run()
        finally:
            campaign.close()
            _write(options, campaign)
    if not is_done:
        console.say(f"stopped; the same command goes on where it was ({state})")
    return ExitStatus.DONE if is_done else ExitStatus.INTERRUPTED


@asynccontextmanager
async def _reached(
    options: argparse.Namespace,
    settings: "ServerSettings",
    asked: "CallOptions",
    policy: "CampaignPolicy",
    teller: "_Teller",
) -> AsyncIterator["CampaignLine"]:
    """Has the bot that is to be connected, and a way to call; the bot's console shows it all."""
    from twilio_frames.campaign import CampaignLine
    from twilio_frames.rest import TwilioRest

    caller, credentials = settings.phone_number, settings.credentials
    if credentials is None or not caller:
        raise ConfigurationError(
            "expected a Twilio account to call from, got none: set TWILIO_ACCOUNT_SID, "
            "TWILIO_AUTH_TOKEN and TWILIO_PHONE_NUMBER"
        )
    async with TwilioRest(credentials, base_url=settings.api_url) as rest:
        if "://" in options.bot:
            yield CampaignLine(rest, caller=caller, webhook=options.bot, options=asked)
            return
        async with _serving(options, settings, policy) as (server, state, base):
            from twilio_frames.server.dialing.placing import place

            teller.told.append(server.shows_campaign(options.calls.name))
            teller.console.say(f"console: {server.console_url}")

            async def dial(to: str, webhook: str, call: "CallOptions") -> str:
                from_ = call.caller_id or caller
                return await place(state, rest, to, from_, webhook, call)

            def is_over(call_sid: str) -> bool:
                record = state.records.get(call_sid)
                return record is not None and record.is_over

            yield CampaignLine(
                rest,
                caller=caller,
                webhook=base + "/twiml",
                options=replace(asked, status_callback=base + "/status", **_told_to(options, base)),
                dial=dial,
                is_over=is_over,
            )


@asynccontextmanager
async def _serving(
    options: argparse.Namespace, settings: "ServerSettings", policy: "CampaignPolicy"
) -> AsyncIterator[tuple["Server", Any, str]]:
    bot = load_bot(options.bot)
    from twilio_frames.server import Server, create_app
    from twilio_frames.server.addresses import is_reachable
    from twilio_frames.server.state import STATE

    if settings.max_calls < policy.at_once:
        settings = replace(settings, max_calls=policy.at_once)
    app = create_app(bot, settings, **{name: beside(bot, name) for name in ("warm_up", "prepare")})
    async with Server(app, host=options.host, port=options.port) as server:
        base = (settings.public_url or server.url).rstrip("/")
        if settings.api_url is None and not is_reachable(urlsplit(base).hostname or ""):
            raise ConfigurationError(
                "expected an address at which Twilio reaches this server, got one of this machine "
                "or its own network: set TWILIO_FRAMES_PUBLIC_URL to that of your domain or tunnel"
            )
        yield server, app[STATE], base


def _told_to(options: argparse.Namespace, base: str) -> dict[str, str | None]:
    """Where the verdict of a detection beside the bot goes: to the bot's server."""
    own = f"{base}/amd" if options.async_detection else None
    return {"detection_callback": options.detection_callback or own}


def _policy(options: argparse.Namespace) -> "CampaignPolicy":
    from twilio_frames.campaign import CallingHours, CampaignPolicy

    if options.on_machine == "hang-up" and not options.machine_detection:
        raise ConfigurationError(
            "expected --machine-detection with --on-machine hang-up: without it no machine is found"
        )
    begin, end = options.hours
    policy = CampaignPolicy(
        calls_per_second=options.per_second,
        at_once=options.at_once,
        hours=CallingHours(begin=begin, end=end, days=options.days, zone=options.zone),
        most_attempts=options.most_calls,
        on_machine=options.on_machine,
        settle_secs=options.settle,
    )
    return replace(policy, retries={**policy.retries, **dict(options.retry)})


def _hours(text: str) -> tuple[time, time]:
    found = re.fullmatch(r"(\d{1,2}):(\d\d)-(\d{1,2}):(\d\d)", text)
    try:
        if found is None:
            raise ValueError
        begin, begin_minute, end, end_minute = map(int, found.groups())
        # No clock shows 24:00, which is where the last minute of a day ends.
        last = time(23, 59, 59, 999_999) if (end, end_minute) == (24, 0) else time(end, end_minute)
        return time(begin, begin_minute), last
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected hours such as 9:00-20:00, got {text!r}"
        ) from None


def _days(text: str) -> tuple[int, ...]:
    days: set[int] = set()
    for part in text.lower().split(","):
        first, dash, last = part.partition("-")
        if first not in _DAYS or (dash and last not in _DAYS):
            raise argparse.ArgumentTypeError(
                f"expected days such as mon-fri or mon,wed,sat, got {text!r}"
            )
        begin, end = _DAYS.index(first), _DAYS.index(last or first)
        days |= {day % 7 for day in range(begin, end + 1 + (7 if end < begin else 0))}
    return tuple(sorted(days))


def _retry(text: str) -> "tuple[Any, Retry]":
    from twilio_frames.campaign import Outcome, Retry

    found = re.fullmatch(r"([a-z-]+)=(\d{1,3})(?:/(\d{1,6})([smhd]))?", text)
    if found is None or found[1] not in list(Outcome) or (found[2] != "0" and not found[3]):
        raise argparse.ArgumentTypeError(
            f"expected an outcome and how often and when it is called again, such as busy=2/10m, "
            f"got {text!r}; outcomes are busy, no-answer, machine, fax, failed, canceled, answered"
        )
    after = int(found[3] or 0) * _UNITS[found[4] or "s"]
    return Outcome(found[1]), Retry(times=int(found[2]), after_secs=after)


def _tell_rows(console: Console, listed: "ContactList") -> None:
    for rows, fault in (
        (listed.invalid_rows, "without a phone number, not called"),
        (listed.repeated_rows, "with the number of another, called once"),
    ):
        if rows:
            named = ", ".join(map(str, rows[:10])) + (", ..." if len(rows) > 10 else "")
            console.say(f"{len(rows)} rows {fault}: {named}", "bad")


class _Teller:
    """Says how far it is: on a terminal in one line, elsewhere now and then; to others always."""

    def __init__(self, console: Console):
        self.console = console
        self.told: list[Callable[[Progress], None]] = []
        """Others who are told."""
        self._said_at = float("-inf")
        self._lines = 0

    def tell(self, progress: "Progress") -> None:
        for tell in self.told:
            tell(progress)
        now = asyncio.get_running_loop().time()
        is_over = not progress.waiting and not progress.up
        every = 0.5 if self.console.is_terminal else _TELL_EVERY_SECS
        if now < self._said_at + every and not is_over:
            return
        self._said_at = now
        self.console.wipe(self._lines)
        self.console.say(_described(progress))
        self._lines = 1


def _described(progress: "Progress") -> str:
    done = sum(progress.outcomes.values())
    outcomes = ", ".join(
        f"{count} {outcome}" for outcome, count in sorted(progress.outcomes.items())
    )
    parts = [f"{done} of {progress.contacts} done" + (f" ({outcomes})" if outcomes else "")]
    parts += [f"{progress.up} up", f"{progress.waiting} waiting", f"{progress.calls} calls"]
    if progress.next_at is not None and not progress.up:
        at = datetime.fromtimestamp(progress.next_at).astimezone()
        parts.append(f"the next at {at:%a %H:%M %Z}")
    if progress.seconds_left:
        minutes = progress.seconds_left / 60
        left = f"{minutes / 60:.1f} h" if minutes >= 90 else f"{max(minutes, 1):.0f} min"
        parts.append(f"about {left} left")
    return ", ".join(parts)


@contextlib.contextmanager
def _stops(campaign: "Campaign", console: Console) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM stops a campaign, the second ends the command."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    told: list[int] = []

    def stop() -> None:
        told.append(1)
        if len(told) > 1 and task is not None:
            task.cancel()
            return
        console.say("no more calls; those that are up may end (again to leave at once)")
        campaign.stop()

    caught: list[signal.Signals] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        # Only a main thread, and no Windows, takes signals in its event loop.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop)
            caught.append(number)
    try:
        yield
    except asyncio.CancelledError:
        if len(told) < 2:
            raise
        raise KeyboardInterrupt from None
    finally:
        for number in caught:
            loop.remove_signal_handler(number)


def _write(options: argparse.Namespace, campaign: "Campaign") -> None:
    """Writes what came of it until now, also where it was broken off."""
    import time as clock

    from twilio_frames.campaign.results import counted, csv_of, json_lines_of

    write_json(options.json, "campaign", counted(campaign.plan.progress(clock.time())))
    path: Path | None = options.results
    if path is None:
        return
    text = (json_lines_of if path.suffix == ".jsonl" else csv_of)(campaign.plan)
    try:
        write_private(path, text.encode())
    except OSError as error:
        sys.stderr.write(f"twilio-frames campaign: {path} was not written: {error.strerror}\n")
