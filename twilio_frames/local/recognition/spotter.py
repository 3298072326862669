"""Whether words were said somewhere in a recording, without a key.

Free dictation is beyond the local recogniser, but this is not: given the words, it says how well
they fit beside no words at all, only the sounds of the language in any order. Words that sound
alike ("seven" and "eleven") it cannot be trusted to tell apart.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.local.recognition.cepstra import FRAMES_PER_SECOND, telephone_cepstra
from twilio_frames.local.recognition.decoder import Decoder, Segment
from twilio_frames.local.recognition.lexicon import Pronunciations
from twilio_frames.local.recognition.rejection import (
    SOUND_PRONUNCIATIONS,
    SOUNDS_GRAMMAR,
    fit_per_frame,
)

__all__ = ["Spotted", "Spotter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spotted:
    """Where words were found.

    Args:
        start: Seconds from the beginning of the audio.
        end: Seconds from there.
        sureness: 1 where the words fit as well as any sounds would, 0 where they only just do.
    """

    start: float
    end: float
    sureness: float


class Spotter:
    """Listens for words that are known beforehand.

    Making one takes a third of a second and as much again for each phrase: do it in a thread.

    Args:
        phrases: The words to listen for, lower case, numbers spelled out.
        pronunciations: For words that the dictionary of American English has not.
        window_secs: Seconds of audio that are searched at a time, more than 6.

    Raises:
        MissingExtraError: If the ``local`` extra is not installed.
        ConfigurationError: If a word has no pronunciation; it names the word.
    """

    _OVERLAP_SECS = 6.0
    """What of it is searched again, for a phrase over the seam."""
    _SHORTEST_SECS = 0.15
    """What is shorter holds no phrase."""
    _WORST_WHOLE = -0.0020
    """How much worse than free sounds the words may fit, each hundredth of a second on average. Set
    on the voices of the local synthesiser, as the next one."""
    _WORST_WORD = -0.0038
    """The same for the worst of them."""

    def __init__(
        self,
        phrases: Iterable[str] = (),
        pronunciations: Pronunciations | None = None,
        *,
        window_secs: float = 25.0,
    ):
        self._window_secs = window_secs
        self._pronunciations = {**SOUND_PRONUNCIATIONS, **(pronunciations or {})}
        self._lock = threading.Lock()
        self._sounds = Decoder(SOUNDS_GRAMMAR, SOUND_PRONUNCIATIONS, thorough=False)
        self._decoders: dict[str, Decoder] = {}
        self._last: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        for phrase in phrases:
            self.learn(phrase)

    def learn(self, phrase: str) -> None:
        """Makes ready to listen for a phrase.

        Raises:
            ConfigurationError: If a word has no pronunciation; it names the word.
        """
        if phrase not in self._decoders:
            self._decoders[phrase] = Decoder(_grammar(phrase), self._pronunciations)

    def find(self, phrase: str, pcm: bytes) -> Spotted | None:
        """Where a phrase was said first; None if it was not. Takes a tenth of the audio's time.

        Args:
            phrase: The words.
            pcm: Signed 16-bit native-endian mono samples, 8000 a second.
        """
        samples = np.frombuffer(pcm, np.int16)
        window, step = (
            int(seconds * SAMPLE_RATE)
            for seconds in (self._window_secs, self._window_secs - self._OVERLAP_SECS)
        )
        with self._lock:
            self.learn(phrase)
            for begin in range(0, max(1, len(samples) - window + step), step):
                found = self._find_in(phrase, samples[begin : begin + window])
                if found is not None:
                    moved = begin / SAMPLE_RATE
                    return replace(found, start=moved + found.start, end=moved + found.end)
        return None

    def _find_in(self, phrase: str, samples: npt.NDArray[np.int16]) -> Spotted | None:
        if len(samples) < self._SHORTEST_SECS * SAMPLE_RATE:
            return None
        # What is searched for several phrases is the same each time.
        if self._last is None or not np.array_equal(self._last[0], samples):
            features = telephone_cepstra(samples)
            free = self._sounds.decode(features).segments
            self._last = samples, features, fit_per_frame(free, len(features))
        _, features, free_fit = self._last
        segments = self._decoders[phrase].decode(features).segments
        words = [segment for segment in segments if _is_word_of_phrase(segment)]
        if not words:
            return None
        fit = fit_per_frame(segments, len(features)) - free_fit
        start, end = words[0].start, words[-1].end + 1
        whole = float(fit[start:end].mean())
        worst = min(float(fit[word.start : word.end + 1].mean()) for word in words)
        if whole < self._WORST_WHOLE or worst < self._WORST_WORD:
            return None
        return Spotted(
            start=start / FRAMES_PER_SECOND,
            end=end / FRAMES_PER_SECOND,
            sureness=min(1.0, 1 - whole / self._WORST_WHOLE, 1 - worst / self._WORST_WORD),
        )


def _is_word_of_phrase(segment: Segment) -> bool:
    return segment.is_word and segment.word not in SOUND_PRONUNCIATIONS


def _grammar(phrase: str) -> str:
    sounds = f"( {' | '.join(SOUND_PRONUNCIATIONS)} )*"
    return f"#JSGF V1.0;\ngrammar phrase;\npublic <phrase> = {sounds} {phrase} {sounds};\n"
