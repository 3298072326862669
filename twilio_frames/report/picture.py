"""The report as a picture, for people who paste pictures: drawn without a browser.

Pillow draws it; Pipecat brings Pillow along.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

from twilio_frames.report.answers import Part
from twilio_frames.report.content import subtitle, tiles
from twilio_frames.report.finding import Severity, clock_text
from twilio_frames.report.replies import Reply
from twilio_frames.report.report import Report
from twilio_frames.report.story import Span, Utterance
from twilio_frames.report.waves import Peaks

WIDTH = 1400
"""The picture's width, pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """Colours."""

    back: str
    ink: str
    soft: str
    rule: str
    caller: str
    caller_soft: str
    bot: str
    bot_soft: str
    hold: str
    bad: str
    warning: str
    parts: tuple[str, ...]


LIGHT = Face(
    back="#ffffff",
    ink="#1d2128",
    soft="#667080",
    rule="#e2e0da",
    caller="#0a7499",
    caller_soft="#dceef4",
    bot="#ae5709",
    bot_soft="#f8e9dc",
    hold="#ddd3f2",
    bad="#c62f3b",
    warning="#8f6300",
    parts=("#8593ad", "#2b95cf", "#7a52c7", "#c9528c", "#3f9e5a", "#d9731a", "#b8a020"),
)
DARK = Face(
    back="#14181f",
    ink="#e8eaed",
    soft="#98a2b3",
    rule="#2a303a",
    caller="#4cc3ea",
    caller_soft="#1d333d",
    bot="#f5a04c",
    bot_soft="#36291f",
    hold="#3c3358",
    bad="#ff6b73",
    warning="#f0b73f",
    parts=("#93a1bb", "#54b5ea", "#a685f0", "#ec7fb4", "#63c07d", "#f2924a", "#d8c24a"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sizes:
    """How the picture is laid out, in pixels.

    Parameters:
        scale: It is drawn so much larger and made smaller, so that round corners are smooth.
        margin: Left and right of all.
        head: Height of what stands above the rows.
        row: Height of a row.
        low_row: The same on long calls, whose rows have no captions.
        captions: Height of the captions in a row.
        caption: How wide a caption is at least.
        caption_secs: How wide a second must be, or there are no captions.
        line: Height of a line of a caption.
        finding: Height of a finding.
    """

    scale: int = 2
    margin: int = 28
    head: int = 150
    row: int = 248
    low_row: int = 150
    captions: int = 36
    caption: int = 150
    caption_secs: float = 9.0
    line: int = 16
    finding: int = 24


_PX = _Sizes()
_MOST_ROWS = 6
_ROW_SECS = (30, 60, 120, 300, 600, 1200, 3600, 7200, 14400)

Token = tuple[str, str]


def picture(report: Report, *, dark: bool = False) -> bytes:
    """The report as a PNG file.

    Args:
        report: The report.
        dark: Light on dark.
    """
    return _Picture(report, DARK if dark else LIGHT).draw()


@lru_cache(maxsize=16)
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * _PX.scale)


class _Picture:
    def __init__(self, report: Report, face: Face):
        self._report = report
        self._face = face
        seconds = report.seconds
        fitting = (each for each in _ROW_SECS if seconds <= each * _MOST_ROWS)
        self._row_secs = min(next(fitting, seconds / _MOST_ROWS), max(seconds, 5.0))
        self._rows = max(1, -int(-seconds // self._row_secs))
        # Rows of one length, so that the last one is as full as the others.
        self._row_secs = max(seconds / self._rows, 5.0)
        self._scale = (WIDTH - 2 * _PX.margin) / self._row_secs
        has_captions = self._scale >= _PX.caption_secs
        self._row = _PX.row if has_captions else _PX.low_row
        self._lift = 0 if has_captions else _PX.captions
        self._shown = report.findings[:6]
        height = _PX.head + self._rows * self._row + _PX.finding * (len(self._shown) or 1) + 66
        self._image = Image.new("RGB", (WIDTH * _PX.scale, height * _PX.scale), face.back)
        self._pen = ImageDraw.Draw(self._image)

    def draw(self) -> bytes:
        self._head()
        for row in range(self._rows):
            self._draw_row(row)
        self._draw_findings(_PX.head + self._rows * self._row)
        size = (self._image.width // _PX.scale, self._image.height // _PX.scale)
        small = self._image.resize(size, Image.Resampling.LANCZOS)
        file = BytesIO()
        # 256 colours are enough for flat faces, and a third of the size.
        small.quantize(256, method=Image.Quantize.MAXCOVERAGE).save(file, "PNG", optimize=True)
        return file.getvalue()

    def _text(self, x: float, y: float, text: str, colour: str, size: float = 13) -> float:
        """Writes a text; gives its width."""
        font = _font(size)
        self._pen.text((x * _PX.scale, y * _PX.scale), text, fill=colour, font=font)
        return font.getlength(text) / _PX.scale

    def _box(
        self, left: float, top: float, width: float, height: float, colour: str, radius: float = 3
    ) -> None:
        right = left + max(width, 1.5)
        corners = [
            left * _PX.scale,
            top * _PX.scale,
            right * _PX.scale - 1,
            (top + height) * _PX.scale - 1,
        ]
        self._pen.rounded_rectangle(corners, radius * _PX.scale, fill=colour)

    def _head(self) -> None:
        report, face = self._report, self._face
        self._text(_PX.margin, 16, report.story.title, face.ink, 20)
        self._text(_PX.margin, 43, subtitle(report), face.soft)
        x = float(_PX.margin)
        for name, value, more in tiles(report):
            self._text(x, 74, name, face.soft, 12)
            width = self._text(x, 90, value, face.ink, 20)
            self._text(x + width + 6, 97, more, face.soft, 12)
            x += (WIDTH - 2 * _PX.margin) / len(tiles(report))
        self._legend(130)

    def _legend(self, top: float) -> None:
        story, face = self._report.story, self._face
        entries = [
            ("caller speaks", face.caller_soft, bool(story.utterances)),
            ("bot is heard" if story.knows_ear else "bot speaks", face.bot_soft, bool(story.heard)),
            *((f"wait: {part}", colour, True) for part, colour in self._waits()),
            ("bot is held", face.hold, bool(story.holds)),
            ("away from the stream", face.rule, bool(story.away)),
        ]
        x = float(_PX.margin)
        for name, colour, is_shown in entries:
            if is_shown:
                self._box(x, top + 3, 10, 10, colour)
                x += 14 + self._text(x + 14, top, name, face.soft, 12) + 14
        if story.flushed:
            self._hatched(x, top + 13, 12)
            x += 16 + self._text(x + 16, top, "sound thrown away", face.soft, 12) + 14
        if any(each.unheard for each in story.replies):
            width = self._text(x, top, "words never heard", face.bad, 12)
            self._box(x, top + 7, width, 1, face.bad)

    def _waits(self) -> list[tuple[Part, str]]:
        """The parts that an answer of this call took time for, and their colours."""
        seen = {part for each in self._report.answers for part, secs in each.parts.items() if secs}
        coloured = zip(Part, self._face.parts, strict=True)
        return [(part, colour) for part, colour in coloured if part in seen]

    def _draw_row(self, row: int) -> None:
        begin = row * self._row_secs
        shown = Span(begin, begin + self._row_secs)
        top = _PX.head + row * self._row
        story = self._report.story
        self._ruler(shown, top)
        top -= self._lift
        for spans, colour, offset in (
            ([each.span for each in story.utterances], self._face.caller_soft, 58),
            (story.heard, self._face.bot_soft, 124),
        ):
            for left, width in self._clipped(spans, shown):
                self._box(left, top + offset, width, 50, colour, 5)
        for away in story.away:
            for left, width in self._clipped([away.span], shown):
                self._box(left, top + 58, width, 116, self._face.rule, 4)
                if width > _font(11).getlength(away.label) / _PX.scale + 8:
                    self._text(left + 4, top + 108, away.label, self._face.ink, 11)
        for left, width in self._clipped((hold.span for hold in story.holds), shown):
            self._box(left, top + 58, width, 116, self._face.hold, 4)
        peaks = self._report.peaks
        self._wave(peaks, "caller", shown, top + 83, self._face.caller)
        self._wave(peaks, "bot", shown, top + 149, self._face.bot)
        self._name("caller", top + 58, self._face.caller)
        self._name("bot", top + 124, self._face.bot)
        self._answers(shown, top + 111)
        for left, width in self._clipped(story.flushed, shown):
            self._hatched(left, top + 178, width)
        if self._scale >= _PX.caption_secs:
            said = [(each.span.begin, each.span.end, _said(each)) for each in story.utterances]
            self._captions(said, shown, top + 22, 2)
            told = [(*self._placed(each), _told(each)) for each in story.replies]
            self._captions(told, shown, top + 178, 4)

    def _name(self, name: str, top: float, colour: str) -> None:
        """Writes whose lane it is, on a patch of the back so that no sound is behind it."""
        width = _font(11).getlength(name) / _PX.scale
        self._box(_PX.margin, top, width + 6, 15, self._face.back, 2)
        self._text(_PX.margin + 2, top, name, colour, 11)

    def _placed(self, reply: Reply) -> tuple[float, float]:
        after = (span.begin for span in self._report.story.heard if span.end > reply.made_at)
        begin = max(next(after, reply.made_at), reply.made_at)
        last = reply.heard[-1].ended_at if reply.heard else begin
        return min(begin, last), last

    def _clipped(self, spans: Iterable[Span], shown: Span) -> Iterable[tuple[float, float]]:
        for span in spans:
            begin, end = max(span.begin, shown.begin), min(span.end, shown.end)
            if begin < end:
                yield self._x(begin, shown), (end - begin) * self._scale

    def _x(self, time: float, shown: Span) -> float:
        return _PX.margin + (time - shown.begin) * self._scale

    def _ruler(self, shown: Span, top: float) -> None:
        steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 3600)
        step = next((each for each in steps if each * self._scale >= 64), 3600)
        for mark in range(-int(-shown.begin // step), int(shown.end // step) + 1):
            x = self._x(mark * step, shown)
            self._box(x, top + 4, 1, self._row - 16, self._face.rule, 0)
            if x < WIDTH - _PX.margin - 30:
                self._text(x + 4, top + 3, clock_text(mark * step)[:-2], self._face.soft, 10.5)

    def _wave(self, peaks: Peaks, side: str, shown: Span, middle: float, colour: str) -> None:
        levels = peaks.caller if side == "caller" else peaks.bot
        bar = max(1.0, min(3.0, peaks.step * self._scale))
        width = min(self._row_secs, max(0.0, self._report.seconds - shown.begin)) * self._scale
        for index in range(int(width / bar)):
            at = shown.begin + index * bar / self._scale
            begin = int(at / peaks.step)
            end = max(begin + 1, int((at + bar / self._scale) / peaks.step))
            loudest = int(levels[begin:end].max()) if begin < len(levels) else 0
            reach = max(0.5, loudest / 255 * 27)
            gap = 0.5 if bar > 2 else 0.0
            left = _PX.margin + index * bar
            self._box(left, middle - reach, bar - gap, 2 * reach, colour, 0)

    def _answers(self, shown: Span, top: float) -> None:
        colours = dict(zip(Part, self._face.parts, strict=True))
        for answer in self._report.answers:
            at = answer.began_at
            for part, seconds in answer.parts.items():
                for left, width in self._clipped([Span(at, at + seconds)], shown):
                    self._box(left, top, width, 10, colours[part], 2)
                at += seconds
            is_told = shown.begin <= at < shown.end and not answer.is_greeting
            if is_told and answer.seconds and answer.seconds * self._scale > 26:
                x = self._x(at, shown) + 4
                self._text(x, top - 2, f"{answer.seconds:.2f} s", self._face.ink, 11)

    def _hatched(self, left: float, top: float, width: float) -> None:
        steps = int(max(width, 4) // 4)
        for step in range(steps):
            x = (left + 4 * step) * _PX.scale
            line = (x, (top - 2) * _PX.scale, x + 4 * _PX.scale, (top - 8) * _PX.scale)
            self._pen.line(line, fill=self._face.bad, width=_PX.scale)

    def _captions(
        self,
        items: Sequence[tuple[float, float, list[Token]]],
        shown: Span,
        top: float,
        most_lines: int,
    ) -> None:
        seen = [each for each in items if each[1] >= shown.begin and each[0] < shown.end]
        free = float(_PX.margin)
        for index, (begin, end, tokens) in enumerate(seen):
            following = seen[index + 1][0] if index + 1 < len(seen) else shown.end
            limit = self._x(min(following, shown.end), shown) - 8
            latest = WIDTH - _PX.margin - _PX.caption
            left = max(free, min(self._x(max(begin, shown.begin), shown), latest))
            wanted = max(self._x(min(end, shown.end), shown), left + _PX.caption)
            right = min(wanted, limit if index + 1 < len(seen) else WIDTH - _PX.margin)
            if right - left > 34:
                self._caption(tokens, left, right - left, top, most_lines)
                free = right + 8

    def _caption(
        self, tokens: Sequence[Token], left: float, width: float, top: float, most_lines: int
    ) -> None:
        x, line = 0.0, 0
        space = _font(13).getlength(" ") / _PX.scale
        for word, style in tokens:
            size = _font(13).getlength(word) / _PX.scale
            if x > 0 and x + size > width:
                x, line = 0.0, line + 1
            if line >= most_lines:
                return
            colour = {"unheard": self._face.bad, "faint": self._face.soft}.get(
                style, self._face.ink
            )
            y = top + line * _PX.line
            self._text(left + x, y, word, colour, 13)
            if style == "unheard":
                self._box(left + x, y + 8, size + space, 1, colour, 0)
            x += size + space

    def _draw_findings(self, top: float) -> None:
        face = self._face
        self._text(_PX.margin, top + 8, "What went wrong", face.ink, 15)
        if not self._shown:
            self._text(_PX.margin, top + 34, "Nothing.", face.soft)
        colours = {
            Severity.BAD: face.bad,
            Severity.WARNING: face.warning,
            Severity.NOTE: face.soft,
        }
        for index, finding in enumerate(self._shown):
            y = top + 34 + index * _PX.finding
            self._box(_PX.margin, y + 4, 9, 9, colours[finding.severity], 4.5)
            at = "" if finding.at is None else clock_text(finding.at)
            self._text(_PX.margin + 18, y, at, face.soft)
            self._text(_PX.margin + 78, y, finding.title, face.ink)


def _said(utterance: Utterance) -> list[Token]:
    style = "faint" if utterance.was_backchannel else "plain"
    return [(word, style) for word in utterance.text.split()] or [("(no words)", "faint")]


def _told(reply: Reply) -> list[Token]:
    if not reply.is_known or not reply.text:
        return [(word, "plain") for word in reply.text.split()]
    heard = [(word.text, "plain") for word in reply.heard]
    return heard + [(word, "unheard") for word in reply.unheard.split()]
