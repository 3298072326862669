"""``twilio-frames report FILE``: one call's picture, from its log."""

import argparse
from pathlib import Path

from twilio_frames.cli.exit_status import ExitStatus
from twilio_frames.cli.options import Commands, existing_file, file_to_write, write_json
from twilio_frames.cli.shown.console import Console
from twilio_frames.errors import ConfigurationError
from twilio_frames.private_files import write_private
from twilio_frames.report import Report, clock_text, content, page, read_report

_DESCRIPTION = """\
Makes one HTML file of a call log: both sides on one time axis, what was said and what of it was
heard, where the time before each answer went, and what went wrong. It needs no network, and plays
the recording where there is one."""

_EPILOG = """\
Without any option it writes FILE.html, with the recording FILE.wav if that lies beside the log."""

_COLOURS = {"bad": "bad", "warning": "bot", "note": "faint"}


def add_to(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "report",
        help="see what happened on a call",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.set_defaults(run=run, log_level="WARNING")
    parser.add_argument("log", type=existing_file, metavar="FILE", help="a call log, call.jsonl")
    parser.add_argument("--audio", type=existing_file, metavar="FILE", help="the recording")
    parser.add_argument(
        "-o", "--output", type=file_to_write, metavar="FILE", help="the page to write"
    )
    parser.add_argument(
        "--png", type=file_to_write, metavar="FILE", help="a picture of it to write"
    )
    parser.add_argument("--dark", action="store_true", help="the picture is light on dark")
    parser.add_argument(
        "--explain", action="store_true", help="say what went wrong, worst first; no page unless -o"
    )
    parser.add_argument(
        "--embed",
        action=argparse.BooleanOptionalAction,
        help="the page holds the recording, half a megabyte a minute; else it is read from its "
        "file (default: calls up to 15 minutes are held)",
    )
    parser.add_argument(
        "--json", type=file_to_write, metavar="FILE", help="the report, for programs"
    )


def run(options: argparse.Namespace) -> int:
    """Makes the report; gives the exit status."""
    console = Console()
    beside = options.log.with_suffix(".wav")
    audio = options.audio or (beside if beside.is_file() else None)
    report = read_report(options.log, audio)
    output = options.output
    if output is None and not (options.explain or options.png or options.json):
        output = options.log.with_suffix(".html")
    if output is not None:
        write_page(report, output, embed=options.embed)
        console.fact("report", str(output))
    if options.png is not None:
        _write_picture(report, options.png, dark=options.dark)
        console.fact("picture", str(options.png))
    if options.explain:
        _explain(report, console)
    write_json(options.json, "report", content(report))
    return ExitStatus.DONE


def write_page(report: Report, path: Path, *, embed: bool | None = None) -> None:
    """Writes the page.

    Args:
        report: The report.
        path: Where.
        embed: Whether the recording is part of it; by default if the call is short.

    Raises:
        ConfigurationError: If the file cannot be written.
    """
    _write(path, page(report, beside=path, embed=embed).encode(errors="replace"))


def _write_picture(report: Report, path: Path, *, dark: bool) -> None:
    # Pillow takes a while to import, and only pictures need it.
    from twilio_frames.report.picture import picture

    _write(path, picture(report, dark=dark))


def _write(path: Path, content: bytes) -> None:
    try:
        write_private(path, content)
    except OSError as error:
        raise ConfigurationError(
            f"expected to write {path}, got {error.strerror}: name a file in a folder that exists"
        ) from error


def _explain(report: Report, console: Console) -> None:
    if not report.findings:
        console.say("Nothing went wrong.", "good")
    for number, finding in enumerate(report.findings, start=1):
        at = "" if finding.at is None else f" (at {clock_text(finding.at)})"
        colour = _COLOURS[finding.severity.value]
        console.say(f"{number}. {finding.severity.value}: {finding.title}{at}", colour)
        if finding.detail:
            console.say(f"   {finding.detail}")
