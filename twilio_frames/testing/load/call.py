"""One call of a load: it is set up by a task, and then lives on the shared clock alone."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from twilio_frames.protocol import Clear, Role, SendMark, SendMedia, Violation, decode
from twilio_frames.testing.calls.facts import Alert, CallStatus, Numbers
from twilio_frames.testing.calls.signing import Signing
from twilio_frames.testing.calls.webhooks import Webhooks
from twilio_frames.testing.load.bot_socket import BotSocket, open_bot_socket
from twilio_frames.testing.load.ear import ArithmeticEar
from twilio_frames.testing.load.messages import StreamMessages
from twilio_frames.testing.load.phrases import PhraseSet
from twilio_frames.testing.load.talk import CallerBehaviour, Talk, TalkFigures
from twilio_frames.testing.load.timer_wheel import TimerWheel
from twilio_frames.testing.stream import REFUSED, WHY_REFUSED
from twilio_frames.testing.streams.upgrade import ringable_scheme, stream_url
from twilio_frames.testing.verbs import ConnectStream, Pause, Redirect, Reject, Verb, read_twiml

DEAD_SECS = 10.0
"""How long the bot may not read at all before the connection counts as lost."""

_MAX_DOCUMENTS = 10
_FIRST_TIMESTAMPS = range(99, 172)
_NORMAL_CODES = (1000, 1001, 1005)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What every call of one load needs.

    Parameters:
        url: What is rung: a TwiML webhook, or a stream.
        parameters: Custom parameters of a stream that is rung without TwiML.
    """

    url: str
    account_sid: str
    signing: Signing
    parameters: Mapping[str, str] = field(repr=False)
    phrase_set: PhraseSet
    behaviour: CallerBehaviour
    wheel: TimerWheel
    webhooks: Webhooks

    def webhook_parameters(self, call_sid: str) -> dict[str, str]:
        """What the webhook that answers a call is told."""
        return Numbers().parameters() | {
            "CallSid": call_sid,
            "AccountSid": self.account_sid,
            "CallStatus": CallStatus.RINGING.value,
        }


class Ending(Enum):
    """How a call ended."""

    HUNG_UP = "hung up by the caller"
    HUNG_UP_BY_BOT = "hung up by the bot"
    REFUSED = "refused"
    """It never came to a stream."""
    LOST = "lost"
    """The connection broke, or the bot closed it with an error."""
    SILENT = "silent"
    """The bot was never heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a call.

    Parameters:
        reason: Why it failed, in words; empty if it did not.
        seconds: How long it lasted, from the stream's ``start``.
    """

    ending: Ending
    reason: str = ""
    seconds: float = 0.0

    @property
    def has_failed(self) -> bool:
        """Whether the bot is to be blamed for its end."""
        return self.ending not in (Ending.HUNG_UP, Ending.HUNG_UP_BY_BOT)


