"""A Whisper model in this process, run by CTranslate2."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from twilio_frames.errors import ConfigurationError, brought_by
from twilio_frames.model_threads import usual_threads
from twilio_frames.services.whisper.features import Floats

__all__ = ["Guess", "LocalWhisper", "WhisperModel", "model_folder"]

_FILES = ("config.json", "model.bin", "tokenizer.json")
# Converted from OpenAI's models, whose licence is MIT, as these are.
_CONVERTED = "Systran/faster-whisper-{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What a model takes sound for.

    Args:
        text: The words, without blanks around them.
        score: How sure it is of each token, on average: the logarithm of a probability.
        tokens: What the words are made of.
    """

    text: str
    score: float
    tokens: Sequence[int]


class WhisperModel(Protocol):
    """What is needed of a model. All of it is called on threads, several at once."""

    @property
    def bands(self) -> int:
        """How many mel bands it hears."""
        ...

    @property
    def is_multilingual(self) -> bool:
        """Whether it knows other languages than English."""
        ...

    def token(self, name: str) -> int | None:
        """The number of a special token, ``<|en|>`` say, or None."""
        ...

    def tokens_of(self, text: str) -> list[int]:
        """The tokens of a text."""
        ...

    def encode(self, features: Floats) -> Any:
        """What the model makes of sound: most of the work.

        Args:
            features: Of shape (bands, frames).
        """
        ...

    def guess(
        self, encoded: Any, prompt: Sequence[int], most_tokens: int, *, no_repeats: bool = False
    ) -> Guess:
        """What was said, by one path through the model's choices.

        Args:
            encoded: Of :meth:`encode`.
            prompt: The tokens ahead of the words.
            most_tokens: How many tokens the words may have.
            no_repeats: Whether no two tokens may come a second time together.
        """
        ...

    def no_speech(self, encoded: Any, prompt: Sequence[int]) -> float:
        """The probability that nobody spoke, as the model has it."""
        ...


class LocalWhisper:
    """A model of CTranslate2's format; loading it takes some 0.5 s, and memory as its file.

    Args:
        name: A folder, or a model's name, see :func:`model_folder`.
        threads: How many utterances it can work on at once, each on one thread.

    Raises:
        MissingExtraError: If the ``whisper`` extra is not installed.
        ConfigurationError: If there is no such model, or it cannot be read.
    """

    def __init__(self, name: str, *, threads: int | None = None):
        with brought_by("whisper"):
            self._engine = import_module("ctranslate2")
            tokenizers = import_module("tokenizers")
        self.threads = threads or usual_threads()
        folder = model_folder(name)
        try:
            self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._model: Any = self._engine.models.Whisper(
                str(folder), compute_type="int8", intra_threads=1, inter_threads=self.threads
            )
        except Exception as error:  # tokenizers raises nothing narrower
            raise ConfigurationError(
                f"expected a Whisper model of CTranslate2's format in {str(folder)!r}, got "
                f"{type(error).__name__}: {error}: fetch or convert it again"
            ) from error

    @property
    def bands(self) -> int:
        """How many mel bands it hears."""
        return self._model.n_mels

    @property
    def is_multilingual(self) -> bool:
        """Whether it knows other languages than English."""
        return self._model.is_multilingual

    def token(self, name: str) -> int | None:
        """The number of a special token, or None."""
        return self._tokenizer.token_to_id(name)

    def tokens_of(self, text: str) -> list[int]:
        """The tokens of a text."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def encode(self, features: Floats) -> Any:
        """What the model makes of sound."""
        return self._model.encode(self._engine.StorageView.from_array(features[None]))

    def guess(
        self, encoded: Any, prompt: Sequence[int], most_tokens: int, *, no_repeats: bool = False
    ) -> Guess:
        """What was said."""
        repeats = {"no_repeat_ngram_size": 2} if no_repeats else {}
        found = self._generated(encoded, prompt, most_tokens, return_scores=True, **repeats)
        tokens = found.sequences_ids[0]
        text = self._tokenizer.decode(tokens).strip()
        return Guess(text=text, score=found.scores[0], tokens=tokens)

    def no_speech(self, encoded: Any, prompt: Sequence[int]) -> float:
        """The probability that nobody spoke."""
        return self._generated(encoded, prompt, 1, return_no_speech_prob=True).no_speech_prob

    def _generated(
        self, encoded: Any, prompt: Sequence[int], most_tokens: int, **options: Any
    ) -> Any:
        longest = len(prompt) + most_tokens
        (found,) = self._model.generate(
            encoded, [list(prompt)], beam_size=1, max_length=longest, **options
        )
        return found


def model_folder(name: str) -> Path:
    """Where a model's files are.

    Args:
        name: A folder with them; or a size (``base``, ``small.en`` …) or a repository of Hugging
            Face's hub, which is fetched into its cache unless it is there.

    Raises:
        ConfigurationError: If the files are not there and cannot be fetched.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        return _fetched(name)
    if missing := _missing(folder):
        raise ConfigurationError(
            f"expected {', '.join(_FILES)} in the folder {name!r}, found no {missing[0]}: name a "
            "model of CTranslate2's format, as its ct2-transformers-converter makes them"
        )
    return folder


def _fetched(name: str) -> Path:
    hub = import_module("huggingface_hub")  # which tokenizers needs
    repository = name if "/" in name else _CONVERTED.format(name)
    options = {"repo_id": repository, "allow_patterns": ["*.json", "model.bin"]}
    try:
        with suppress(Exception):  # not there yet: the hub has no one kind of error for it
            folder = Path(hub.snapshot_download(local_files_only=True, **options))
            if not _missing(folder):
                return folder
        return Path(hub.snapshot_download(**options))
    except Exception as error:
        raise ConfigurationError(
            "expected a folder, or the name of a Whisper model as 'base' or 'small.en', got "
            f"{name!r}: {repository} cannot be fetched ({type(error).__name__}): name another, or "
            "fetch it where there is a network and give its folder"
        ) from error


def _missing(folder: Path) -> list[str]:
    return [file for file in _FILES if not (folder / file).is_file()]
