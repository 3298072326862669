"""What machines and people say when they answer the telephone."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields

from twilio_frames.answering.findings import AnsweredBy

__all__ = ["AnswerPhrases"]

_NOT_SPOKEN = re.compile(r"[^\w'*]+")
_ANY_WORDS = r"(?:\S+ ){0,5}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPhrases:
    """Phrases by which an answer is told, in the order in which they are looked for.

    They are English by default; give those of another language for another. ``*`` stands for up to
    five words. Capitals and punctuation do not matter.

    Parameters:
        offers: What only a person offers or asks.
        announcement: Said where no message is taken.
        message: Asks for a message.
        screening: Asks who is calling, and why.
        voicemail: Said by voicemails, and by others that ask for a message at last.
        menu: Said by menus and queues.
        hello: Said by people, if it is about all that they say.
        most_words: How many words a person says to a hello at most.
    """

    offers: tuple[str, ...] = (
        "how can i help",
        "how may i help",
        "can i help you",
        "can i take a message",
        "may i take a message",
        "would you like to leave",
        "do you want to leave",
        "who's this",
        "who is this",
        "who am i speaking",
    )
    announcement: tuple[str, ...] = (
        "mailbox is full",
        "mailbox * is full",
        "not accepting * messages",
        "cannot accept * messages",
        "can't accept * messages",
        "has not been set up",
        "hasn't been set up",
        "not in service",
        "no longer in service",
        "has been disconnected",
        "cannot be completed",
        "cannot complete your call",
        "is not a working number",
    )
    message: tuple[str, ...] = (
        "leave * message",
        "leave * name * number",
        "leave your name",
        "record * message",
        "record your voice message",
    )
    screening: tuple[str, ...] = (
        "state your name",
        "say your name",
        "record your name",
        "your name and reason",
        "reason for calling",
        "reason for your call",
        "why you're calling",
        "why you are calling",
        "screening service",
        "call screening",
        "screening your call",
        "see if * is available",
        "see if * they're available",
        "who may i say is calling",
    )
    voicemail: tuple[str, ...] = (
        "after the tone",
        "after the beep",
        "at the tone",
        "at the beep",
        "at the sound of",
        "voicemail",
        "voice mail",
        "mailbox",
        "you've reached",
        "you have reached",
        "get back to you",
        "call you back",
        "return your call",
        "missed your call",
        "come to the phone",
        "get to the phone",
        "take your call",
        "answer your call",
        "answer the phone right now",
        "is unavailable",
        "is not available",
        "isn't available",
        "not available right now",
        "not available to",
    )
    menu: tuple[str, ...] = (
        "press one",
        "press 1",
        "press two",
        "press 2",
        "press zero",
        "press 0",
        "press star",
        "press pound",
        "press the",
        "press any key",
        "say or press",
        "main menu",
        "following options",
        "menu options",
        "call is important",
        "call is very important",
        "calls may be recorded",
        "call may be recorded",
        "call may be monitored",
        "call is being recorded",
        "next available",
        "party's extension",
        "enter * extension",
        "dial * extension",
        "stay on the line",
        "remain on the line",
    )
    hello: tuple[str, ...] = (
        "hello",
        "hi",
        "hey",
        "yes",
        "yeah",
        "yep",
        "speaking",
        "this is",
        "who's calling",
        "who is calling",
        "good morning",
        "good afternoon",
        "good evening",
        "i'm here",
    )
    most_words: int = 9

    def who_says(self, text: str) -> AnsweredBy | None:
        """Who says something like this; None if anybody may.

        Args:
            text: All that was said so far.
        """
        spoken = f" {' '.join(_words(text))} "
        for name, who in _IN_ORDER:
            if _pattern(getattr(self, name)).search(spoken):
                return who
        if len(spoken.split()) <= self.most_words and _pattern(self.hello).search(spoken):
            return AnsweredBy.HUMAN
        return None

    def is_offer(self, text: str) -> bool:
        """Whether it is what only a person offers or asks."""
        return bool(_pattern(self.offers).search(f" {' '.join(_words(text))} "))


_IN_ORDER = (
    ("offers", AnsweredBy.HUMAN),
    ("announcement", AnsweredBy.ANNOUNCEMENT),
    ("message", AnsweredBy.VOICEMAIL),
    ("screening", AnsweredBy.SCREENING),
    ("voicemail", AnsweredBy.VOICEMAIL),
    ("menu", AnsweredBy.IVR),
)
_patterns: dict[tuple[str, ...], re.Pattern[str]] = {}
_MOST_PATTERNS = 100 * len(fields(AnswerPhrases))


def _words(text: str) -> list[str]:
    straight = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").lower()
    return _NOT_SPOKEN.sub(" ", straight).split()


def _pattern(phrases: tuple[str, ...]) -> "re.Pattern[str]":
    if phrases not in _patterns:
        if len(_patterns) >= _MOST_PATTERNS:
            _patterns.clear()
        _patterns[phrases] = re.compile(_any_of(phrases))
    return _patterns[phrases]


def _any_of(phrases: Iterable[str]) -> str:
    written = [
        "".join(_ANY_WORDS if word == "*" else f"{re.escape(word)} " for word in _words(phrase))
        for phrase in phrases
    ]
    # What matches nowhere, where there are none.
    return " (?:" + "|".join(written) + ")" if written else r"(?!)"
