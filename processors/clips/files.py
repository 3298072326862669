"""Clips as files: written in one piece, read only if whole. Blocks for the disk.

The first line is the SHA-256 of all that follows, the second one the text and its words as JSON;
then comes the sound.
"""

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from uuid import uuid4

from twilio_frames.errors import ConfigurationError
from twilio_frames.private_files import make_private_folder, write_private
from twilio_frames.processors.clips import Clip, ClipWord

SUFFIX = ".clip"
_UNFINISHED = ".unfinished"


def read_clip(path: Path) -> Clip | None:
    """The clip in a file; None if there is none, or it is broken."""
    try:
        checksum, _, rest = path.read_bytes().partition(b"\n")
        if hashlib.sha256(rest).hexdigest().encode() != checksum:
            return None
        header, _, mulaw = rest.partition(b"\n")
        fields = json.loads(header)
        words = tuple(ClipWord(text=str(text), end=int(end)) for text, end in fields["words"])
        clip = Clip(mulaw=mulaw, text=str(fields["text"]), words=words)
        # The files that are not used are the first to go.
        os.utime(path)
    except (OSError, ValueError, KeyError, TypeError, ConfigurationError):
        return None
    return clip


def write_clip(path: Path, clip: Clip) -> None:
    """Writes a clip, so that whoever reads the file meanwhile finds the old one or the new one.

    Raises:
        OSError: If it cannot be written; what was begun of it is gone.
    """
    words = [(word.text, word.end) for word in clip.words]
    rest = json.dumps({"text": clip.text, "words": words}).encode() + b"\n" + clip.mulaw
    checksum = hashlib.sha256(rest).hexdigest().encode()
    make_private_folder(path.parent)
    unfinished = path.with_name(f"{uuid4().hex}{_UNFINISHED}")
    try:
        write_private(unfinished, checksum + b"\n" + rest)
        unfinished.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise


def forget_oldest(folder: Path, most_bytes: int) -> None:
    """Removes the clips that were not used for longest, until the rest takes no more than so much.

    Raises:
        OSError: If the folder cannot be read.
    """
    clips: list[tuple[float, int, Path]] = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            stat = path.stat()
            if path.suffix == SUFFIX:
                clips.append((stat.st_mtime, stat.st_size, path))
            # Nobody takes an hour to write a clip: whoever began it has ended.
            elif path.suffix == _UNFINISHED and time.time() - stat.st_mtime > 3600:
                path.unlink()
    total = sum(size for _, size, _ in clips)
    for _, size, path in sorted(clips):
        if total <= most_bytes:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        total -= size
