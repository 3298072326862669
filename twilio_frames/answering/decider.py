"""Who has answered: sound, words, tones and Twilio's verdict made into one decision.

Theory of operation
-------------------
None of the four is right alone. Words are the surest, but come late, and only where somebody
transcribes them. The length of what is said is there at once: a person says "hello?" and waits, a
machine talks on; but a person at work says more, and a machine may pause. A beep is sure, at the
very end. Twilio's verdict comes after seconds, and once.

So what comes first decides, and what is surer may decide anew for a while: words over length, a
beep over a pause, somebody who speaks up over a machine. What was told by words is not changed by
Twilio's verdict, nor by length. No I/O happens here; time comes with what is heard.
"""

from collections.abc import Callable
from dataclasses import dataclass

from twilio_frames.answering.ear import AnswerEar
from twilio_frames.answering.findings import Answer, AnsweredBy, AnswerReason, MachineVerdict
from twilio_frames.answering.phrases import AnswerPhrases
from twilio_frames.audio.tones import ToneKind

__all__ = ["AnswerDecider", "AnswerLimits"]

_Finding = tuple[AnsweredBy, AnswerReason]
_TAKES_WORDS = frozenset({AnsweredBy.VOICEMAIL, AnsweredBy.ANNOUNCEMENT})
"""Told by words at once: nothing that is said behind them makes a person of them."""
_WEAK = frozenset({AnswerReason.LONG_SPEECH, AnswerReason.TWILIO})


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLimits:
    """By what times and lengths an answer is told; ``bench/answering.py`` measures them.

    Parameters:
        first_word_secs: How long the first word is waited for.
        pause_secs: Silence behind short speech that makes it a person's.
        words_secs: How much longer the words are waited for, if none have come.
        person_secs: How long a person's greeting is at most, where its words do not tell.
        machine_secs: Speech that goes on for so long without a pause is a machine's.
        beep_secs: How far behind a greeting a beep belongs to it.
        greeting_secs: Less speech than this before a beep is no greeting.
        limit_secs: Then nothing more is waited for.
        change_secs: For so long a decision may still be changed.
    """

    first_word_secs: float = 2.0
    pause_secs: float = 0.6
    words_secs: float = 0.4
    person_secs: float = 2.4
    machine_secs: float = 3.5
    beep_secs: float = 4.0
    greeting_secs: float = 0.8
    limit_secs: float = 6.0
    change_secs: float = 20.0


