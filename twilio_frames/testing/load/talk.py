"""One caller's talk with the bot, 20 ms at a time: asks, listens, now and then talks over it. Pure.

Times are seconds on the clock of the ear.
"""

import random
from dataclasses import dataclass, field

from twilio_frames.errors.settings import check_settings
from twilio_frames.testing.callers.ear import JOINING_PAUSE, Spell
from twilio_frames.testing.callers.voice import FRAME_SECS
from twilio_frames.testing.load.ear import ArithmeticEar
from twilio_frames.testing.load.phrases import Phrase, PhraseSet

_INTERRUPTED_AFTER = (0.8, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerBehaviour:
    """How callers behave.

    Parameters:
        interrupting: The share of the bot's answers that are talked over.
        patience: Seconds that an answer is waited for.
        pause: Seconds of silence after which the bot has finished; up to 0.7 s are added.
    """

    interrupting: float = 0.25
    patience: float = 10.0
    pause: float = 0.8

    def __post_init__(self) -> None:
        check_settings(self, at_most={"interrupting": 1})


@dataclass(slots=True)
class TalkFigures:
    """What one caller noticed.

    Parameters:
        answer_times: Seconds from the end of each of the caller's phrases to the bot's first sound.
        silence_times: Seconds from each talking over to the bot's last sound.
        unanswered: Phrases that the bot did not answer in time.
        talked_over: Phrases in which the bot began to speak before they ended.
    """

    answer_times: list[float] = field(default_factory=list)
    silence_times: list[float] = field(default_factory=list)
    unanswered: int = 0
    talked_over: int = 0


class Talk:
    """One caller.

    Args:
        phrase_set: What can be said.
        ear: What is heard.
        behaviour: How the caller behaves.
        seed: Draws phrases, pauses and interruptions.
        began: When the call was answered.
    """

    def __init__(
        self,
        phrase_set: PhraseSet,
        ear: ArithmeticEar,
        *,
        behaviour: CallerBehaviour,
        seed: int,
        began: float,
    ):
        self.figures = TalkFigures()
        self._phrase_set = phrase_set
        self._ear = ear
        self._behaviour = behaviour
        self._random = random.Random(seed)  # noqa: S311  # protects nothing
        self._quiet_frame = self._random.randrange(len(phrase_set.quiet))
        self._phrase: Phrase | None = None
        self._frame = 0
        self._onset = 0.0
        self._spoke_until = began
        self._patience = 5.0
        self._is_greeting = True
        self._is_answer_due = True
        self._interrupt_at: float | None = None
        self._pause = self._drawn_pause()
        self._interrupted: tuple[Spell, float] | None = None

    def next_frame(self, now: float) -> bytes:
        """What was said in the last 20 ms, encoded."""
        if self._interrupted is not None:
            self._watch_interruption(now)
        if self._phrase is None and self._wants_to_speak(now):
            self._begin(now)
        phrase = self._phrase
        if phrase is None:
            self._quiet_frame = (self._quiet_frame + 1) % len(self._phrase_set.quiet)
            return self._phrase_set.quiet[self._quiet_frame]
        frame = phrase.frames[self._frame]
        self._frame += 1
        if self._frame == len(phrase.frames):
            self._finish(now)
        return frame

    def _wants_to_speak(self, now: float) -> bool:
        if self._is_answer_due:
            return not self._is_answered(now) and now - self._spoke_until > self._patience
        if self._interrupt_at is not None and now >= self._interrupt_at:
            if self._ear.heard_at(now) is not None:
                return True
            self._interrupt_at = None
        return self._ear.is_silent(now, for_seconds=self._pause)

    def _is_answered(self, now: float) -> bool:
        """Whether the answer that is due can be heard; it is noted once."""
        answer = self._ear.first_since(self._spoke_until, now)
        if answer is not None:
            if not self._is_greeting:
                self.figures.answer_times.append(answer.began_at - self._spoke_until)
            self._is_answer_due = False
            if self._random.random() < self._behaviour.interrupting:
                after = self._random.uniform(*_INTERRUPTED_AFTER)
                self._interrupt_at = answer.began_at + after
            return True
        if self._ear.heard_at(now) and now - self._spoke_until > 1.0:
            # It speaks on and on, whoever spoke meanwhile: it is heard out.
            self._is_answer_due = False
        return not self._is_answer_due

    def _begin(self, now: float) -> None:
        if self._is_answer_due and not self._is_greeting:
            self.figures.unanswered += 1
        self._phrase = self._random.choice(self._phrase_set.phrases)
        self._frame = 0
        self._onset = now - FRAME_SECS + self._phrase.sound_begins
        heard = self._ear.heard_at(now)
        self._interrupted = None if heard is None else (heard, self._onset)

    def _finish(self, now: float) -> None:
        """The phrase has been said to its end."""
        assert self._phrase is not None  # noqa: S101  # only called while something is said
        begin = self._onset - self._phrase.sound_begins
        self._spoke_until = begin + self._phrase.sound_ends
        self._phrase = None
        self._interrupt_at = None
        self._is_greeting = False
        self._is_answer_due = True
        self._patience = self._behaviour.patience
        self._pause = self._drawn_pause()
        heard = self._ear.heard_at(now)
        if heard is not None and self._onset <= heard.began_at < self._spoke_until:
            self.figures.talked_over += 1
            self._is_answer_due = False

    def _watch_interruption(self, now: float) -> None:
        """Notes how long the bot spoke on, once it has stopped."""
        assert self._interrupted is not None  # noqa: S101  # only called while there is one
        spell, onset = self._interrupted
        if spell.ended_at + JOINING_PAUSE > now:
            return
        self._interrupted = None
        # Where its speech ended just then, nothing was interrupted.
        if spell.ended_at > onset:
            self.figures.silence_times.append(spell.ended_at - onset)

    def _drawn_pause(self) -> float:
        return self._behaviour.pause + self._random.uniform(0.0, 0.7)
