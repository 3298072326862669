"""What came of a call: who spoke when, how fast the bot answered, what went wrong. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.protocol import Violation
from twilio_frames.testing.callers.ear import Spell
from twilio_frames.testing.callers.hearing import HeardWord, is_same_speech
from twilio_frames.testing.callers.voice import Utterance
from twilio_frames.testing.calls.facts import Alert, CallEnd
from twilio_frames.testing.lines.timekeeping import Timekeeping
from twilio_frames.testing.results.measures import HeardSpan, Stretch, gaps, silences
from twilio_frames.testing.streams.playback import Playback

CALLER = "caller"
BOT = "bot"
SENTENCE_PAUSE = 1.0
"""Seconds; a shorter pause of the bot's does not end its turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A stretch of speech of one side, as the caller's ear places it.

    Parameters:
        speaker: ``caller`` or ``bot``.
        began_at: Seconds from the answer to its first sound.
        ended_at: The same for its last sound.
        words: What was said or which file was played; empty where it is not known.
        answered_after: Of the caller's turns: seconds from the last sound of it to the first of
            the bot's next; None if the bot said nothing before the caller spoke again.
        silenced_after: Of the caller's turns that began while the bot was heard: seconds from the
            first sound of it to the last of the bot's.
        understood: Of the caller's turns: what the bot made of it; None where that is not known.
    """

    speaker: str
    began_at: float
    ended_at: float
    words: str = ""
    answered_after: float | None = None
    silenced_after: float | None = None
    understood: str | None = None

    @property
    def told(self) -> str:
        """What was said, and what was understood where that is something else."""
        if self.understood is None or is_same_speech(self.understood, self.words):
            return self.words
        return f"{self.words} (understood: {self.understood or 'nothing'})"

    def to_dict(self) -> dict[str, object]:
        """The turn for a JSON file; times in seconds."""
        return {
            "speaker": self.speaker,
            "began_at": _rounded(self.began_at),
            "ended_at": _rounded(self.ended_at),
            "words": self.words,
            "answered_after": _rounded(self.answered_after),
            "silenced_after": _rounded(self.silenced_after),
            "understood": self.understood,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """One call, seen from its end.

    Parameters:
        end: Why it ended; None while it goes on.
        seconds: How long it lasted, from the answer.
        turns: Who spoke when.
        heard_bot: All that was played to the caller, silence included, mu-law. Its byte *n* was
            heard ``n / 8000`` seconds after the answer.
        heard_spans: Which bytes of the bot's streams were heard, and when, in order: what was
            cleared, or unplayed at the end, is in none of them.
        alerts: Twilio's errors and warnings.
        violations: Messages of the bot that broke a rule; each was passed over.
        cut_off_secs: Length of the bot's audio that was buffered when its streams ended, and
            was never heard: a goodbye that was clipped, say.
        timekeeping: How late the simulated line's own turns were, and so may be what it sent, and
            the receipt of what it was sent. What was played in between is known to the sample.
    """

    call_sid: str
    end: CallEnd | None
    seconds: float
    turns: tuple[Turn, ...]
    heard_bot: bytes = field(repr=False)
    heard_spans: tuple[HeardSpan, ...] = field(repr=False)
    alerts: tuple[Alert, ...]
    violations: tuple[Violation, ...]
    cut_off_secs: float
    timekeeping: Timekeeping

    def outline(self) -> str:
        """What was said by whom, and how it ended, in a line."""
        said = "; ".join(
            f"{turn.began_at:.1f} s {turn.speaker}: {turn.told or '(words not known)'}"
            for turn in self.turns
        )
        wrong = f", {', '.join(map(str, self.alerts))}" if self.alerts else ""
        ended = f"{self.end.value} after" if self.end else "up for"
        return f"{said or 'nothing was said'}; {ended} {self.seconds:.1f} s{wrong}"

    def __repr__(self) -> str:
        """Its outline: what somebody wants to see whose assertion failed."""
        return f"<CallResult {self.call_sid}: {self.outline()}>"

    @property
    def is_trustworthy(self) -> bool:
        """Whether the simulator kept time. If not, no time of this call says anything."""
        return self.timekeeping.is_trustworthy

    @property
    def clock_late(self) -> float:
        """Seconds by which 99 % of the simulated line's own turns were late at most."""
        return self.timekeeping.p99

    @property
    def clock_worst(self) -> float:
        """Seconds by which the latest of them was late."""
        return self.timekeeping.worst

    @property
    def answer_times(self) -> tuple[float, ...]:
        """Seconds from the end of each caller's turn to the bot's first sound."""
        return tuple(turn.answered_after for turn in self.turns if turn.answered_after is not None)

    @property
    def silence_times(self) -> tuple[float, ...]:
        """Seconds from the start of each talking over to the bot's last sound."""
        return tuple(turn.silenced_after for turn in self.turns if turn.silenced_after is not None)

    @property
    def first_audio(self) -> float | None:
        """Seconds from the answer to the bot's first sound; None if there was none."""
        return next((turn.began_at for turn in self.turns if turn.speaker == BOT), None)

    @property
    def gaps(self) -> tuple[Stretch, ...]:
        """Holes in the middle of the bot's speech."""
        return gaps(self.heard_spans, self.heard_bot)

    @property
    def dead_air(self) -> tuple[Stretch, ...]:
        """The stretches in which nobody spoke, the wait for the first word included."""
        return silences([(turn.began_at, turn.ended_at) for turn in self.turns], self.seconds)

    @property
    def warnings(self) -> tuple[Alert, ...]:
        """Twilio's warnings, with which a call goes on."""
        return tuple(alert for alert in self.alerts if not alert.is_error)

    @property
    def errors(self) -> tuple[Alert, ...]:
        """Twilio's errors."""
        return tuple(alert for alert in self.alerts if alert.is_error)

    def to_dict(self) -> dict[str, object]:
        """The result for a JSON file, without the audio; times in seconds."""
        return {
            "call_sid": self.call_sid,
            "end": self.end.value if self.end else None,
            "seconds": _rounded(self.seconds),
            "turns": [turn.to_dict() for turn in self.turns],
            "first_audio": _rounded(self.first_audio),
            "gaps": [_stretch(gap) for gap in self.gaps],
            "dead_air": _rounded(max((air.seconds for air in self.dead_air), default=0.0)),
            "alerts": [
                {"code": alert.code, "text": alert.text, "is_error": alert.is_error}
                for alert in self.alerts
            ],
            "violations": [
                {"kind": violation.kind.value, "detail": violation.detail}
                for violation in self.violations
            ],
            "cut_off_secs": _rounded(self.cut_off_secs),
            "clock_late": _rounded(self.clock_late),
            "clock_worst": _rounded(self.clock_worst),
            "timekeeping": self.timekeeping.to_dict(),
            "is_trustworthy": self.is_trustworthy,
        }


