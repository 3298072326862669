"""From audio to Google's results: where speech begins and ends, what is final and what is not.

Pure: mu-law goes in, results come out. Time is the audio's own.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.testing.vendors.sound_steps import SoundSteps


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pace:
    """When Google says something, in seconds of audio.

    Parameters:
        pause: Silence that ends an utterance.
        interim: Between two results that are not final.
        per_word: How long a word takes, where one is guessed.
    """

    pause: float = 0.5
    interim: float = 0.5
    per_word: float = 0.35


_PACE = _Pace()


GoogleHears = Sequence[str] | Callable[[bytes], str]
"""What is heard: the utterances one after the other, or a function of an utterance's mu-law."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleHeard:
    """One result.

    Parameters:
        text: The words.
        is_final: Whether they will not change.
        end: Up to where they cover the stream's audio, seconds.
    """

    text: str
    is_final: bool
    end: float


class GoogleScript:
    """Tells which words are in an utterance.

    Args:
        hears: The utterances one after the other, whoever says them; or a function of the audio.
    """

    def __init__(self, hears: GoogleHears):
        self._hear = hears if callable(hears) else None
        self._texts = [] if callable(hears) else list(hears)

    def interim(self, seconds: float) -> str:
        """The words after so many seconds of an utterance; empty if they are not known yet."""
        words = (self._texts[0] if self._texts else "").split()
        return " ".join(words[: int(seconds / _PACE.per_word)])

    def final(self, mulaw: bytes) -> str:
        """The words of an utterance; the next one follows."""
        if self._hear is not None:
            return self._hear(mulaw)
        return self._texts.pop(0) if self._texts else ""


class GoogleEar(SoundSteps[GoogleHeard]):
    """Listens to one stream.

    Args:
        script: Tells the words.
        interim_results: Whether words that may change are told.
    """

    def __init__(self, script: GoogleScript, *, interim_results: bool):
        super().__init__()
        self._script = script
        self._interim = interim_results
        self._told = 0

    def finish(self) -> Iterator[GoogleHeard]:
        """Tells all that is left, since no more audio comes."""
        if self._began is not None:
            yield self._final()

    def _step(self, *, begins: bool) -> Iterator[GoogleHeard]:
        if self._began is None:
            return
        if begins:
            self._told = self._began
        if self._silence >= _PACE.pause:
            yield self._final()
        elif self._interim and (self._heard - self._told) / SAMPLE_RATE >= _PACE.interim:
            self._told = self._heard
            if text := self._script.interim((self._heard - self._began) / SAMPLE_RATE):
                yield GoogleHeard(text=text, is_final=False, end=self._heard / SAMPLE_RATE)

    def _final(self) -> GoogleHeard:
        text = self._script.final(bytes(self._audio[self._began : self._ended]))
        self._end_speech()
        return GoogleHeard(text=text, is_final=True, end=self._heard / SAMPLE_RATE)
