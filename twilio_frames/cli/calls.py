"""``twilio-frames calls``: the calls of a server that runs; one followed, heard, or ended."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from twilio_frames.cli.exit_status import ExitStatus
from twilio_frames.cli.options import Commands, file_or_output, file_to_write, write_json
from twilio_frames.cli.shown.console import Console
from twilio_frames.errors import CallFailedError, ConfigurationError
from twilio_frames.hosts import proxy_for

_DESCRIPTION = """\
Asks a server that runs (twilio-frames serve, campaign) for its calls: `calls` lists them, `calls
follow SID` tells of one until it is over, `calls listen SID` lets you hear both sides, read the
words, whisper to the bot and take the call over, `calls hang-up SID` ends it at once."""

_EPILOG = """\
exit status: 0 done; 1 the server was not reached, would not, or knows no such call."""


def add_to(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "calls",
        help="list, follow and end the calls of a server",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.set_defaults(run=run, log_level="WARNING")
    deeds = ("list", "follow", "listen", "hang-up")
    parser.add_argument("deed", nargs="?", choices=deeds, default="list")
    parser.add_argument("sid", nargs="?", metavar="SID", help="the call: CA...")
    parser.add_argument(
        "--server",
        metavar="URL",
        default=os.environ.get("TWILIO_FRAMES_PUBLIC_URL") or "http://127.0.0.1:8000",
        help="where it is reached (TWILIO_FRAMES_PUBLIC_URL, or port 8000 of this machine)",
    )
    parser.add_argument(
        "--key",
        default=os.environ.get("TWILIO_FRAMES_DIAL_KEY"),
        help="the dial key, if it is asked for (TWILIO_FRAMES_DIAL_KEY)",
    )
    parser.add_argument(
        "--audio",
        type=file_or_output,
        metavar="FILE",
        help="where to `listen`: a WAV file, the caller left, the bot right; - for its samples on "
        "standard output, for a player: `| aplay -f S16_LE -r 8000 -c 2`",
    )
    parser.add_argument(
        "--json", type=file_to_write, metavar="FILE", help="what was told last, for programs"
    )


def run(options: argparse.Namespace) -> int:
    """Does it; gives the exit status."""
    if (options.deed == "list") == bool(options.sid):
        raise ConfigurationError(
            "expected `calls`, `calls follow SID`, `calls listen SID` or `calls hang-up SID`: a "
            "call is named where one is meant"
        )
    console = Console(sys.stderr if options.audio == "-" else None)
    return asyncio.run(_run(options, console))


async def _run(options: argparse.Namespace, console: Console) -> int:
    async with _Asked(options.server, options.key) as server:
        match options.deed:
            case "list":
                calls = (await server.ask("GET", "calls"))["calls"]
                _list(calls, console)
                write_json(options.json, "calls", {"calls": calls})
                return ExitStatus.DONE
            case "follow":
                call = await _follow(server, options.sid, console)
            case "listen":
                # It plays or records the sound, with all that this takes.
                from twilio_frames.cli.listen import Listening, audio_to

                async with server.listen(options.sid) as websocket:
                    end = await Listening(websocket, console, audio_to(options.audio)).run()
                call = {"call_sid": options.sid, "end_reason": end["reason"]}
            case _:
                call = await server.ask("DELETE", f"calls/{options.sid}")
                console.say(f"{call['call_sid']} was ended")
    write_json(options.json, "calls", {"calls": [call]})
    return ExitStatus.DONE


class _Asked:
    """A server that is asked."""

    def __init__(self, url: str, key: str | None):
        self._url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._session = aiohttp.ClientSession(
            headers=headers, timeout=aiohttp.ClientTimeout(total=15.0)
        )

    async def __aenter__(self) -> "_Asked":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, method: str, path: str) -> dict[str, Any]:
        """What it answers.

        Raises:
            CallFailedError: It was not reached, or would not.
        """
        url = f"{self._url}/{path}"
        try:
            async with self._session.request(method, url, proxy=proxy_for(url)) as answer:
                told = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise CallFailedError(
                f"expected a server of this package at {self._url}, got {type(error).__name__}: "
                "see that `twilio-frames serve` runs there, or pass --server"
            ) from error
        if not isinstance(told, dict) or answer.status >= 400:
            reason = told.get("error") if isinstance(told, dict) else None
            raise CallFailedError(reason or f"expected an answer, got HTTP {answer.status}")
        return told

    @asynccontextmanager
    async def listen(self, sid: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """The WebSocket on which a call is heard.

        Raises:
            CallFailedError: The server was not reached, or would not.
        """
        ticket = (await self.ask("POST", f"calls/{sid}/listen"))["ticket"]
        url = f"{self._url}/calls/{sid}/listen"
        try:
            async with self._session.ws_connect(
                url, params={"ticket": ticket}, proxy=proxy_for(url), heartbeat=20.0
            ) as websocket:
                yield websocket
        except aiohttp.WSServerHandshakeError as error:
            raise CallFailedError(
                f"expected to listen in, got HTTP {error.status}: 409 says that the call's stream "
                "is not up, 429 that too many listen"
            ) from error


def _list(calls: list[dict[str, Any]], console: Console) -> None:
    if not calls:
        console.say("no calls")
    for call in calls:
        age = max(0.0, time.time() - call["began_at"])
        console.say(f"{call['call_sid']}  {_described(call)}, began {_duration(age)} ago")


async def _follow(server: _Asked, call_sid: str, console: Console) -> dict[str, Any]:
    said = ""
    while True:
        call = await server.ask("GET", f"calls/{call_sid}")
        if (described := _described(call)) != said:
            said = described
            console.say(f"{max(0.0, time.time() - call['began_at']):8.1f} s  {described}")
        if _is_over(call):
            return call
        await asyncio.sleep(0.5)


_FINAL = ("completed", "busy", "failed", "no-answer", "canceled")


def _is_over(call: dict[str, Any]) -> bool:
    """Whether Twilio said so, or the stream has ended: of who calls in, it may say nothing."""
    return call["status"] in _FINAL or call["stream"] in ("ended", "failed")


def _described(call: dict[str, Any]) -> str:
    is_told = call["status"] in _FINAL or not _is_over(call)
    parts = [call["status"] or "up" if is_told else "over", f"stream {call['stream']}"]
    return ", ".join(parts + ([call["end_reason"]] if call["end_reason"] else []))


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
