"""``twilio-frames serve MODULE:bot``: a web server that puts a bot on the phone."""

import argparse
import asyncio
import importlib
import inspect
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from traceback import walk_tb
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from twilio_frames.cli.exit_status import ExitStatus
from twilio_frames.cli.options import Commands, port_number, worker_count
from twilio_frames.cli.shown.console import Console, showing_errors
from twilio_frames.cli.workers import import_ahead, run_workers
from twilio_frames.errors import ConfigurationError, MissingExtraError, absence_in
from twilio_frames.fleet.forking import copied_on_order
from twilio_frames.metrics.kept import take_place

if TYPE_CHECKING:
    from twilio_frames.server import Bot, Server

_EPILOG = """\
environment:
  TWILIO_ACCOUNT_SID            the account
  TWILIO_AUTH_TOKEN             its secret, by which webhooks and streams are checked
  TWILIO_API_KEY                an API key for REST requests, instead of the auth token
  TWILIO_API_SECRET             its secret
  TWILIO_PHONE_NUMBER           the number calls are placed from
  TWILIO_REGION                 a Twilio region such as ie1
  TWILIO_EDGE                   a Twilio edge such as dublin
  TWILIO_FRAMES_PUBLIC_URL      the address by which Twilio reaches this server
  TWILIO_FRAMES_TRUST_PROXIES   1 to believe what a proxy in front says of that address
  TWILIO_FRAMES_API_URL         where REST requests go instead of Twilio
  TWILIO_FRAMES_DIAL_KEY        what proves that somebody may place calls
  TWILIO_FRAMES_DIAL_PREFIXES   whom calls may be placed to, such as +1,+44; by default to the
                                country of TWILIO_PHONE_NUMBER
  TWILIO_FRAMES_DIALS_PER_MINUTE how many calls may be placed in a minute
  TWILIO_FRAMES_MAX_CALLS       how many calls may be up at once
  TWILIO_FRAMES_MAX_CONNECTIONS how many connections, by default half of the open files allowed
  TWILIO_FRAMES_DRAIN_SECONDS   how long calls may go on when the server is to end
  TWILIO_FRAMES_BLOCKED_SECONDS from how long on a block of the event loop is logged; 0: none is
  TWILIO_FRAMES_APOLOGY         what is said when a bot fails; empty for nothing
  TWILIO_FRAMES_CALL_LOGS       a folder for a log of each call; see twilio-frames report
  TWILIO_FRAMES_LOG_WORDS       1 for the words that were said in them
  TWILIO_FRAMES_LOG_DIGITS      1 for the keys that were pressed
  TWILIO_FRAMES_METRICS         0 to keep no figures for /metrics, 1 to end where that cannot be
  TWILIO_FRAMES_RECORDING_NEEDS_CONSENT 1 to record only with consent

Coroutine functions beside the bot that are called if they are there: warm_up() before calls are
taken, which may raise a ConfigurationError for what is missing; prepare(coming_call) while a call's
stream is still to come.

More stands in twilio_frames.server.ServerSettings. Ctrl-C lets calls end, for a bounded time.

exit status: 0 it was told to stop, by Ctrl-C or SIGTERM, and has; 1 it could not serve."""

_EXTRAS = {
    "cartesia": "cartesia",
    "deepgram": "deepgram",
    "espeakng_loader": "local",
    "google": "google",
    "jsonschema": "openai",
    "langchain_core": "langchain",
    "langchain_openai": "langchain",
    "pocketsphinx": "local",
}
"""Which extra brings what a bot may import by itself; our own services say so where they do."""


def add_to(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "serve",
        help="put a bot on the phone",
        description="Serves a bot: webhooks, streams and a page to call from.",
        epilog=_EPILOG,
    )
    parser.set_defaults(run=run, log_level="INFO")
    parser.add_argument("bot", metavar="MODULE:BOT", help="such as my_bot:bot")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=port_number, default=8000, help="port to listen on (%(default)s)"
    )
    parser.add_argument(
        "--no-softphone",
        action="store_true",
        help="leave out the page /phone, where one speaks to the bot from a browser",
    )
    parser.add_argument(
        "--workers",
        type=worker_count,
        default=1,
        metavar="N",
        help="processes that share the port and carry calls together (%(default)s); more than one "
        "have no softphone",
    )
    parser.add_argument(
        "--show-errors",
        action="store_true",
        help="write what the bot raises to stderr, with its text, which may hold a caller's words",
    )


def run(options: argparse.Namespace) -> int:
    """Serves until it is told to stop; gives the exit status."""
    if options.workers > 1:
        return asyncio.run(run_workers(options))
    copied_on_order(import_ahead)
    take_place()
    bot = load_bot(options.bot)
    # Pipecat takes a second to import, which the other commands need not wait for.
    from twilio_frames.fleet.workers import inherited_sockets
    from twilio_frames.server import serve

    hooks = {name: beside(bot, name) for name in ("warm_up", "prepare")}
    console = Console()
    extras = {} if options.no_softphone else softphone(bot, options.bot, console, hooks["prepare"])
    address = {"host": options.host, "port": options.port}
    sockets = inherited_sockets()
    # What one of several would say, whoever has started them says.
    announce = (lambda _: None) if sockets else console.say
    shared = {"sockets": sockets or None, "announce": announce}
    with showing_errors(options.show_errors):
        asyncio.run(serve(bot, **shared, **address, **hooks, **extras))
    return ExitStatus.DONE


