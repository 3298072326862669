"""Somebody is asked whether they take a caller: their own call, and what they decide.

Twilio asks a webhook what to do with their call. Where the briefing is spoken by Twilio, the answer
is a ``<Gather>``, and its ``action`` is the decision; where a bot of ours briefs, their call gets a
stream. Whoever accepts goes into a room (``<Conference>``), in which the caller follows.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipecat.frames.frames import InputDTMFFrame, TranscriptionFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameProcessor

from twilio_frames.answering import Answer, AnsweredBy
from twilio_frames.call.answering import AnswerAction, AnswerPolicy
from twilio_frames.call.plans import DetourResult
from twilio_frames.call.transfers import DECLINED, TransferOutcome
from twilio_frames.call.transfers.silent_listener import SilentListener
from twilio_frames.errors import ConfigurationError, DetourError
from twilio_frames.frames import CallEndReason
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.rest.client import FINAL
from twilio_frames.transport import TwilioTransport
from twilio_frames.twiml import Dial, Gather, Hangup, Say, Verb, respond

__all__ = ["Briefing", "Consult", "Consults"]

_MACHINES = frozenset({AnsweredBy.VOICEMAIL, AnsweredBy.ANNOUNCEMENT, AnsweredBy.FAX})
_BY_STATUS = {
    "busy": TransferOutcome.BUSY,
    "no-answer": TransferOutcome.NO_ANSWER,
    "completed": TransferOutcome.AGENT_HUNG_UP,
}
_TIMES_TOLD = 2
"""How often Twilio reads the briefing to somebody who presses nothing: a hand may be full."""

BriefingBot = Callable[[Any, "Consult"], Awaitable[object]]
"""Briefs somebody on their own :class:`twilio_frames.call.Call`, and settles the consult."""


class AgentsCall(Protocol):
    """What a consult asks of the call of whoever is asked."""

    observers: list[BaseObserver]

    @property
    def transport(self) -> TwilioTransport:
        """Its audio."""
        ...

    async def run(
        self, pipeline: Pipeline, *, answering: AnswerPolicy | None = None
    ) -> CallEndReason | None:
        """Runs a pipeline until it has ended."""
        ...

    async def wait_for_answer(self) -> Answer:
        """Waits until it is known who has answered."""
        ...

    async def say(self, text: str) -> None:
        """Says something behind what is being said."""
        ...

    async def said_so_far(self) -> None:
        """Waits until what was said was heard."""
        ...

    async def detour(self, *verbs: Verb, at_once: bool = False) -> DetourResult:
        """Has Twilio do something else, and comes back."""
        ...

    async def leave(self) -> None:
        """Ends the bot's part of a call that is away."""
        ...

    async def hang_up(self) -> None:
        """Ends it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Briefing:
    """What somebody is told who is asked whether they take a caller, and how they answer.

    Parameters:
        summary: What the caller wants.
        prompt: What they are to do; None for pressing ``accept``.
        accept: The key by which they take the call; any other declines it. None where whoever
            answers takes it at once, unbriefed.
        accept_words: Words by which they take it, where they are listened to.
        decline_words: Words by which they decline it.
        accept_secs: How long they may think, behind the briefing.
        tts: Makes the voice that briefs them; None for Twilio's.
        stt: Makes a recogniser that listens to them. With Twilio's voice, Twilio's own listens.
        bot: Briefs them instead of all this.
    """

    summary: str = field(repr=False)
    prompt: str | None = field(default=None, repr=False)
    accept: str | None = "1"
    accept_words: tuple[str, ...] = ()
    decline_words: tuple[str, ...] = ()
    accept_secs: float = 20.0
    tts: Callable[[], FrameProcessor] | None = None
    stt: Callable[[], FrameProcessor] | None = None
    bot: BriefingBot | None = None

    def __post_init__(self) -> None:
        """Raises ConfigurationError where nobody could accept."""
        if self.accept is not None and self.accept not in tuple("0123456789*#"):
            raise ConfigurationError(
                "expected one key of 0-9, * or # by which a call is accepted, got another"
            )
        if self.accept_secs <= 0:
            raise ConfigurationError(
                f"expected accept_secs above 0, got {self.accept_secs:g}: seconds"
            )
        if self.stt is not None and self.tts is None and self.bot is None:
            raise ConfigurationError(
                "expected a tts with the stt of a briefing, got none: Twilio's voice and ear brief "
                "without either"
            )

    @property
    def text(self) -> str:
        """All that is said."""
        default = f"Press {self.accept} to take the call, or any other key to decline."
        return f"{self.summary} {self.prompt or default}".strip()

    @property
    def has_stream(self) -> bool:
        """Whether a bot of ours briefs."""
        return self.accept is not None and (self.tts is not None or self.bot is not None)


class Consult:
    """One person who is asked whether they take a caller.

    Args:
        briefing: What they are told.
        base_url: Where Twilio reaches the webhooks.
        silent: Listens when they are with the caller; None where the bot leaves them alone.
    """

    def __init__(self, briefing: Briefing, base_url: str, silent: SilentListener | None = None):
        self.id = secrets.token_urlsafe(24)
        """Names it in its webhooks' addresses; nobody can guess it, and it is good for one call."""
        self.briefing = briefing
        self.silent = silent
        self._base_url = base_url
        self.decided: asyncio.Future[TransferOutcome] = asyncio.get_running_loop().create_future()
        """What came of it; ``ANSWERED`` where they accept."""
        self.has_answered = asyncio.Event()
        self.is_in_room = asyncio.Event()
        self.is_gone = asyncio.Event()
        self.caller_is_in_room = asyncio.Event()
        self.call_sid: str | None = None
        """Their call, as soon as Twilio has told anything of it."""
        self._told = 0

    @property
    def summary(self) -> str:
        """What they are told of the caller."""
        return self.briefing.summary

    def accept(self) -> None:
        """They take the call."""
        self.settle(TransferOutcome.ANSWERED)

    def decline(self) -> None:
        """They do not."""
        self.settle(TransferOutcome.DECLINED)

    def settle(self, outcome: TransferOutcome) -> None:
        """Something came of it; the first counts."""
        if not self.decided.done():
            self.decided.set_result(outcome)

    def url(self, path: str) -> str:
        """The address of one of its webhooks."""
        return f"{self._base_url}/{path}?consult={self.id}"

    def is_about(self, call_sid: str) -> bool:
        """Whether a call is theirs; the first that asks is."""
        self.call_sid = self.call_sid or call_sid
        return self.call_sid == call_sid

    @property
    def to_room(self) -> Dial:
        """What brings a party into the room; with either of them it ends."""
        return Dial(
            conference=f"consult-{self.id}",
            conference_options={
                "beep": "false",
                "start_conference_on_enter": True,
                "end_conference_on_exit": True,
                # The one who is first waits for a second, without music.
                "wait_url": "",
                "status_callback": self.url("room"),
                "status_callback_event": "join leave",
            },
        )

    @property
    def caller_to_room(self) -> tuple[Verb, ...]:
        """What brings the caller there, with whoever is to listen."""
        if self.silent is None:
            return (self.to_room,)
        url = "ws" + f"{self._base_url}/room-audio".removeprefix("http")
        return (self.silent.asked_for(url, self.id), self.to_room)

    def went(self, status: str, sip_code: str | None = None) -> None:
        """Twilio tells how their call goes."""
        if status == "in-progress":
            self.has_answered.set()
        if status in FINAL:
            self.is_gone.set()
            declined = sip_code in DECLINED and not self.has_answered.is_set()
            outcome = _BY_STATUS.get(status, TransferOutcome.FAILED)
            self.settle(TransferOutcome.DECLINED if declined else outcome)

    def moved(self, call_sid: str, event: str) -> None:
        """Twilio tells who comes into the room, and who leaves it."""
        is_agent = self.is_about(call_sid)
        match event:
            case "participant-join" if is_agent:
                self.is_in_room.set()
            case "participant-join":
                self.caller_is_in_room.set()
            case "participant-leave" if is_agent:
                self.is_gone.set()
            case _:
                pass

    def next_document(self, told: Mapping[str, str]) -> str:
        """What Twilio does with their call where it briefs them itself.

        Args:
            told: What it says came of the last.
        """
        self.has_answered.set()
        if "DialCallStatus" in told:
            return respond(Hangup())
        if self.briefing.accept is None:
            self.accept()
        elif self._told:
            self._take_answer(told)
        if not self.decided.done() and self._told < _TIMES_TOLD:
            self._told += 1
            return respond(self._question(), action=self.url("consult"))
        self.settle(TransferOutcome.NOT_ACCEPTED)
        if self.decided.result() is TransferOutcome.ANSWERED:
            return respond(self.to_room, action=self.url("consult"))
        return respond(Hangup())

    def _question(self) -> Gather:
        return Gather(
            prompts=(Say(text=self.briefing.text),),
            input="dtmf speech" if self.briefing.accept_words else "dtmf",
            digits=1,
            finish_on_key="",
            timeout_secs=max(1, round(self.briefing.accept_secs / _TIMES_TOLD)),
        )

    def _take_answer(self, told: Mapping[str, str]) -> None:
        if key := told.get("Digits"):
            self.take_key(key)
        elif words := told.get("SpeechResult"):
            self.take_words(words)

    def take_key(self, key: str) -> None:
        """They have pressed a key."""
        if key == self.briefing.accept:
            self.accept()
        else:
            self.decline()

    def take_words(self, text: str) -> None:
        """They have said something."""
        said = f" {' '.join(_words(text))} "
        if any(f" {' '.join(_words(each))} " in said for each in self.briefing.decline_words):
            self.decline()
        elif any(f" {' '.join(_words(each))} " in said for each in self.briefing.accept_words):
            self.accept()

    async def carry(self, leg: AgentsCall) -> None:
        """Carries their call where a bot briefs: until they are with the caller, or gone."""
        self.has_answered.set()
        leg.observers.append(_Ear(self))
        moving = asyncio.create_task(self._move(leg))
        try:
            await (self.briefing.bot or _brief)(leg, self)
        finally:
            # Their bot may end because it was left behind.
            if not self.is_in_room.is_set():
                self.settle(TransferOutcome.AGENT_HUNG_UP)
            await asyncio.wait({moving}, timeout=1.0)
            moving.cancel()

    async def _move(self, leg: AgentsCall) -> None:
        """Does with their call what was decided."""
        if await asyncio.shield(self.decided) is not TransferOutcome.ANSWERED:
            await leg.hang_up()
            return
        away = asyncio.create_task(leg.detour(self.to_room, at_once=True))
        connected = asyncio.create_task(self.caller_is_in_room.wait())
        try:
            await asyncio.wait({away, connected}, return_when=asyncio.FIRST_COMPLETED)
            if not away.done():
                await leg.leave()
            await away
        except DetourError:
            # They are with the caller, or have hung up.
            pass
        else:
            await leg.hang_up()
        finally:
            connected.cancel()
            away.cancel()


