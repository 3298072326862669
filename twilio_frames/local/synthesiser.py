"""Speech without a key: espeak-ng in this process, off the event loop, for many speakers.

The library keeps one state per process and is not thread-safe, so every speaker's sentences go
through one thread, one after another, each with its own voice. A sentence takes some milliseconds.
The thread ends with the interpreter. A forked process starts its own; the fork waits for the
sentence in hand, so that the child finds the library at rest.
"""

import asyncio
import os
import re
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from twilio_frames.audio.voices import gain_for, speakable
from twilio_frames.errors import SynthesisError
from twilio_frames.local.espeak import Espeak, Voice, library_files
from twilio_frames.local.recognition.fitting import fitted
from twilio_frames.local.speech import Speech, joined

__all__ = ["BOT_VOICE", "CALLER_VOICE", "Speech", "Synthesiser"]

CALLER_VOICE = "en-us+f2"
"""The voice a telephone recogniser understands best, at ``CALLER_WORDS_PER_MINUTE``."""

CALLER_WORDS_PER_MINUTE = 150

BOT_VOICE = "en-us+klatt3"
"""Low where the caller's voice is high; the best understood of the low voices over the telephone's
band, at ``BOT_WORDS_PER_MINUTE``."""

BOT_WORDS_PER_MINUTE = 165

