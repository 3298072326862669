"""What a call executes: one TwiML document after another, verb by verb."""

import asyncio
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, assert_never

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.errors import ConfigurationError
from twilio_frames.testing.alerts import Alert
from twilio_frames.testing.connection import BotConnection
from twilio_frames.testing.playback import Playback
from twilio_frames.testing.speech import TWILIO_VOICE, to_utterance
from twilio_frames.testing.stream import StreamEnd
from twilio_frames.testing.tones import tones
from twilio_frames.testing.verbs import (
    ConnectStream,
    Dial,
    Hangup,
    Pause,
    PlayDigits,
    Redirect,
    Reject,
    Say,
    Unsupported,
    Verb,
    read_twiml,
)

if TYPE_CHECKING:
    from twilio_frames.testing.call import SimulatedCall

_MAX_DOCUMENTS = 100
_MAX_LOOPS = 50


class CallEnd(Enum):
    """Why a call is over."""

    CALLER_HUNG_UP = "caller hung up"
    BOT_HUNG_UP = "bot hung up"
    """The instructions ran out, said so, or the REST API ended the call."""
    REJECTED = "rejected"
    LINE_LOST = "line lost"
    """The connection to the bot broke, and nothing was to be done after it."""
    FAILED = "failed"
    """An error of Twilio's: see the call's alerts."""
    TIME_LIMIT = "time limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Instructions to be fetched by a webhook."""

    url: str
    method: str = "POST"
    parameters: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Instructions given as TwiML.

    Parameters:
        base_url: Where relative URLs in it start.
    """

    twiml: str = field(repr=False)
    base_url: str = ""


Instructions = Fetch | Document | ConnectStream


class Program:
    """Executes instructions for one call until they run out or are replaced.

    Args:
        call: The call.
    """

    def __init__(self, call: "SimulatedCall"):
        self._call = call
        self._stream_end: StreamEnd | None = None
        self._has_failed = False

    async def run(self, instructions: Instructions) -> CallEnd:
        """Executes them; gives the reason for which the call is to end."""
        for _ in range(_MAX_DOCUMENTS):
            verbs = await self._verbs(instructions)
            if verbs is None:
                return CallEnd.FAILED
            outcome = await self._execute(verbs)
            if isinstance(outcome, CallEnd):
                return outcome
            instructions = outcome
        self._call.alert(
            Alert(code=11215, text=f"expected at most {_MAX_DOCUMENTS} documents, got more")
        )
        return CallEnd.FAILED

    async def _verbs(self, instructions: Instructions) -> list[Verb] | None:
        if isinstance(instructions, ConnectStream):
            return [instructions]
        if isinstance(instructions, Fetch):
            fetched = await self._fetch(instructions)
            if fetched is None:
                return None
            instructions = fetched
        verbs = read_twiml(instructions.twiml, instructions.base_url)
        if isinstance(verbs, Alert):
            self._call.alert(verbs)
            return None
        return verbs

    async def _fetch(self, fetch: Fetch) -> Document | None:
        parameters = self._call.parameters() | fetch.parameters
        webhooks = self._call.exchange.webhooks
        reply = await webhooks.request(fetch.url, parameters, method=fetch.method)
        if isinstance(reply, Alert):
            self._call.alert(reply)
            return None
        self._call.log.note("twiml", bytes=len(reply.text))
        return Document(twiml=reply.text, base_url=reply.url)

    async def _execute(self, verbs: list[Verb]) -> Instructions | CallEnd:
        for verb in verbs:
            # "<Pause> as the first verb delays answering", <Reject> never answers.
            if not isinstance(verb, Pause | Reject | Redirect | Unsupported):
                self._call.answer()
            outcome = await self._execute_verb(verb)
            if outcome is not None:
                return outcome
        if self._has_failed:
            return CallEnd.FAILED
        return CallEnd.LINE_LOST if self._stream_end is StreamEnd.BROKEN else CallEnd.BOT_HUNG_UP

    async def _execute_verb(self, verb: Verb) -> Instructions | CallEnd | None:
        match verb:
            case ConnectStream():
                return await self._connect(verb)
            case Say():
                await self._say(verb)
            case Pause(seconds=seconds):
                await asyncio.sleep(seconds)
            case PlayDigits(digits=digits):
                self._call.log.note("play_digits", count=len(digits))
                await self._announce(tones(digits))
            case Redirect(url=url, method=method):
                return Fetch(url=url, method=method)
            case Hangup():
                return CallEnd.BOT_HUNG_UP
            case Reject():
                return CallEnd.REJECTED
            case Dial():
                return self._dial(verb)
            case Unsupported(name=name):
                self._call.log.note("unsupported", verb=name)
            case _:
                assert_never(verb)
        return None

    async def _connect(self, verb: ConnectStream) -> Instructions | None:
        connection = BotConnection(self._call, verb)
        self._stream_end = await connection.run()
        self._has_failed = self._stream_end is None
        if not verb.action:
            return None
        return Fetch(url=verb.action, method=verb.method, parameters=connection.parameters())

    async def _say(self, verb: Say) -> None:
        try:
            mulaw = (await to_utterance(verb.text, voice=TWILIO_VOICE)).mulaw
        except ConfigurationError:
            self._call.log.note("say", seconds=0, reason="no synthesiser is installed")
            return
        self._call.log.note("say", seconds=round(len(mulaw) / SAMPLE_RATE, 2))
        await self._announce(mulaw * min(verb.loop, _MAX_LOOPS))

    async def _announce(self, mulaw: bytes) -> None:
        """Plays Twilio's own audio to the caller, to its end."""
        playback = Playback()
        playback.queue(mulaw)
        self._call.line.listen_to(playback)
        self._call.ready.set()
        try:
            while not playback.is_idle:
                await self._call.line.next_turn()
        finally:
            self._call.line.listen_to(None)

    def _dial(self, verb: Dial) -> Instructions | None:
        """Nobody is there to be dialed: it is noted, and ends as a call that was answered."""
        self._call.log.note("dial", kinds=[kind for kind, _ in verb.targets])
        self._call.ready.set()
        if not verb.action:
            return None
        outcome = {"DialCallStatus": "completed", "DialCallDuration": "0"}
        return Fetch(url=verb.action, method=verb.method, parameters=outcome)
