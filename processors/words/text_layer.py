"""Texts whose words have no times, laid on the audio that came for them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from pipecat.frames.frames import AggregatedTextFrame, TTSTextFrame

from twilio_frames.processors.words.sounding import BLOCK, SPEAKING_RATE, sounding_bytes
from twilio_frames.processors.words.utterance import heard_text
from twilio_frames.processors.words.word_places import (
    SpeechPace,
    silent_texts,
    spoken_letters,
    word_ends,
)

__all__ = ["DOUBT", "Lay", "Sound", "TextLayer"]

Lay = Callable[[AggregatedTextFrame, int], None]
Sound = Callable[[int, int], bytes]

_NEVER: Mapping[int, int] = {}
_NEXT_LETTERS = SPEAKING_RATE.digit_letters
DOUBT = 240
"""Bytes, 30 ms: by how much a word may end ahead of where it is estimated to, or behind. With 40 ms
hardly fewer moments are wrong (``bench/word_places.py``), and words are some 250 ms."""
# Bytes of silence that end a word: within one it is silent ahead of a ``t``, for less.
_PAUSE = 800
# Of a word's sound; behind so much of it what is silent is its end.
_LAST_SHARE = 0.25
# A word that nobody knows, as long as words are.
_NEXT_WORD = TTSTextFrame("0", "word")


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of a text, or all of a text that is shown and not spoken.

    Parameters:
        source: The text.
        text: The word as it is written.
        letters: How many it has where it is said.
        told_at: How much sound there was, at least, before it was told of.
    """

    source: AggregatedTextFrame
    text: str
    letters: int
    told_at: int = 0