def heard_spans_of(playbacks: Sequence[Playback]) -> tuple[HeardSpan, ...]:
    """What was heard of each stream's audio, in order."""
    return tuple(
        HeardSpan(
            begin=span.begin,
            end=span.end,
            began_at=span.sample / SAMPLE_RATE,
            stream=number,
        )
        for number, playback in enumerate(playbacks)
        for span in playback.spans
    )


def turns_of(utterances: Sequence[Utterance], spells: Sequence[Spell]) -> tuple[Turn, ...]:
    """Both sides' turns in order of their beginning."""
    spoken = [utterance for utterance in utterances if utterance.speech_began_at is not None]
    turns = _bot_turns(spoken, spells)
    for index, utterance in enumerate(spoken):
        following = spoken[index + 1] if index + 1 < len(spoken) else None
        turns.append(_caller_turn(utterance, following, spells))
    return tuple(sorted(turns, key=lambda turn: turn.began_at))


def with_words(turns: Sequence[Turn], words: Sequence[HeardWord] | None) -> tuple[Turn, ...]:
    """The turns with the bot's words in them.

    Args:
        turns: Both sides'.
        words: The bot's words that were heard; None if they are not known.
    """
    return tuple(
        replace(turn, words=" ".join(word.text for word in words if _is_in(word, turn)))
        if words is not None and turn.speaker == BOT
        else turn
        for turn in turns
    )


def with_understood(
    turns: Sequence[Turn], understood: Sequence[tuple[float, str]] | None
) -> tuple[Turn, ...]:
    """The turns with what the bot made of the caller's in them.

    Args:
        turns: Both sides'.
        understood: When the bot understood what, in seconds from the answer; None if that is not
            known.
    """
    if understood is None:
        return tuple(turns)
    of_turn: dict[int, list[str]] = {
        place: [] for place, turn in enumerate(turns) if turn.speaker == CALLER
    }
    for at, text in understood:
        if places := [place for place in of_turn if turns[place].began_at < at]:
            of_turn[places[-1]].append(text)
    return tuple(
        replace(turn, understood=" ".join(of_turn[place])) if place in of_turn else turn
        for place, turn in enumerate(turns)
    )


def _is_in(word: HeardWord, turn: Turn) -> bool:
    return turn.began_at <= word.sounds_at <= turn.ended_at


def _bot_turns(spoken: Sequence[Utterance], spells: Sequence[Spell]) -> list[Turn]:
    """Spells joined over the pauses between sentences, unless the caller spoke up in one."""
    turns: list[Turn] = []
    for spell in spells:
        last = turns[-1] if turns else None
        if (
            last is not None
            and spell.began_at - last.ended_at < SENTENCE_PAUSE
            and not any(last.began_at < (u.speech_began_at or 0) < spell.began_at for u in spoken)
        ):
            turns[-1] = replace(last, ended_at=spell.ended_at)
        else:
            turns.append(Turn(speaker=BOT, began_at=spell.began_at, ended_at=spell.ended_at))
    return turns


def _caller_turn(
    utterance: Utterance, following: Utterance | None, spells: Sequence[Spell]
) -> Turn:
    began, ended = utterance.speech_began_at or 0.0, utterance.speech_ended_at or 0.0
    if utterance.ended_at is not None:
        ended = min(ended, utterance.ended_at)
    limit = (following.speech_began_at if following else None) or float("inf")
    answers = (spell.began_at for spell in spells if ended <= spell.began_at < limit)
    answer = next(answers, None)
    talked_over = [spell for spell in spells if spell.began_at < began < spell.ended_at]
    return Turn(
        speaker=CALLER,
        began_at=began,
        ended_at=ended,
        words=utterance.label,
        answered_after=None if answer is None else answer - ended,
        silenced_after=talked_over[0].ended_at - began if talked_over else None,
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _stretch(stretch: Stretch) -> dict[str, object]:
    return {"began_at": _rounded(stretch.began_at), "seconds": _rounded(stretch.seconds)}
