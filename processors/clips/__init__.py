"""Speech that is ready before it is needed: a greeting, an apology, a filler.

A clip is mu-law as the line takes it, with the words on it, so that nothing is left to be made when
it is to be heard. It is spoken by a :class:`SpeakClipFrame`, or as a call's greeting; the caller
may interrupt it, and what was heard of it is remembered, as with any other speech.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
from pipecat.frames.frames import (
    Frame,
    LLMAssistantPushAggregationFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw, mulaw_of_wav
from twilio_frames.errors import ConfigurationError
from twilio_frames.frames import MulawOutputFrame
from twilio_frames.processors.words import HeardTextFrame
from twilio_frames.processors.words.sounding import BLOCK, loud_blocks
from twilio_frames.processors.words.word_places import word_ends

__all__ = ["Clip", "ClipWord", "SpeakClipFrame"]

_LEAD_IN = 2 * BLOCK
_LEAD_OUT = 10 * BLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipWord:
    """A word of a clip.

    Parameters:
        text: As it is remembered, with its punctuation.
        end: Where its sound ends, in bytes from the clip's begin.
    """

    text: str
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """Speech that is ready.

    Parameters:
        mulaw: Its sound: mu-law, 8000 bytes a second.
        text: What is said.
        words: Its words in order, with their ends. Left out: the text's words are laid on the sound
            by their letters, as with a TTS service that gives no word times.

    Raises:
        ConfigurationError: If there is no sound, or a word ends outside of it.
    """

    mulaw: bytes = field(repr=False)
    text: str
    words: tuple[ClipWord, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if not 0 < len(self.mulaw) <= 600 * SAMPLE_RATE:
            raise ConfigurationError(
                f"expected a clip of up to 600 s, got one of "
                f"{len(self.mulaw) / SAMPLE_RATE:g} s: pass mu-law, 8000 bytes a second"
            )
        if not self.words:
            object.__setattr__(self, "words", _laid_by_letters(self.text, self.mulaw))
        ends = [word.end for word in self.words]
        if ends and (ends != sorted(ends) or ends[0] < 0 or ends[-1] > len(self.mulaw)):
            raise ConfigurationError(
                f"expected words that end in order within {len(self.mulaw)} bytes of sound, got "
                "others: give each word's end in bytes from the clip's begin"
            )

    @classmethod
    def from_wav(cls, path: Path | str, text: str) -> Self:
        """Speech from a WAV file: 16-bit PCM of any rate, or mu-law. Blocks for the disk.

        Args:
            path: The file.
            text: What is said in it.

        Raises:
            ConfigurationError: If it cannot be read, or holds something else.
        """
        try:
            return cls(mulaw=mulaw_of_wav(Path(path).read_bytes()), text=text)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"expected speech in {path}, got: {error}") from error

    @property
    def seconds(self) -> float:
        """How long it takes to be heard."""
        return len(self.mulaw) / SAMPLE_RATE

    def trimmed(self) -> Self:
        """The same without the silence ahead of its first sound and behind its last."""
        loud = np.flatnonzero(loud_blocks(self.mulaw))
        if not len(loud):
            return self
        begin = max(0, int(loud[0]) * BLOCK - _LEAD_IN)
        end = min(len(self.mulaw), (int(loud[-1]) + 1) * BLOCK + _LEAD_OUT)
        words = tuple(
            ClipWord(text=word.text, end=min(max(word.end - begin, 0), end - begin))
            for word in self.words
        )
        return replace(self, mulaw=self.mulaw[begin:end], words=words)


@dataclass(init=False)
class SpeakClipFrame(MulawOutputFrame):
    """Says a clip when its turn has come, with no service in between.

    It is the audio of the clip, so that whoever holds back, drops or listens in on what a TTS
    service says does so with a clip. Goes on behind the output, without its audio, when the clip
    begins to be heard.

    Parameters:
        clip: What is said.
        append_to_context: Whether the words that are heard of it are remembered.
    """

    clip: Clip
    append_to_context: bool = True

    def __init__(self, clip: Clip, append_to_context: bool = True):
        super().__init__(
            audio=decode_mulaw(clip.mulaw),
            sample_rate=SAMPLE_RATE,
            num_channels=1,
            mulaw=clip.mulaw,
        )
        self.clip = clip
        self.append_to_context = append_to_context

    def begun(self) -> Self:
        """The frame that says behind the output that the clip is being heard."""
        frame = type(self)(self.clip, self.append_to_context)
        frame.audio = frame.mulaw = b""
        frame.num_frames = 0
        frame.context_id = context_of(self)
        return frame

    def __str__(self) -> str:
        return f"{self.name}({self.clip.seconds:.2f} s)"


def context_of(frame: SpeakClipFrame) -> str:
    """The utterance that a clip is, by the id that a TTS service would give it."""
    return frame.context_id or f"clip-{frame.id}"


def frames_on(frame: SpeakClipFrame) -> Iterator[tuple[Frame, int]]:
    """What falls due of a clip as it is heard, and where: as a TTS service's frames would."""
    clip, context_id = frame.clip, context_of(frame)
    length = len(clip.mulaw)
    started = TTSStartedFrame(context_id)
    started.append_to_context = frame.append_to_context
    placed: list[tuple[Frame, int]] = [(frame.begun(), 0), (started, 0)]
    for word in clip.words:
        text = HeardTextFrame(word.text, "word", context_id=context_id)
        text.append_to_context = frame.append_to_context
        placed.append((text, word.end))
    if frame.append_to_context:
        placed.append((LLMAssistantPushAggregationFrame(), length))
    placed.append((TTSStoppedFrame(context_id), length))
    for due, at in placed:
        due.interruptible = frame.interruptible
        yield due, at


def _laid_by_letters(text: str, mulaw: bytes) -> tuple[ClipWord, ...]:
    words = text.split()
    ends = word_ends(words, mulaw, len(mulaw))
    return tuple(ClipWord(text=word, end=end) for word, end in zip(words, ends, strict=True))
