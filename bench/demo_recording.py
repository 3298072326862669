"""Makes ``docs/demo-call.wav``: the demonstration as a caller and a bot were heard, with its words.

The words go into ``docs/start.md``, below the player. Takes a minute, and the extra ``local``::

    python bench/demo_recording.py
"""

import io
import re
import struct
import tempfile
import wave
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

from twilio_frames.audio import encode_mulaw
from twilio_frames.cli import main as twilio_frames

_DOCS = Path(__file__).parent.parent / "docs"
_PAGE = _DOCS / "start.md"
_TARGET = _DOCS / "demo-call.wav"
_WORDS = re.compile(r"(?<=<!-- words of demo-call.wav -->\n```text\n).*?(?=```\n)", re.S)
_MOST_BYTES = 400_000


def mixed(recording: Path) -> bytes:
    """Both sides of a recording on one channel, as mu-law."""
    with wave.open(str(recording), "rb") as file:
        both = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, 2)
    one = np.clip(both.sum(axis=1, dtype=np.int32), -32768, 32767)
    return encode_mulaw(one.astype(np.int16).tobytes())


def mulaw_wav(mulaw: bytes) -> bytes:
    """A WAV file of mu-law, which all browsers play: half as long as one of PCM."""
    form = struct.pack("<HHIIHHH", 7, 1, 8000, 8000, 1, 8, 0)
    fact = struct.pack("<I", len(mulaw))
    parts = ((b"fmt ", form), (b"fact", fact), (b"data", mulaw + bytes(len(mulaw) % 2)))
    content = b"".join(
        kind + struct.pack("<I", len(mulaw) if kind == b"data" else len(part)) + part
        for kind, part in parts
    )
    return b"RIFF" + struct.pack("<I", len(content) + 4) + b"WAVE" + content


def main() -> None:
    """Runs the demonstration, and keeps what was heard."""
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        with redirect_stdout(said):
            status = twilio_frames(["demo", "--keep", folder])
        if status != 0:
            raise SystemExit("expected a demonstration that went well: run this once more")
        sound = mulaw_wav(mixed(Path(folder) / "twilio.wav"))
    if len(sound) > _MOST_BYTES:
        raise SystemExit(f"expected {_MOST_BYTES} bytes at most, got {len(sound)}")
    words = "".join(re.findall(r"^ +\d+\.\d s .*\n(?: {18}.*\n)*", said.getvalue(), re.M))
    page = _PAGE.read_text("utf-8")
    assert _WORDS.search(page)
    _PAGE.write_text(_WORDS.sub(lambda _: words, page, count=1), "utf-8")
    _TARGET.write_bytes(sound)
    print(f"{_TARGET}: {len(sound)} bytes, and its words in {_PAGE}")


if __name__ == "__main__":
    main()
