"""A Piper voice in this process, run by ONNX Runtime."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from twilio_frames.audio.voices import gain_for
from twilio_frames.errors import ConfigurationError, brought_by

__all__ = ["LocalPiper", "PiperVoice", "Sound"]

# Where Pipecat's own service keeps them as well.
_FETCHED = Path("~/.cache/pipecat/piper")
# Sounds of every strength, to measure a voice by.
_LEVEL_SENTENCE = "Thanks for calling. We have six kinds of coffee, and you may choose your own."


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """What phonemes sound like.

    Args:
        samples: From -1 to 1.
        starts: The sample at which each phoneme begins.
    """

    samples: npt.NDArray[np.float32]
    starts: Sequence[int]


class PiperVoice(Protocol):
    """What is needed of a voice. All of it is called on threads, several at once."""

    @property
    def sample_rate(self) -> int:
        """Samples a second."""
        ...

    @property
    def gain(self) -> float:
        """What its samples are multiplied with for the telephone, to 16 bits."""
        ...

    def phonemes(self, text: str) -> list[list[str]]:
        """How a text is said, sentence by sentence: sounds, stress, blanks and punctuation."""
        ...

    def speak(self, phonemes: Sequence[str], *, speed: float, speaker: int | None) -> Sound:
        """What phonemes sound like.

        Args:
            phonemes: A sentence, or a part of one.
            speed: 1 for the voice's own pace, 2 for twice as fast.
            speaker: Which one, of a voice that has several; None for its first.
        """
        ...


class LocalPiper:
    """A voice of Piper's format; loading it takes a second.

    Args:
        name: An ``.onnx`` file with its ``.onnx.json`` beside it; or a voice's name, see
            :func:`voice_file`.

    Raises:
        MissingExtraError: If the ``piper`` extra is not installed.
        ConfigurationError: If there is no such voice, or it cannot be read.
    """

    def __init__(self, name: str):
        with brought_by("piper"):
            self._piper: Any = import_module("piper")
            import_module("onnx")
        path = voice_file(name)
        try:
            self._voice: Any = self._loaded(path)
            self.sample_rate: int = self._voice.config.sample_rate
            self.gain = self._measured_gain()
        except Exception as error:  # onnxruntime and protobuf have errors of their own
            raise ConfigurationError(
                f"expected a Piper voice in {str(path)!r}, got {type(error).__name__}: {error}: "
                "delete it and its .json, and fetch them again"
            ) from error

    def _loaded(self, path: Path) -> Any:
        onnx, runtime = import_module("onnx"), import_module("onnxruntime")
        model = onnx.load(str(path))
        # The lengths of sounds: it gives them already, or what they come of is not to be found.
        with suppress(ValueError):
            import_module("piper.patch_voice_with_alignment").add_alignment_output(model)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        config = json.loads(Path(f"{path}.json").read_text("utf-8"))
        return self._piper.PiperVoice(
            config=import_module("piper.config").PiperConfig.from_dict(config),
            session=runtime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            ),
        )

    def _measured_gain(self) -> float:
        parts = [self.speak(one, speed=1.0, speaker=None) for one in self.phonemes(_LEVEL_SENTENCE)]
        samples = np.concatenate([part.samples for part in parts]) * 32767
        pcm = samples.astype(np.int16).tobytes()
        return 32767 * gain_for(pcm, sample_rate=self.sample_rate)

    def phonemes(self, text: str) -> list[list[str]]:
        """How a text is said, sentence by sentence."""
        return self._voice.phonemize(text)

    def speak(self, phonemes: Sequence[str], *, speed: float, speaker: int | None) -> Sound:
        """What phonemes sound like."""
        voice = self._voice
        settings = self._piper.SynthesisConfig(
            speaker_id=speaker, length_scale=voice.config.length_scale / speed
        )
        numbers = voice.phonemes_to_ids(list(phonemes))
        samples, lengths = voice.phoneme_ids_to_audio(numbers, settings, include_alignments=True)
        samples = np.atleast_1d(samples)
        if lengths is None:
            ends = np.linspace(0, len(samples), len(numbers) + 1).astype(int)
        else:
            ends = np.concatenate([[0], np.cumsum(np.atleast_1d(lengths))])
        return Sound(samples=samples, starts=_starts(phonemes, voice.config.phoneme_id_map, ends))


def _starts(phonemes: Sequence[str], numbers: Any, ends: npt.NDArray[Any]) -> list[int]:
    """Where each phoneme begins, of numbers that stand for it with a pad behind each."""
    pad = len(numbers.get("_", ()))
    place = len(numbers.get("^", ())) + pad
    starts: list[int] = []
    for phoneme in phonemes:
        starts.append(int(ends[min(place, len(ends) - 1)]))
        if phoneme in numbers:
            place += len(numbers[phoneme]) + pad
    return starts


def voice_file(name: str) -> Path:
    """Where a voice's file is.

    Args:
        name: The file; or a name as in Piper's list, ``en_US-ljspeech-medium`` say, which is
            fetched into ``~/.cache/pipecat/piper`` unless it is there.

    Raises:
        ConfigurationError: If it is not there and cannot be fetched.
    """
    path = Path(name).expanduser()
    if path.suffix == ".onnx":
        if path.is_file() and Path(f"{path}.json").is_file():
            return path
        raise ConfigurationError(
            f"expected a Piper voice at {name!r} and its settings at '{name}.json', found them "
            "not: fetch both into one folder"
        )
    folder = _FETCHED.expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        import_module("piper.download_voices").download_voice(name, folder)
    except Exception as error:  # of urllib, the disk, or a name that is none
        raise ConfigurationError(
            "expected an .onnx file, or a voice's name as 'en_US-ljspeech-medium', got "
            f"{name!r}: it cannot be fetched ({type(error).__name__}): name another, or fetch it "
            "where there is a network and give its file"
        ) from error
    return folder / f"{name}.onnx"
