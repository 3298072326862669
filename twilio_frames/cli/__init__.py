"""The command ``twilio-frames``: try a bot, call one, serve one, place a call.

Exit status: 0 done; 1 it could not be done, and why was said; 2 the command line is wrong; 3 it was
done, but not as it should be (each command says what that means); 130 interrupted by Ctrl-C.
"""

import os
import re
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from loguru import logger

from twilio_frames import __version__
from twilio_frames.cli import (
    call,
    calls,
    campaign,
    completion,
    demo,
    dial,
    doctor,
    init,
    load,
    report,
    serve,
)
from twilio_frames.cli.completion import actions_of
from twilio_frames.cli.exit_status import ExitStatus
from twilio_frames.errors import TwilioFramesError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: The command line without the program's name; by default that of the process.

    Returns:
        The exit status.
    """
    # Its Linux wheels (1.32) keep a device id and events in the user's cache from onnxruntime's
    # first import on, and look their maker's collector up at the first session. This stops both;
    # ``onnxruntime.disable_telemetry_events()`` after the import is too late for the files.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    options = parser().parse_args(arguments)
    logger.remove()
    level = "DEBUG" if options.verbose else options.log_level
    # What Pipecat logs below INFO holds the words that were said.
    least: dict[str | None, str | int | bool] = {
        "": level,
        "pipecat": "INFO" if options.verbose else level,
    }
    logger.add(sys.stderr, level=level, filter=least)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except Exception as error:
        if _comes_of_interrupt(error):
            return ExitStatus.INTERRUPTED
        if not isinstance(error, TwilioFramesError):
            raise
        sys.stderr.write(f"twilio-frames {options.command}: {error}\n")
        return ExitStatus.FAILED


_AHEAD = ("-v", "--verbose", "--version")


class _Parser(ArgumentParser):
    """Says what was meant where a command, a choice or an option is mistyped."""

    # It is overloaded there.
    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, args: Any = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Refuses what it does not know itself: else the whole program's usage is shown for it."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            known = [each for action in actions_of(self) for each in action.option_strings]
            self.error(f"unrecognized arguments: {' '.join(unknown)}{_meant(unknown[0], known)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """Shows the usage and what is wrong, and ends the program."""
        if choice := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message):
            message += _meant(choice[1], re.findall(r"[\w-]+", choice[2]))
        super().error(message)


def _meant(word: str, known: Sequence[str]) -> str:
    if word in _AHEAD:
        return ": it stands ahead of the command"
    near = get_close_matches(word.partition("=")[0], known, 1)
    return f": did you mean {near[0]}?" if near else ""


class _CommandParser(_Parser):
    """Shows what is said of a command as it is written."""

    def __init__(self, **options: Any):
        super().__init__(formatter_class=RawDescriptionHelpFormatter, **options)


def _comes_of_interrupt(error: BaseException) -> bool:
    """Whether Ctrl-C is what an error came of: a class that is being made wraps it, say."""
    chain: list[BaseException | None] = [error]
    for each in chain:
        if each is not None:
            # An error may come to stand in its own chain.
            chain += [one for one in (each.__cause__, each.__context__) if one not in chain]
    return any(isinstance(each, KeyboardInterrupt) for each in chain)


def parser() -> ArgumentParser:
    """What reads the command line."""
    parser = _Parser(
        prog="twilio-frames", description="Puts a Pipecat voice bot on a Twilio phone line."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument(
        *_AHEAD[:2],
        action="store_true",
        help="log to stderr what happens on a call, without the words",
    )
    commands = parser.add_subparsers(
        dest="command",
        required=True,
        metavar="COMMAND",
        parser_class=_CommandParser,
    )
    for command in (
        demo,
        init,
        call,
        load,
        serve,
        dial,
        campaign,
        calls,
        doctor,
        report,
        completion,
    ):
        command.add_to(commands)
    return parser
