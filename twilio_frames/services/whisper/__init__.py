"""Whisper hears the caller on this machine: in any words, without a key.

::

    async def warm_up():
        await PhoneWhisperSTTService.load("base")


    stt = PhoneWhisperSTTService(
        settings=PhoneWhisperSTTService.Settings(vocabulary=["latte", "oat milk", "to go"])
    )
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from pipecat.frames.frames import StartFrame
from pipecat.services.settings import STTSettings
from pipecat.transcriptions.language import Language
from pipecat.utils.types import NOT_GIVEN, NotGiven, assert_given

from twilio_frames.model_threads import ModelThreads, SharedModels
from twilio_frames.processors.stt import UtteranceSTTService
from twilio_frames.services.model_loading import ModelLoading
from twilio_frames.services.whisper.hearing import Hearing, hear, task_tokens
from twilio_frames.services.whisper.model import LocalWhisper, WhisperModel

__all__ = ["PhoneWhisperSTTService"]

_MODEL = "base"


@dataclass
class PhoneWhisperSTTSettings(STTSettings):
    """What of the recogniser may change while it is in use.

    Args:
        vocabulary: Words and phrases to expect, some 150 words at most: they make the difference
            between "mocha" and "mucker". What callers answer in a word belongs to it, first.
        least_score: What the model is less sure of is no words: the logarithm of a probability, of
            each token on average, less the probability that nobody spoke where there are few.
    """

    vocabulary: Sequence[str] | NotGiven = field(default_factory=lambda: NOT_GIVEN)
    least_score: float | NotGiven = field(default_factory=lambda: NOT_GIVEN)


@dataclass(frozen=True, slots=True)
class Ear:
    """A model, and the threads on which it hears."""

    model: WhisperModel
    threads: ModelThreads


def _loaded(name: str, threads: int | None = None) -> Ear:
    model = LocalWhisper(name, threads=threads)
    # Its first utterance takes longer than others.
    hear(model, bytes(16_000), 8000, Hearing())
    return Ear(model, ModelThreads("whisper", threads=model.threads))


class PhoneWhisperSTTService(UtteranceSTTService):
    """Recognises speech with a Whisper model on this machine, one for all calls of the process.

    It hears an utterance at a time, as the VAD before it cuts them, from the line's 8 kHz. What
    the model is not sure of, a cough say, is no words (:class:`twilio_frames.frames.NoWordsFrame`).

    Args:
        settings: Model, language, vocabulary and least score, where they are to differ from the
            usual ones: ``base``, English, none, -1.15.
        **kwargs: Passed to ``UtteranceSTTService``.
    """

    Settings = PhoneWhisperSTTSettings

    models: ClassVar[SharedModels[Ear]] = SharedModels(_loaded)
    """The models of the process."""

    def __init__(self, *, settings: PhoneWhisperSTTSettings | None = None, **kwargs: Any):
        usual = PhoneWhisperSTTSettings(
            model=_MODEL, language=Language.EN, vocabulary=(), least_score=Hearing().least_score
        )
        if settings is not None:
            usual.apply_update(settings)
        # From the end of speech: half a second until the VAD is sure, and the model.
        super().__init__(**{"ttfs_p99_latency": 1.5, **kwargs, "settings": usual})
        # The object that Pipecat keeps and updates, by its own type.
        self._hearing = usual
        self._loading = ModelLoading(self, self._look_at_model)

    @classmethod
    async def load(cls, model: str | Path = _MODEL, *, threads: int | None = None) -> None:
        """Loads a model, off the event loop, if it is not loaded; await it in ``warm_up()``.

        Args:
            model: A folder with a model of CTranslate2's format; or a size (``base``, ``small.en``
                …) or a repository of Hugging Face's hub, which is fetched into its cache.
            threads: How many utterances are recognised at once; half of the cores, two at most, if
                left out.

        Raises:
            MissingExtraError: If the ``whisper`` extra is not installed.
            ConfigurationError: If there is no such model.
        """
        await cls.models.get(str(model), threads=threads)

    async def start(self, frame: StartFrame) -> None:
        """Loads the model beside the call, unless ``warm_up()`` has."""
        await super().start(frame)
        self._loading.start()

    async def cleanup(self) -> None:
        """Waits for no model any more."""
        await super().cleanup()
        await self._loading.stop()

    async def transcribe(self, pcm: bytes) -> str | None:
        """The words of one utterance, or None where there are none."""
        ear = await self._ear()
        return await ear.threads.run(partial(hear, ear.model, pcm, self.sample_rate, self._told()))

    def _told(self) -> Hearing:
        return Hearing(
            # "en" of "en-US": Whisper knows no regions.
            language=str(assert_given(self._hearing.language)).partition("-")[0].lower(),
            vocabulary=tuple(assert_given(self._hearing.vocabulary)),
            least_score=assert_given(self._hearing.least_score),
        )

    async def _ear(self) -> Ear:
        return await self.models.get(str(assert_given(self._hearing.model)))

    async def _look_at_model(self) -> None:
        task_tokens((await self._ear()).model, self._told().language)
