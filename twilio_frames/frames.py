"""What a phone call adds to Pipecat's frames.

Digits are Pipecat's own ``InputDTMFFrame``; a raised or dropped line is Pipecat's
``ClientConnectedFrame`` and, with its reason, :class:`CallEndedFrame`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pipecat.frames.frames import (
    DataFrame,
    InputAudioRawFrame,
    InterruptionFrame,
    SystemFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)

from twilio_frames.answering import Answer
from twilio_frames.audio import SAMPLE_RATE, decode_mulaw
from twilio_frames.audio.echo import BotAtEar
from twilio_frames.protocol import BreakKind, MediaFormat, Start
from twilio_frames.twiml import Verb

__all__ = [
    "AnsweredByFrame",
    "AudioGapFrame",
    "BotHeldFrame",
    "CallActionFrame",
    "CallAwayFrame",
    "CallBackFrame",
    "CallEndReason",
    "CallEndedFrame",
    "CallStartedFrame",
    "CallerPausedFrame",
    "CallerSpeakingFrame",
    "DetourFrame",
    "DigitsWantedFrame",
    "FailureKind",
    "HoldFrame",
    "MarkReachedFrame",
    "MarkSentFrame",
    "MulawInputFrame",
    "MulawOutputFrame",
    "NoWordsFrame",
    "RecordingFrame",
    "ReplyHeardFrame",
    "ReplyStartedFrame",
    "ResumeFrame",
    "SendMarkFrame",
    "SpeechCutFrame",
    "SpeechLeftOutFrame",
    "TurnLikelyOverFrame",
    "TurnTranscriptionFrame",
    "VendorRole",
    "VendorSwitchedFrame",
    "WordsAwaitedFrame",
]


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
    parameters: Mapping[str, str]
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

    act: Callable[[Any], Awaitable[object]] | None = field(default=None, repr=False)


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


@dataclass
class SendMarkFrame(DataFrame):
    """Asks for a mark behind the audio that is queued so far.

    Answered by a :class:`MarkSentFrame`, then by a :class:`MarkReachedFrame`.

    Parameters:
        mark: The mark's name; need not be unique.
    """

    mark: str


@dataclass
class MarkSentFrame(SystemFrame):
    """A mark is on its way to Twilio.

    Parameters:
        mark: The mark's name.
        position: Bytes of mu-law audio sent before it since the stream began.
    """

    mark: str
    position: int


@dataclass
class MarkReachedFrame(SystemFrame):
    """Twilio sent a mark back.

    Parameters:
        mark: The mark's name.
        position: Bytes of mu-law audio sent before it since the stream began.
        flushed: True if an interruption threw away audio before it: it was not heard to there.
    """

    mark: str
    position: int
    flushed: bool


@dataclass
class AudioGapFrame(SystemFrame):
    """The caller's audio did not go on where it had ended.

    Parameters:
        kind: ``GAP``: audio is missing, and silence stands in for it. ``REPEAT`` or ``LATE``: the
            audio had been there already, and was dropped.
        milliseconds: How much.
    """

    kind: BreakKind
    milliseconds: int


@dataclass
class CallerSpeakingFrame(SystemFrame):
    """The caller goes on speaking. Pushed at the onset of speech and every tenth of a second of it.

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
    once, where it was a sound too short for the VAD to say that speech began.

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
class BacklogFrame(SystemFrame):
    """Goes along with the caller's audio, to tell when a pipeline has worked it off.

    Parameters:
        passed: Called by the output when it comes by.
    """

    passed: Callable[[], None]


@dataclass
class MulawInputFrame(InputAudioRawFrame):
    """The caller's audio, as PCM for whoever wants PCM, and as it came.

    Parameters:
        mulaw: The mu-law bytes as Twilio sent them; empty behind an audio filter.
        timestamp: Where the audio begins, milliseconds from the start of the stream.
        bot: What the bot was saying where its echo would be in this audio; None if it was silent.
    """

    mulaw: bytes = field(default=b"", repr=False)
    timestamp: int | None = None
    bot: BotAtEar | None = field(default=None, repr=False)

    @classmethod
    def joined(cls, pieces: "Sequence[MulawInputFrame]") -> "MulawInputFrame":
        """One frame of several that follow each other; the bot is as it was at the end."""
        if len(pieces) == 1:
            return pieces[0]
        return cls(
            audio=b"".join(piece.audio for piece in pieces),
            sample_rate=pieces[0].sample_rate,
            num_channels=1,
            mulaw=b"".join(piece.mulaw for piece in pieces)
            if all(p.mulaw for p in pieces)
            else b"",
            timestamp=pieces[0].timestamp,
            bot=pieces[-1].bot,
        )

    # Pipecat asks for it at each step of each frame, traced or not.
    __str__ = SystemFrame.__str__


@dataclass
class MulawOutputFrame(TTSAudioRawFrame):
    """Speech that is mu-law already and goes to the caller without a conversion.

    ``audio`` holds its PCM, for whoever listens in.

    Parameters:
        mulaw: The mu-law bytes, 8000 a second.
    """

    mulaw: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, mulaw: bytes, *, context_id: str | None = None) -> "MulawOutputFrame":
        """The frame for some mu-law audio."""
        return cls(
            audio=decode_mulaw(mulaw),
            sample_rate=SAMPLE_RATE,
            num_channels=1,
            context_id=context_id,
            mulaw=mulaw,
        )


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
