"""A text that is said by a voice which tells no word times: how far it got, what is left. Pure.

Theory of operation
-------------------
Where a word lies in the audio is estimated: words take sound in proportion to their letters, at the
pace of the voice, which is learned from what it has said wholly. A voice pauses at signs, commas
say, and takes a breath anywhere. Which word is said before a pause, is told by the estimate, and by
what follows: behind a breath ahead of a comma there is another pause soon. What is still in doubt
is decided for the earliest word. If that has a sign, the estimate begins anew from there.

Audio is handed on when the caller's side needs it, so that there is a choice where it is cut when
it breaks off. It is cut behind the last pause, if that has not been handed on, and the text from
there on is left to be asked for: if it is a sign's that is known, each word is heard once.
Elsewhere it is cut at a soft spot near by, and the word that was being said is said again from its
beginning. A word in doubt is said twice rather than never.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from twilio_frames.audio import decode_mulaw
from twilio_frames.processors.words.progress import HeldAudio
from twilio_frames.processors.words.sounding import (
    BLOCK,
    SPEAKING_RATE,
    estimate_range,
    letters_of,
    loud_blocks,
    words_within,
)
from twilio_frames.processors.words.word_places import SpeechPace

__all__ = ["Pace", "UntimedSpeech"]

_WORD = re.compile(r"\S+")
_SIGN = re.compile(r"[,.;:!?\u2026\u2013\u2014)]\W*$")


@dataclass(frozen=True, slots=True)
class _Doubts:
    """What is taken for a pause, and for far too little sound."""

    pause_blocks: int = 12
    soft_spot_blocks: int = 30
    # A sign that is said takes so much more than by its letters.
    longer: float = 1.2
    longer_bytes: int = 800
    # Voices differ in their pace by less than a factor of two.
    far_less: float = 0.4


_DOUBTS = _Doubts()


class Pace(SpeechPace):
    """How a voice speaks: how long it takes for a letter, and whether it pauses at signs."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses_at_signs: bool | None = None
        """Whether it did at all of them in what it said wholly last; None before that is known."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A place in the audio, and how many words have surely been said before it."""

    place: int
    words: int


