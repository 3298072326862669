"""Recordings of Debian's: prompts of a telephone exchange, and its music on hold."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from twilio_frames.audio import mulaw_of_wav

PROMPTS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
MUSIC = Path("/usr/share/asterisk/moh")

needs_recordings = pytest.mark.skipif(
    not (PROMPTS.is_dir() and MUSIC.is_dir()),
    reason="apt-get install asterisk-core-sounds-en-wav asterisk-moh-opsound-wav",
)


def prompt(name: str) -> bytes:
    """One prompt, mu-law."""
    return mulaw_of_wav((PROMPTS / f"{name}.wav").read_bytes())


def recordings(folder: Path) -> Iterator[tuple[str, bytes]]:
    """All recordings in a folder by name, but for those that hold no sound."""
    for path in sorted(folder.rglob("*.wav")):
        if "silence" not in path.parts:
            yield path.stem, mulaw_of_wav(path.read_bytes())
