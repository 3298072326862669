"""Piper speaks to the caller from this machine: a neural voice, without a key.

::

    async def warm_up():
        await PhonePiperTTSService.load("en_US-ljspeech-medium")


    tts = PhonePiperTTSService()
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from pipecat.frames.frames import StartFrame
from pipecat.services.settings import TTSSettings
from pipecat.utils.types import NOT_GIVEN, NotGiven, assert_given

from twilio_frames.audio.voices import levelled
from twilio_frames.errors import ConfigurationError
from twilio_frames.model_threads import ModelThreads, SharedModels
from twilio_frames.processors.tts import PythonTTSService, SpeechChunk, SpokenWord
from twilio_frames.services.model_loading import ModelLoading
from twilio_frames.services.piper.phrases import Phrase, phrases
from twilio_frames.services.piper.voice import LocalPiper, PiperVoice

__all__ = ["PhonePiperTTSService"]

_VOICE = "en_US-ljspeech-medium"


@dataclass
class PhonePiperTTSSettings(TTSSettings):
    """What of the voice may change while it is in use.

    Args:
        speed: 1 for the voice's own pace, 1.5 for half as fast again.
        speaker: Which one, of a voice that has several; None for its first.
    """

    speed: float | NotGiven = field(default_factory=lambda: NOT_GIVEN)
    speaker: int | NotGiven | None = field(default_factory=lambda: NOT_GIVEN)


@dataclass(frozen=True, slots=True)
class Mouth:
    """A voice, and the threads on which it speaks."""

    voice: PiperVoice
    threads: ModelThreads


def _loaded(name: str, threads: int | None = None) -> Mouth:
    return Mouth(LocalPiper(name), ModelThreads("piper", threads=threads))


class PhonePiperTTSService(PythonTTSService):
    """Speech by a Piper voice on this machine, one for all calls of the process.

    Each word has its time, by the voice's own alignments. A long first sentence is begun at its
    first comma, so that it is heard the sooner.

    Args:
        settings: Voice, speed and speaker, where they are to differ from the usual ones:
            ``en_US-ljspeech-medium``, 1, the first.
        pause_between_texts: Seconds of silence between two sentences of a response.
        **kwargs: Passed to ``PythonTTSService``.

    Raises:
        ConfigurationError: If the speed is none. A voice that is not there is an error of the
            pipeline when it starts.
    """

    Settings = PhonePiperTTSSettings

    gives_word_times = True

    models: ClassVar[SharedModels[Mouth]] = SharedModels(_loaded)
    """The voices of the process."""

    def __init__(
        self,
        *,
        settings: PhonePiperTTSSettings | None = None,
        pause_between_texts: float = 0.25,
        **kwargs: Any,
    ):
        usual = PhonePiperTTSSettings(
            model=None, voice=_VOICE, language=None, speed=1.0, speaker=None
        )
        if settings is not None:
            usual.apply_update(settings)
        _check(usual)
        super().__init__(settings=usual, pause_between_texts=pause_between_texts, **kwargs)
        # The object that Pipecat keeps and updates, by its own type.
        self._speaking = usual
        self._loading = ModelLoading(self, self._mouth)

    @classmethod
    async def load(cls, voice: str | Path = _VOICE, *, threads: int | None = None) -> None:
        """Loads a voice, off the event loop, if it is not loaded; await it in ``warm_up()``.

        Args:
            voice: An ``.onnx`` file with its ``.onnx.json`` beside it; or a name as in Piper's
                list, which is fetched into ``~/.cache/pipecat/piper``.
            threads: How many sentences are spoken at once; half of the cores, two at most, if
                left out.

        Raises:
            MissingExtraError: If the ``piper`` extra is not installed.
            ConfigurationError: If there is no such voice.
        """
        await cls.models.get(str(voice), threads=threads)

    async def start(self, frame: StartFrame) -> None:
        """Loads the voice beside the call, unless ``warm_up()`` has."""
        await super().start(frame)
        self._loading.start()

    async def cleanup(self) -> None:
        """Waits for no voice any more."""
        await super().cleanup()
        await self._loading.stop()

    async def synthesise(self, text: str) -> AsyncIterator[SpeechChunk]:
        """Speaks a text, piece by piece."""
        mouth = await self._mouth()
        found = partial(phrases, mouth.voice, text)
        for phrase in await mouth.threads.run(found):
            speak = partial(_speech, mouth.voice, phrase, self._settings_now())
            yield await mouth.threads.run(speak)

    def _settings_now(self) -> tuple[float, int | None]:
        return assert_given(self._speaking.speed), assert_given(self._speaking.speaker)

    async def _update_settings(self, delta: TTSSettings) -> dict[str, Any]:
        changed = await super()._update_settings(delta)
        try:
            _check(self._speaking)
        except ConfigurationError as error:
            self._speaking.speed = changed["speed"]
            await self._loading.report(error)
        return changed

    async def _mouth(self) -> Mouth:
        return await self.models.get(str(assert_given(self._speaking.voice)))


def _check(settings: PhonePiperTTSSettings) -> None:
    speed = assert_given(settings.speed)
    if not 0.25 <= speed <= 4.0:
        raise ConfigurationError(f"expected speed from 0.25 to 4, got {speed}: change it")


def _speech(voice: PiperVoice, phrase: Phrase, settings: tuple[float, int | None]) -> SpeechChunk:
    speed, speaker = settings
    sound = voice.speak(phrase.phonemes, speed=speed, speaker=speaker)
    rate = voice.sample_rate
    pause = bytes(2 * round(phrase.pause_secs * rate))
    end = len(sound.samples)
    words = tuple(
        SpokenWord(
            text=word, start=(sound.starts[place] if place < len(sound.starts) else end) / rate
        )
        for word, place in phrase.words
    )
    pcm = levelled(sound.samples, voice.gain).tobytes()
    return SpeechChunk(pcm=pcm + pause, sample_rate=rate, words=words)
