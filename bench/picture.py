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
    width, height, left, bottom, top = 1000, 420, 80, 360, 60
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    draw.text((left, 16), title, fill=_INK, font=_FONT)
    most_x = max(x for x, _ in points) or 1.0
    most_y = 1.2 * max(y for _, y in points) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        return left + (width - left - 40) * x / most_x, bottom - (bottom - top) * y / most_y

    for value in _round_values(most_y):
        _, y = place(0, value)
        draw.line((left, y, width - 40, y), fill=_RULE)
        draw.text((left - 10, y), f"{value:,g}", fill=_SOFT, font=_SMALL, anchor="rm")
    for value in _round_values(most_x):
        x, _ = place(value, 0)
        draw.text((x, bottom + 10), f"{value:,g}", fill=_SOFT, font=_SMALL, anchor="mt")
    draw.line([place(x, y) for x, y in points], fill=_COLOURS[0], width=3)
    image.save(path, optimize=True)


def _round_values(most: float) -> list[float]:
    """Three to seven values for an axis, from 0 on: steps of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(most))
    step = next(part * power for part in (0.2, 0.5, 1, 2) if most / (part * power) <= 6)
    return [number * step for number in range(int(most / step) + 1)]
