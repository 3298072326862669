"""``twilio-frames demo``: a whole conversation on this machine, without account, key or network."""

import argparse
import asyncio
import os
import sys
import tempfile
import webbrowser
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from twilio_frames.cli.exit_status import ExitStatus
from twilio_frames.cli.options import Commands, file_to_write, port_number, wav_file, write_json
from twilio_frames.cli.report import write_page
from twilio_frames.cli.shown.console import Console
from twilio_frames.cli.shown.transcript import Transcript
from twilio_frames.errors import CallFailedError, ConfigurationError, MissingExtraError
from twilio_frames.private_files import make_private_folder
from twilio_frames.report import read_report
from twilio_frames.testing import CallerOptions, CallResult, Numbers, SimulatedTwilio
from twilio_frames.testing.calls.facts import StatusCallback
from twilio_frames.testing.exchange import DEFAULT_ACCOUNT_SID, DEFAULT_AUTH_TOKEN

if TYPE_CHECKING:
    from twilio_frames.cli.demo.customers import Customer
    from twilio_frames.cli.demo.shop import Shop

MOST_SECS = 80.0
"""The demonstration stays under 90 seconds whatever happens."""

_LOG = "call.jsonl"
_RECORDING = "call.wav"
_REPORT = "call.html"
_TWILIO_LOG = "twilio.jsonl"
_TWILIO_RECORDING = "twilio.wav"
_EPILOG = """\
exit status: 0 the order was taken right (with --caller: an order was taken and agreed to; with
--phone: it was told to stop); 1 the call broke off; 3 the order was not taken right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the demonstration went."""

    result: CallResult
    order: dict[str, str]
    spoken_order: str
    is_served: bool
    success: str
    transcript: Transcript
    problem: str | None = None


def add_to(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "demo",
        help="hear a caller order a coffee, without a phone",
        description="Serves the coffee shop bot, rings it from a simulated Twilio, and lets a "
        "scripted caller order, change their mind while the bot is talking, and say goodbye.",
        epilog=_EPILOG,
    )
    parser.set_defaults(run=run, log_level="ERROR")
    caller = parser.add_mutually_exclusive_group()
    caller.add_argument(
        "--phone",
        action="store_true",
        help="a page in your browser where you order yourself, until Ctrl-C",
    )
    caller.add_argument(
        "--caller",
        nargs="+",
        type=wav_file,
        metavar="FILE",
        help="WAV files that speak instead of the script, one a turn; then the order is agreed to",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="DIR",
        help="folder for recordings, logs and report (default: in your cache folder)",
    )
    parser.add_argument(
        "--json", type=file_to_write, metavar="FILE", help="the result, for programs"
    )
    parser.add_argument(
        "--port", type=port_number, default=0, help="port of the page (default: one that is free)"
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="write the page's address, and open nothing"
    )


def run(options: argparse.Namespace) -> int:
    """Runs the demonstration; gives the exit status."""
    for module in ("pocketsphinx", "espeakng_loader"):
        if find_spec(module) is None:
            raise MissingExtraError(module, "local")
    _check(options)
    console = Console()
    if options.phone:
        return _take_calls(options, console)
    folder = _prepare_folder(options.keep)
    # Pipecat takes a second to import, which the other commands need not wait for.
    console.say("Opening the coffee shop ...")
    outcome = asyncio.run(_demonstrate(options, folder, console))
    _write_report(folder)
    _summarize(outcome, folder, console)
    write_json(options.json, "demo", _content(outcome, folder))
    if outcome.problem is not None:
        raise CallFailedError(outcome.problem)
    return ExitStatus.DONE if outcome.is_served else ExitStatus.NOT_AS_IT_SHOULD_BE


def _check(options: argparse.Namespace) -> None:
    if options.phone and options.json is not None:
        raise ConfigurationError(
            "expected either --phone or --json, got both: the page leads to each call's report"
        )
    if not options.phone and (options.port or options.no_browser):
        raise ConfigurationError("expected --phone with --port and --no-browser, got none")


def _take_calls(options: argparse.Namespace, console: Console) -> int:
    """Lets whoever opens the page call the shop, until it is told to stop."""
    console.say("Opening the coffee shop ...")
    from twilio_frames.cli.demo.shop import open_shop, take_order
    from twilio_frames.cli.serve import softphone
    from twilio_frames.server import ServerSettings, serve

    def show(url: str) -> None:
        console.say("Press Call there, and order. Ctrl-C closes the shop.")
        if not options.no_browser and _has_browser():
            webbrowser.open(url)

    page = softphone(take_order, "The coffee shop", console, folder=options.keep, started=show)
    serving = serve(
        take_order,
        ServerSettings(),
        port=options.port,
        warm_up=open_shop,
        announce=lambda line: None,
        **page,
    )
    asyncio.run(serving)
    return ExitStatus.DONE


