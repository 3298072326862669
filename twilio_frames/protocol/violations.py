"""What the other side of a stream did wrong, as values: nothing that arrives is an exception."""

from dataclasses import dataclass
from enum import Enum


class ViolationKind(Enum):
    """Which rule a received message broke. The value is a name fit for a metric."""

    BINARY = "binary"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    UNKNOWN_EVENT = "unknown_event"
    INVALID_FIELD = "invalid_field"
    BAD_PAYLOAD = "bad_payload"
    WRONG_STREAM = "wrong_stream"
    OUT_OF_TURN = "out_of_turn"

    @property
    def twilio_code(self) -> int:
        """Number of the warning Twilio gives a bot that does this."""
        return 31950 if self is ViolationKind.BINARY else 31951


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A received message that broke a rule. It has been skipped; the stream goes on.

    Parameters:
        kind: The rule.
        detail: Expected what, got what, where. Holds nothing of the message's content.
        size: Length of the message, in characters (in bytes if it was binary).
    """

    kind: ViolationKind
    detail: str
    size: int


class BreakKind(Enum):
    """How a number that should count on did not."""

    GAP = "gap"
    """It jumped ahead: something is missing."""
    REPEAT = "repeat"
    """It is the one before once more."""
    LATE = "late"
    """It is from further back: out of order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceBreak:
    """``sequenceNumber`` did not go on by one. The message itself follows as usual."""

    kind: BreakKind
    expected: int
    got: int

    @property
    def size(self) -> int:
        """How many messages are missing, or how many the message is behind."""
        return abs(self.got - self.expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampBreak:
    """A track's audio does not begin where the last piece of that track ended.

    Parameters:
        expected: Where the last piece ended, milliseconds from the start of the stream.
        got: Where this one begins.
    """

    kind: BreakKind
    track: str
    expected: int
    got: int

    @property
    def size(self) -> int:
        """Milliseconds of audio that are missing, or that were there already."""
        return abs(self.got - self.expected)
