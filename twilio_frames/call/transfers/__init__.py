"""A caller put through to somebody else, and what comes of it."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal, Protocol
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from pipecat.frames.frames import FunctionCallResultProperties
from pipecat.services.llm_service import FunctionCallParams

from twilio_frames.call.plans import DetourResult, Legs
from twilio_frames.errors import ConfigurationError, DetourError
from twilio_frames.pipecat_internals import tool_options
from twilio_frames.rest.numbers import normalise_number
from twilio_frames.twiml import Dial, OtherTwiml, Say

__all__ = [
    "Transfer",
    "TransferOutcome",
    "TransferResult",
    "dials_to",
    "read_people",
    "read_target",
    "transfer_function",
]

DECLINED = frozenset({"603", "607"})
"""SIP's words for somebody who does not want to (RFC 3261, RFC 8197)."""

Unavailable = Literal["return", "end"]


class TransferOutcome(StrEnum):
    """What came of a transfer."""

    ANSWERED = "answered"
    """Somebody answered and was connected with the caller."""
    BUSY = "busy"
    NO_ANSWER = "no answer"
    DECLINED = "declined"
    """Somebody refused the call, as far as their telephone tells that from being busy."""
    FAILED = "failed"
    """The number, address or queue could not be reached at all."""
    CALLER_HUNG_UP = "caller hung up"
    VOICEMAIL = "voicemail"
    """A machine answered whoever was to be asked first."""
    NOT_ACCEPTED = "not accepted"
    """Somebody answered, was asked first, and did not say whether they take the call."""
    AGENT_HUNG_UP = "agent hung up"
    """Somebody answered, was asked first, and hung up before they had the caller."""


