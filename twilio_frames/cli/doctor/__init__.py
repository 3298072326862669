"""``twilio-frames doctor``: what keeps a bot from the phone, and what to do about it."""

import argparse
import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from twilio_frames.cli.exit_status import ExitStatus
from twilio_frames.cli.options import Commands, file_to_write, write_json
from twilio_frames.cli.shown.console import Console
from twilio_frames.errors import ConfigurationError, TwilioFramesError

if TYPE_CHECKING:
    from twilio_frames.cli.doctor.checks import Finding, Verdict
    from twilio_frames.server import ServerSettings

_DESCRIPTION = """\
Looks at what a served bot needs: the account's credentials and region, the number's webhook, the
clock, the rate of calls; whether the server is reached at TWILIO_FRAMES_PUBLIC_URL, takes what
Twilio signs and nothing else, and opens streams; whether vendors take their keys. No call is made,
and nothing is changed. Run it with the environment of `twilio-frames serve`, while that runs."""

_EPILOG = """\
exit status: 0 all is well; 3 something is to be mended, and what was said."""


def add_to(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "doctor",
        help="see what keeps a bot from the phone",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.set_defaults(run=run, log_level="ERROR")
    parser.add_argument("--json", type=file_to_write, metavar="FILE", help="the findings")


def run(options: argparse.Namespace) -> int:
    """Looks; gives the exit status."""
    from twilio_frames.cli.doctor.checks import Verdict

    console = Console()
    findings = asyncio.run(_look(console))
    is_well = all(finding.verdict is not Verdict.BAD for finding in findings)
    content = {
        "is_well": is_well,
        "findings": [
            {"check": each.check, "verdict": each.verdict.value, "told": each.told}
            for each in findings
        ],
    }
    write_json(options.json, "doctor", content)
    return ExitStatus.DONE if is_well else ExitStatus.NOT_AS_IT_SHOULD_BE


async def _look(console: Console) -> "list[Finding]":
    import aiohttp

    from twilio_frames.cli.doctor.checks import CHECKS, Finding, Patient, Verdict
    from twilio_frames.rest import TwilioRest

    findings: list[Finding] = []

    def tell(check: str, verdict: Verdict, told: str) -> None:
        findings.append(Finding(check=check, verdict=verdict, told=told))
        colours = {Verdict.GOOD: "good", Verdict.BAD: "bad", Verdict.SKIPPED: "faint"}
        console.say(f"{verdict.value:<8}{check:<13}{told}", colours.get(verdict))

    settings = _settings(tell)
    credentials = None
    try:
        credentials = settings.credentials
    except ConfigurationError as error:
        tell("settings", Verdict.BAD, str(error))
    timeout = aiohttp.ClientTimeout(total=10.0)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        rest = None
        if credentials:
            rest = TwilioRest(credentials, base_url=settings.api_url, retry_for=0.0)
        patient = Patient(settings=settings, environment=os.environ, rest=rest, session=session)
        try:
            for name, check in CHECKS.items():
                try:
                    tell(name, *await check(patient))
                except TwilioFramesError as error:
                    tell(name, Verdict.BAD, str(error))
        finally:
            if rest is not None:
                await rest.close()
    return findings


def _settings(tell: "Callable[[str, Verdict, str], None]") -> "ServerSettings":
    """The server's settings, less those that cannot work, each of which is told."""
    from twilio_frames.cli.doctor.checks import Verdict
    from twilio_frames.server.settings import (
        ServerSettings,
        WrongSettingsError,
        doubts,
        environment_without,
    )

    environment = dict(os.environ)
    while True:
        try:
            settings = ServerSettings.from_environment(environment)
        except WrongSettingsError as error:
            for mistake in error.wrong.values():
                tell("settings", Verdict.BAD, mistake)
            environment = environment_without(environment, error.wrong)
        else:
            for doubt in doubts(settings, environment):
                tell("settings", Verdict.NOTE, doubt)
            return settings
