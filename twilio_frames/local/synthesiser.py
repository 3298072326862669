"""Speech without a key: espeak-ng in this process, off the event loop, for many speakers."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator

from twilio_frames.errors import SynthesisError
from twilio_frames.local.espeak import Voice, library_files
from twilio_frames.local.espeak_thread import espeak_thread
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


def speakable(text: str) -> str:
    """The text with a blank in place of each character that cannot be read out.

    Those are control characters (one of them would be a command to espeak-ng), lone surrogates,
    and emoji (whose names it would say).
    """
    return "".join(" " if _unspeakable(ord(character)) else character for character in text)


def _unspeakable(code: int) -> bool:
    return (
        (code < 0x20 and code != 0x0A)
        or 0x7F <= code < 0xA0
        or 0xD800 <= code < 0xE000
        or 0x2600 <= code < 0x27C0
        or code in (0x200D, 0xFE0F)
        or code >= 0x1F000
    )


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
                speech = await asyncio.wait_for(
                    asyncio.wrap_future(future), self._LONGEST_WAIT_SECS
                )
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
