"""Words whose sounds are known, so that a server hears of a caller exactly what reached it.

What servers say is in :mod:`twilio_frames.testing.known_speech`: there a word sounds the same each
time. Here each one sounds different, so that one that was sent twice is told from one that was said
twice.
"""

import asyncio
from collections.abc import Sequence

import numpy as np

from twilio_frames.audio import SAMPLE_RATE, mulaw_silence
from twilio_frames.testing.callers.hearing import HeardWord
from twilio_frames.testing.callers.voice import audible_samples
from twilio_frames.testing.known_speech import LOUD_CODES
from twilio_frames.testing.speech import CALLER_VOICE, CALLER_WORDS_PER_MINUTE, to_mulaw

_BURST_SECS = (0.2, 0.4)


class WordSounds:
    """Says words, and hears them again in whatever part of the audio arrives.

    A word counts as heard if its whole sound is there, bit for bit and in one piece; so words that
    are lost, cut or sent twice show.

    Example::

        sounds = WordSounds()
        async with DeepgramServer(hears=sounds.hear) as server:
            ...
            await caller.say(await sounds.spoken("A table for two at eight."))
    """

    def __init__(self) -> None:
        self._words: list[str] = []
        self._sounds: dict[bytes, str] = {}

    @property
    def words(self) -> list[str]:
        """All words that were said so far, in order."""
        return list(self._words)

    def bursts(self, text: str, *, pause: float = 0.1) -> bytes:
        """The text as bursts of noise, one for each word and each unlike all others; mu-law.

        Args:
            text: What is said.
            pause: Seconds of silence behind each word.
        """
        sounds: list[bytes] = []
        for word in text.split():
            source = np.random.default_rng([len(self._words), *word.encode()])
            size = int(source.uniform(*_BURST_SECS) * SAMPLE_RATE)
            sound = source.choice(LOUD_CODES, size).tobytes()
            self._note(word, sound)
            sounds += [sound, mulaw_silence(pause)]
        return b"".join(sounds)

    async def spoken(self, text: str, *, voice: str = CALLER_VOICE) -> bytes:
        """The text in a synthetic voice, which a VAD takes for speech; mu-law.

        Args:
            text: What is said.
            voice: espeak-ng's name of the voice.

        Raises:
            MissingExtraError: If the ``local`` extra is not installed.
        """
        from twilio_frames.local.synthesiser import Synthesiser

        speech = await Synthesiser(voice, words_per_minute=CALLER_WORDS_PER_MINUTE).speak(text)
        mulaw = await asyncio.to_thread(to_mulaw, speech.pcm, speech.sample_rate)
        begins = [round(word.start * SAMPLE_RATE) for word in speech.words]
        ends = [*begins[1:], len(mulaw)]
        for word, begin, end in zip(speech.words, begins, ends, strict=True):
            self._note(word.text, _without_silence(mulaw[begin:end]))
        return mulaw

    def hear(self, mulaw: bytes) -> Sequence[HeardWord]:
        """The words whose whole sounds are in the audio, in the order they are."""
        heard: list[HeardWord] = []
        for sound, word in self._sounds.items():
            at = mulaw.find(sound)
            while at >= 0:
                end = at + len(sound)
                heard.append(
                    HeardWord(text=word, began_at=at / SAMPLE_RATE, ended_at=end / SAMPLE_RATE)
                )
                at = mulaw.find(sound, end)
        return sorted(heard, key=lambda word: word.began_at)

    def _note(self, word: str, sound: bytes) -> None:
        self._words.append(word)
        self._sounds[sound] = word


def _without_silence(mulaw: bytes) -> bytes:
    loud = audible_samples(mulaw)
    return mulaw[int(loud[0]) : int(loud[-1]) + 1] if len(loud) else mulaw
