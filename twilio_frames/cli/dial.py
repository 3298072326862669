"""``twilio-frames dial NUMBER``: Twilio places a real call."""

import argparse
import asyncio
import os

from twilio_frames.cli.exit_status import ExitStatus
from twilio_frames.cli.options import Commands, phone_number
from twilio_frames.cli.shown.console import Console
from twilio_frames.errors import ConfigurationError

_EPILOG = """\
TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN (or TWILIO_API_KEY and TWILIO_API_SECRET) sign in. The call
costs money. exit status: 0 Twilio took the call; 1 it did not."""


def add_to(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "dial",
        help="place a real call",
        description="Has Twilio call a number and connect it to a bot that is being served.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
    call_sid = asyncio.run(_dial(options))
    Console().say(f"Twilio calls: {call_sid}")
    return ExitStatus.DONE


async def _dial(options: argparse.Namespace) -> str:
    from twilio_frames.rest import Credentials, TwilioRest

    credentials = Credentials.from_environment()
    if credentials is None:
        raise ConfigurationError(
            "expected a Twilio account, got none: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"
        )
    async with TwilioRest(credentials, base_url=os.environ.get("TWILIO_FRAMES_API_URL")) as rest:
        return await rest.dial(options.number, options.from_number, url=options.url)


def _public_webhook() -> str | None:
    public_url = os.environ.get("TWILIO_FRAMES_PUBLIC_URL")
    return f"{public_url.rstrip('/')}/twiml" if public_url else None
