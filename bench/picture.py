"""Bars and lines as a picture, drawn with Pillow, which Pipecat brings along."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

_INK, _SOFT, _RULE = "#1d2128", "#667080", "#e2e0da"
_COLOURS = ("#0a7499", "#54b5ea", "#ae5709", "#7a52c7")
_PANEL, _BAR, _MARGIN = 520, 34, 40
_FONT, _SMALL = ImageFont.load_default(20), ImageFont.load_default(16)

Panels = Mapping[str, Mapping[str, float]]
"""A title to the values by side."""


def draw_bars(panels: Panels, path: Path) -> None:
    """Draws a panel of bars for each title, two beside each other; what is NaN has no bar."""
    sides = max((len(values) for values in panels.values()), default=0)
    height = 60 + sides * (_BAR + 12) + 30
    rows = math.ceil(len(panels) / 2)
    image = Image.new("RGB", (2 * (_PANEL + _MARGIN) + _MARGIN, rows * height + _MARGIN), "white")
    for number, (title, values) in enumerate(panels.items()):
        left = _MARGIN + number % 2 * (_PANEL + _MARGIN)
        _panel(ImageDraw.Draw(image), left, _MARGIN // 2 + number // 2 * height, title, values)
    image.save(path, optimize=True)


def _panel(
    draw: ImageDraw.ImageDraw, left: int, top: int, title: str, values: Mapping[str, float]
) -> None:
    draw.text((left, top), title, fill=_INK, font=_FONT)
    greatest = max((value for value in values.values() if not math.isnan(value)), default=1.0)
    for number, (side, value) in enumerate(values.items()):
        y = top + 40 + number * (_BAR + 12)
        draw.text((left, y + 6), side, fill=_SOFT, font=_SMALL)
        begin, room = left + 170, _PANEL - 250
        length = 0.0 if math.isnan(value) else room * value / (greatest or 1.0)
        box = (begin, y, begin + max(2, round(length)), y + _BAR)
        draw.rectangle(box, fill=_COLOURS[number % len(_COLOURS)])
        text = "-" if math.isnan(value) else f"{value:.3g}"
        draw.text((box[2] + 8, y + 6), text, fill=_INK, font=_SMALL)


def draw_line(title: str, points: Sequence[tuple[float, float]], path: Path) -> None:
    """Draws a line through points; both axes begin at 0."""
    width, height, left, bottom = 1000, 420, 80, 60
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    draw.text((left, 16), title, fill=_INK, font=_FONT)
    most_x = max(x for x, _ in points) or 1.0
    most_y = 1.2 * max(y for _, y in points) or 1.0
    scaled = [
        (
            left + (width - left - 30) * x / most_x,
            height - bottom - (height - bottom - 60) * y / most_y,
        )
        for x, y in points
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = height - bottom - share * (height - bottom - 60)
        draw.line((left, y, width - 30, y), fill=_RULE)
        draw.text((10, y - 10), f"{share * most_y:.0f}", fill=_SOFT, font=_SMALL)
        x = left + share * (width - left - 30)
        draw.text((x - 20, height - bottom + 10), f"{share * most_x:,.0f}", fill=_SOFT, font=_SMALL)
    draw.line(scaled, fill=_COLOURS[0], width=3)
    image.save(path, optimize=True)
