"""``twilio-frames init [FOLDER]``: a bot of one's own, its tests, and what puts it on a server."""

import argparse
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from twilio_frames import __version__
from twilio_frames.cli.exit_status import ExitStatus
from twilio_frames.cli.options import Commands, file_to_write, write_json
from twilio_frames.cli.shown.console import Console
from twilio_frames.errors import ConfigurationError

__all__ = ["add_to", "project_files"]

_DESCRIPTION = """\
Writes a bot that works at once, its tests, a README, a Dockerfile, a Compose file and a workflow
for GitHub. Nothing is asked, and no file is overwritten: a README.md that is there is kept. The bot
needs no key unless a vendor is named."""

_EPILOG = """\
exit status: 0 written; 1 a file of one of these names, but README.md, is there already, or the
folder cannot be written to."""

_README = "README.md"
_FILES = {
    _README: "README.md",
    "bot.py": "bot.py",
    "test_bot.py": "test_bot.py",
    "pyproject.toml": "pyproject.toml",
    "Dockerfile": "Dockerfile",
    "compose.yaml": "compose.yaml",
    ".github/workflows/test.yml": "test.yml",
    ".env.example": "env",
    ".gitignore": "ignored",
    ".dockerignore": "ignored",
}
"""Which template each file is made of."""

_VENDORS = {"stt": "deepgram", "llm": "openai", "tts": "cartesia"}
_STAND_INS = {"deepgram": "DeepgramServer", "openai": "OpenAIServer", "cartesia": "CartesiaServer"}


def add_to(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "init",
        help="begin a bot of your own",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.set_defaults(run=run, log_level="WARNING")
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(), metavar="FOLDER", help="where (here)"
    )
    for role, what in (("stt", "hears"), ("llm", "thinks"), ("tts", "speaks")):
        parser.add_argument(
            f"--{role}",
            choices=("local", _VENDORS[role]),
            default="local",
            help=f"who {what} (%(default)s: this machine, without a key)",
        )
    parser.add_argument(
        "--json", type=file_to_write, metavar="FILE", help="what was written, for programs"
    )


def run(options: argparse.Namespace) -> int:
    """Writes the files; gives the exit status."""
    folder: Path = options.folder
    chosen = {role: getattr(options, role) for role in _VENDORS}
    source = installed_from()
    written = project_files(folder.resolve().name, chosen, is_on_index=source is None)
    kept = {_README} if (folder / _README).exists() else set[str]()
    written = {name: text for name, text in written.items() if name not in kept}
    _refuse_to_overwrite(folder, written)
    for name, text in written.items():
        _write(folder / name, text)
    console = Console()
    console.say(f"{len(written)} files in {folder}: {', '.join(written)}")
    for name in kept:
        console.say(f"{name} was there and is kept as it is")
    console.say()
    for line in _next_steps(folder, source):
        console.say("  " + line)
    found = {"folder": str(folder), "files": [*written], "kept": sorted(kept), **chosen}
    write_json(options.json, "init", found)
    return ExitStatus.DONE


def installed_from() -> str | None:
    """Where pip has this package from, in pip's own words; None for an index."""
    try:
        noted = distribution("pipecat-twilio-frames").read_text("direct_url.json")
    except PackageNotFoundError:
        noted = None
    return source_of(json.loads(noted)) if noted else None


def source_of(noted: Mapping[str, Any]) -> str:
    """The folder, file or address by which pip finds what it has noted so (PEP 610)."""
    url: str = noted["url"]
    if code := noted.get("vcs_info"):
        return f"{code['vcs']}+{url}@{code['commit_id']}"
    return url2pathname(urlsplit(url).path) if url.startswith("file:") else url


def project_files(
    name: str, chosen: Mapping[str, str], *, is_on_index: bool = True
) -> dict[str, str]:
    """The files of a project, by their paths in it.

    Args:
        name: The project's name; characters that a distribution's cannot have are replaced.
        chosen: Who hears (``stt``), thinks (``llm``) and speaks (``tts``): ``local``, or a vendor.
        is_on_index: Whether pip finds this package by its name; else it is taken from a folder of
            the project's.
    """
    vendors = [vendor for vendor in chosen.values() if vendor != "local"]
    values = {
        "name": re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "bot",
        "extras": ",".join(dict.fromkeys(chosen.values())),
        "stand_ins": ", ".join(sorted(_STAND_INS[vendor] for vendor in vendors)),
        "version": __version__,
    }
    conditions = {f"{role}={vendor}" for role, vendor in chosen.items()}
    conditions |= set() if is_on_index else {"package=elsewhere"}
    templates = files(__name__) / "templates"
    return {
        path: _filled((templates / f"{name}.template").read_text("utf-8"), conditions, values)
        for path, name in _FILES.items()
    }


def _filled(template: str, conditions: set[str], values: Mapping[str, str]) -> str:
    text = "".join(_kept(template, conditions))
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], text)


def _kept(template: str, conditions: set[str]) -> Iterator[str]:
    """The lines whose conditions hold: behind ``#if`` one of those that are named, or ``#else``."""
    wanted = True
    for line in template.splitlines(keepends=True):
        match line.split():
            case ["#if", *named]:
                wanted = not conditions.isdisjoint(named)
            case ["#else"]:
                wanted = not wanted
            case ["#end"]:
                wanted = True
            case _ if wanted:
                yield line
            case _:
                pass


def _refuse_to_overwrite(folder: Path, written: Mapping[str, str]) -> None:
    there = [name for name in written if (folder / name).exists()]
    if there:
        raise ConfigurationError(
            f"expected a folder without files of these names, got {', '.join(there)} in {folder}: "
            "name another folder; nothing was written"
        )


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise ConfigurationError(
            f"expected to write {path}, got {error.strerror}: name a folder that can be written to"
        ) from error


def _next_steps(folder: Path, source: str | None) -> Iterator[str]:
    if folder != Path():
        yield f"cd {shlex.quote(str(folder))}"
    if source is None:
        yield 'pip install ".[test]" && pytest'
    else:
        # No index has this package: Dockerfile and workflow take it from there as well.
        yield f"pip wheel --no-deps --wheel-dir wheels {shlex.quote(source)}"
        yield 'pip install --find-links wheels ".[test]" && pytest'
    yield 'twilio-frames call bot:bot --say "When are you open?"'
    yield "twilio-frames serve bot:bot"