SAMPLE_RATE = 22050
"""Samples a second of espeak-ng's speech."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n\s*\n")
# Sounds of every strength, to measure a voice by.
_LEVEL_SENTENCE = "Thanks for calling. We have six kinds of coffee, and you may choose your own."


class EspeakThread:
    """Takes sentences from any thread, and gives futures of speech.

    Args:
        most_waiting: Sentences taken before further ones are refused.

    Attributes:
        is_repeatable: Whether a sentence is the same sound each time. espeak-ng's noise and the
            waver of its pitch go on from one sentence to the next, which moves the end of a word
            by some 50 ms; a library that is loaded anew for each does away with that, for 2 ms.
    """

    def __init__(self, *, most_waiting: int = 1024):
        self.is_repeatable = False
        self._most_waiting = most_waiting
        self._speaking = threading.Lock()
        self._espeak: Espeak | None = None
        self._gains: dict[Voice, float] = {}
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._speaking.acquire,
                after_in_parent=self._speaking.release,
                after_in_child=self._begin_in_child,
            )

    def submit(self, text: str, voice: Voice, *, pause: float = 0.0) -> Future[Speech]:
        """Has a sentence spoken.

        Args:
            text: A sentence, see ``spoken_text``.
            voice: Who speaks it.
            pause: Seconds of silence after it.

        Returns:
            Its speech. The future may be cancelled until its turn comes; it may hold what
            :meth:`Espeak.synthesise` raises.

        Raises:
            SynthesisError: If too many sentences wait.
        """
        if not self._places.acquire(blocking=False):
            raise SynthesisError(
                f"expected at most {self._most_waiting} sentences to wait for espeak-ng, "
                "got one more: let fewer speakers speak at once"
            )
        places = self._places
        future = self._executor.submit(self._speak, text, voice, pause)
        future.add_done_callback(lambda _: places.release())
        return future

    def _begin(self) -> None:
        self._places = threading.BoundedSemaphore(self._most_waiting)
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="espeak")

    def _begin_in_child(self) -> None:
        self._begin()
        self._speaking.release()

    def _speak(self, text: str, voice: Voice, pause: float) -> Speech:
        with self._speaking:
            if voice not in self._gains:
                espeak = self._loaded()
                spoken, _ = espeak.synthesise(_LEVEL_SENTENCE, voice)
                self._gains[voice] = gain_for(spoken, sample_rate=espeak.sample_rate)
            espeak = self._loaded()
            pcm, marks = espeak.synthesise(text, voice)
        rate, gain = espeak.sample_rate, self._gains[voice]
        return fitted(text, pcm, marks, sample_rate=rate, gain=gain, pause=pause)

    def _loaded(self) -> Espeak:
        if self.is_repeatable:
            if self._espeak is not None:
                self._espeak.close()
            self._espeak = Espeak(is_alone=True)
        elif self._espeak is None:
            self._espeak = Espeak()
        return self._espeak


espeak_thread = EspeakThread()


def pieces(text: str, *, longest: int = 300) -> Iterator[str]:
    """The text sentence by sentence; a long sentence is cut at a blank, a longer word anywhere.

    Args:
        text: Of any length.
        longest: Characters in a piece, at most.
    """
    for sentence in _SENTENCE_END.split(text):
        rest = sentence.strip()
        while len(rest) > longest:
            blank = rest.rfind(" ", 1, longest + 1)
            cut = blank if blank > 0 else longest
            yield rest[:cut].rstrip()
            rest = rest[cut:].lstrip()
        if rest:
            yield rest


class Synthesiser:
    """One speaker.

    Args:
        voice: espeak-ng's name of a language, and a variant of it: ``en-us+f2``.
        words_per_minute: Speed, 80 to 450.
        pitch: 0 to 100; 50 is the voice's own.
        pitch_range: 0 (monotone) to 100; 50 is the voice's own.

    Raises:
        MissingExtraError: If the ``local`` extra is not installed.
        ConfigurationError: If a number is out of its range. An unknown voice shows when speech is
            first asked for, or in :meth:`prepare`.
    """

    _LONGEST_WAIT_SECS = 30.0
    """How long a sentence may take, those of others ahead of it included."""

    def __init__(
        self,
        voice: str = CALLER_VOICE,
        *,
        words_per_minute: int = CALLER_WORDS_PER_MINUTE,
        pitch: int = 50,
        pitch_range: int = 50,
    ):
        library_files()
        self.voice = Voice(
            name=voice, words_per_minute=words_per_minute, pitch=pitch, pitch_range=pitch_range
        )

    def synthesise(self, text: str) -> Speech:
        """What the text sounds like; for a thread that may wait.

        Raises:
            ConfigurationError: If espeak-ng has no such voice.
            SynthesisError: If espeak-ng fails, or has too much to do.
        """
        parts: list[Speech] = []
        for sentence, pause in _sentences(text):
            future = espeak_thread.submit(sentence, self.voice, pause=pause)
            try:
                parts.append(future.result(self._LONGEST_WAIT_SECS))
            except TimeoutError as error:
                raise self._overdue() from error
        return joined(parts, sample_rate=SAMPLE_RATE)

    async def speak(self, text: str) -> Speech:
        """What the text sounds like; the event loop goes on meanwhile.

        Raises:
            ConfigurationError: If espeak-ng has no such voice.
            SynthesisError: If espeak-ng fails, or has too much to do.
        """
        return joined([part async for part in self.stream(text)], sample_rate=SAMPLE_RATE)

    async def stream(self, text: str) -> AsyncIterator[Speech]:
        """The same, a sentence at a time, each made when it is asked for.

        Yields:
            Speech whose words' times count from its own beginning; nothing for a text that makes
            no sound.

        Raises:
            ConfigurationError: If espeak-ng has no such voice.
            SynthesisError: If espeak-ng fails, or has too much to do.
        """
        for sentence, pause in _sentences(text):
            future = espeak_thread.submit(sentence, self.voice, pause=pause)
            try:
                async with asyncio.timeout(self._LONGEST_WAIT_SECS):
                    speech = await asyncio.wrap_future(future)
            except TimeoutError as error:
                raise self._overdue() from error
            if speech.pcm:
                yield speech

    async def prepare(self) -> None:
        """Loads the library and measures the voice's level, so that the first sentence is fast.

        Raises:
            ConfigurationError: If espeak-ng has no such voice.
        """
        await self.speak("Hello.")

    def _overdue(self) -> SynthesisError:
        return SynthesisError(
            f"expected a sentence from espeak-ng within {self._LONGEST_WAIT_SECS:g} s, got none: "
            "let fewer speakers speak at once"
        )


def _sentences(text: str) -> Iterator[tuple[str, float]]:
    """The pieces of a text, each with the silence after it."""
    parts = list(pieces(speakable(text)))
    for index, part in enumerate(parts, start=1):
        ended = part.endswith((".", "!", "?")) and index < len(parts)
        yield part, 0.3 if ended else 0.0
