"""What happened on a call, put together from its log: who spoke when, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from twilio_frames.report.lines import Kind
from twilio_frames.report.reading import Line, LoggedCall, number, text

_REPLY_SEAM = 0.25
_WORDS_AFTER = 6.0
_NOTHING_SECS = 0.05
"""What is left of a word's last sound is nothing to say."""
_TOGETHER_SECS = 0.25


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
    INTERRUPTED = "interruption"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The bot fell silent because the caller might want to speak.

    Parameters:
        span: From the hold to what became of it.
        ending: What that was.
        left: How many seconds the bot had still to say; None if that is not known.
    """

    span: Span
    ending: Ending
    left: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """Something the caller said.

    Parameters:
        span: From onset to end, as the VAD heard it.
        text: The words; empty if none came, or none were logged.
        words: How many words came; None if no transcript did.
        was_backchannel: Whether it only showed that the caller listened.
    """

    span: Span
    text: str = ""
    words: int | None = None
    was_backchannel: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word the caller heard of the bot.

    Parameters:
        ended_at: When its last sound was heard.
        text: The word; empty if words were not logged.
    """

    ended_at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Something the bot had to say.

    Parameters:
        made_at: When its first text went to the speech service.
        text: All of it; empty if words were not logged.
        words: How many words it has.
        heard: The words that were heard.
        unheard: The words that were not.
        was_cut: Whether an interruption kept words from being heard.
        is_known: Whether it is known which words were heard.
    """

    made_at: float
    text: str
    words: int
    heard: tuple[Word, ...]
    unheard: str
    was_cut: bool
    is_known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function the LLM called."""

    name: str
    span: Span
    failed: bool = False


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
        interruptions: When the bot was interrupted while it spoke.
        functions: Functions that were called.
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
    story.turns = _pairs(log, Kind.TURN_STARTED, Kind.TURN_STOPPED, story.seconds)
    story.sent = _spans(log.of(Kind.SENT))
    story.heard = _spans(log.of(Kind.HEARD))
    if not story.heard:
        story.heard = _pairs(log, Kind.BOT_STARTED, Kind.BOT_STOPPED, story.seconds)
    story.flushed = [
        Span(line["t"], line["t"] + number(line, "flushed"))
        for line in log.of(Kind.CUT)
        if number(line, "flushed") > 0
    ]
    story.holds = _holds(log, story.seconds)
    interruptions = _interruptions(log, story)
    story.functions = _functions(log, story.seconds)
    story.replies = _replies(log, interruptions)
    story.interruptions = [at for at in interruptions if _has_cut(at, log, story)]
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
        while place < len(lines) and lines[place]["t"] < min(limit, span.end + _WORDS_AFTER):
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
    )


def _holds(log: LoggedCall, seconds: float) -> list[Hold]:
    holds: list[Hold] = []
    held: Line | None = None
    endings = {Kind.RESUMED: Ending.RESUMED, Kind.INTERRUPTED: Ending.INTERRUPTED}
    for line in log.of(Kind.HELD, Kind.RESUMED, Kind.INTERRUPTED):
        if line["kind"] == Kind.HELD:
            held = line
        elif held is not None:
            holds.append(_hold(held, line["t"], endings[line["kind"]]))
            held = None
    if held is not None:
        holds.append(_hold(held, max(seconds, held["t"]), Ending.OPEN))
    return holds


def _hold(held: Line, end: float, ending: Ending) -> Hold:
    left = number(held, "left") if "left" in held and held["left"] is not None else None
    return Hold(span=Span(held["t"], end), ending=ending, left=left)


def _interruptions(log: LoggedCall, story: Story) -> list[float]:
    """Interruptions of a bot that was being heard; others are a mere formality."""
    held = [hold.span.end for hold in story.holds if hold.ending is Ending.INTERRUPTED]
    speaking = _pairs(log, Kind.BOT_STARTED, Kind.BOT_STOPPED, story.seconds)
    found: list[float] = []
    for at in log.times(Kind.INTERRUPTED):
        is_heard = any(span.begin < at <= span.end + 0.001 for span in speaking)
        if (is_heard or at in held) and at < story.seconds - 0.001:
            found.append(at)
    return found


def _has_cut(at: float, log: LoggedCall, story: Story) -> bool:
    """Whether an interruption kept anything from being heard, as far as the log tells.

    A caller who answers in the moment of the bot's last word has interrupted nobody.
    """
    holds = [hold for hold in story.holds if hold.span.end == at and hold.left is not None]
    if holds:
        return any((hold.left or 0.0) > _NOTHING_SECS for hold in holds)
    knows_words = bool(story.replies or log.of(Kind.CUT))
    if not (story.knows_ear and knows_words):
        return True
    cuts = [line["t"] for line in log.of(Kind.CUT) if number(line, "flushed") > _NOTHING_SECS]
    if any(abs(cut - at) < _TOGETHER_SECS for cut in cuts):
        return True
    begun = [reply for reply in story.replies if reply.made_at < at]
    return any(reply.was_cut for reply in begun[-1:])


def _functions(log: LoggedCall, seconds: float) -> list[Function]:
    ended = {line.get("id"): line for line in log.of(Kind.FUNCTION_ENDED)}
    functions: list[Function] = []
    for line in log.of(Kind.FUNCTION_STARTED):
        end = ended.get(line.get("id"), {})
        span = Span(line["t"], max(line["t"], number(end, "t", seconds)))
        is_failed = end.get("failed") is True
        functions.append(Function(name=text(line, "name"), span=span, failed=is_failed))
    return functions


def _replies(log: LoggedCall, interruptions: Sequence[float]) -> list[Reply]:
    said: dict[object, list[Line]] = {}
    for line in log.of(Kind.SAID):
        said.setdefault(line.get("context"), []).append(line)
    heard: dict[object, list[Line]] = {}
    for line in log.of(Kind.WORD):
        heard.setdefault(line.get("context"), []).append(line)
    knows_words = bool(heard)
    return [
        _reply(lines, heard.get(context, []), interruptions, is_known=knows_words)
        for context, lines in said.items()
    ]


def _reply(
    said: Sequence[Line], heard: Sequence[Line], interruptions: Sequence[float], *, is_known: bool
) -> Reply:
    made_at = said[0]["t"]
    whole = " ".join(filter(None, (text(line, "text") for line in said)))
    words = sum(int(number(line, "words")) for line in said)
    heard_words = sum(max(1, int(number(line, "words"))) for line in heard)
    last = max((line["t"] for line in heard), default=made_at)
    is_short = is_known and heard_words < words
    return Reply(
        made_at=made_at,
        text=whole,
        words=words,
        heard=tuple(Word(ended_at=line["t"], text=text(line, "text")) for line in heard),
        unheard=" ".join(whole.split()[heard_words:]) if is_short else "",
        was_cut=is_short and any(at > made_at and at > last - 1.0 for at in interruptions),
        is_known=is_known,
    )
