"""One utterance that Cartesia speaks: what was asked for, what came, what is left to say. Pure.

Theory of operation
-------------------
Text goes out in *asks*, Cartesia's contexts; audio and word times come back. What came is handed on
in whole words, so that a connection that breaks in mid-word leaves no half of one behind: the rest,
from the first word that was not handed on wholly, is asked for again. A word that is not whole yet
is handed on all the same when the caller would run out of audio otherwise and its audio is coming
steadily. If the connection breaks just then, that word is begun once more.

Where no word times come, what is left is known by the texts whose end Cartesia told of; within a
text by its letters, and a word in doubt is said twice rather than never.

Places are bytes of mu-law from the beginning of the utterance: 8000 a second.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.processors.words.progress import HeldAudio, is_speakable
from twilio_frames.processors.words.sounding import words_within

_FRESH_SECS = 0.25
# Times are rounded, and the end of a word may be silence that is left out.
_LOOSE_TIMES = SAMPLE_RATE // 5
_LASTING_TAG = re.compile(r"<(emotion|speed|volume)\b[^>]*>", re.IGNORECASE)
_TOKEN = re.compile(r"\S+")
_FIRST_TAGS = re.compile(rf"(?:{_LASTING_TAG.pattern}|<spell>|\s)*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedWord:
    """A word and where it lies.

    Parameters:
        text: As it stands in the text.
        begin: Where its sound begins.
        end: Where it ends.
    """

    text: str
    begin: int
    end: int


class CartesiaSpeech:
    """What is known of one utterance.

    Args:
        context_id: Pipecat's audio context.
        lead_secs: How much audio the caller's side must have; below, words are handed on in parts.
        is_spaced: Whether texts are whole sentences, with a blank between them.
    """

    def __init__(self, context_id: str, *, lead_secs: float, is_spaced: bool):
        self.context_id = context_id
        self.is_complete = False
        """Whether no more text follows."""
        self.request: dict[str, object] = {}
        """What goes out with each of its texts: voice, model, language."""
        self.ask_id: str | None = None
        """The ask that is open, if one is."""
        self.refused_since: float | None = None
        """When it was refused for the first time since it got on; None if it was not."""
        self.refusals = 0
        """How often it was refused since then."""
        self.retry_at = 0.0
        """Before when nothing more is to be asked for."""
        self.last_heard_at = 0.0
        """When the open ask was last heard of."""
        self.has_got_on = False
        """Whether words have been said wholly that were not before; to be cleared by who reads."""
        self._audio = HeldAudio(lead_secs=lead_secs)
        self._is_spaced = is_spaced
        self._unsent = ""
        self._asked = ""
        self._texts_asked: list[int] = []
        self._texts_done = 0
        self._is_closed = False
        self._is_ask_done = False
        self._got_to = 0
        self._words: list[TimedWord] = []
        self._words_given = 0
        self._is_word_begun = False
        self._whole_to = 0

    def say(self, text: str) -> None:
        """Adds a text."""
        if self._is_spaced and not text[:1].isspace():
            before = self._unsent or (self._asked if self.ask_id else "")
            text = f" {text}" if before and not before[-1].isspace() else text
        self._unsent += text

    def take_unsent(self, now: float, ask_id: str) -> str | None:
        """What is to be sent next.

        Args:
            now: Seconds of any clock.
            ask_id: What to call a new ask.

        Returns:
            Text; an empty one if all there is to tell is that no more follows; None for nothing.
        """
        is_new = self.ask_id is None
        if now < self.retry_at or (is_new and not is_speakable(self._unsent)):
            return None
        if not self._unsent and (self._is_closed or not self.is_complete):
            return None
        if is_new:
            self.ask_id, self._asked = ask_id, ""
            self._texts_asked, self._texts_done = [], 0
            self._is_closed = self._is_ask_done = False
            self._audio.ask_anew()
            self._got_to = _begin_behind_tags(self._unsent)
        text, self._unsent = self._unsent, ""
        self._asked += text
        if text:
            self._texts_asked.append(len(self._asked))
        self._is_closed = self.is_complete
        self.last_heard_at = now
        return text

    def take_audio(self, mulaw: bytes, now: float) -> None:
        """Notes audio of the open ask."""
        self._audio.take(mulaw)
        self.last_heard_at = now

    def take_words(self, words: Sequence[tuple[str, float, float]], now: float) -> None:
        """Notes words of the open ask: text, begin and end in seconds from its beginning."""
        self.last_heard_at = now
        self._words += [
            TimedWord(text=text, begin=self._place(begin), end=self._place(end))
            for text, begin, end in words
        ]

    def text_done(self, now: float) -> None:
        """Notes that the next of the texts has been spoken."""
        self.last_heard_at = now
        self._texts_done += 1
        self._whole_to = self._audio.end

    def ask_done(self) -> None:
        """Notes that the open ask has been spoken, or has expired waiting for more text."""
        self._is_ask_done = True
        self._whole_to = self._audio.end

    @property
    def unsaid(self) -> str:
        """The text that has not been asked for, or not again."""
        return self._unsent.strip()

    @property
    def is_said(self) -> bool:
        """Whether all was said and handed on."""
        is_quiet = self.ask_id is None and not is_speakable(self._unsent)
        return self.is_complete and is_quiet and not self._audio.is_ahead

    @property
    def has_been_heard(self) -> bool:
        """Whether audio of the open ask has come."""
        return self.ask_id is not None and self._audio.end > self._audio.begin

    @property
    def is_silent(self) -> bool:
        """Whether there are words in the open ask, and no audio of it has come."""
        return self.ask_id is not None and not self.has_been_heard and is_speakable(self._asked)

    @property
    def lacks_audio(self) -> bool:
        """Whether words were told of whose audio has not come, all said and done."""
        return any(word.end > self._audio.end + _LOOSE_TIMES for word in self._words)

    @property
    def is_awaited(self) -> bool:
        """Whether there is text whose audio has not come."""
        if self.ask_id is None:
            return is_speakable(self._unsent)
        if self._unsent or self._is_closed:
            return True
        return self._texts_done < len(self._texts_asked) and is_speakable(
            self._asked[self._text_place(self._audio.end) :]
        )

    def due(self, now: float) -> list[TimedWord | bytes]:
        """What is to be handed on now, in order: words ahead of the audio they begin in."""
        audio = self._audio
        needed = audio.needed(now)
        whole, is_in_word = self._whole_place()
        if is_in_word and now - self.last_heard_at > _FRESH_SECS:
            # A pause ahead of a word is better than one in it.
            needed = whole
        end = min(audio.end, max(whole, needed))
        due: list[TimedWord | bytes] = []
        while self._words_given < len(self._words):
            word = self._words[self._words_given]
            if word.begin >= max(end, audio.handed) and not self._is_ask_done:
                break
            self._words_given += 1
            if self._is_word_begun:
                # It was announced when it was begun for the first time.
                self._is_word_begun = False
                continue
            due.append(word)
        if end > audio.handed:
            due.append(audio.hand_on(end))
            self._note_place(self._text_place(audio.handed))
        if self._is_ask_done and not audio.is_ahead:
            self._end_ask()
        return due

    def lose(self) -> bool:
        """Notes that no more comes of the open ask; what is left of it is to be asked again.

        Returns:
            Whether only a part of the last word that was handed on has been.
        """
        self._audio.drop_rest()
        if self.ask_id is None:
            return False
        if self.is_silent:
            # Of its texts it was told that they are done all the same.
            self._texts_done = 0
        place = self._behind_what_sounded(self._text_place(self._audio.handed))
        self._note_place(place)
        unsaid = next((word for word in self._words if word.end > self._audio.handed), None)
        breaks_off = unsaid is not None and unsaid.begin < self._audio.handed
        if unsaid is not None and breaks_off:
            breaks_off = self._words.index(unsaid) < self._words_given
            self._is_word_begun = self._is_word_begun or breaks_off
        tags, rest = _lasting_tags(self._asked[:place]), self._asked[place:].lstrip()
        unsent = f"{tags}{rest}{self._unsent}"
        self._unsent = unsent if is_speakable(f"{rest}{self._unsent}") else ""
        self._end_ask()
        return breaks_off

    def _place(self, seconds: float) -> int:
        return self._audio.begin + round(seconds * SAMPLE_RATE)

    def _note_place(self, place: int) -> None:
        if place > self._got_to:
            self._got_to = place
            self.has_got_on, self.refused_since, self.refusals = True, None, 0

    def _end_ask(self) -> None:
        self.ask_id = None
        self._words.clear()
        self._words_given = 0
        self._asked = ""
        self._audio.ask_anew()

    def _whole_place(self) -> tuple[int, bool]:
        """Up to where what came consists of whole words, and whether a part of one follows."""
        received = self._audio.end
        for word in self._words:
            if word.end > received:
                return max(self._whole_to, word.begin), True
        return max(self._whole_to, self._words[-1].end if self._words else 0), False

    def _text_place(self, heard: int) -> int:
        """Up to where in the text of the open ask the words end that are known to be whole."""
        place = 0
        for word in self._words:
            if word.end > heard:
                break
            found = self._asked.find(word.text, place)
            token = _TOKEN.search(self._asked, place)
            place = found + len(word.text) if found >= 0 else token.end() if token else place
        if self._texts_done and self._whole_to <= heard:
            place = max(place, self._texts_asked[min(self._texts_done, len(self._texts_asked)) - 1])
        return place

    def _behind_what_sounded(self, place: int) -> int:
        """Goes on over the words that must have been in audio of which nothing else is known."""
        audio = self._audio
        known = max((word.end for word in self._words), default=audio.begin)
        known = max(known, min(self._whole_to, audio.handed))
        if known >= audio.handed:
            return place
        tokens = list(_TOKEN.finditer(self._asked, place))
        words = words_within(map(re.Match.group, tokens), audio.sounding(known, audio.handed))
        return tokens[words - 1].end() if words else place


def _begin_behind_tags(text: str) -> int:
    """Where the words begin in a text that may have been asked for before."""
    tags = _FIRST_TAGS.match(text)
    return tags.end() if tags else 0


def _lasting_tags(text: str) -> str:
    """The tags in a text that hold for what follows it."""
    lasting = {tag.group(1).lower(): tag.group() for tag in _LASTING_TAG.finditer(text)}
    spells = text.rfind("<spell>") > text.rfind("</spell>")
    return "".join(lasting.values()) + ("<spell>" if spells else "")
