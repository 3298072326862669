"""Who speaks, what is held and cut, and what becomes of what was to be said."""

from dataclasses import dataclass, field
from enum import StrEnum

from pipecat.frames.frames import (
    DataFrame,
    InterruptionFrame,
    SystemFrame,
    TranscriptionFrame,
    TTSStoppedFrame,
)


@dataclass
class CallerSpeakingFrame(SystemFrame):
    """The caller goes on speaking. Pushed at the onset of speech and every tenth of a second of it.

    In the caller's turn, while the bot is silent, it comes every half a second, and behind a pause
    within the first tenth.

    The first one may come before the VAD is certain. If it never becomes so, a
    :class:`CallerPausedFrame` that is not certain either takes it back.

    Parameters:
        speech_secs: How much has been spoken since the onset; pauses do not count.
        is_certain: Whether the VAD has said that speech began.
    """

    speech_secs: float
    is_certain: bool = True


@dataclass
class CallerPausedFrame(SystemFrame):
    """The caller has fallen silent, for a moment or for good.

    Pushed some 15 times a second, until the caller speaks on or the VAD says that speech has ended;
    in the caller's turn, while the bot is silent, at once and then every half a second; and once,
    where it was a sound too short for the VAD to say that speech began.

    Parameters:
        speech_secs: How much was spoken since the onset; pauses do not count.
        silence_secs: How long it has been silent.
        is_certain: Whether the VAD had said that speech began.
    """

    speech_secs: float
    silence_secs: float
    is_certain: bool = True


@dataclass
class TurnLikelyOverFrame(SystemFrame):
    """The caller has paused, and is likely done. Pushed once a pause, ahead of the VAD's end.

    If they were not, a :class:`CallerSpeakingFrame` follows.

    Parameters:
        silence_secs: How long it has been silent.
        probability: How likely it is by the Smart Turn model; None where only the silence says so.
    """

    silence_secs: float
    probability: float | None = None


@dataclass
class NoWordsFrame(SystemFrame):
    """The recogniser has no words to give for what it heard last."""


@dataclass
class WordsAwaitedFrame(SystemFrame):
    """Somebody is finding out what the caller said over the bot. Pushed both ways.

    The words, or a :class:`NoWordsFrame`, should be there soon; until then the bot waits.

    Parameters:
        secs: How long it is worth waiting.
    """

    secs: float


@dataclass
class TurnTranscriptionFrame(TranscriptionFrame):
    """What the caller said in a turn that is over, for the memory: it says nothing of the present.

    From a speech-to-speech model, which has taken the turn in already.
    """


@dataclass
class BotHeldFrame(SystemFrame):
    """The bot fell silent because the caller may want to speak; it may yet say on.

    The bot counts as speaking while it is held.

    Parameters:
        left_secs: How much audio it had still to say; None if more of it is still being made.
    """

    left_secs: float | None = None


@dataclass
class ResumeFrame(SystemFrame):
    """A false alarm: the bot is to say on what it was about to say when it was held."""


@dataclass
class HoldFrame(SystemFrame):
    """What the bot says next is to wait: the caller may want to say more. Pushed both ways.

    Only whoever decides by a :class:`ResumeFrame` or an interruption should push it. While the bot
    speaks, it falls silent by itself.
    """


@dataclass
class ReplyStartedFrame(SystemFrame):
    """The LLM has begun a reply. Pushed upstream by the output, before anything is heard of it."""


@dataclass
class ReplyHeardFrame(SystemFrame):
    """All of an LLM's reply was heard, or it had nothing to say. Pushed upstream by the output."""


@dataclass
class SpeechCutFrame(SystemFrame):
    """Speech was interrupted; this much of it was heard. Pushed both ways once that is known.

    For whoever keeps a memory of its own of what the bot said, a speech-to-speech model say. Comes
    once for each utterance that was not heard to its end, those included of which nothing was.

    Parameters:
        context_id: Which utterance: the ``context_id`` of its audio frames.
        heard_ms: How much of its audio was heard, milliseconds.
        bound_ms: By how much that may be off, as far as is known.
    """

    context_id: str | None
    heard_ms: int
    bound_ms: int = 0


@dataclass
class SpeechBrokenOffFrame(TTSStoppedFrame):
    """An utterance has no more audio although more of it was to be spoken.

    Parameters:
        spoken_words: How many words were spoken beyond those that are known by their place: of the
            texts that came ahead of their audio; or the last word with a time, if it was whole.
    """

    spoken_words: int = 0


@dataclass
class SpeechLeftOutFrame(DataFrame):
    """The rest of a text could not be spoken; the utterance goes on with the next text, if any.

    Parameters:
        context_id: The ``context_id`` of the utterance.
        text: What was not spoken.
    """

    context_id: str | None = None
    text: str = field(default="", repr=False)


@dataclass
class WordBrokenOffFrame(DataFrame):
    """Of the last word with a time, only a part has been spoken.

    What follows begins with it anew; if nothing does, the word was not said.

    Parameters:
        context_id: The utterance.
    """

    context_id: str | None = None


class VendorRole(StrEnum):
    """What a vendor does on a call."""

    STT = "stt"
    LLM = "llm"
    TTS = "tts"
    REALTIME = "realtime"
    """All three."""


class FailureKind(StrEnum):
    """In what way a vendor failed."""

    REFUSED = "refused"
    """It did not take the key, the model, the voice or another part of the request."""
    BUSY = "busy"
    """Too many requests, or the account's allowance is used up."""
    CONNECTION = "connection"
    """It could not be reached, or the connection broke."""
    SERVER = "server"
    """It said that it has a fault of its own."""
    LATE = "late"
    """Nothing came in time."""
    OTHER = "other"
    """It said something else."""


@dataclass
class VendorSwitchedFrame(SystemFrame):
    """Another vendor has taken over. Pushed downstream where it did.

    Parameters:
        role: What they do.
        vendor: Who did it.
        successor: Who does it from here on.
        failure: What it was for; None if the successor is the first choice, tried again.
    """

    role: VendorRole
    vendor: str
    successor: str
    failure: FailureKind | None = None

    def __str__(self) -> str:
        return f"{self.name}({self.role}: {self.vendor} to {self.successor})"


class ServiceStopFrame(InterruptionFrame):
    """Interrupts a service that failed, and nobody else: the caller has not spoken."""