class UntimedSpeech:
    """What is known of one text.

    Args:
        text: What is to be said.
        pace: Of the voice.
        lead_secs: How much audio the caller's side must have; more is handed on when all has come.
    """

    def __init__(self, text: str, *, pace: Pace, lead_secs: float = 0.5):
        self._text = text
        self._pace = pace
        self._spans = [match.span() for match in _WORD.finditer(text)]
        self._words_said = 0
        self._audio = HeldAudio(lead_secs=lead_secs)

    @property
    def rest(self) -> str:
        """What is to be asked for: the text, or what is left of it; empty if all was said."""
        if self._words_said >= len(self._spans):
            return ""
        return self._text[self._spans[self._words_said][0] :]

    @property
    def said(self) -> str:
        """What was said to the end of a word."""
        return self._text[: self._spans[self._words_said - 1][1]] if self._words_said else ""

    @property
    def is_ahead(self) -> bool:
        """Whether there is audio that has not been handed on."""
        return self._audio.is_ahead

    @property
    def is_short(self) -> bool:
        """Whether what came is far less than its words take: it cannot be all."""
        letters = sum(map(letters_of, self._words))
        expected = letters * self._pace.bytes_a_letter
        sounding = self._came_sounding
        return bool(letters and not sounding) or (
            letters >= SPEAKING_RATE.telling_letters and sounding < _DOUBTS.far_less * expected
        )

    def take(self, mulaw: bytes) -> None:
        """Notes audio of what was asked for last."""
        self._audio.take(mulaw)

    def due(self, now: float) -> bytes:
        """What is to be handed on now.

        Args:
            now: Seconds of any clock.
        """
        audio = self._audio
        return audio.hand_on(min(audio.end, max(audio.handed, audio.needed(now))))

    def finish(self) -> bytes:
        """Notes that all that was asked for has come; gives the last of it."""
        audio = self._audio.hand_on(self._audio.end)
        self._pace.learn(self._came_sounding, sum(map(letters_of, self._words)))
        self._learn_pauses()
        self._end_ask(len(self._words))
        return audio

    def lose(self) -> bytes:
        """Notes that no more comes of what was asked for; gives the last of it that is good."""
        sign, pause = self._known_places()
        if pause.place > self._audio.handed:
            audio = self._audio.hand_on(pause.place)
            self._end_ask(pause.words)
        else:
            audio = self._audio.hand_on(self._soft_spot())
            self._end_ask(max(pause.words, self._words_since(sign, self._audio.handed)))
        return audio

    @property
    def _words(self) -> list[str]:
        """Those that were asked for last."""
        return [self._text[begin:end] for begin, end in self._spans[self._words_said :]]

    def _learn_pauses(self) -> None:
        signs = {number for number, word in enumerate(self._words[:-1], 1) if _has_sign(word)}
        if signs:
            begin = self._audio.begin
            ends = np.array(self._ends(_Known(begin, 0)))
            ends *= self._came_sounding / ends[-1]
            soundings = (self._audio.sounding(begin, place) for place, _ in self._pauses())
            paused = {_nearest(ends, sounding) for sounding in soundings}
            self._pace.pauses_at_signs = signs <= paused

    def _end_ask(self, words: int) -> None:
        self._words_said += words
        self._audio.ask_anew()

    def _known_places(self) -> tuple[_Known, _Known]:
        """The last pause that is known for a sign's, and the last pause; else the beginning."""
        sign = pause = _Known(self._audio.begin, 0)
        pauses = self._pauses()
        nexts = [*(begin for begin, _ in pauses[1:]), self._audio.end]
        for (begin, end), following in zip(pauses, nexts, strict=False):
            words = self._words_before_pause(
                sign, begin, follows=self._audio.sounding(end, following)
            )
            pause = _Known(end, max(words, pause.words))
            if pause.words and _has_sign(self._words[pause.words - 1]):
                sign = pause
        return sign, pause

    def _words_before_pause(self, known: _Known, place: int, *, follows: int) -> int:
        """How many words have surely been said before a pause.

        Args:
            known: The sign before it.
            place: Where it begins.
            follows: How much sound comes behind it before the next pause.
        """
        sounding = self._audio.sounding(known.place, place)
        ends = self._ends(known)
        nearest = _nearest(ends, sounding)
        least, most = estimate_range(sounding)
        possible = (
            number
            for number, end in enumerate(ends)
            if least <= end <= most and not self._is_passed_over(known, number, follows)
        )
        earliest = next(possible, nearest)
        # A voice that is not known to pause at signs may have taken a breath there.
        return known.words + (earliest if self._pace.pauses_at_signs else min(earliest, nearest))

    def _is_passed_over(self, known: _Known, number: int, follows: int) -> bool:
        """Whether so much sound follows that there would be a sign's pause in it.

        Args:
            known: A sign.
            number: How many words behind it are said before the sound that follows.
            follows: How much that is.
        """
        if self._pace.pauses_at_signs is False:
            return False
        ends, words = self._ends(known), self._words[known.words :]
        to_sign = next(
            (
                end
                for end, word in list(zip(ends[1:], words, strict=True))[number:]
                if _has_sign(word)
            ),
            ends[-1],
        )
        return (to_sign - ends[number]) * _DOUBTS.longer + _DOUBTS.longer_bytes < follows

    def _ends(self, known: _Known) -> list[float]:
        """Where, by the estimate, the words behind a sign begin and end, silence left out."""
        rate = self._rate(known)
        words = self._words[known.words :]
        return [0.0, *accumulate(letters_of(word) * rate for word in words)]

    def _words_since(self, known: _Known, place: int) -> int:
        """How many words have surely been said up to a place behind a sign."""
        words, sounding = self._words[known.words :], self._audio.sounding(known.place, place)
        return known.words + words_within(words, sounding, bytes_a_letter=self._rate(known))

    def _rate(self, known: _Known) -> float:
        letters = sum(map(letters_of, self._words[: known.words]))
        if letters < SPEAKING_RATE.telling_letters:
            return self._pace.bytes_a_letter
        return self._audio.sounding(self._audio.begin, known.place) / letters

    @property
    def _came_sounding(self) -> int:
        """How many bytes of what has come are no silence."""
        return self._audio.sounding(self._audio.begin, self._audio.end)

    def _pauses(self) -> list[tuple[int, int]]:
        """Where silence begins and ends that lies behind sound."""
        first, end = self._audio.begin, self._audio.end
        sounding = np.flatnonzero(loud_blocks(self._audio.between(first, end)))
        if not len(sounding):
            return []
        begins, ends = sounding + 1, np.append(sounding[1:], -(-(end - first) // BLOCK))
        is_pause = ends - begins >= _DOUBTS.pause_blocks
        return [
            (first + int(begin) * BLOCK, min(first + int(until) * BLOCK, end))
            for begin, until in zip(begins[is_pause], ends[is_pause], strict=True)
        ]

    def _soft_spot(self) -> int:
        """Where the sound is softest, not far behind what was handed on."""
        handed = self._audio.handed
        size = min(self._audio.end - handed, _DOUBTS.soft_spot_blocks * BLOCK) // BLOCK * BLOCK
        if handed == self._audio.begin or not size:
            return handed
        pcm = decode_mulaw(self._audio.between(handed, handed + size))
        peaks = np.abs(np.frombuffer(pcm, np.int16).astype(np.int32)).reshape(-1, BLOCK).max(axis=1)
        return handed + int(peaks.argmin()) * BLOCK


def _nearest(ends: Sequence[float] | np.ndarray, sounding: int) -> int:
    return int(np.abs(np.asarray(ends) - sounding).argmin())


def _has_sign(word: str) -> bool:
    return _SIGN.search(word) is not None