_QUEUE = "queue:"
_BY_STATUS = {
    "busy": TransferOutcome.BUSY,
    "no-answer": TransferOutcome.NO_ANSWER,
    # What <Enqueue> tells: nobody more may wait there; and whoever waited was let go.
    "queue-full": TransferOutcome.BUSY,
    "leave": TransferOutcome.NO_ANSWER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferResult:
    """What came of a transfer.

    Parameters:
        outcome: Whether somebody was there.
        talked_secs: How long they talked with the caller; 0.0 where the bot has left by then.
        is_back: Whether the caller is with the bot again.
        tried: How many targets were called.
    """

    outcome: TransferOutcome
    talked_secs: float = 0.0
    is_back: bool = True
    tried: int = 1


class TransferableCall(Protocol):
    """What a transfer asks of a call."""

    async def say(self, text: str) -> None:
        """Has a text said, behind what is being said."""
        ...

    async def detour(self, *verbs: Dial | OtherTwiml, legs: Legs | None = None) -> DetourResult:
        """Has Twilio do something else, and comes back."""
        ...

    async def leave(self) -> None:
        """Ends the bot's part of a call that is away."""
        ...

    async def hang_up(self) -> None:
        """Ends the call."""
        ...


class Transfer:
    """One caller's way to somebody else.

    Args:
        call: The call.
        dials: Who is called, one after the other, until somebody answers.
        whisper: What whoever answers hears before they are connected.
        stays: Whether the call comes back to the bot when they have talked.
    """

    def __init__(
        self,
        call: TransferableCall,
        dials: Sequence[Dial | OtherTwiml],
        *,
        whisper: str | None,
        stays: bool,
    ):
        self._call = call
        self._dials = dials
        self._stays = stays
        self._has_answered = False
        self._legs = Legs(
            whisper=(Say(text=whisper),) if whisper else (), on_answered=self._answered
        )

    async def _answered(self) -> None:
        self._has_answered = True
        if not self._stays:
            await self._call.leave()

    async def run(self) -> TransferResult:
        """Puts the caller through; gives what came of it."""
        outcome, talked, tried = TransferOutcome.FAILED, 0.0, 0
        for dial in self._dials:
            tried += 1
            try:
                result = await self._call.detour(dial, legs=self._legs)
            except DetourError as error:
                if not error.has_ended:
                    raise
                return TransferResult(outcome=self._at_the_end, is_back=False, tried=tried)
            outcome = self._outcome(result)
            if outcome is TransferOutcome.ANSWERED:
                seconds = result.get("DialCallDuration") or ""
                talked = float(seconds) if seconds.isdecimal() else 0.0
                break
        return TransferResult(outcome=outcome, talked_secs=talked, tried=tried)

    @property
    def _at_the_end(self) -> TransferOutcome:
        return TransferOutcome.ANSWERED if self._has_answered else TransferOutcome.CALLER_HUNG_UP

    def _outcome(self, result: DetourResult) -> TransferOutcome:
        status = result.get("DialCallStatus") or result.get("QueueResult") or ""
        if self._has_answered or status in ("completed", "answered", "bridged"):
            return TransferOutcome.ANSWERED
        if result.get("DialSipResponseCode") in DECLINED:
            return TransferOutcome.DECLINED
        return _BY_STATUS.get(status, TransferOutcome.FAILED)


def dials_to(
    targets: Sequence[str], dial: Dial | None, sip_headers: Mapping[str, str]
) -> list[Dial | OtherTwiml]:
    """What Twilio does for each target: each has an outcome of its own.

    Raises:
        ConfigurationError: If a target is no number, SIP address, client or queue.
    """
    if not targets:
        raise ConfigurationError("expected at least one target to transfer to, got none")
    base = dial or Dial(targets=("client:nobody",))
    return [
        _enqueue(one.removeprefix(_QUEUE))
        if one.startswith(_QUEUE)
        else replace(base, targets=(read_target(one, sip_headers),))
        for one in targets
    ]


def _enqueue(queue: str) -> OtherTwiml:
    """Has the caller wait in a queue, whose next call a person takes by ``<Dial><Queue>``."""
    return OtherTwiml(xml=f"<Enqueue>{escape(queue)}</Enqueue>", takes_action=True)


def read_people(targets: Sequence[str]) -> list[str]:
    """Reads those who are to be asked first, whom a queue has none of.

    Raises:
        ConfigurationError: If there are none, or one is no number, SIP address or client.
    """
    if not targets:
        raise ConfigurationError("expected at least one person to ask, got none")
    return [read_target(one, {}) for one in targets]


def read_target(text: str, sip_headers: Mapping[str, str]) -> str:
    """Reads somebody to be called: a number, a SIP address or a client.

    Raises:
        ConfigurationError: If it is none of these.
    """
    if text.startswith(("sip:", "sips:")):
        return f"{text}?{urlencode(sip_headers)}" if sip_headers else text
    if text.startswith("client:"):
        return text
    number = normalise_number(text)
    if number is None:
        raise ConfigurationError(
            "expected a number such as +12125550123, sip:somebody@example.com, client:name or "
            "queue:name as the target of a transfer, got something else"
        )
    return number


def objection_to(to: str, people: Mapping[str, str], *, agreed: bool) -> str | None:
    """What a model is told that may not put its caller through like this; None if it may."""
    if to not in people:
        return f"There is no {to!r}: it is one of {', '.join(people)}."
    return None if agreed else "Ask the caller first whether they want to be put through."


async def tell_result(params: FunctionCallParams, result: TransferResult) -> None:
    """Tells a model what came of it; it need not speak where the caller is not back."""
    await params.result_callback(
        {"outcome": result.outcome.value, "caller_is_back": result.is_back},
        properties=FunctionCallResultProperties(run_llm=result.is_back),
    )


def transfer_function(
    people: Mapping[str, str],
    put_through: Callable[[str], Coroutine[Any, Any, TransferResult]],
    *,
    asks_first: bool,
) -> Any:
    """Makes the function by which a model puts its caller through."""

    # Longer than any call that somebody was put through to.
    @tool_options(timeout_secs=5 * 3600.0)
    async def transfer_call(params: FunctionCallParams, to: str, caller_agreed: bool) -> None:
        objection = objection_to(to, people, agreed=caller_agreed or not asks_first)
        if objection is not None:
            await params.result_callback(objection)
            return
        await tell_result(params, await put_through(people[to]))

    # The docstring is what the model gets to read.
    transfer_call.__doc__ = f"""Put the caller through to a person.

    Say so to the caller before you call this. If nobody is there, the caller is back with you.

    Args:
        params: The call of the function.
        to: To whom, one of: {", ".join(people)}.
        caller_agreed: Whether the caller has said that they want to be put through.
    """
    return transfer_call