class LoadCall:
    """One call.

    Args:
        account: What it shares with the others.
        seed: Draws what the caller does.
        on_up: Is told when the call is connected.
    """

    def __init__(self, account: Account, *, seed: int, on_up: Callable[[], None]):
        self.ear = ArithmeticEar()
        self.talk: Talk | None = None
        """The caller; None until the call is connected."""
        self.violations = 0
        """Messages of it that broke a rule."""
        self.lost_frames = 0
        """Of 20 ms: what the bot did not read in time."""
        self._account = account
        self._on_up = on_up
        self._seed = seed
        source = random.Random(seed)  # noqa: S311  # names things, protects nothing
        self._call_sid = f"CA{source.getrandbits(128):032x}"
        self._messages = StreamMessages(
            f"MZ{source.getrandbits(128):032x}", first_timestamp=source.choice(_FIRST_TIMESTAMPS)
        )
        self._socket: BotSocket | None = None
        self._hanging_up = asyncio.Event()
        self._mark_timer: asyncio.TimerHandle | None = None
        self._blocked_since: float | None = None
        self._now = asyncio.get_running_loop().time

    @property
    def is_up(self) -> bool:
        """Whether the caller and the bot are connected."""
        return self.talk is not None and self._socket is not None and self._socket.is_open

    async def run(self) -> Outcome:
        """Calls, and stays until somebody hangs up."""
        stream = await _find_stream(self._account, self._call_sid)
        if isinstance(stream, str):
            return Outcome(ending=Ending.REFUSED, reason=stream)
        opened = await self._open(stream)
        if isinstance(opened, Alert):
            return Outcome(ending=Ending.REFUSED, reason=str(opened))
        self._socket = opened
        began = self._begin(opened, stream)
        try:
            await _either(self._hanging_up, opened.closed)
            return self._outcome(opened, self._now() - began)
        finally:
            self._account.wheel.leave(self)
            if self._mark_timer is not None:
                self._mark_timer.cancel()
            opened.send(self._messages.stop(self._call_sid, self._account.account_sid))
            await opened.close()

    def start_counting(self) -> None:
        """Forgets what was counted so far."""
        self.violations = self.lost_frames = 0
        self.ear.start_counting()
        if self.talk is not None:
            self.talk.figures = TalkFigures()

    def hang_up(self) -> None:
        """Ends the call."""
        self._hanging_up.set()

    def take_turn(self, due: float) -> None:
        """Sends what was said in the last 20 ms."""
        socket, talk = self._socket, self.talk
        if socket is None or talk is None:
            return
        frame = talk.next_frame(due)
        if not socket.is_blocked:
            self._blocked_since = None
            socket.send(self._messages.media(frame))
            return
        self._messages.skip_media()
        self.lost_frames += 1
        self._blocked_since = self._blocked_since or due
        if due - self._blocked_since > DEAD_SECS:
            self._hanging_up.set()

    def _begin(self, socket: BotSocket, stream: ConnectStream) -> float:
        account, messages, now = self._account, self._messages, self._now()
        socket.send(messages.connected())
        socket.send(messages.start(self._call_sid, account.account_sid, stream.parameters))
        self.talk = Talk(
            account.phrase_set,
            self.ear,
            behaviour=account.behaviour,
            seed=self._seed,
            began=now,
        )
        account.wheel.join(self)
        self._on_up()
        return now

    def _outcome(self, socket: BotSocket, seconds: float) -> Outcome:
        if self._blocked_since is not None and self._hanging_up.is_set():
            reason = f"expected the bot to read its messages, it did not for {DEAD_SECS:g} s"
            return Outcome(ending=Ending.LOST, reason=reason, seconds=seconds)
        if socket.closed.is_set() and socket.close_code not in _NORMAL_CODES:
            was_refused = socket.close_code == REFUSED and not self.ear.spells
            reason = f"expected the bot to stay connected, lost it ({socket.close_code})"
            reason = WHY_REFUSED if was_refused else reason
            return Outcome(ending=Ending.LOST, reason=reason, seconds=seconds)
        patience = self._account.behaviour.patience
        if not self.ear.spells and (socket.closed.is_set() or seconds > patience):
            reason = f"expected to hear the bot, heard nothing in {seconds:.0f} s"
            return Outcome(ending=Ending.SILENT, reason=reason, seconds=seconds)
        ending = Ending.HUNG_UP_BY_BOT if socket.closed.is_set() else Ending.HUNG_UP
        return Outcome(ending=ending, seconds=seconds)

    def _receive(self, data: str | bytes) -> None:
        """Obeys one message of the bot's."""
        now = self._now()
        match decode(data, Role.BOT):
            case SendMedia(payload=payload):
                self.ear.queue(payload, now)
            case SendMark(name=name):
                self.ear.mark(name)
                self._return_marks(self.ear.take_reached(now))
            case Clear():
                self._return_marks(self.ear.clear(now))
            case Violation():
                self.violations += 1

    def _return_marks(self, names: list[str]) -> None:
        """Sends marks back, and sets the timer for the next."""
        if self._socket is not None:
            for name in names:
                self._socket.send(self._messages.mark(name))
        if self._mark_timer is not None:
            self._mark_timer.cancel()
            self._mark_timer = None
        due = self.ear.next_mark
        if due is not None:
            loop = asyncio.get_running_loop()
            self._mark_timer = loop.call_at(due, self._on_mark_due, due)

    def _on_mark_due(self, due: float) -> None:
        self._mark_timer = None
        self._return_marks(self.ear.take_reached(max(due, self._now())))

    async def _open(self, stream: ConnectStream) -> BotSocket | Alert:
        url = stream_url(stream.url)
        if isinstance(url, Alert):
            return url
        return await open_bot_socket(url, signing=self._account.signing, receive=self._receive)


async def _either(one: asyncio.Event, other: asyncio.Event) -> None:
    """Waits for the first of two events."""
    waiting = [asyncio.create_task(event.wait()) for event in (one, other)]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


async def _find_stream(account: Account, call_sid: str) -> ConnectStream | str:
    """The stream a new call is to be connected to, or why there is none.

    The first ``<Connect><Stream>`` of the TwiML is looked for. ``<Redirect>`` in front of it is
    followed, ``<Pause>`` is waited for, all else is passed over: what would come behind the stream
    never happens.
    """
    if ringable_scheme(account.url) in ("ws", "wss"):
        return ConnectStream(url=account.url, parameters=dict(account.parameters))
    url, method = account.url, "POST"
    for _ in range(_MAX_DOCUMENTS):
        parameters = account.webhook_parameters(call_sid)
        reply = await account.webhooks.request(url, parameters, method=method)
        if isinstance(reply, Alert):
            return str(reply)
        verbs = read_twiml(reply.text, reply.url)
        if isinstance(verbs, Alert):
            return str(verbs)
        found = await _stream_in(verbs)
        if not isinstance(found, Redirect):
            return found
        url, method = found.url, found.method
    return f"expected at most {_MAX_DOCUMENTS} TwiML documents, got more"


async def _stream_in(verbs: list[Verb]) -> ConnectStream | Redirect | str:
    for verb in verbs:
        match verb:
            case ConnectStream() | Redirect():
                return verb
            case Pause(seconds=seconds):
                await asyncio.sleep(seconds)
            case Reject():
                return "expected the call to be taken, got <Reject>"
            case _:
                pass
    return "expected <Connect><Stream> in the TwiML, got none"
