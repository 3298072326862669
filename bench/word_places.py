"""How well words are found in speech of which nobody tells where they are.

    python bench/word_places.py [--json FILE]
    python bench/word_places.py --fit

A voice that knows where its words begin speaks texts; from the sound and the text alone it is
estimated where each word ends (``twilio_frames.processors.words.word_places``). If the caller
interrupted at a moment, would the right words be remembered? Each hundredth of a second of each
text is tried. Beside it stands what the letters alone say, each of which has an equal share of the
sound, and what comes of putting off a cut that lies where a word may end.

``--fit`` makes ``letter_sounds.py`` anew: what letters sound like, from texts and voices
that the measurement leaves out, all but one of the voices. Needs the ``local`` extra; where the
command ``flite`` is installed (Debian's package), its voices, built from people's speech, are
measured too: nothing was fitted to them.
"""

import argparse
import json
import subprocess
import tempfile
import wave
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from word_places_texts import HELD_OUT, TO_FIT

from twilio_frames.audio import SAMPLE_RATE, Resampler, encode_mulaw
from twilio_frames.local.synthesiser import Synthesiser
from twilio_frames.processors.words import letter_sounds
from twilio_frames.processors.words.letter_alignment import PAUSE, letters_said, sound_features
from twilio_frames.processors.words.letter_sounds import LETTERS
from twilio_frames.processors.words.sounding import BLOCK, letters_of, loud_blocks
from twilio_frames.processors.words.text_layer import DOUBT
from twilio_frames.processors.words.word_places import word_ends

_TARGET = Path(letter_sounds.__file__)
_VOICES_TO_FIT = (
    *(("en-us+klatt3", 165), ("en-us+f2", 150), ("en-us", 175), ("en-us+m3", 200)),
    *(("en-us+f4", 140), ("en-us+klatt", 180), ("en-us+f1", 210), ("en-us+m5", 130)),
)
_VOICES = (
    *(("en-us+klatt3", 165), ("en-us+klatt3", 130), ("en-us+f5", 190)),
    *(("en-us+m1", 160), ("en-us+m7", 220)),
)
_FLITE_VOICES = (("rms", 1.0), ("slt", 1.0), ("awb", 1.0), ("slt", 0.85))
_ROUNDS = 8
_SKIPPED = -3.0
_LEAST_VARIANCE = 0.05

Floats = npt.NDArray[np.float64]
Estimate = Callable[[Sequence[str], bytes, int], list[int]]