def softphone(
    bot: "Bot",
    name: str,
    console: Console,
    prepare: Any = None,
    *,
    folder: Path | None = None,
    started: Callable[[str], object] = lambda url: None,
) -> dict[str, Any]:
    """What ``serve()`` takes to have a softphone on its server.

    Args:
        bot: What answers.
        name: What the page calls it.
        console: Where the page's address is written.
        prepare: As for ``serve()``.
        folder: Where log and recording of each call are kept, if they are.
        started: Called with the page's address once it can be opened.
    """
    from twilio_frames.testing.softphone import Softphone

    page = Softphone(bot, prepare=prepare, name=name, folder=folder)

    def tell(server: "Server") -> None:
        url = server.page_url.replace("/#", "/phone#") if "#" in server.page_url else None
        url = url or f"{server.url}/phone"
        console.say(f"softphone: {url}")
        started(url)

    return {"extend": page.add_to, "started": tell}


def beside(bot: "Bot", name: str) -> Any:
    """A coroutine function of the bot's, or of the module in which the bot is written, if any.

    Raises:
        ConfigurationError: If what has that name is none.
    """
    module = sys.modules.get(getattr(bot, "__module__", ""))
    hook = getattr(bot, name, getattr(module, name, None))
    if hook is None or inspect.iscoroutinefunction(hook):
        return hook
    kind = "a function that is none" if inspect.isroutine(hook) else type(hook).__name__
    raise ConfigurationError(
        f"expected a coroutine function {name} beside the bot, got {kind}: write it with "
        "`async def`, or give it another name"
    )


def load_bot(name: str) -> "Bot":
    """The coroutine function a ``MODULE:BOT`` names; modules of this folder are found too.

    Raises:
        ConfigurationError: If there is none.
        MissingExtraError: If it needs an extra of this package that is not installed.
    """
    module_name, colon, attribute = name.partition(":")
    if not colon or not module_name or not attribute:
        raise ConfigurationError(f"expected MODULE:BOT such as my_bot:bot, got {name!r}")
    if module_name.endswith(".py") or {"/", "\\"} & set(module_name):
        meant = re.sub(r"[/\\]+", ".", module_name.removesuffix(".py")).strip(".")
        raise ConfigurationError(
            f"expected a module's name, got a file's in {name!r}: say {meant}:{attribute}"
        )
    bot = getattr(_imported(module_name), attribute, None)
    _check_bot(bot, f"{attribute} in {module_name}")
    return cast("Bot", bot)


def _check_bot(bot: object, name: str) -> None:
    """Sees whether something can answer a call.

    Raises:
        ConfigurationError: If it cannot; it says what to change.
    """
    wanted = f"expected a coroutine function {name}, `async def bot(call)`, got"
    if not callable(bot):
        kind = "nothing of that name" if bot is None else type(bot).__name__
        raise ConfigurationError(f"{wanted} {kind}")
    whole = inspect.unwrap(bot)
    if not (
        inspect.iscoroutinefunction(whole) or inspect.iscoroutinefunction(type(whole).__call__)
    ):
        kind = "a class" if inspect.isclass(bot) else "a function that is none"
        raise ConfigurationError(f"{wanted} {kind}: write it with `async def`")
    try:
        inspect.signature(bot).bind(None)
    except TypeError as error:
        raise ConfigurationError(
            f"{wanted} one that does not take a call alone ({error}): give it one argument"
        ) from error


def _imported(name: str) -> ModuleType:
    """A module, of this folder too.

    Raises:
        ConfigurationError: If it cannot be imported; it says where that failed.
        MissingExtraError: If it needs an extra of this package that is not installed.
    """
    sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except Exception as error:
        if isinstance(error, MissingExtraError):
            raise
        if (absence := absence_in(error)) is not None and absence.name:
            raise _absence(absence, absence.name, name) from error
        raise ConfigurationError(
            f"expected the module {name} to be imported, got {type(error).__name__}: {error}"
            f"{_place_of(error)}"
        ) from error


def _place_of(error: BaseException) -> str:
    """Where a module went wrong; a syntax error says so by itself."""
    if isinstance(error, SyntaxError):
        return ""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f", at {last.filename}:{last.lineno}"


def _absence(error: ModuleNotFoundError, missing: str, module_name: str) -> ConfigurationError:
    if f"{module_name}.".startswith(f"{missing}."):
        return ConfigurationError(
            f"expected the module {module_name}, got no module {missing}: "
            "run this in the folder where it is, or install it"
        )
    if extra := _EXTRAS.get(missing.partition(".")[0]):
        return MissingExtraError(missing, extra)
    return ConfigurationError(
        f"expected the module {missing}, which {_importer(error)} imports, got none: install it"
    )


def _importer(error: ModuleNotFoundError) -> str:
    """The module that imports what is missing."""
    frames = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    return [name for name in frames if name.partition(".")[0] != "importlib"][-1]
