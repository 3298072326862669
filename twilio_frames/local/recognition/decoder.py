"""One pocketsphinx decoder with one grammar; for one thread at a time."""

import math
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from twilio_frames.errors import ConfigurationError, brought_by
from twilio_frames.local.recognition.automaton import read_automaton
from twilio_frames.local.recognition.lexicon import (
    Pronunciations,
    dictionary_text,
    grammar_words,
    pronounced,
)

if TYPE_CHECKING:
    import pocketsphinx

__all__ = ["Decoder", "Hypothesis", "Segment"]

_WIDE_BEAMS = {"beam": 1e-60, "pbeam": 1e-60, "wbeam": 1e-45}
_NARROW_BEAMS = {"beam": 1e-30, "pbeam": 1e-30, "wbeam": 1e-30}


@dataclass(frozen=True, slots=True)
class _Search:
    """How the search is run."""

    frames_at_once: int = 2
    """Pocketsphinx keeps Python's global lock while it searches, so it is given little at a time:
    two frames take it a millisecond or two, ten at the worst."""
    breath_secs: float = 0.00005
    """How long it rests in between, for threads that wait for the lock."""
    grammar_weight: float = 15.0
    """How much the grammar's likelihoods count beside the sounds'."""


_SEARCH = _Search()


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
        thorough: Whether to follow sentences that begin badly. In a grammar with many branches the
            right one may be among them; in one without sentences it is time lost.

    Raises:
        MissingExtraError: If pocketsphinx is not installed.
        ConfigurationError: If the grammar cannot be read or a word in it has no pronunciation.
    """

    def __init__(
        self,
        grammar: str,
        pronunciations: Pronunciations | None = None,
        *,
        thorough: bool = True,
    ):
        model = _model_folder()
        dictionary = model / "cmudict-en-us.dict"
        ways = pronounced(grammar_words(grammar), dictionary, pronunciations or {})
        beams = _WIDE_BEAMS if thorough else _NARROW_BEAMS
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            self._pocketsphinx = _decoder(model / "en-us", dictionary_text(ways), beams, folder)
            self._pocketsphinx.add_fsg("grammar", _compiled(self._pocketsphinx, grammar, folder))
        self._pocketsphinx.activate_search("grammar")

    def decode(self, features: npt.NDArray[np.float32]) -> Hypothesis:
        """The best sentence for an utterance's features (``cepstra.telephone_cepstra``)."""
        decoder = self._pocketsphinx
        decoder.start_utt()
        for start in range(0, len(features), _SEARCH.frames_at_once):
            decoder.process_cep(features[start : start + _SEARCH.frames_at_once].tobytes())
            # A thread that waits for the lock gets it only if this one is really away.
            time.sleep(_SEARCH.breath_secs)
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
    with brought_by("local"):
        import pocketsphinx
    return Path(pocketsphinx.get_model_path("en-us"))


def _decoder(
    model: Path, dictionary: str, beams: Mapping[str, float], folder: Path
) -> "pocketsphinx.Decoder":
    import pocketsphinx

    words, features = folder / "words.dict", folder / "feat.params"
    words.write_text(dictionary, "utf-8")
    # The features come with their mean taken off. The model's file asks pocketsphinx to do it,
    # whatever the settings say, which for speech in pieces is a guess that it never forgets.
    theirs = (model / "feat.params").read_text("utf-8")
    features.write_text(theirs.replace("-cmn batch", "-cmn none"), "utf-8")
    settings: dict[str, Any] = {
        "hmm": str(model),
        "featparams": str(features),
        "dict": str(words),
        "lm": None,
        "bestpath": False,
        # Scores are relative to the best sound of all, not of those searched for: only then can
        # the scores of two decoders be compared.
        "compallsen": True,
        # What it has to say on stderr, that speech fits no grammar, is no news.
        "loglevel": "FATAL",
    }
    return pocketsphinx.Decoder(**settings, **beams)


def _compiled(
    decoder: "pocketsphinx.Decoder", grammar: str, folder: Path
) -> "pocketsphinx.FsgModel":
    try:
        raw = decoder.parse_jsgf(grammar)
    except (RuntimeError, ValueError) as error:
        raise ConfigurationError(
            "expected a grammar in JSGF with a public rule, got one that pocketsphinx cannot "
            "read: see https://www.w3.org/TR/jsgf/"
        ) from error
    file = folder / "grammar.fsg"
    raw.writefile(str(file))
    automaton = read_automaton(file.read_text("utf-8").splitlines()).smallest()
    states = {state for transition in automaton.transitions for state in transition[:2]}
    end = max(states, default=0) + 1
    transitions: list[tuple[Any, ...]] = [
        (source, target, _weight(likely), *((word,) if word else ()))
        for source, target, likely, word in automaton.transitions
    ]
    transitions += [(state, end, _weight(likely)) for state, likely in automaton.finals.items()]
    return decoder.create_fsg("grammar", automaton.start, end, transitions)


def _weight(likely: float) -> float:
    return min(1.0, math.exp(_SEARCH.grammar_weight * likely))
