"""Several processes that serve one bot: ``twilio-frames serve MODULE:bot --workers N``."""

import argparse
import os
import sys
import tempfile
from functools import partial

from twilio_frames.cli.shown.console import Console
from twilio_frames.errors import ConfigurationError

__all__ = ["import_ahead", "run_workers"]

_STOP_MARGIN_SECS = 20.0
"""How much longer than its calls a worker may take to end."""


def import_ahead() -> None:
    """Imports what each worker needs but its bot.

    A bot's module may start threads and open connections, which no copy of the process would have,
    so each worker imports it anew.
    """
    from twilio_frames import server
    from twilio_frames.processors import warming

    del server
    warming.import_ahead()


async def run_workers(options: argparse.Namespace) -> int:
    """Has as many processes as are asked for do what one would."""
    from twilio_frames.fleet.workers import WorkerProcesses, own_command
    from twilio_frames.metrics.kept import FOLDER, forget_worker, shared_folder
    from twilio_frames.server.listening import check_address, local_url, open_sockets, welcome
    from twilio_frames.server.settings import ServerSettings
    from twilio_frames.server.state import dial_key_of

    if sys.platform == "win32":
        raise ConfigurationError("expected a Unix for --workers, got Windows: start one process")
    settings = ServerSettings.from_environment()
    check_address(settings, options.host)
    console, dial_key = Console(), dial_key_of(settings)
    sockets = await open_sockets(options.host, options.port)
    with (
        tempfile.TemporaryDirectory(prefix="twilio-frames-") as folder,
        shared_folder() as measured,
    ):
        near = os.environ.get("TWILIO_FRAMES_NEAR_REGISTER") or f"sqlite://{folder}/register.db"
        given = os.environ.get("TWILIO_FRAMES_REGISTER")
        more = ["--host", options.host, "--no-softphone"]
        more += ["--show-errors"] if options.show_errors else []
        workers = WorkerProcesses(
            [*own_command(), "serve", options.bot, *more],
            options.workers,
            sockets=sockets,
            environment={
                # What many machines share may be gone for a while.
                **({"TWILIO_FRAMES_NEAR_REGISTER": near} if given else {}),
                "TWILIO_FRAMES_REGISTER": given or near,
                "TWILIO_FRAMES_DIAL_KEY": dial_key or "",
                FOLDER: measured,
            },
            announce=console.say,
            on_gone=partial(forget_worker, folder=measured),
            stop_secs=settings.drain_secs + _STOP_MARGIN_SECS,
        )
        url = local_url(options.host, sockets[0].getsockname()[1])
        for line in welcome(settings, url, dial_key):
            console.say(line)
        status = await workers.run()
    for each in sockets:
        each.close()
    return status