async def _brief(leg: AgentsCall, consult: Consult) -> None:
    """Tells them, by a small pipeline."""
    briefing = consult.briefing
    assert briefing.tts is not None  # noqa: S101 - else there is no stream
    ears = [] if briefing.stt is None else [PhoneVAD(), briefing.stt()]
    parts = [leg.transport.input(), *ears, briefing.tts(), leg.transport.output()]
    telling = asyncio.create_task(_tell(leg, consult))
    try:
        await leg.run(Pipeline(parts), answering=AnswerPolicy(unknown=AnswerAction.GO_ON))
    finally:
        telling.cancel()


async def _tell(leg: AgentsCall, consult: Consult) -> None:
    answer = await leg.wait_for_answer()
    if answer.answered_by in _MACHINES:
        consult.settle(TransferOutcome.VOICEMAIL)
        return
    await leg.say(consult.briefing.text)
    await leg.said_so_far()
    await asyncio.sleep(consult.briefing.accept_secs)
    consult.settle(TransferOutcome.NOT_ACCEPTED)


class _Ear(BaseObserver):
    """Hears keys and words."""

    def __init__(self, consult: Consult):
        super().__init__(observe_every_push=False)
        self._consult = consult

    async def on_push_frame(self, data: FramePushed) -> None:
        match data.frame:
            case InputDTMFFrame(button=button):
                self._consult.take_key(str(button.value))
            case TranscriptionFrame(text=text):
                self._consult.take_words(text)
            case _:
                pass