def _has_browser() -> bool:
    """Whether one can be opened, in a window."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return sys.platform in ("win32", "darwin") or any(map(os.environ.get, names))


def _prepare_folder(wanted: Path | None) -> Path:
    """The folder for recordings, logs and report, made if need be, without those of before.

    Raises:
        ConfigurationError: If the wanted one cannot be made.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = wanted or cache / "twilio-frames" / "demo"
    try:
        make_private_folder(folder)
        for name in (_LOG, _RECORDING, _REPORT, _TWILIO_LOG, _TWILIO_RECORDING):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        if wanted is None:
            return Path(tempfile.mkdtemp(prefix="twilio-frames-"))
        raise ConfigurationError(
            f"expected a folder to write to, got {error.strerror} at {wanted}: name another"
        ) from error
    return folder


async def _demonstrate(options: argparse.Namespace, folder: Path, console: Console) -> Outcome:
    from twilio_frames.cli.demo.customers import RecordedCustomer, ScriptedCustomer
    from twilio_frames.cli.demo.shop import Shop
    from twilio_frames.server import Server, ServerSettings, create_app

    transcript = Transcript(console, knows_words=True)
    shop = Shop(
        on_heard=transcript.bot_heard,
        on_understood=transcript.bot_understood,
        log=folder / _LOG,
        recording=folder / _RECORDING,
    )
    customer = (
        RecordedCustomer(shop.dialogue, options.caller)
        if options.caller
        else ScriptedCustomer(shop.dialogue)
    )
    settings = ServerSettings(account_sid=DEFAULT_ACCOUNT_SID, auth_token=DEFAULT_AUTH_TOKEN)
    async with (
        Server(create_app(shop.take_call, settings, warm_up=shop.warm_up)) as server,
        SimulatedTwilio() as twilio,
    ):
        return await _ring(twilio, server.url, folder, transcript, shop, customer)


async def _ring(
    twilio: SimulatedTwilio,
    url: str,
    folder: Path,
    transcript: Transcript,
    shop: "Shop",
    customer: "Customer",
) -> Outcome:
    problem: str | None = None
    sound = CallerOptions(
        record=folder / _TWILIO_RECORDING,
        log=folder / _TWILIO_LOG,
        noise_level=-50.0,
        seconds=MOST_SECS,
    )
    status = StatusCallback(url=f"{url}/status", events=("ringing", "answered", "completed"))
    async with twilio.call(
        f"{url}/twiml", numbers=Numbers(), status_callback=status, options=sound
    ) as caller:
        following = asyncio.create_task(transcript.follow(caller))
        try:
            await customer.order(caller)
        except CallFailedError as error:
            problem = str(error)
        finally:
            following.cancel()
    transcript.update(caller)
    order = shop.dialogue.order
    return Outcome(
        result=caller.result,
        order=order.slots(),
        spoken_order=order.completed().spoken() if order.drink else "none",
        is_served=customer.is_served(),
        success=customer.success,
        transcript=transcript,
        problem=problem,
    )


def _write_report(folder: Path) -> None:
    """The call's report, by the bot's own log of it."""
    if (folder / _LOG).is_file() and (folder / _RECORDING).is_file():
        write_page(read_report(folder / _LOG, folder / _RECORDING), folder / _REPORT)


def _summarize(outcome: Outcome, folder: Path, console: Console) -> None:
    result = outcome.result
    turns = [turn for turn in result.turns if turn.speaker == "caller"]
    console.say()
    console.fact("call", f"{result.seconds:.1f} s; {result.end.value if result.end else 'goes on'}")
    console.fact("the caller's turns", str(len(turns)))
    console.fact("bot answered after", _seconds(result.answer_times))
    console.fact("bot silent after talk-over", _seconds(result.silence_times))
    for alert in result.alerts:
        console.fact("Twilio would show", str(alert), "bad")
    verdict = outcome.success if outcome.is_served else f"not {outcome.success}"
    colour = "good" if outcome.is_served else "bad"
    console.fact("order", f"{outcome.spoken_order} ({verdict})", colour)
    console.fact("recording", str(folder / _RECORDING))
    console.fact("log", str(folder / _LOG))
    console.fact("report (open in a browser)", str(folder / _REPORT))


def _seconds(times: tuple[float, ...]) -> str:
    return ", ".join(f"{time:.2f} s" for time in times) or "-"


def _content(outcome: Outcome, folder: Path) -> dict[str, object]:
    """The JSON file: the call's result, the order, what was said, and where the files are.

    Recording, log and report are the bot's own; Twilio's hold what the simulated Twilio heard.
    """
    turns = [turn.to_dict() for turn in outcome.result.turns]
    return outcome.result.to_dict() | {
        "turns": outcome.transcript.with_words(turns),
        "order": outcome.order,
        "order_in_words": outcome.spoken_order,
        "taken_right": outcome.is_served,
        "transcript": outcome.transcript.in_order(),
        "problem": outcome.problem,
        "recording": str(folder / _RECORDING),
        "log": str(folder / _LOG),
        "report": str(folder / _REPORT),
        "twilio_recording": str(folder / _TWILIO_RECORDING),
        "twilio_log": str(folder / _TWILIO_LOG),
    }
