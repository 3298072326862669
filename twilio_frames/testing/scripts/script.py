"""What a scripted caller does, and what is expected of the bot. Pure.

The words are those of Pipecat's eval scenarios, where they mean the same; ``docs/callers.md`` has
them in a table. All times are seconds.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from twilio_frames.errors import ConfigurationError
from twilio_frames.testing.calls.facts import Numbers
from twilio_frames.testing.calls.ringing import CallerOptions
from twilio_frames.testing.exchange import BOT_NUMBER, CALLER_NUMBER
from twilio_frames.testing.lines.conditions import LineConditions
from twilio_frames.testing.speech import Speech


class Event(StrEnum):
    """What a caller can expect. The first four are Pipecat's words."""

    BOT_STARTED_SPEAKING = "bot_started_speaking"
    """Its first sound after what the caller did last."""
    BOT_STOPPED_SPEAKING = "bot_stopped_speaking"
    """Its last sound: nothing is buffered, and nothing was heard for 0.8 s."""
    RESPONSE = "response"
    """It has spoken and finished; its words can be asked for."""
    BOT_INTERRUPTED = "bot_interrupted"
    """Talked over, it fell silent."""
    CALL_ENDED = "call_ended"
    """The call is over."""
    WARNING = "warning"
    """Twilio complained of the bot; ``code`` says with which number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Something that is expected of the bot.

    Parameters:
        event: What.
        within: Seconds until then, from the end of what the caller said or pressed (for
            ``BOT_INTERRUPTED``: from its first sound); None for a usual time.
        text_contains: Of a ``RESPONSE``: words heard in it, in this order, whatever their capitals
            and punctuation.
        text_excludes: Words that must not be heard in it.
        reason: Of ``CALL_ENDED``: why, in the words of :class:`twilio_frames.testing.CallEnd`.
        code: Of a ``WARNING``: Twilio's number.
        absent: Whether it must not happen, for ``within``.
        from_turn_start: Whether it may have happened before what stands above it.
        where: File and line, if it stands in one.
    """

    event: Event
    within: float | None = None
    text_contains: str | None = field(default=None, repr=False)
    text_excludes: str | None = field(default=None, repr=False)
    reason: str | None = None
    code: int | None = None
    absent: bool = False
    from_turn_start: bool = False
    where: str = ""

    def __post_init__(self) -> None:
        """Refuses what contradicts itself."""
        text = self.text_contains is not None or self.text_excludes is not None
        if text and (self.event is not Event.RESPONSE or self.absent):
            raise ConfigurationError(
                "expected words only of a response that is not absent, got them for "
                f"{'absent ' if self.absent else ''}{self.event}"
            )
        if self.reason is not None and self.event is not Event.CALL_ENDED:
            raise ConfigurationError(
                f"expected a reason only of call_ended, got it for {self.event}"
            )
        if self.code is not None and self.event is not Event.WARNING:
            raise ConfigurationError(f"expected a code only of a warning, got it for {self.event}")

    @property
    def seconds(self) -> float:
        """How long it may take, or must not happen, also where the script does not say."""
        if self.within is not None:
            return self.within
        if self.absent:
            return 3.0
        return 1.0 if self.event is Event.BOT_INTERRUPTED else 30.0

    @property
    def phrases(self) -> tuple[str, ...]:
        """The words it asks for."""
        return tuple(text for text in (self.text_contains, self.text_excludes) if text is not None)

    def __str__(self) -> str:
        parts = ["no " * self.absent + self.event.value]
        if self.text_contains is not None:
            parts.append(f"with {self.text_contains!r}")
        if self.text_excludes is not None:
            parts.append(f"without {self.text_excludes!r}")
        if self.reason is not None:
            parts.append(f"({self.reason})")
        if self.code is not None:
            parts.append(str(self.code))
        if self.within is not None:
            parts.append(f"{'for' if self.absent else 'within'} {self.within * 1000:.0f} ms")
        return " ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class SendAfter:
    """When a turn's input begins.

    Parameters:
        event: ``BOT_STARTED_SPEAKING`` or ``BOT_STOPPED_SPEAKING``, since the caller's last input;
            None for the end of that input.
        delay: Seconds after it.
    """

    event: Event | None = None
    delay: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptTurn:
    """One turn: something the caller does, and what is expected to come of it.

    A turn begins when the bot has finished speaking, unless ``send_after`` says otherwise.

    Parameters:
        say: What is said, part after part; numbers are seconds of silence.
        dtmf: Keys that are pressed, ``0-9 * # A-D``; ``w`` waits half a second.
        wait: Seconds for which the caller does nothing.
        hang_up_after: Seconds after the beginning of the input at which the caller hangs up, be it
            in mid-word; ``inf`` for its end.
        send_after: When to begin.
        expect: In the order in which it is to happen.
        where: File and line, if it stands in one.
    """

    say: tuple[Speech | float, ...] = field(default=(), repr=False)
    dtmf: str = field(default="", repr=False)
    wait: float = 0.0
    hang_up_after: float | None = None
    send_after: SendAfter | None = None
    expect: tuple[Expectation, ...] = ()
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a whole call is judged by; None is not judged.

    Parameters:
        first_audio: Seconds from the answer to the bot's first sound.
        answer: Seconds from the end of each of the caller's turns to the bot's first sound.
        interruption: Seconds from the caller's first sound to the bot's last, where it was talked
            over.
        gap: Seconds of the longest hole in the middle of the bot's speech.
        dead_air: Seconds of the longest stretch in which nobody spoke.
        call: Seconds of the whole call.
        cut_off: Seconds of the bot's speech that were buffered at the end and never heard.
        warnings: How many warnings of Twilio's are allowed.
        errors: How many errors.
        end: Why the call ended, in the words of :class:`twilio_frames.testing.CallEnd`.
        flow: Events of the call's log that must have happened in this order; others may lie
            between them.
        where: File and line, if they stand in one.
    """

    first_audio: float | None = None
    answer: float | None = None
    interruption: float | None = None
    gap: float | None = None
    dead_air: float | None = None
    call: float | None = None
    cut_off: float | None = None
    warnings: int | None = 0
    errors: int | None = 0
    end: str | None = None
    flow: tuple[str, ...] = ()
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A caller who follows a script.

    Parameters:
        name: What it is called in reports.
        turns: In order.
        limits: What the whole call is judged by.
        stop_on_failure: Whether the caller hangs up after the first turn that failed.
        voice: In which voice text is said, an espeak-ng name; empty for the usual one.
        line: What the line does to the call; None for whatever the caller's options say.
        noise_level: Background noise, dB of full scale; None as well.
        parameters: Custom parameters of a stream that is opened without TwiML.
        from_number: Who calls; empty for whatever the options say.
        to_number: Who is called.
        file: The file it stands in.
        unused: Keys of the file that mean nothing on a telephone line.
    """

    name: str
    turns: tuple[ScriptTurn, ...]
    limits: Limits = Limits()
    stop_on_failure: bool = True
    voice: str = ""
    line: LineConditions | None = None
    noise_level: float | None = None
    parameters: dict[str, str] = field(default_factory=dict, repr=False)
    from_number: str = field(default="", repr=False)
    to_number: str = field(default="", repr=False)
    file: Path | None = None
    unused: tuple[str, ...] = ()

    @property
    def phrases(self) -> tuple[str, ...]:
        """All words that are to be listened for."""
        expected = (each for turn in self.turns for each in turn.expect)
        return tuple(dict.fromkeys(phrase for each in expected for phrase in each.phrases))

    def options(self, usual: CallerOptions) -> CallerOptions:
        """The caller's options, with what the script says of voice, line and noise."""
        own: dict[str, Any] = {"voice": self.voice} if self.voice else {}
        if self.line is not None:
            own["line"] = self.line
        if self.noise_level is not None:
            own["noise_level"] = self.noise_level
        return replace(usual, **own)

    def numbers(self, from_number: str = CALLER_NUMBER, to_number: str = BOT_NUMBER) -> Numbers:
        """Who calls whom; the script's own numbers come before the given ones."""
        return Numbers(
            from_number=self.from_number or from_number, to_number=self.to_number or to_number
        )