class TextLayer:
    """Lays words over stretches of audio, by their letters and by what sounds.

    Args:
        lay: Called with each word, a ``HeardTextFrame``, and the place where its sound ends; and
            with each text that is shown between words rather than spoken, and its place.
        sound: Gives the mu-law audio between two places, as far as it is still there.
    """

    def __init__(self, lay: Lay, sound: Sound):
        self._lay = lay
        self._sound = sound
        self._pace = SpeechPace()

    def lay_over(self, texts: Iterable[AggregatedTextFrame], begin: int, end: int) -> None:
        """Lays all words of texts over a stretch; what of it has no audio yet counts as sound."""
        self._lay_words(_words_of(texts), begin, end, reach=end)

    def lay_whole(
        self,
        texts: Iterable[AggregatedTextFrame],
        begin: int,
        end: int,
        *,
        begun: AggregatedTextFrame | None = None,
        told: int | None = None,
        came_at: Mapping[int, int] = _NEVER,
    ) -> list[TTSTextFrame]:
        """Lays texts over all the sound that there will ever be for them.

        Args:
            texts: The texts.
            begin: Where the sound begins.
            end: Where it ends.
            begun: A text whose first word is known to begin there.
            told: Of a voice that tells of its words: of how many of these texts it did.
            came_at: How much of the sound there was when pieces of running text came, by their ids.

        Returns:
            What made no sound.
        """
        texts = list(texts)
        silent = self._silent_among(texts, begin, end, told)
        words = _words_of((text for text in texts if text.id not in silent), came_at)
        return [*silent.values(), *self._lay_all(words, begin, end, begun)]

    def ends_in_silence(
        self, texts: Iterable[AggregatedTextFrame], begin: int, end: int, until: int
    ) -> bool:
        """Whether the silence behind words is behind the last of them, and not within it.

        Args:
            texts: The words.
            begin: Where they begin.
            end: Where their sound ends.
            until: Where the silence ends, as far as is known.
        """
        letters = [word.letters for word in _words_of(texts)]
        missing = self._missing(letters, self._sounding(begin, end))
        is_said = missing < _LAST_SHARE * sum(letters) * self._pace.bytes_a_letter
        return until - end >= (BLOCK if is_said else _PAUSE)

    def learn(self, texts: Iterable[str], begin: int, end: int) -> None:
        """Learns the pace of the voice from what it said wholly in a stretch."""
        letters = sum(letters for text in texts for letters in spoken_letters(text))
        self._pace.learn(self._sounding(begin, end), letters)

    def _silent_among(
        self, texts: Sequence[AggregatedTextFrame], begin: int, end: int, told: int | None
    ) -> dict[int, TTSTextFrame]:
        """Which of some texts made no sound, by their ids."""
        spoken = [text for text in texts if isinstance(text, TTSTextFrame)]
        sound = self._sound(begin, end)
        if len(sound) < end - begin or any(text.includes_inter_frame_spaces for text in spoken):
            return {}
        run = silent_texts([text.text for text in spoken], sound, self._pace, told=told)
        return {spoken[number].id: spoken[number] for number in run}

    def _lay_all(
        self,
        words: list[_Word],
        begin: int,
        end: int,
        begun: AggregatedTextFrame | None,
    ) -> list[TTSTextFrame]:
        letters, sounding = [word.letters for word in words], self._sounding(begin, end)
        if self._pace.holds(sounding, letters):
            self._pace.learn(sounding, sum(letters))
            self._lay_words(words, begin, end, reach=end)
            return []
        reach = end + self._missing(letters, sounding)
        if words and words[0].source is begun and end > begin:
            words[0] = replace(words[0], letters=0)
        return _texts_of(self._lay_words(words, begin, end, reach=reach))

    def lay_unfinished(
        self,
        texts: Iterable[AggregatedTextFrame],
        begin: int,
        end: int,
        came_at: Mapping[int, int] = _NEVER,
    ) -> None:
        """Lays texts of which more audio was to come, beyond its end too."""
        words = _words_of(texts, came_at)
        if words and (last := words[-1].source.id) in came_at:
            # Running text goes on: of its next word there may be sound, and no text.
            words.append(_Word(_NEXT_WORD, _NEXT_WORD.text, _NEXT_LETTERS, came_at[last]))
        reach = end + self._missing([word.letters for word in words], self._sounding(begin, end))
        self._lay_words(words, begin, end, reach=reach, lays_beyond=True)

    def _missing(self, letters: Sequence[int], sounding: int) -> int:
        return max(0, round(sum(letters) * self._pace.bytes_a_letter) - sounding)

    def _sounding(self, begin: int, end: int) -> int:
        """How much of a stretch is no silence; what is no longer there counts as if."""
        sound = self._sound(begin, end)
        return max(0, end - begin - len(sound)) + sounding_bytes(sound)

    def _lay_words(
        self,
        words: Sequence[_Word],
        begin: int,
        end: int,
        *,
        reach: int,
        lays_beyond: bool = False,
    ) -> list[_Word]:
        """Lays words over what would be their stretch; gives those beyond the end of the audio."""
        spoken = [word.text if isinstance(word.source, TTSTextFrame) else "" for word in words]
        sound = self._sound(begin, reach)
        # Of what was heard long ago, the audio is gone.
        missing = max(0, end - begin - len(sound))
        places = word_ends(
            spoken,
            sound,
            max(0, reach - begin),
            missing=missing,
            told_at=[word.told_at for word in words],
        )
        limit = reach if lays_beyond else max(begin, end)
        beyond: list[_Word] = []
        within = [
            number
            for number, (word, place) in enumerate(zip(words, places, strict=True))
            if spoken[number] and (not word.letters or begin + place <= limit)
        ]
        if within and len(within) < sum(map(bool, spoken)):
            # No sound of another word follows: all that there is is of these.
            places[within[-1]] = limit - begin
        for word, place in zip(words, places, strict=True):
            at = begin + place
            if not isinstance(word.source, TTSTextFrame):
                self._lay(word.source, min(at, limit))
            elif word.letters and (limit <= begin or at > limit):
                beyond.append(word)
            elif word.source is not _NEXT_WORD and not beyond:
                heard = heard_text(word.source, word.text)
                heard.doubt = DOUBT
                self._lay(heard, min(at, limit))
        return beyond


def _words_of(
    texts: Iterable[AggregatedTextFrame], came_at: Mapping[int, int] = _NEVER
) -> list[_Word]:
    words: list[_Word] = []
    told_at = 0
    for text in texts:
        if not isinstance(text, TTSTextFrame):
            words.append(_Word(text, text.text, 0))
        elif text.includes_inter_frame_spaces:
            words.append(_Word(text, text.text, sum(spoken_letters(text.text)), told_at))
            # What is written behind a piece is not spoken before that has come.
            told_at = came_at.get(text.id, told_at)
        else:
            letters = spoken_letters(text.text)
            words += [_Word(text, *one) for one in zip(text.text.split(), letters, strict=True)]
    return words


def _texts_of(words: Iterable[_Word]) -> list[TTSTextFrame]:
    """The words of each text as one."""
    texts: list[TTSTextFrame] = []
    for _, group in groupby(words, key=lambda word: id(word.source)):
        own = list(group)
        if isinstance(own[0].source, TTSTextFrame):
            texts.append(heard_text(own[0].source, " ".join(word.text for word in own)))
    return texts
