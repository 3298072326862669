"""A text that is said by a voice which tells no word times: how far it got, what is left. Pure.

Theory of operation
-------------------
Where a word lies in the audio is estimated: words take sound in proportion to their letters, at the
pace of the voice, which is learned from what it has said wholly. A pause where the text has a sign,
a comma say, is a place that is known: from there the estimate begins anew.

Audio is handed on when the caller's side needs it, so that there is a choice where it is cut when
it breaks off. It is cut behind the last pause that is known, if that has not been handed on, and
the text from there on is left to be asked for: each word is heard once. Elsewhere it is cut at a
soft spot near by, and the word that was being said is said again from its beginning. A word in
doubt is said twice rather than never.
"""

import re
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw
from twilio_frames.processors.words import BLOCK, loud_blocks

__all__ = ["Pace", "UntimedSpeech"]

_WORD = re.compile(r"\S+")
_SIGN = re.compile(r"[,.;:!?\u2026\u2013\u2014)]\W*$")
_DIGIT_LETTERS = 4
"""About as many letters has a digit where it is said."""
_PAUSE_BLOCKS = 12
_SOFT_SPOT_BLOCKS = 30
_PAUSE_REACH = 0.35
_PAUSE_REACH_BYTES = 1200
_DOUBT = 0.15
_DOUBTFUL_BYTES = 800
_LETTERS_TELLING = 10


class Pace:
    """How long a voice takes for a letter."""

    def __init__(self) -> None:
        self._bytes = 560.0 * _LETTERS_TELLING
        self._letters = float(_LETTERS_TELLING)

    @property
    def bytes_a_letter(self) -> float:
        """Bytes of mu-law at 8 kHz, silence left out."""
        return self._bytes / self._letters

    def learn(self, sounding: int, letters: int) -> None:
        """Notes what was said wholly; what was learned last counts most.

        Args:
            sounding: How many bytes of it are no silence.
            letters: How many letters its words have.
        """
        if letters >= _LETTERS_TELLING and sounding:
            self._bytes = self._bytes / 4 + sounding
            self._letters = self._letters / 4 + letters


@dataclass(frozen=True, slots=True)
class _Known:
    """A place in the audio of which it is known how many words lie before it."""

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
        self._lead = round(lead_secs * SAMPLE_RATE)
        self._spans = [match.span() for match in _WORD.finditer(text)]
        self._words_said = 0
        # Of the ask that is open: what came, and how much of it was handed on.
        self._audio = bytearray()
        self._handed = 0
        self._handed_before = 0
        self._began_at: float | None = None

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
        return len(self._audio) > self._handed

    def take(self, mulaw: bytes) -> None:
        """Notes audio of what was asked for last."""
        self._audio += mulaw

    def due(self, now: float) -> bytes:
        """What is to be handed on now.

        Args:
            now: Seconds of any clock.
        """
        handed = self._handed_before + self._handed
        if self._began_at is None or handed < (now - self._began_at) * SAMPLE_RATE:
            # The caller's side has nothing left.
            self._began_at = now - handed / SAMPLE_RATE
        needed = round((now - self._began_at) * SAMPLE_RATE) + self._lead - handed
        return self._hand_on(min(len(self._audio), self._handed + max(0, needed)))

    def finish(self) -> bytes:
        """Notes that all that was asked for has come; gives the last of it."""
        audio = self._hand_on(len(self._audio))
        sounding = int(loud_blocks(bytes(self._audio)).sum()) * BLOCK
        self._pace.learn(sounding, sum(map(_letters, self._words)))
        self._end_ask(len(self._words))
        return audio

    def lose(self) -> bytes:
        """Notes that no more comes of what was asked for; gives the last of it that is good."""
        known = self._known_places()
        last = known[-1]
        if last.place > self._handed:
            audio = self._hand_on(last.place)
            self._end_ask(last.words)
        else:
            audio = self._hand_on(self._soft_spot())
            self._end_ask(last.words + self._words_between(last, self._handed))
        return audio

    @property
    def _words(self) -> list[str]:
        """Those that were asked for last."""
        return [self._text[begin:end] for begin, end in self._spans[self._words_said :]]

    def _hand_on(self, place: int) -> bytes:
        begin, self._handed = self._handed, place
        return bytes(self._audio[begin:place])

    def _end_ask(self, words: int) -> None:
        self._words_said += words
        self._handed_before += self._handed
        self._audio.clear()
        self._handed = 0

    def _known_places(self) -> list[_Known]:
        """The beginning, and the pauses that belong to signs in the text."""
        known = [_Known(0, 0)]
        for begin, end in _pauses(self._audio):
            words = self._word_of_pause(known, begin)
            if words:
                known.append(_Known(end, words))
        return known

    def _word_of_pause(self, known: list[_Known], place: int) -> int:
        """How many words are said before a pause; 0 if that is not known."""
        last = known[-1]
        sounding = self._sounding(last.place, place)
        reach = _PAUSE_REACH * sounding + _PAUSE_REACH_BYTES
        words = self._words[last.words :]
        ends = accumulate(_letters(word) * self._rate(last) for word in words)
        near = [
            (abs(end - sounding), last.words + number)
            for number, (word, end) in enumerate(zip(words, ends, strict=True), start=1)
            if _SIGN.search(word) and abs(end - sounding) <= reach
        ]
        return min(near)[1] if near else 0

    def _words_between(self, known: _Known, place: int) -> int:
        """How many words have surely been said between two places."""
        sounding = self._sounding(known.place, place) * (1 - _DOUBT) - _DOUBTFUL_BYTES
        words = self._words[known.words :]
        ends = accumulate(_letters(word) * self._rate(known) for word in words)
        return sum(end <= sounding for end in ends)

    def _rate(self, known: _Known) -> float:
        letters = sum(map(_letters, self._words[: known.words]))
        if letters < _LETTERS_TELLING:
            return self._pace.bytes_a_letter
        return self._sounding(0, known.place) / letters

    def _sounding(self, begin: int, end: int) -> int:
        return int(loud_blocks(bytes(self._audio[begin:end])).sum()) * BLOCK

    def _soft_spot(self) -> int:
        """Where the sound is softest, not far behind what was handed on."""
        size = min(len(self._audio) - self._handed, _SOFT_SPOT_BLOCKS * BLOCK) // BLOCK * BLOCK
        if not self._handed or not size:
            return self._handed
        pcm = decode_mulaw(bytes(self._audio[self._handed : self._handed + size]))
        peaks = np.abs(np.frombuffer(pcm, np.int16).astype(np.int32)).reshape(-1, BLOCK).max(axis=1)
        return self._handed + int(peaks.argmin()) * BLOCK


def _letters(word: str) -> int:
    return max(1, sum(_DIGIT_LETTERS if sign.isdigit() else sign.isalnum() for sign in word))


def _pauses(mulaw: bytes | bytearray) -> list[tuple[int, int]]:
    """Where silence begins and ends that lies behind sound."""
    sounding = np.flatnonzero(loud_blocks(bytes(mulaw)))
    if not len(sounding):
        return []
    begins, ends = sounding + 1, np.append(sounding[1:], -(-len(mulaw) // BLOCK))
    is_pause = ends - begins >= _PAUSE_BLOCKS
    return [
        (int(begin) * BLOCK, min(int(end) * BLOCK, len(mulaw)))
        for begin, end in zip(begins[is_pause], ends[is_pause], strict=True)
    ]
