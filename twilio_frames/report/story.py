"""What happened on a call, put together from its log: who spoke when, and what became of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from twilio_frames.report.lines import Kind, Line, number, text
from twilio_frames.report.reading import LoggedCall
from twilio_frames.report.replies import Reply, replies


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lags:
    """How far lines may lie apart that tell of one thing, in seconds.

    Parameters:
        words: Words come so long behind what was said at most.
        first_words: The first may be later still, with a recogniser that cannot keep up.
        told: The bot is held as its sound ends, its last word told as the mark behind it is back.
        nothing: What is left of a word's last sound is nothing to say.
    """

    words: float = 6.0
    first_words: float = 20.0
    told: float = 0.3
    nothing: float = 0.05


_LAGS = _Lags()


class Span(NamedTuple):
    """A stretch of time, seconds on the call's clock."""

    begin: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.begin


class Ending(StrEnum):
    """What became of a hold."""

    RESUMED = "false alarm"
    """A sound that was no interruption: the bot said on."""
    INTERRUPTED = "interruption"
    LATE = "words came late"
    """The bot said on before it knew what the caller had said."""
    OVER = "nothing left to say"
    """The caller answered right behind the bot, or over its last sound."""
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The bot fell silent because the caller might want to speak.

    Parameters:
        span: From the hold to what became of it.
        ending: What that was.
    """

    span: Span
    ending: Ending


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """Something the caller said.

    Parameters:
        span: From onset to end, as the VAD heard it.
        text: The words; empty if none came, or none were logged.
        words: How many words came; None if no transcript did.
        was_backchannel: Whether it only showed that the caller listened.
        words_at: When the first words came; None if none did.
    """

    span: Span
    text: str = ""
    words: int | None = None
    was_backchannel: bool = False
    words_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function the LLM called."""

    name: str
    span: Span
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Away:
    """The call was elsewhere.

    Parameters:
        span: From when to when.
        label: What was done meanwhile, and what came of it.
    """

    span: Span
    label: str


@dataclass(slots=True, kw_only=True)
class Story:
    """One call.

    Parameters:
        log: Its log.
        seconds: How long the stream was up.
        utterances: What the caller said.
        replies: What the bot had to say.
        sent: When audio that was sent would play.
        heard: When the bot was heard.
        flushed: What would have been heard, had a ``clear`` not thrown it away.
        holds: When the bot was held.
        turns: The caller's turns.
        interruptions: When the bot was interrupted while it had something left to say.
        functions: Functions that were called.
        away: When the call had left its stream.
    """

    log: LoggedCall
    seconds: float
    utterances: list[Utterance] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    sent: list[Span] = field(default_factory=list)
    heard: list[Span] = field(default_factory=list)
    flushed: list[Span] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    turns: list[Span] = field(default_factory=list)
    interruptions: list[float] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    away: list[Away] = field(default_factory=list)

    @property
    def title(self) -> str:
        """What the call is called."""
        return text(self.log.first(Kind.CALL), "call_sid") or "A call"

    @property
    def knows_ear(self) -> bool:
        """Whether the log says what was heard, rather than what was said."""
        return bool(self.log.of(Kind.HEARD))


def tell(log: LoggedCall) -> Story:
    """Puts a call together from its log."""
    seconds = number(log.first(Kind.CLOSED), "line_ended", log.last_time)
    story = Story(log=log, seconds=max(seconds, 0.001))
    story.utterances = _utterances(log, story.seconds)
    story.turns = _turns(log, story.seconds)
    story.sent = _spans(log.of(Kind.SENT))
    story.heard = _spans(log.of(Kind.HEARD))
    if not story.heard:
        story.heard = _pairs(log, Kind.BOT_STARTED, Kind.BOT_STOPPED, story.seconds)
    story.flushed = [
        Span(line["t"], line["t"] + number(line, "flushed"))
        for line in log.of(Kind.CUT)
        if number(line, "flushed") > 0
    ]
    story.replies = replies(log)
    story.holds = _holds(log, story)
    story.interruptions = _interruptions(log, story)
    story.functions = _functions(log, story.seconds)
    story.away = list(_away(log, story.seconds))
    story.replies = [
        replace(each, was_cut=each.loses_words_to(story.interruptions)) for each in story.replies
    ]
    return story


def _spans(lines: Sequence[Line]) -> list[Span]:
    spans = (Span(number(line, "begin"), number(line, "end")) for line in lines)
    return sorted(span for span in spans if span.end > span.begin)


def _pairs(
    log: LoggedCall, begins: Kind, ends: Kind, seconds: float, *, back: str = ""
) -> list[Span]:
    """Stretches from lines of one kind to the following ones of another."""
    spans: list[Span] = []
    begun: float | None = None
    for line in log.of(begins, ends):
        at = line["t"] - (number(line, back) if back else 0.0)
        if line["kind"] == begins:
            begun = at if begun is None else begun
        elif begun is not None:
            spans.append(Span(begun, max(at, begun)))
            begun = None
    if begun is not None:
        spans.append(Span(begun, max(seconds, begun)))
    return spans


def _utterances(log: LoggedCall, seconds: float) -> list[Utterance]:
    spans = _pairs(log, Kind.VAD_STARTED, Kind.VAD_STOPPED, seconds, back="after")
    lines = log.of(Kind.TRANSCRIPT, Kind.BACKCHANNEL)
    utterances: list[Utterance] = []
    place = 0
    for index, span in enumerate(spans):
        limit = spans[index + 1].begin if index + 1 < len(spans) else float("inf")
        limit = max(limit, span.end) + 0.3
        mine: list[Line] = []
        while place < len(lines):
            latest = span.end + (_LAGS.words if mine else _LAGS.first_words)
            if lines[place]["t"] >= min(limit, latest):
                break
            mine.append(lines[place])
            place += 1
        utterances.append(_utterance(span, mine))
    return utterances


