"""A call: its beginning, what is done with it, and its end."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pipecat.frames.frames import (
    DataFrame,
    SystemFrame,
)

from twilio_frames.answering import Answer
from twilio_frames.protocol import MediaFormat, Start
from twilio_frames.twiml import Verb


class CallEndReason(StrEnum):
    """Why a call's stream ended; exactly one of these."""

    CALLER_HUNG_UP = "caller hung up"
    """Twilio said ``stop``, and nobody here had asked for it."""
    BOT_HUNG_UP = "bot hung up"
    """The pipeline ended, or was asked to hang up."""
    TRANSFERRED = "transferred"
    """Twilio said ``stop`` because the call was given other TwiML."""
    LINE_LOST = "line lost"
    """The socket broke, fell silent or was no longer read, with no ``stop``."""
    TIME_LIMIT = "time limit"
    """The call was as long as calls may be."""
    HANDED_OVER = "handed over"
    """Another worker goes on with the call, on a new stream: this one is about to stop."""
    NOT_BACK = "not back"
    """It had left its stream for something else, and did not come back in time."""
    ERROR = "error"
    """The stream could not be served, or the bot failed."""


@dataclass
class CallStartedFrame(SystemFrame):
    """The stream has begun: who is on the line. Pushed downstream right after ``StartFrame``.

    Parameters:
        call_sid: Twilio's name of the call, CA…
        stream_sid: Twilio's name of the stream, MZ…
        account_sid: Whose call it is, AC…
        parameters: The ``<Parameter>`` elements of the TwiML.
        media_format: How Twilio encodes the audio.
        tracks: The tracks the stream carries.
    """

    call_sid: str
    stream_sid: str
    account_sid: str
    parameters: Mapping[str, str] = field(repr=False)
    media_format: MediaFormat
    tracks: tuple[str, ...]

    @classmethod
    def of(cls, start: Start) -> "CallStartedFrame":
        """The frame for a ``start`` message."""
        return cls(
            call_sid=start.call_sid,
            stream_sid=start.stream_sid,
            account_sid=start.account_sid,
            parameters=start.custom_parameters,
            media_format=start.media_format,
            tracks=start.tracks,
        )

    def __str__(self) -> str:
        return f"{self.name}(call: {self.call_sid}, stream: {self.stream_sid})"


@dataclass
class DetourFrame(DataFrame):
    """Has the call leave its stream when all that was said before was heard, and come back.

    Twilio does other TwiML meanwhile. Goes through the pipeline like speech; an interruption drops
    what is being said, and not the detour. :meth:`twilio_frames.call.Call.detour` sends one and
    gives its result; pushed by a processor, its result comes as a :class:`CallBackFrame`.

    Parameters:
        verbs: What Twilio does, in order.
        by_rest: Whether Twilio's REST API is asked for it, rather than the stream closed.
        within_secs: How long it may be away; None for what the verbs may take.
    """

    interruptible: bool = field(default=False, init=False)

    verbs: tuple[Verb, ...] = ()
    """None where it was withdrawn before it fell due: nothing is done then."""
    by_rest: bool = False
    within_secs: float | None = None
    has_begun: bool = field(default=False, init=False)


@dataclass
class SaidSoFarFrame(DataFrame):
    """Tells when all that was said before it was heard, or is not to be heard any more."""

    interruptible: bool = field(default=False, init=False)

    heard: asyncio.Event = field(default_factory=asyncio.Event, repr=False)


Act = Callable[[Any], Awaitable[object]]
"""What a call is to do: given the :class:`twilio_frames.call.Call`."""


@dataclass
class CallActionFrame(SaidSoFarFrame):
    """Has the call do something when all that was said before it was heard.

    ::

        await self.push_frame(CallActionFrame(act=lambda call: call.transfer("+1...")))

    Goes through the pipeline like speech; an interruption drops what is being said, and not this.
    What it raises is logged, and the call goes on.

    Parameters:
        act: Called with the :class:`twilio_frames.call.Call`, and awaited in a task of its own.
    """

    act: Act | None = field(default=None, repr=False)


@dataclass
class CallActionUrgentFrame(SystemFrame):
    """Has the call do something at once, be it in the middle of what is being said, or away.

    ::

        await self.push_frame(CallActionUrgentFrame(act=lambda call: call.resume()))

    Parameters:
        act: As for :class:`CallActionFrame`.
    """

    act: Act = field(repr=False)


@dataclass
class CallAwayFrame(SystemFrame):
    """The call has left its stream: nobody hears the bot, and it hears nobody.

    Parameters:
        detour: What is being done.
    """

    detour: DetourFrame


@dataclass
class CallBackFrame(SystemFrame):
    """The call is on a stream again.

    Parameters:
        detour: What was done.
        results: What Twilio said of each verb that tells, by Twilio's own names, such as
            ``DialCallStatus`` and ``Digits``.
        away_secs: How long it was away.
        stream_sid: The new stream.
    """

    detour: DetourFrame
    results: tuple[Mapping[str, str], ...] = field(default=(), repr=False)
    away_secs: float = 0.0
    stream_sid: str = ""


@dataclass
class AnsweredByFrame(SystemFrame):
    """Who has answered a call that was placed. May come again, with who it is after all.

    Parameters:
        answer: Who, told by what, and how long that took.
    """

    answer: Answer


@dataclass
class RecordingFrame(SystemFrame):
    """Twilio says how its recording of the call stands.

    Parameters:
        status: ``in-progress``, ``completed``, or ``absent`` where nothing was recorded.
        recording_sid: The recording (``RE...``).
        secs: How long it is, once it is complete.
    """

    status: str
    recording_sid: str
    secs: float | None = None


@dataclass
class DigitsWantedFrame(SystemFrame):
    """The caller is asked for digits, or is not any more. Pushed both ways.

    Meanwhile the keys that are pressed go to whoever asked, and are no ``InputDTMFFrame``.

    Parameters:
        is_wanted: Whether they are, from here on.
        is_private: Whether what is said and pressed from here on is to stand nowhere.
        take_words: Takes what the caller says meanwhile, where that may be digits.
    """

    is_wanted: bool
    is_private: bool = True
    take_words: Callable[[str], None] | None = field(default=None, repr=False)


@dataclass
class CallEndedFrame(SystemFrame):
    """The stream is over. Pushed downstream once, before the pipeline ends by itself.

    Parameters:
        reason: Why.
        detail: More of it for a log; holds no numbers and nothing that was said.
    """

    reason: CallEndReason
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.name}(reason: {self.reason})"
