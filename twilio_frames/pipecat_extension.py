"""The commands ``pipecat twilio ...``: what of this package Pipecat's own command line has.

Pipecat imports this at each of its commands, so ours are imported by the one that is run.
"""

from collections.abc import Callable

import typer

__all__ = ["app"]

_COMMANDS = {
    "call": "Ring a bot on this machine or elsewhere, from a simulated Twilio.",
    "doctor": "See what keeps a bot from the phone.",
    "load": "Call a bot many times at once.",
    "report": "See what happened on a call.",
}

app = typer.Typer(
    help="Ring, load and examine phone bots, without a telephone.", no_args_is_help=True
)
"""What Pipecat finds by the entry point ``twilio`` of the group ``pipecat_cli.extensions``."""


def _passed_on(name: str) -> Callable[[typer.Context], None]:
    def command(context: typer.Context) -> None:
        from twilio_frames.cli import main

        raise typer.Exit(main([name, *context.args]))

    return command


for _name, _told in _COMMANDS.items():
    # All that follows the name is read by the command itself, --help too.
    app.command(
        _name,
        help=_told,
        context_settings={
            "allow_extra_args": True,
            "allow_interspersed_args": False,
            "ignore_unknown_options": True,
            "help_option_names": [],
        },
    )(_passed_on(_name))
