"""Speech recognition without a key, for speech that a grammar describes.

Pocketsphinx with the model of its wheel, over the telephone: with a good grammar of what people
say next it understands nine orders of a shop in ten, in free dictation next to nothing. What does
not fit the grammar is refused rather than guessed at.
"""

import asyncio
import queue
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np
import numpy.typing as npt
import soxr

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.errors import RecognitionError
from twilio_frames.local.recognition.cepstra import FRAMES_PER_SECOND, telephone_cepstra
from twilio_frames.local.recognition.decoder import Decoder, Segment
from twilio_frames.local.recognition.lexicon import Pronunciations
from twilio_frames.local.recognition.rejection import (
    SOUND_PRONUNCIATIONS,
    SOUNDS_GRAMMAR,
    confidence,
)
from twilio_frames.model_threads import ModelThreads, ThreadsBusyError

__all__ = ["UNINTELLIGIBLE", "Recogniser"]

UNINTELLIGIBLE = "[unintelligible]"
"""What stands in place of speech that was heard but not understood."""


@dataclass(frozen=True, slots=True)
class _Utterances:
    """What is taken for an utterance; ``bench/recognition.py`` measures what is understood."""

    least_confidence: float = 0.5
    """Below, it is refused rather than guessed at."""
    longest_secs: float = 30.0
    """What comes later is not searched."""
    shortest_secs: float = 0.15
    """What is shorter is a click or a cough."""
    least_contrast: float = 12.0
    """In steps of the first cepstrum. Steady noise varies by less than 8, no caller by less than
    19."""
    quiet_secs: float = 0.25
    """Quiet sounds begin words: the search begins this much before the first loud one."""


_UTTERANCES = _Utterances()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognisedWord:
    """One word, and when it was said.

    Args:
        text: As in the grammar.
        start: Seconds from the beginning of the audio.
        end: Seconds from there.
    """

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognition:
    """What was understood of one utterance.

    Args:
        text: The words, or nothing if the utterance was refused.
        accepted: Whether it was a sentence of the grammar.
        is_speech: Whether somebody spoke at all; a click or a cough is no speech.
        confidence: 0 to 1; accepted from 0.5.
        words: The best guess, word by word, also where it was refused.
    """

    text: str
    accepted: bool
    is_speech: bool
    confidence: float
    words: tuple[RecognisedWord, ...] = ()


