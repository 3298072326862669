"""What the commands' lines have in common."""

import argparse
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from twilio_frames import __version__
from twilio_frames.errors import ConfigurationError
from twilio_frames.private_files import write_private
from twilio_frames.testing.exchange import DEFAULT_ACCOUNT_SID, DEFAULT_AUTH_TOKEN
from twilio_frames.testing.speech import read_wav

_PHONE_KEYS = "0123456789*#w"
_CALLEE = re.compile(r"\+[1-9][0-9]{7,14}|sip:\S+|client:\S+")
"""E.164 has up to 15 digits; a country's shortest numbers, with its code, have eight."""


class Commands(Protocol):
    """Where a command adds itself: what argparse's ``add_subparsers`` gives."""

    choices: Any
    """The parser of each command, by its name."""

    def add_parser(self, name: str, **options: Any) -> argparse.ArgumentParser:
        """Adds a command."""
        ...


class Options(Protocol):
    """Where an option is added: a parser, or a group of one."""

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action:
        """Adds an option."""
        ...


def existing_file(text: str) -> Path:
    """An argument that names a file to be read."""
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"expected a file, got none at {text}")
    return path


def wav_file(text: str) -> Path:
    """An argument that names a WAV file that can be played."""
    path = existing_file(text)
    try:
        read_wav(path)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return path


def file_to_write(text: str) -> Path:
    """An argument that names a file to be written, in a folder that is there."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"expected a file to write, got the folder {text}")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(
            f"expected a file in a folder that exists, got {text}: make the folder {path.parent}"
        )
    return path


def file_or_output(text: str) -> str:
    """The same, or ``-`` for standard output."""
    return text if text == "-" else str(file_to_write(text))


def port_number(text: str) -> int:
    """An argument that names a TCP port; 0 is any that is free."""
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"expected a port, 0 to 65535, got {text!r}")
    return int(text)


def worker_count(text: str) -> int:
    """An argument that says how many processes there are to be."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text!r}")
    return int(text)


def phone_keys(text: str) -> str:
    """An argument that names keys to press, with pauses."""
    if not text or set(text) - set(_PHONE_KEYS):
        raise argparse.ArgumentTypeError(f"expected keys out of {_PHONE_KEYS}, got others")
    return text


def phone_number(text: str) -> str:
    """An argument that names whom to call: a number, or a SIP address or client of Twilio's."""
    if _CALLEE.fullmatch(text) is None:
        raise argparse.ArgumentTypeError(
            "expected a number with + and the country in front, such as +12125550123, got "
            f"{len(text)} other characters"
        )
    return text


def positive_secs(text: str) -> float:
    """An argument in seconds."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 24 * 3600:
        raise argparse.ArgumentTypeError(f"expected seconds, got {text!r}")
    return seconds


def _name_and_value(text: str) -> tuple[str, str]:
    """An argument of the form NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    return name, value


def add_parameters(group: Options, what: str) -> None:
    """Adds the option that gives a bot values by their names."""
    group.add_argument(
        "--parameter",
        type=_name_and_value,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=what,
    )


def add_account(group: Options) -> None:
    """Adds the options that say in whose name the simulated Twilio rings, and with what."""
    add_parameters(group, "custom parameter of a stream rung by its ws:// URL")
    group.add_argument(
        "--auth-token", default=from_environment("TWILIO_AUTH_TOKEN", DEFAULT_AUTH_TOKEN)
    )
    group.add_argument(
        "--account-sid", default=from_environment("TWILIO_ACCOUNT_SID", DEFAULT_ACCOUNT_SID)
    )


def from_environment(name: str, default: str) -> str:
    """The value of an environment variable, if it is set and not empty."""
    return os.environ.get(name) or default


def write_json(path: Path | None, command: str, content: Mapping[str, object]) -> None:
    """Writes what a program would want to read; None: to no file.

    Raises:
        ConfigurationError: If the file cannot be written.
    """
    if path is None:
        return
    heading = {"command": command, "version": __version__}
    try:
        write_private(path, (json.dumps(heading | dict(content), indent=2) + "\n").encode())
    except OSError as error:
        raise ConfigurationError(
            f"expected to write {path}, got {error.strerror}: name a file in a folder that exists"
        ) from error