@dataclass(frozen=True, slots=True)
class Spoken:
    """A text as a voice says it.

    Parameters:
        text: The text.
        mulaw: Its sound.
        begins: Where each of its words begins.
    """

    text: str
    mulaw: bytes
    begins: Sequence[int]

    @property
    def ends(self) -> list[int]:
        """Where the last sound of each word ends."""
        loud, ends = loud_blocks(self.mulaw), [0]
        for begin, end in zip(self.begins, [*self.begins[1:], len(self.mulaw)], strict=True):
            sounding = np.flatnonzero(loud[begin // BLOCK : end // BLOCK + 1])
            ends.append((begin // BLOCK + int(sounding[-1]) + 1) * BLOCK if len(sounding) else end)
        return ends[1:]


def espeak(voice: str, words_per_minute: int, texts: Iterable[str]) -> Iterator[Spoken]:
    """Texts as espeak-ng says them."""
    synthesiser = Synthesiser(voice, words_per_minute=words_per_minute)
    for text in texts:
        speech = synthesiser.synthesise(text)
        if [word.text for word in speech.words] == text.split():
            begins = [round(word.start * SAMPLE_RATE) for word in speech.words]
            yield Spoken(text, _mulaw(speech.pcm, speech.sample_rate), begins)


def _mulaw(pcm: bytes, sample_rate: int) -> bytes:
    resampler = Resampler(sample_rate, SAMPLE_RATE)
    return encode_mulaw(resampler.resample(pcm) + resampler.flush())


def flite(voice: str, stretch: float, texts: Iterable[str]) -> Iterator[Spoken]:
    """Texts as flite says them: it tells of each sound when it ends, and of each word its sounds.

    Raises:
        FileNotFoundError: If there is no flite.
    """
    for text in texts:
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            told = _flite(voice, "-psdur", text, file.name, f"duration_stretch={stretch}").split()
            with wave.open(file.name) as reader:
                pcm, rate = reader.readframes(reader.getnframes()), reader.getframerate()
        sounds, before = list[float](), 0.0
        for name, end in (one.rsplit(":", 1) for one in told):
            sounds += [before] * (name != "pau")
            before = float(end)
        counts = [_sounds_in(voice, word) for word in text.split()]
        if sum(counts) == len(sounds):
            firsts = np.cumsum([0, *counts[:-1]])
            yield Spoken(
                text, _mulaw(pcm, rate), [round(sounds[first] * SAMPLE_RATE) for first in firsts]
            )


@cache
def _sounds_in(voice: str, word: str) -> int:
    return sum(name != "pau" for name in _flite(voice, "-ps", word, "none").split())


def _flite(voice: str, what: str, text: str, target: str, setting: str = "") -> str:
    command = ["flite", "-voice", voice, what, "-t", text, "-o", target]
    command += ["--setf", setting] if setting else []
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def by_letters(words: Sequence[str], mulaw: bytes, length: int) -> list[int]:
    """Where words would end if each letter had an equal share of what sounds."""
    sounding = np.flatnonzero(loud_blocks(mulaw))
    shares = np.cumsum([letters_of(word) for word in words])
    return [(int(sounding[int(s * (len(sounding) - 1) / shares[-1])]) + 1) * BLOCK for s in shares]


def wrong_share(spoken: Iterable[Spoken], estimate: Estimate, *, doubt: int = 0) -> float:
    """At which share of all moments other words than those heard would be remembered.

    Args:
        spoken: Texts.
        estimate: Gives where words end.
        doubt: How many bytes to either side of that a cut is put off.
    """
    wrong = moments = 0
    for one in spoken:
        places = estimate(one.text.split(), one.mulaw, len(one.mulaw))
        at = np.arange(round(0.2 * SAMPLE_RATE), len(one.mulaw), BLOCK)
        for place in places:
            at = np.where(np.abs(at - place) < doubt, place + doubt, at)
        heard = np.searchsorted(one.ends, at, "right")
        wrong += int((heard != np.searchsorted(places, at, "right")).sum())
        moments += len(at)
    return wrong / moments


def measure() -> dict[str, dict[str, float]]:
    """The shares of wrong moments, by voice, of the letters and of the estimate."""
    found: dict[str, dict[str, float]] = {}
    voices = [(f"{name}, {pace} words/min", espeak(name, pace, HELD_OUT)) for name, pace in _VOICES]
    for name, stretch in _FLITE_VOICES:
        voices.append((f"flite {name}, stretched by {stretch:g}", flite(name, stretch, HELD_OUT)))
    for label, texts in voices:
        try:
            spoken = list(texts)
        except FileNotFoundError:
            continue
        found[label] = {
            "letters": wrong_share(spoken, by_letters),
            "estimate": wrong_share(spoken, word_ends),
            "put_off": wrong_share(spoken, word_ends, doubt=DOUBT),
        }
    return found


class Fitting:
    """Learns what letters sound like, by finding them in words, again and again."""

    def __init__(self, spoken: Iterable[Spoken]):
        self._words = [word for one in spoken for word in _words_with_features(one)]
        self.means = np.zeros((len(LETTERS), 8))
        self.variances = np.ones((len(LETTERS), 8))
        self.steps = np.full(len(LETTERS), 7.0)

    def fit(self) -> None:
        """Goes over all words so often that nothing changes much any more."""
        for number in range(_ROUNDS):
            blocks: list[list[Floats]] = [[] for _ in LETTERS]
            for letters, features in self._words:
                path = (
                    self._even(letters, features) if number == 0 else self._found(letters, features)
                )
                for place, letter in enumerate(letters):
                    if len(own := features[path == place]):
                        blocks[letter].append(own)
            for letter, own in enumerate(blocks):
                if own:
                    joined = np.concatenate(own)
                    self.means[letter] = joined.mean(0)
                    self.variances[letter] = joined.var(0) + _LEAST_VARIANCE
                    self.steps[letter] = len(joined) / len(own)

    def _even(self, letters: Sequence[int], features: Floats) -> npt.NDArray[np.int64]:
        sounding = np.flatnonzero(features[:, 0] > -5.5)
        last = int(sounding[-1]) + 1 if len(sounding) else len(features)
        cuts = np.linspace(0, last, len(letters)).astype(int)
        return np.searchsorted(cuts[1:], np.arange(len(features)), "right").clip(
            0, len(letters) - 1
        )

    def _found(self, letters: Sequence[int], features: Floats) -> npt.NDArray[np.int64]:
        means, variances = self.means[letters], self.variances[letters]
        away = features[:, None, :] - means
        fit = -0.5 * ((away**2 / variances).sum(2) + np.log(variances).sum(1))
        step = np.log(1 / np.maximum(self.steps[letters], 1.05))
        return _course(fit, step, np.log1p(-np.exp(step)))

    def table(self) -> str:
        """The rows of the table."""
        rows = np.concatenate([self.means, np.sqrt(self.variances), self.steps[:, None]], axis=1)
        return "".join(f"    ({', '.join(f'{value:.2f}' for value in row)}),\n" for row in rows)


def _course(fit: Floats, step: Floats, stay: Floats) -> npt.NDArray[np.int64]:
    """The best course through letters, each of which but the first and last may be passed over."""
    blocks, size = fit.shape
    skipped = np.full(size, _SKIPPED)
    skipped[-1] = -0.1
    score = np.full(size, -1e9)
    score[0] = fit[0, 0]
    came_by = np.zeros((blocks, size), int)
    for block in range(1, blocks):
        ways = np.full((3, size), -1e9)
        ways[0] = score + stay
        ways[1, 1:] = score[:-1] + step[:-1]
        ways[2, 2:] = score[:-2] + step[:-2] + skipped[1:-1]
        came_by[block] = ways.argmax(0)
        score = ways.max(0) + fit[block]
    place = size - 1 if score[-1] >= score[-2] + skipped[-1] else size - 2
    path = np.zeros(blocks, int)
    for block in range(blocks - 1, -1, -1):
        path[block] = place
        place -= came_by[block, place]
    return path


def _words_with_features(one: Spoken) -> Iterator[tuple[list[int], Floats]]:
    features = sound_features(one.mulaw).astype(float)
    ends = [*one.begins[1:], len(one.mulaw)]
    for word, begin, end in zip(one.text.split(), one.begins, ends, strict=True):
        own = features[begin // BLOCK : end // BLOCK]
        if len(own) > 1:
            yield [*letters_said(word), PAUSE], own


_MODULE = '''"""What letters sound like over the telephone, on average over some voices.

Written by ``python bench/word_places.py --fit``; not to be edited by hand.
"""

# ruff: noqa: E501

__all__ = ["LETTERS", "SOUNDS"]

LETTERS = "{letters}"
"""Of which the table tells; ``#`` stands for all others, and for digits, ``_`` for silence."""

# fmt: off
SOUNDS = (
{rows})
# fmt: on
"""A row for each: means of its eight features, how far they vary, how many blocks it lasts."""
'''


def fit() -> None:
    """Writes the table."""
    spoken = [one for name, pace in _VOICES_TO_FIT for one in espeak(name, pace, TO_FIT)]
    fitting = Fitting(spoken)
    fitting.fit()
    _TARGET.write_text(_MODULE.format(letters=LETTERS, rows=fitting.table()))


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fit", action="store_true", help="make the table of letters anew")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file")
    arguments = parser.parse_args()
    if arguments.fit:
        fit()
        return
    found = measure()
    print(f"{'wrong at so many moments':34}{'by letters':>12}{'estimate':>12}{'put off':>12}")
    for label, shares in found.items():
        print(
            f"  {label:32}"
            f"{shares['letters']:12.1%}{shares['estimate']:12.1%}{shares['put_off']:12.1%}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
