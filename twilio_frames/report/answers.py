"""How long the caller waited for each answer, and where that time went."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from twilio_frames.report.lines import Kind, Line, number
from twilio_frames.report.reading import LoggedCall
from twilio_frames.report.story import Span, Story

_TOGETHER = 0.05


class Part(StrEnum):
    """Who had the time."""

    END_OF_TURN = "end of turn"
    """Waiting to be sure that the caller has finished: the VAD's silence, and what decides."""
    STT = "speech to text"
    LLM = "language model"
    FUNCTIONS = "functions"
    TTS = "text to speech"
    PIPELINE = "pipeline"
    """What is left: this process, between the services and the line."""
    LINE = "line"
    """From the first message to the caller's ear, as far as marks tell it: there and back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The bot's answer to one of the caller's turns, or its greeting.

    Parameters:
        began_at: When the caller stopped to speak; for a greeting, when the call began.
        heard_at: When the answer was first heard; None if none was before the next turn.
        is_greeting: Whether it is the first thing the bot said, unasked.
        parts: Where the time went, seconds, in order of time; all of it.
    """

    began_at: float
    heard_at: float | None
    is_greeting: bool
    parts: dict[Part, float]

    @property
    def seconds(self) -> float | None:
        """How long the caller waited; None for an answer that never was."""
        return None if self.heard_at is None else self.heard_at - self.began_at

    @property
    def slowest(self) -> Part | None:
        """Who had most of the time."""
        return max(self.parts, key=lambda part: self.parts[part]) if self.parts else None


class _Moments:
    """Times of one kind of line, to find the first one in a window."""

    def __init__(self, times: Sequence[float]):
        self._times = sorted(times)

    def first(self, begin: float, end: float) -> float | None:
        place = bisect_left(self._times, begin)
        is_found = place < len(self._times) and self._times[place] < end
        return self._times[place] if is_found else None

    def last(self, begin: float, end: float) -> float | None:
        place = bisect_left(self._times, end) - 1
        is_found = place >= 0 and self._times[place] >= begin
        return self._times[place] if is_found else None


class _Clock:
    """All moments of a call that an answer's time is split by."""

    def __init__(self, story: Story):
        log = story.log
        self.speech_ends = {
            line["t"]: line["t"] - number(line, "after") for line in log.of(Kind.VAD_STOPPED)
        }
        self.vad = _Moments(log.times(Kind.VAD_STOPPED))
        self.transcripts = _Moments(log.times(Kind.TRANSCRIPT))
        self.llm = _Moments(log.times(Kind.LLM_STARTED))
        self.said = _Moments(log.times(Kind.SAID))
        self.audio = _Moments(log.times(Kind.TTS_AUDIO))
        self.sent = _Moments([span.begin for span in story.sent])
        self.heard = _Moments([span.begin for span in story.heard])


def answers(story: Story) -> list[Answer]:
    """The bot's answers, in order, the greeting first."""
    clock = _Clock(story)
    turns = story.turns
    begins = [turn.begin for turn in turns]
    limit = begins[0] if begins else story.seconds
    found: list[Answer] = []
    if (greeting := _greeting(story.log, clock, limit)) is not None:
        found.append(greeting)
    for index, turn in enumerate(turns):
        following = begins[index + 1] if index + 1 < len(begins) else float("inf")
        if turn.end < story.seconds:
            before = turns[index - 1].end if index else 0.0
            found.append(_answer(turn, before, following, clock, story))
    return found


def _greeting(log: LoggedCall, clock: _Clock, limit: float) -> Answer | None:
    began = number(log.first(Kind.CALL), "t")
    heard = clock.heard.first(began, limit)
    if heard is None:
        return None
    parts = _spoken_parts(began, clock.llm.first(began, heard), clock, [], heard)
    return Answer(began_at=began, heard_at=heard, is_greeting=True, parts=parts)


def _answer(turn: Span, before: float, following: float, clock: _Clock, story: Story) -> Answer:
    stopped = clock.vad.last(turn.begin, turn.end + _TOGETHER)
    transcript = clock.transcripts.last(before, turn.end + _TOGETHER)
    if stopped is None and transcript is not None:
        # Words began the turn, after the voice.
        stopped = clock.vad.last(before, transcript)
    began = clock.speech_ends[stopped] if stopped is not None else turn.end
    # The first sound may be on the line in the moment in which the turn is over.
    heard = clock.heard.first(turn.end - _TOGETHER, following)
    if heard is None:
        return Answer(began_at=began, heard_at=None, is_greeting=False, parts={})
    waited = max(stopped or began, began)
    words = max(waited, min(transcript or waited, turn.end))
    ended = min(max(words, turn.end), max(words, heard))
    functions = [each.span for each in story.functions if each.span.begin >= turn.begin]
    llm = clock.llm.first(turn.end - _TOGETHER, heard)
    spoken = _spoken_parts(ended, llm, clock, functions, heard)
    ending = {Part.END_OF_TURN: waited - began + ended - words, Part.STT: words - waited}
    return Answer(began_at=began, heard_at=heard, is_greeting=False, parts=ending | spoken)


def _spoken_parts(
    ended: float, llm: float | None, clock: _Clock, functions: Sequence[Span], heard: float
) -> dict[Part, float]:
    """Where the time between the end of the turn and the first sound went."""
    asked = llm if llm is not None else clock.said.first(ended, heard)
    asked = max(ended, asked if asked is not None else ended)
    made = clock.said.first(asked, heard)
    made = made if made is not None else asked
    audio = clock.audio.first(made, heard)
    audio = audio if audio is not None else made
    sent = clock.sent.first(audio - _TOGETHER, heard + _TOGETHER)
    sent = min(max(sent, audio), heard) if sent is not None else heard
    called = sum(max(0.0, min(span.end, made) - max(span.begin, asked)) for span in functions)
    called = min(called, made - asked)
    return {
        Part.LLM: made - asked - called,
        Part.FUNCTIONS: called,
        Part.TTS: audio - made,
        Part.PIPELINE: asked - ended + sent - audio,
        Part.LINE: heard - sent,
    }


class AnswerTimes:
    """Tells how long the caller waited for each answer while a call goes on.

    Args:
        is_whole: Whether it is told of all from the call's beginning; else the first turn may have
            begun, and the caller's voice ended, before anything was told.
    """

    def __init__(self, *, is_whole: bool = True) -> None:
        self._is_whole = is_whole
        self._voice_ended = 0.0
        self._turn: tuple[float, float] | None = None

    def note(self, line: Line) -> None:
        """Takes a line of the log whose time is the line's."""
        if line["kind"] == Kind.VAD_STOPPED:
            self._voice_ended = line["t"] - number(line, "after")
        elif line["kind"] == Kind.TURN_STARTED:
            self._turn = None
        elif line["kind"] == Kind.TURN_STOPPED:
            if self._voice_ended or self._is_whole:
                self._turn = (self._voice_ended or line["t"], line["t"])
            self._is_whole = True

    def heard(self, at: float) -> float | None:
        """The bot begins to be heard: seconds, if that is an answer."""
        if self._turn is None or at < self._turn[1] - _TOGETHER:
            return None
        ended, self._turn = self._turn[0], None
        return max(0.0, at - ended)