def _words(text: str) -> list[str]:
    return "".join(c if c.isalnum() or c == "'" else " " for c in text.lower()).split()


class Placing(Protocol):
    """Has somebody called."""

    async def __call__(
        self, consult: Consult, *, to: str, caller_id: str | None, ring_secs: int
    ) -> str:
        """Has somebody called whose call asks for a consult's webhooks; gives the call's sid."""
        ...


class Consults:
    """Those who are being asked, by the ids in their webhooks' addresses.

    Args:
        place: Has them called; None where nobody can be.
    """

    def __init__(self, place: Placing | None = None):
        self.place = place
        self._open: dict[str, Consult] = {}

    def get(self, consult_id: str) -> Consult | None:
        """One that goes on, None otherwise."""
        return self._open.get(consult_id)

    def begin(self, consult: Consult) -> None:
        """Takes one in."""
        self._open[consult.id] = consult

    def end(self, consult: Consult) -> None:
        """Forgets one."""
        self._open.pop(consult.id, None)


def no_account() -> ConfigurationError:
    """What is missing for calling somebody."""
    return ConfigurationError(
        "expected a call that twilio_frames.server answered, with Twilio credentials and a number "
        "to call from, got one without: set TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and "
        "TWILIO_PHONE_NUMBER"
    )
