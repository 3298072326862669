"""``twilio-frames dial NUMBER``: Twilio places a real call."""

import argparse
import asyncio
import os
from typing import TYPE_CHECKING, Any

from twilio_frames.cli.exit_status import ExitStatus
from twilio_frames.cli.options import (
    Commands,
    Options,
    add_parameters,
    file_to_write,
    phone_number,
    write_json,
)
from twilio_frames.cli.shown.console import Console
from twilio_frames.errors import ConfigurationError

if TYPE_CHECKING:
    from twilio_frames.rest import CallOptions, TwilioRest

_EPILOG = """\
TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN (or TWILIO_API_KEY and TWILIO_API_SECRET) sign in. The call
costs money. What --async-detection finds is told to the server's /amd unless --detection-callback
says where. exit status: 0 Twilio took the call; 1 it did not."""


def add_to(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "dial",
        help="place a real call",
        description="Has Twilio call a number and connect it to a bot that is being served.",
        epilog=_EPILOG,
    )
    parser.set_defaults(run=run, log_level="WARNING")
    parser.add_argument(
        "number", type=phone_number, metavar="NUMBER", help="whom to call: +12125550123"
    )
    parser.add_argument(
        "--from",
        dest="from_number",
        metavar="NUMBER",
        default=os.environ.get("TWILIO_PHONE_NUMBER"),
        help="a number of yours at Twilio (TWILIO_PHONE_NUMBER)",
    )
    parser.add_argument(
        "--url",
        default=_public_webhook(),
        help="the bot's public TwiML webhook (TWILIO_FRAMES_PUBLIC_URL and /twiml)",
    )
    status = parser.add_argument_group("how it goes")
    status.add_argument("--status-callback", metavar="URL", help="is told how the call goes")
    status.add_argument(
        "--status-events",
        nargs="+",
        metavar="EVENT",
        help="what it is told, of initiated, ringing, answered, completed (all of them)",
    )
    add_call_options(parser.add_argument_group("the call"))
    parser.add_argument(
        "--json", type=file_to_write, metavar="FILE", help="the call's sid, for programs"
    )


def add_call_options(group: Options) -> None:
    """Adds what a placed call may be told, see :func:`call_options`."""
    group.add_argument(
        "--ring-seconds", dest="ring_secs", type=int, metavar="S", help="how long it rings (60)"
    )
    group.add_argument("--time-limit", type=int, metavar="S", help="ends the call after so long")
    group.add_argument(
        "--machine-detection",
        metavar="MODE",
        help="Enable: tell machines from people before the bot talks; DetectMessageEnd: behind "
        "their greeting",
    )
    group.add_argument(
        "--detection-seconds",
        dest="detection_secs",
        type=int,
        metavar="S",
        help="after which nobody knows (30)",
    )
    group.add_argument(
        "--async-detection", action="store_true", help="the bot talks while machines are told"
    )
    group.add_argument("--detection-callback", metavar="URL", help="is told the verdict then")
    group.add_argument("--record", metavar="CHANNELS", help="mono or dual: Twilio records the call")
    group.add_argument("--record-callback", metavar="URL", help="is told of the recording")
    add_parameters(group, "what the bot finds in call.parameters")


def call_options(options: argparse.Namespace, **more: Any) -> "CallOptions":
    """What the command line says of a call to be placed.

    Args:
        options: The command line's.
        more: Options that do not come from there, unless they are None.

    Raises:
        ConfigurationError: A value that cannot work, or does nothing without another.
    """
    from twilio_frames.rest import CallOptions

    names = ("ring_secs", "time_limit", "machine_detection", "detection_secs")
    names += ("async_detection", "detection_callback", "record", "record_callback")
    given = {name: getattr(options, name) for name in names} | {
        "parameters": dict(options.parameter)
    }
    return CallOptions.read(given | {name: value for name, value in more.items() if value})


def run(options: argparse.Namespace) -> int:
    """Places the call; gives the exit status."""
    if not options.from_number:
        raise ConfigurationError(
            "expected a number to call from, got none: pass --from or set TWILIO_PHONE_NUMBER"
        )
    if not options.url:
        raise ConfigurationError(
            "expected the bot's webhook, got none: pass --url or set TWILIO_FRAMES_PUBLIC_URL"
        )
    detection_callback = options.detection_callback
    if options.async_detection and not detection_callback and options.url.endswith("/twiml"):
        detection_callback = options.url.removesuffix("twiml") + "amd"
    asked = call_options(
        options,
        detection_callback=detection_callback,
        status_callback=options.status_callback,
        status_events=options.status_events,
    )
    call_sid = asyncio.run(_dial(options, asked))
    Console().say(f"Twilio calls: {call_sid}")
    write_json(options.json, "dial", {"call_sid": call_sid})
    return ExitStatus.DONE


async def _dial(options: argparse.Namespace, asked: "CallOptions") -> str:
    async with _rest_from_environment() as rest:
        return await rest.dial(
            options.number,
            options.from_number,
            url=asked.webhook(options.url),
            options=asked.arguments(),
        )


def _rest_from_environment() -> "TwilioRest":
    """The REST API of the account that the environment names.

    Raises:
        ConfigurationError: It names none, or not all that signing in takes.
    """
    from twilio_frames.rest import Credentials, TwilioRest

    credentials = Credentials.from_environment()
    if credentials is None:
        raise ConfigurationError(
            "expected a Twilio account, got none: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"
        )
    return TwilioRest(credentials, base_url=os.environ.get("TWILIO_FRAMES_API_URL"))


def _public_webhook() -> str | None:
    public_url = os.environ.get("TWILIO_FRAMES_PUBLIC_URL")
    return f"{public_url.rstrip('/')}/twiml" if public_url else None
