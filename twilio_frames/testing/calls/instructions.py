"""What a call can be told to do. Pure."""

import asyncio
from dataclasses import dataclass, field
from enum import Enum

from twilio_frames.testing.calls.detection import DetectionRules
from twilio_frames.testing.lines.rooms import Room
from twilio_frames.testing.verbs import ConnectStream


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Instructions to be fetched by a webhook.

    Parameters:
        parameters: What it is told beside the call's own facts.
        fallback_url: Asked when that comes to nothing.
    """

    url: str
    method: str = "POST"
    parameters: dict[str, str] = field(default_factory=dict, repr=False)
    fallback_url: str = ""
    fallback_method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Instructions given as TwiML.

    Parameters:
        base_url: Where relative URLs in it start.
    """

    twiml: str = field(repr=False)
    base_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a call that was placed does when it is picked up, before its own instructions.

    Parameters:
        then: The instructions.
        send_digits: Keys that are pressed first.
        detection: Who picked up is found out: before ``then``, or beside it if the rules have a
            callback.
    """

    then: Fetch | Document
    send_digits: str = field(default="", repr=False)
    detection: DetectionRules | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnterRoom:
    """What a call does that ``<Dial>`` has made.

    Parameters:
        room: Where the dialing party waits.
        entered: Set when this party is there.
        whisper: TwiML that only this party hears before.
        send_digits: Keys that are pressed first.
    """

    room: Room
    entered: asyncio.Event
    whisper: Fetch | None = None
    send_digits: str = field(default="", repr=False)


Instructions = Fetch | Document | ConnectStream | Answered | EnterRoom


class Outcome(Enum):
    """How instructions end that do not end the call by themselves."""

    RAN_OUT = "ran out"
    LEFT = "left"
    """``<Leave>``: the stay in a queue is over."""