def _utterance(span: Span, lines: Sequence[Line]) -> Utterance:
    transcripts = [line for line in lines if line["kind"] == Kind.TRANSCRIPT]
    backchannels = [line for line in lines if line["kind"] == Kind.BACKCHANNEL]
    said = transcripts or backchannels
    return Utterance(
        span=span,
        text=" ".join(filter(None, (text(line, "text") for line in said))),
        words=sum(int(number(line, "words")) for line in said) if said else None,
        was_backchannel=bool(backchannels),
        words_at=said[0]["t"] if said else None,
    )


def _turns(log: LoggedCall, seconds: float) -> list[Span]:
    """The caller's turns; words that come after the end of theirs open no other."""
    voices = log.times(Kind.VAD_STARTED)
    bot = log.times(Kind.BOT_STARTED)
    turns: list[Span] = []
    for turn in _pairs(log, Kind.TURN_STARTED, Kind.TURN_STOPPED, seconds):
        ended = turns[-1].end if turns else turn.begin
        is_new = any(ended < at <= turn.begin for at in (*voices, *bot))
        if turns and voices and not is_new:
            turns[-1] = Span(turns[-1].begin, turn.end)
        else:
            turns.append(turn)
    return turns


def _holds(log: LoggedCall, story: Story) -> list[Hold]:
    holds: list[Hold] = []
    held: Line | None = None
    for line in log.of(Kind.HELD, Kind.RESUMED, Kind.INTERRUPTED):
        if line["kind"] == Kind.HELD:
            held = line
        elif held is not None:
            span = Span(held["t"], line["t"])
            ending = _ending(held, span, story, is_resumed=line["kind"] == Kind.RESUMED)
            holds.append(Hold(span=span, ending=ending))
            held = None
    if held is not None:
        span = Span(held["t"], max(story.seconds, held["t"]))
        holds.append(Hold(span=span, ending=Ending.OPEN))
    return holds


def _ending(held: Line, span: Span, story: Story, *, is_resumed: bool) -> Ending:
    at, left = span.begin, held.get("left")
    # An interruption may cut a short word, where a false alarm has at most delayed it.
    nothing = _LAGS.told if is_resumed else _LAGS.nothing
    is_writing = _is_open(story.log, Kind.LLM_STARTED, Kind.LLM_STOPPED, at)
    has_nothing = isinstance(left, int | float) and left <= nothing and not is_writing
    if has_nothing or _is_all_said(at, story):
        return Ending.OVER
    if not is_resumed:
        return Ending.INTERRUPTED
    is_late = any(
        each.words_at is not None
        and each.words_at > span.end
        and not each.was_backchannel
        and each.span.begin < span.end
        and each.span.end > at
        for each in story.utterances
    )
    return Ending.LATE if is_late else Ending.RESUMED


def _is_all_said(at: float, story: Story) -> bool:
    """Whether the bot had been heard to its last word by a time, as far as words are known."""
    made = [each for each in story.replies if each.made_at < at]
    if not made or not all(each.is_known for each in made):
        return False
    last = made[-1]
    is_writing = _is_open(story.log, Kind.LLM_STARTED, Kind.LLM_STOPPED, at)
    return last.is_heard_by(at + _LAGS.told) and not is_writing


def _is_open(log: LoggedCall, begins: Kind, ends: Kind, at: float) -> bool:
    before = [line for line in log.of(begins, ends) if line["t"] <= at]
    return bool(before) and before[-1]["kind"] == begins


def _interruptions(log: LoggedCall, story: Story) -> list[float]:
    """Interruptions of a bot that had something left to say; others are a mere formality."""
    held = {hold.span.end: hold.ending for hold in story.holds}
    speaking = _pairs(log, Kind.BOT_STARTED, Kind.BOT_STOPPED, story.seconds)
    found: list[float] = []
    for at in log.times(Kind.INTERRUPTED):
        is_heard = any(span.begin < at <= span.end + 0.001 for span in speaking)
        is_cut = is_heard and not _is_all_said(at, story)
        if at in held:
            is_cut = held[at] is Ending.INTERRUPTED
        if is_cut and at < story.seconds - 0.001:
            found.append(at)
    return found


def _functions(log: LoggedCall, seconds: float) -> list[Function]:
    ended = {line.get("id"): line for line in log.of(Kind.FUNCTION_ENDED)}
    functions: list[Function] = []
    for line in log.of(Kind.FUNCTION_STARTED):
        end = ended.get(line.get("id"), {})
        span = Span(line["t"], max(line["t"], number(end, "t", seconds)))
        is_failed = end.get("failed") is True
        functions.append(Function(name=text(line, "name"), span=span, failed=is_failed))
    return functions


def _away(log: LoggedCall, seconds: float) -> Iterator[Away]:
    backs = log.of(Kind.BACK)
    for line in log.of(Kind.AWAY):
        back = next((each for each in backs if each["t"] >= line["t"]), None)
        done = ", ".join(_texts(line, "for")) or "something else"
        outcome = "" if back is None else ", ".join(_texts(back, "dialled"))
        if back is None:
            outcome = "did not come back"
        label = f"away: {done}" + (f" ({outcome})" if outcome else "")
        yield Away(span=Span(line["t"], seconds if back is None else back["t"]), label=label)


def _texts(line: Line, field: str) -> list[str]:
    """A field that should be a list of texts."""
    values = line.get(field)
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []
