"""The colours of a picture, by day and by night; the page has the same in its style sheet."""

from dataclasses import dataclass


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
    caller="#0b7fa8",
    caller_soft="#dceef4",
    bot="#c2620a",
    bot_soft="#f8e9dc",
    hold="#ddd3f2",
    bad="#c62f3b",
    warning="#b07a00",
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
