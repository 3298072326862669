"""One pocketsphinx decoder with one grammar; for one thread at a time."""

import math
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from twilio_frames.errors import ConfigurationError, MissingExtraError
from twilio_frames.local.lexicon import Pronunciations, dictionary_text, grammar_words, pronounced

if TYPE_CHECKING:
    import pocketsphinx

__all__ = ["Decoder", "Hypothesis", "Segment"]

# Narrower beams lose the right words in a grammar with many branches; wider ones find no more.
_BEAMS = {"beam": 1e-60, "pbeam": 1e-60, "wbeam": 1e-45}

# Pocketsphinx keeps Python's global lock while it searches, so it is given little at a time:
# this many frames take it a few milliseconds.
_FRAMES_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One word, or one silence or noise, where the decoder found it.

    Args:
        word: As in the grammar; ``<sil>`` and names in brackets are no words.
        start: First frame, in hundredths of a second.
        end: Last frame.
        score: How well its sound fits, as a natural logarithm; comparable within one stretch of
            sound only.
    """

    word: str
    start: int
    end: int
    score: float

    @property
    def is_word(self) -> bool:
        """Whether it is a word of the grammar."""
        return self.word[0] not in "<[("


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """What the decoder takes an utterance for.

    Args:
        segments: In order, silences included; none if nothing in the grammar fits.
    """

    segments: tuple[Segment, ...] = ()


class Decoder:
    """Finds the sentence of a grammar that fits a stretch of speech best.

    Args:
        grammar: JSGF text.
        pronunciations: Besides those of the dictionary.

    Raises:
        MissingExtraError: If pocketsphinx is not installed.
        ConfigurationError: If the grammar cannot be read or a word in it has no pronunciation.
    """

    def __init__(self, grammar: str, pronunciations: Pronunciations | None = None):
        model = _model_folder()
        dictionary = model / "cmudict-en-us.dict"
        ways = pronounced(grammar_words(grammar), dictionary, pronunciations or {})
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "words.dict"
            path.write_text(dictionary_text(ways), "utf-8")
            self._pocketsphinx = _pocketsphinx_decoder(model / "en-us", path)
        try:
            self._pocketsphinx.add_jsgf_string("grammar", grammar)
            self._pocketsphinx.activate_search("grammar")
        except RuntimeError as error:
            raise ConfigurationError(
                "expected a grammar in JSGF, got one that pocketsphinx cannot read: see "
                "https://www.w3.org/TR/jsgf/"
            ) from error

    def decode(self, features: npt.NDArray[np.float32]) -> Hypothesis:
        """The best sentence for an utterance's features (``cepstra.telephone_cepstra``)."""
        decoder = self._pocketsphinx
        decoder.start_utt()
        for start in range(0, len(features), _FRAMES_AT_ONCE):
            decoder.process_cep(features[start : start + _FRAMES_AT_ONCE].tobytes())
            # Lets a thread that waits for Python's global lock have it.
            time.sleep(0)
        decoder.end_utt()
        return Hypothesis(segments=tuple(self._segments()))

    def _segments(self) -> Iterator[Segment]:
        if self._pocketsphinx.hyp() is None:
            return
        for segment in self._pocketsphinx.seg():
            # Null transitions of the grammar come as segments too.
            if segment.word != "(NULL)":
                yield Segment(
                    word=segment.word.partition("(")[0] or segment.word,
                    start=segment.start_frame,
                    end=segment.end_frame,
                    score=math.log(segment.ascore),
                )


def _model_folder() -> Path:
    try:
        import pocketsphinx
    except ModuleNotFoundError as error:
        raise MissingExtraError("pocketsphinx", "local") from error
    return Path(pocketsphinx.get_model_path("en-us"))


def _pocketsphinx_decoder(model: Path, dictionary: Path) -> "pocketsphinx.Decoder":
    import pocketsphinx

    settings: dict[str, Any] = {
        "hmm": str(model),
        "dict": str(dictionary),
        "lm": None,
        "bestpath": False,
        # The features come with their mean taken off.
        "cmn": "none",
        # What it has to say on stderr, that speech fits no grammar, is no news.
        "loglevel": "FATAL",
    }
    return pocketsphinx.Decoder(**settings, **_BEAMS)
