"""The line: marks, holes in the caller's audio, and audio as it is on the line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pipecat.frames.frames import (
    DataFrame,
    InputAudioRawFrame,
    OutputAudioRawFrame,
    SystemFrame,
    TTSAudioRawFrame,
)

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw
from twilio_frames.audio.echo import BotAtEar
from twilio_frames.protocol import BreakKind


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
class HeardAudioFrame(SystemFrame, TTSAudioRawFrame):
    """Some of the bot's speech that the caller has heard, pushed when they have.

    A system frame, so that an interruption does not drop it, and the end of speaking does not
    overtake it, on their way to a recorder.
    """


@dataclass
class HeardSoundFrame(SystemFrame, OutputAudioRawFrame):
    """The same for sound that is no speech, and came in its turn: a jingle, music on hold."""