class AnswerDecider:
    """Decides who has answered, and changes its mind where it has to.

    Args:
        limits: Times and lengths.
        phrases: What tells by words.
        began_at: From when it listens, seconds from the beginning of the stream.
        by_words: Whether nothing but the newest words tells a person: the machine that speaks
            before them has been talked to.
    """

    def __init__(
        self,
        limits: AnswerLimits | None = None,
        phrases: AnswerPhrases | None = None,
        *,
        began_at: float = 0.0,
        by_words: bool = False,
    ):
        self._limits = limits or AnswerLimits()
        self._phrases = phrases or AnswerPhrases()
        self._began_at = began_at
        self._is_by_words = by_words
        self._finals: list[tuple[str, float]] = []
        self._interim = ""
        self._words_at = self._words_from = 0.0
        self._verdict: tuple[MachineVerdict, float] | None = None
        self.ear = AnswerEar()
        """What is heard."""
        self.answer: Answer | None = None
        """What was decided last; None while nothing is."""

    def hear(self, mulaw: bytes, at: float) -> None:
        """Takes what was heard, and when it began: seconds from the beginning of the stream."""
        self.ear.write(mulaw, at)

    def take_words(self, text: str, at: float, *, is_final: bool = True) -> None:
        """Takes words as they are transcribed.

        Args:
            text: They; where they are not final, all since the last that were.
            at: When they came.
            is_final: Whether they stay.
        """
        if text.strip():
            self._words_at = at
        if is_final:
            self._finals.append((text, at))
            self._interim = ""
        else:
            self._interim = text

    def take_verdict(self, verdict: MachineVerdict, at: float) -> None:
        """Takes what Twilio's machine detection says; the first verdict counts."""
        if self._verdict is None:
            self._verdict = verdict, at

    @property
    def said(self) -> str:
        """All words so far."""
        return self._said_since(0.0)

    @property
    def verdict(self) -> MachineVerdict | None:
        """What Twilio has said."""
        return self._verdict[0] if self._verdict else None

    def is_settled(self, now: float) -> bool:
        """Whether what was decided is not changed any more."""
        return self.answer is not None and now - self._began_at > self._limits.change_secs

    def decide(self, now: float) -> Answer | None:
        """Decides, or decides anew; None if there is nothing new.

        Args:
            now: The time, seconds from the beginning of the stream.
        """
        if self.answer is None:
            finding = self._first(now)
        elif self.is_settled(now):
            return None
        else:
            finding = self._anew(self.answer, now)
        if finding is None or (self.answer and finding[0] is self.answer.answered_by):
            return None
        silence = self.ear.silent_secs(now) if self.ear.spells else 0.0
        self.answer = Answer(
            answered_by=finding[0],
            reason=finding[1],
            after_secs=now,
            after_speech_secs=silence,
        )
        return self.answer

    def _first(self, now: float) -> _Finding | None:
        limits = self._limits
        rules: tuple[Callable[[float], _Finding | None], ...] = (
            self._by_words,
            self._by_tones,
            *(() if self._is_by_words else (self._by_verdict, self._by_speech)),
        )
        for rule in rules:
            if finding := rule(now):
                return finding
        if not self.ear.spells and not self._words_at and not self.ear.tones:
            waited = now - self._began_at >= limits.first_word_secs
            return (AnsweredBy.UNKNOWN, AnswerReason.SILENCE) if waited else None
        if now - self._began_at >= limits.limit_secs:
            return AnsweredBy.UNKNOWN, AnswerReason.TIME_LIMIT
        return None

    def _anew(self, answer: Answer, now: float) -> _Finding | None:
        if answer.answered_by is AnsweredBy.UNKNOWN:
            return self._by_words(now) or self._by_tones(now) or self._by_later(now)
        if answer.answered_by is AnsweredBy.HUMAN:
            return self._machine_after_all(answer, now)
        if answer.answered_by is AnsweredBy.FAX:
            return None
        if self._speaks_up(answer, now):
            # What the machine has said before is not theirs.
            self._words_from = self.ear.spells[-1].began_at
            return AnsweredBy.HUMAN, AnswerReason.SPOKE_UP
        if answer.reason in _WEAK or answer.answered_by is AnsweredBy.SCREENING:
            return self._by_words(now) or self._verdict_of_person(answer)
        is_full = self._who_says() is AnsweredBy.ANNOUNCEMENT
        return (AnsweredBy.ANNOUNCEMENT, AnswerReason.WORDS) if is_full else None

    def _by_later(self, now: float) -> _Finding | None:
        return self._by_verdict(now) or self._by_speech(now)

    def _machine_after_all(self, answer: Answer, now: float) -> _Finding | None:
        if self._beeps_behind_greeting(answer):
            return AnsweredBy.VOICEMAIL, AnswerReason.BEEP
        if self._who_says() is AnsweredBy.HUMAN:
            return None
        if finding := self._by_words(now):
            return finding
        verdict, at = self._verdict or (MachineVerdict.UNKNOWN, 0.0)
        is_machine = verdict.is_machine and at > answer.after_secs
        is_long = bool(self.ear.spells) and self.ear.spells[-1].seconds >= self._limits.person_secs
        return (AnsweredBy.VOICEMAIL, AnswerReason.TWILIO) if is_machine and is_long else None

    def _beeps_behind_greeting(self, answer: Answer) -> bool:
        """Whether a beep is heard behind what may have been a greeting, and not in a talk."""
        spells, limits = self.ear.spells, self._limits
        beeps = [at for tone, at in self.ear.tones if tone.kind is ToneKind.BEEP]
        if not spells or not beeps or beeps[-1] < answer.after_secs:
            return False
        # Of the one who was taken for a person, it may have been all that they say.
        is_first = spells[-1].began_at < answer.after_secs
        is_long = spells[-1].seconds >= limits.person_secs / (2 if is_first else 1)
        is_near = beeps[-1] - spells[-1].ended_at <= limits.beep_secs
        offers = self._phrases.is_offer(self._said_since(self._words_from))
        is_hello = self._who_says() is AnsweredBy.HUMAN
        return is_long and is_near and not offers and (is_first or not is_hello)

    def _who_says(self) -> AnsweredBy | None:
        if self._is_by_words:
            newest = self._interim or (self._finals[-1][0] if self._finals else "")
            return self._phrases.who_says(newest)
        return self._phrases.who_says(self._said_since(self._words_from))

    def _said_since(self, at: float) -> str:
        words = [text for text, came in self._finals if came >= at]
        return " ".join([*words, self._interim]).strip()

    def _by_words(self, now: float) -> _Finding | None:
        who = self._who_says()
        if who is None:
            return None
        if who not in _TAKES_WORDS and self._silent_secs(now) < self._limits.pause_secs:
            # More may follow, and say something else.
            return None
        return who, AnswerReason.WORDS

    def _silent_secs(self, now: float) -> float:
        """How long nothing was said; words tell where the line is never silent."""
        silent = self.ear.silent_secs(now)
        return max(silent, now - self._words_at - self._limits.words_secs) if self.said else silent

    def _by_tones(self, now: float) -> _Finding | None:
        for tone, at in self.ear.tones:
            said = sum(spell.seconds for spell in self.ear.spells if spell.began_at < at)
            if tone.kind is ToneKind.FAX and not said and not self.said:
                return AnsweredBy.FAX, AnswerReason.FAX_TONE
            if tone.kind is not ToneKind.BEEP:
                continue
            is_alone = not self.ear.spells and now - at >= self._limits.first_word_secs
            if is_alone or said >= self._limits.greeting_secs:
                return AnsweredBy.VOICEMAIL, AnswerReason.BEEP
        return None

    def _by_verdict(self, now: float) -> _Finding | None:
        if self._verdict is None:
            return None
        verdict, at = self._verdict
        if verdict is MachineVerdict.FAX and not self.said:
            return AnsweredBy.FAX, AnswerReason.TWILIO
        if verdict is MachineVerdict.HUMAN:
            is_done = self._silent_secs(now) >= self._limits.pause_secs / 2
            return (AnsweredBy.HUMAN, AnswerReason.TWILIO) if is_done else None
        if not verdict.is_machine or self._is_short(now):
            return None
        # What kind of machine it is, words may tell.
        is_due = now - at >= self._limits.words_secs
        return (AnsweredBy.VOICEMAIL, AnswerReason.TWILIO) if is_due else None

    def _is_short(self, now: float) -> bool:
        """Whether somebody has said a word and waits."""
        spells = self.ear.spells
        return (
            bool(spells)
            and self.ear.said_secs <= self._limits.person_secs
            and self.ear.silent_secs(now) >= self._limits.pause_secs
        )

    def _by_speech(self, now: float) -> _Finding | None:
        spells, limits = self.ear.spells, self._limits
        if not spells:
            return None
        silent = self._silent_secs(now)
        if spells[-1].seconds >= limits.machine_secs and silent < limits.pause_secs:
            return AnsweredBy.VOICEMAIL, AnswerReason.LONG_SPEECH
        waited = limits.pause_secs + (0.0 if self.said else limits.words_secs)
        if silent < waited:
            return None
        if self.ear.said_secs <= limits.person_secs:
            return AnsweredBy.HUMAN, AnswerReason.SHORT_SPEECH
        if self.said and silent >= 2 * limits.pause_secs:
            # No machine's words, and it waits for an answer.
            return AnsweredBy.HUMAN, AnswerReason.WORDS
        return None if self.said else (AnsweredBy.VOICEMAIL, AnswerReason.LONG_SPEECH)

    def _speaks_up(self, answer: Answer, now: float) -> bool:
        """Whether somebody has spoken, as people do, since a machine was taken to be there."""
        spells, limits = self.ear.spells, self._limits
        if not spells or spells[-1].began_at < answer.after_secs:
            return False
        is_short = spells[-1].seconds <= limits.person_secs
        is_done = self.ear.silent_secs(now) >= limits.pause_secs / 2
        words = self._said_since(spells[-1].began_at)
        return is_short and is_done and self._phrases.who_says(words) is AnsweredBy.HUMAN

    def _verdict_of_person(self, answer: Answer) -> _Finding | None:
        by_length = answer.reason is AnswerReason.LONG_SPEECH
        if by_length and self.verdict is MachineVerdict.HUMAN:
            return AnsweredBy.HUMAN, AnswerReason.TWILIO
        return None
