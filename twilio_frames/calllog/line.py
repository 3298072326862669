"""What the line itself tells a call log: what came and went, when, and how loud it was."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw
from twilio_frames.calllog.writer import Line
from twilio_frames.protocol import BotMessage, Clear, Event, Media, Playback, SendMedia, Violation
from twilio_frames.protocol.playback import Cut
from twilio_frames.report.lines import LEVEL_STEP, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """How often the line is told of, and in which grain.

    Parameters:
        seam: Seconds between two stretches of sound that are still one.
        line_secs: Between two lines on how the line does.
        levels_secs: How much one line of levels holds.
        latest_audio_secs: The bot's audio is told when its mark is back, which may be late.
        each: One sample in so many is looked at, which tells as much in less time.
        violations: Lines on violations of one kind.
    """

    seam: float = 0.06
    line_secs: float = 1.0
    levels_secs: float = 5.0
    latest_audio_secs: float = 4.0
    each: int = 4
    violations: int = 20


_TOLD = _Told()
_LEVELS_PER_SECOND = round(1 / LEVEL_STEP)
_LEVEL_SAMPLES = SAMPLE_RATE // _LEVELS_PER_SECOND // _TOLD.each


def _magnitude(code: int) -> int:
    sample = int.from_bytes(decode_mulaw(bytes([code])), "little", signed=True)
    return min(255, round((abs(sample) / 32124) ** 0.5 * 255))


LOUDNESS = bytes(map(_magnitude, range(256)))
"""How loud a mu-law code is, 0 to 255: the root of its amplitude, so that quiet speech shows."""


class _Levels:
    """The loudest of each tenth of a second of one side."""

    def __init__(self) -> None:
        self._levels: dict[int, int] = {}

    def note(self, mulaw: bytes, at: float) -> None:
        if not mulaw:
            return
        loudness = mulaw[:: _TOLD.each].translate(LOUDNESS)
        for begin in range(0, len(loudness), _LEVEL_SAMPLES):
            slot = int((at + begin * _TOLD.each / SAMPLE_RATE) * _LEVELS_PER_SECOND)
            loudest = max(loudness[begin : begin + _LEVEL_SAMPLES])
            if loudest > self._levels.get(slot, 0):
                self._levels[slot] = loudest

    def take(self, begin: int, end: int) -> str:
        return bytes(self._levels.pop(slot, 0) for slot in range(begin, end)).hex()


class _Stretch:
    """A stretch of time, as long as what comes goes on where it ended."""

    def __init__(self, kind: Kind):
        self._kind = kind
        self._begin = self._end = 0.0

    def extend(self, begin: float, end: float) -> list[Line]:
        """Makes it longer; gives the line of the one before if this one is another."""
        if self._end and abs(begin - self._end) <= _TOLD.seam:
            self._end = max(self._end, end)
            return []
        ended = self.take()
        self._begin, self._end = begin, end
        return ended

    def take(self, until: float | None = None) -> list[Line]:
        """The line of the stretch, if it is over by a time."""
        if not self._end or (until is not None and self._end > until):
            return []
        line: Line = {
            "kind": self._kind,
            "begin": round(self._begin, 3),
            "end": round(self._end, 3),
        }
        self._begin = self._end = 0.0
        return [line]


class LineNotes:
    """Listens in on the line, and watches its messages.

    Implements :class:`twilio_frames.transport.taps.CallTap` and
    :class:`twilio_frames.transport.taps.LineWatcher`.

    Args:
        note: Takes each line; one without a time is of this moment.
        opened_at: Zero of the log's clock, by ``time.monotonic()``.
        underruns: How often the caller heard a hole so far.
        ended: Called when the line has ended.
    """

    def __init__(
        self,
        note: Callable[[Line], None],
        *,
        opened_at: float,
        underruns: Callable[[], int],
        ended: Callable[[], None],
    ):
        self.violations: Counter[str] = Counter()
        """How many messages broke which rule."""
        self._note = note
        self._opened_at = opened_at
        self._underruns = underruns
        self._told_underruns = 0
        self._ended = ended
        self._playback: Playback | None = None
        self._told_cut: Cut | None = None
        self._sent_at_clear, self._cleared_at = 0, 0.0
        self._last_media: Media | None = None
        self._last_media_at = 0.0
        self._received = self._told_levels = self._told_sent = 0
        self._longest_wait = self._told_line_at = 0.0
        self._caller, self._bot = _Levels(), _Levels()
        self._sent, self._heard = _Stretch(Kind.SENT), _Stretch(Kind.HEARD)

    def received(self, event: Event, now: float) -> None:
        """Counts what arrives."""
        if isinstance(event, Media):
            self._longest_wait = max(self._longest_wait, self._waited_for(event, now))
            self._last_media, self._last_media_at = event, now
            self._received += 1
        elif isinstance(event, Violation):
            self.violations[event.kind.value] += 1
            if self.violations[event.kind.value] <= _TOLD.violations:
                self._note({"kind": Kind.VIOLATION, "rule": event.kind.value})

    def _waited_for(self, media: Media, now: float) -> float:
        """How long a message was waited for, without what its time says that was left out."""
        last = self._last_media
        if last is None or media.stream_sid != last.stream_sid:
            return 0.0
        left_out = 0.0
        if media.timestamp is not None and last.timestamp is not None:
            # A line may send nothing where the caller is silent; what a network held up is late.
            left_out = (media.timestamp - last.timestamp) / 1000 - len(last.payload) / SAMPLE_RATE
        return max(0.0, now - self._last_media_at - max(0.0, left_out))

    def sending(self, message: BotMessage, playback: Playback, now: float) -> None:
        """Notes what is sent, and what a ``clear`` throws away."""
        self._playback = playback
        if isinstance(message, SendMedia):
            if playback.is_cutting:
                # Moments of silence between marks, by which the cut is dated.
                return
            self._note_underrun(max(0.0, now - playback.ends_at))
            seconds = len(message.payload) / SAMPLE_RATE
            plays_at = max(playback.ends_at, now) - self._opened_at
            for line in self._sent.extend(plays_at, plays_at + seconds):
                self._note(line)
        elif isinstance(message, Clear):
            self._note_cut()
            self._sent_at_clear, self._cleared_at = playback.sent, now - self._opened_at
            for line in self._sent.take():
                self._note(line)

    def _note_underrun(self, seconds: float) -> None:
        underruns = self._underruns()
        if underruns > self._told_underruns:
            self._told_underruns = underruns
            self._note({"kind": Kind.UNDERRUN, "seconds": round(seconds, 3)})

    def _note_cut(self) -> None:
        """Notes the last cut once, when it is known where it was."""
        cut = self._playback.cut if self._playback else None
        if cut is None or cut is self._told_cut or not cut.is_settled:
            return
        self._told_cut = cut
        flushed = max(0, self._sent_at_clear - cut.position) / SAMPLE_RATE
        self._note(
            {
                "kind": Kind.CUT,
                "t": round(self._cleared_at, 4),
                "position": cut.position,
                "bound": cut.bound,
                "flushed": round(flushed, 3),
            }
        )

    def caller_audio(self, mulaw: bytes, at: float) -> None:
        """Notes how loud the caller was."""
        self._caller.note(mulaw, at)

    def bot_audio(self, mulaw: bytes, at: float) -> None:
        """Notes how loud the bot was, and that it was heard."""
        self._bot.note(mulaw, at)
        for line in self._heard.extend(at, at + len(mulaw) / SAMPLE_RATE):
            self._note(line)

    def line_ended(self, at: float) -> None:
        """Tells that the line has ended."""
        self._ended()

    def tick(self, t: float) -> None:
        """Writes down what has come together by a time on the log's clock."""
        self._note_cut()
        for line in (*self._sent.take(t), *self._heard.take(t - _TOLD.latest_audio_secs)):
            self._note(line)
        if t - self._told_line_at >= _TOLD.line_secs:
            self._tell_line(t)
        ready = int((t - _TOLD.latest_audio_secs) * _LEVELS_PER_SECOND)
        if ready - self._told_levels >= _TOLD.levels_secs * _LEVELS_PER_SECOND:
            self._tell_levels(ready)

    def _tell_line(self, t: float) -> None:
        line: Line = {"kind": Kind.LINE, "received": self._received}
        line["longest_wait"] = round(self._longest_wait, 3)
        if (playback := self._playback) is not None:
            now = t + self._opened_at
            line["sent"] = round((playback.sent - self._told_sent) / SAMPLE_RATE, 3)
            line["ahead"] = round(max(0.0, playback.ends_at - now), 3)
            line["round_trip"] = round(playback.round_trip, 4)
            self._told_sent = playback.sent
        self._note(line)
        self._received, self._longest_wait, self._told_line_at = 0, 0.0, t

    def _tell_levels(self, end: int) -> None:
        begin, self._told_levels = self._told_levels, end
        fields = {"begin": round(begin * LEVEL_STEP, 3), "step": LEVEL_STEP}
        caller, bot = self._caller.take(begin, end), self._bot.take(begin, end)
        self._note({"kind": Kind.LEVELS, **fields, "caller": caller, "bot": bot})

    def close(self, t: float) -> None:
        """Writes down what is left."""
        for line in (*self._sent.take(), *self._heard.take()):
            self._note(line)
        self._tell_line(t)
        self._tell_levels(max(self._told_levels, int(t * _LEVELS_PER_SECOND) + 1))
        self._note_cut()
