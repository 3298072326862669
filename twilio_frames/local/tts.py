"""The keyless voice as a Pipecat TTS service."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from pipecat.frames.frames import StartFrame
from pipecat.services.settings import TTSSettings
from pipecat.transcriptions.language import Language
from pipecat.utils.errors import ErrorCategory
from pipecat.utils.types import NOT_GIVEN, NotGiven, assert_given

from twilio_frames.errors import ConfigurationError, SynthesisError
from twilio_frames.local.synthesiser import BOT_VOICE, BOT_WORDS_PER_MINUTE, Synthesiser
from twilio_frames.processors.tts import PythonTTSService, SpeechChunk, SpokenWord

__all__ = ["EspeakTTSService", "EspeakTTSSettings"]


@dataclass
class EspeakTTSSettings(TTSSettings):
    """What of the voice may change while it is in use.

    Args:
        words_per_minute: Speed, 80 to 450.
        pitch: 0 to 100; 50 is the voice's own.
    """

    words_per_minute: int | NotGiven = field(default_factory=lambda: NOT_GIVEN)
    pitch: int | NotGiven = field(default_factory=lambda: NOT_GIVEN)


class EspeakTTSService(PythonTTSService):
    """Speech without a key, by espeak-ng in this process, with a time for every word.

    Args:
        settings: Voice, speed and pitch, where they are to differ from the usual ones.
        pause_between_texts: Seconds of silence between two sentences of a response.
        **kwargs: Passed to ``PythonTTSService``.

    Raises:
        MissingExtraError: If the ``local`` extra is not installed.
        ConfigurationError: If a number is out of its range. An unknown voice is an error of the
            pipeline when it starts.
    """

    Settings = EspeakTTSSettings

    gives_word_times = True

    def __init__(
        self,
        *,
        settings: EspeakTTSSettings | None = None,
        pause_between_texts: float = 0.3,
        **kwargs: Any,
    ):
        usual = EspeakTTSSettings(
            model=None,
            voice=BOT_VOICE,
            language=Language.EN_US,
            words_per_minute=BOT_WORDS_PER_MINUTE,
            pitch=50,
        )
        if settings is not None:
            usual.apply_update(settings)
        super().__init__(settings=usual, pause_between_texts=pause_between_texts, **kwargs)
        # The object that Pipecat keeps and updates, by its own type.
        self._voice_settings = usual
        self._synthesiser = self._speaker()

    async def start(self, frame: StartFrame) -> None:
        """Loads the voice, so that the first sentence is fast."""
        await super().start(frame)
        try:
            await self._synthesiser.prepare()
        except (ConfigurationError, SynthesisError) as error:
            await self._report_configuration(error)

    async def synthesise(self, text: str) -> AsyncIterator[SpeechChunk]:
        """Speaks a text, sentence by sentence."""
        async for part in self._synthesiser.stream(text):
            words = tuple(SpokenWord(text=word.text, start=word.start) for word in part.words)
            yield SpeechChunk(pcm=part.pcm, sample_rate=part.sample_rate, words=words)

    async def _update_settings(self, delta: TTSSettings) -> dict[str, Any]:
        changed = await super()._update_settings(delta)
        try:
            self._synthesiser = self._speaker()
        except ConfigurationError as error:
            await self._report_configuration(error)
        return changed

    def _speaker(self) -> Synthesiser:
        return Synthesiser(
            assert_given(self._voice_settings.voice) or BOT_VOICE,
            words_per_minute=assert_given(self._voice_settings.words_per_minute),
            pitch=assert_given(self._voice_settings.pitch),
        )

    async def _report_configuration(self, error: Exception) -> None:
        await self.push_error(str(error), exception=error, category=ErrorCategory.APPLICATION)