class Recogniser:
    """Finds the sentence of a grammar that was said.

    Make one for all calls of a process: it takes a third of a second and 40 MB for each worker.
    Making it holds the thread it is made in; in a coroutine, use :meth:`create`.

    Args:
        grammar: What may be said, in JSGF (https://www.w3.org/TR/jsgf/), lower case. Words joined
            by underscores are said in one breath and recognised better for it: ``a_lot_of``.
        pronunciations: For words that the dictionary of American English has not or says
            otherwise: ARPAbet phones without stress, ``{"latte": ("L AA T EY", "L AE T EY")}``.
        workers: How many utterances are recognised at once; others wait.

    Raises:
        MissingExtraError: If the ``local`` extra is not installed.
        ConfigurationError: If the grammar cannot be read, or a word in it has no pronunciation.
    """

    _MOST_WAITING = 64
    """Utterances that may wait; more are refused."""

    def __init__(
        self, grammar: str, *, pronunciations: Pronunciations | None = None, workers: int = 1
    ):
        self._decoders: queue.SimpleQueue[tuple[Decoder, Decoder]] = queue.SimpleQueue()
        for _ in range(workers):
            pair = (
                Decoder(grammar, pronunciations),
                Decoder(SOUNDS_GRAMMAR, SOUND_PRONUNCIATIONS, thorough=False),
            )
            self._decoders.put(pair)
        self._threads = ModelThreads(
            "recogniser", threads=workers, most_waiting=self._MOST_WAITING - workers
        )

    @classmethod
    async def create(
        cls, grammar: str, *, pronunciations: Pronunciations | None = None, workers: int = 1
    ) -> Self:
        """Makes a recogniser while the event loop goes on."""
        return await asyncio.to_thread(cls, grammar, pronunciations=pronunciations, workers=workers)

    async def recognise(
        self, pcm: bytes, sample_rate: int = SAMPLE_RATE, *, time_limit: float = 20.0
    ) -> Recognition:
        """What was said, while the event loop goes on.

        Args:
            pcm: One whole utterance, from before its first word to after its last: signed 16-bit
                native-endian mono samples. No more than its first 30 seconds are listened to.
            sample_rate: Hz.
            time_limit: Seconds to wait for the answer.

        Raises:
            RecognitionError: If too many utterances wait already, or the answer takes too long.
        """
        work = partial(self.recognise_in_thread, pcm, sample_rate)
        try:
            return await self._threads.run(work, time_limit=time_limit)
        except ThreadsBusyError as error:
            problem = f"at most {self._MOST_WAITING} utterances to wait, got one more"
            raise _too_much_work(problem) from error
        except TimeoutError as error:
            problem = f"an utterance to be recognised within {time_limit:.0f} s"
            raise _too_much_work(problem) from error

    def recognise_in_thread(self, pcm: bytes, sample_rate: int = SAMPLE_RATE) -> Recognition:
        """The same for a thread that may wait."""
        features = telephone_cepstra(_telephone_samples(pcm, sample_rate))
        if not _stands_out(features):
            return _nothing_heard()
        first = _first_frame(features)
        features = features[first:]
        with self._borrowed_decoders() as (words_decoder, sounds_decoder):
            heard = words_decoder.decode(features).segments
            sounds = sounds_decoder.decode(features).segments
        return _recognition(heard, sounds, len(features), first / FRAMES_PER_SECOND)

    def close(self) -> None:
        """Ends the threads, without waiting; utterances that wait are not recognised any more."""
        self._threads.close()

    @contextmanager
    def _borrowed_decoders(self) -> Iterator[tuple[Decoder, Decoder]]:
        pair = self._decoders.get()
        try:
            yield pair
        finally:
            self._decoders.put(pair)


def _too_much_work(problem: str) -> RecognitionError:
    return RecognitionError(f"expected {problem}: give the recogniser more workers or fewer calls")


def _telephone_samples(pcm: bytes, sample_rate: int) -> npt.NDArray[np.int16]:
    samples = np.frombuffer(pcm, np.int16, count=len(pcm) // 2)
    samples = samples[: int(_UTTERANCES.longest_secs * sample_rate)]
    if sample_rate == SAMPLE_RATE or not len(samples):
        return samples
    return np.asarray(soxr.resample(samples, sample_rate, SAMPLE_RATE), np.int16)


def _stands_out(features: npt.NDArray[np.float32]) -> bool:
    """Whether anything is louder than the rest; steady noise has no words in it."""
    if len(features) < _UTTERANCES.shortest_secs * FRAMES_PER_SECOND:
        return False
    loudness = features[:, 0]
    return bool(loudness.max() - np.median(loudness) > _UTTERANCES.least_contrast)


def _first_frame(features: npt.NDArray[np.float32]) -> int:
    """A little before the first loud frame. The silence at the end stays: words end in it."""
    first_loud = int(np.argmax(features[:, 0] >= 0))
    return max(0, first_loud - int(_UTTERANCES.quiet_secs * FRAMES_PER_SECOND))


def _nothing_heard() -> Recognition:
    return Recognition(text="", accepted=False, is_speech=False, confidence=0.0)


def _recognition(
    heard: Sequence[Segment], sounds: Sequence[Segment], frames: int, began: float
) -> Recognition:
    spoken = sum(sound.end - sound.start + 1 for sound in sounds if sound.is_word)
    if sounds and spoken < _UTTERANCES.shortest_secs * FRAMES_PER_SECOND:
        return _nothing_heard()
    overall = confidence(heard, sounds, frames)
    words = tuple(
        RecognisedWord(
            text=segment.word.replace("_", " "),
            start=began + segment.start / FRAMES_PER_SECOND,
            end=began + (segment.end + 1) / FRAMES_PER_SECOND,
        )
        for segment in heard
        if segment.is_word
    )
    accepted = overall >= _UTTERANCES.least_confidence
    text = " ".join(word.text for word in words) if accepted else ""
    return Recognition(
        text=text, accepted=accepted, is_speech=True, confidence=overall, words=words
    )
