"""Files of what callers said: for their owner's eyes, and never through somebody else's link.

A file is made anew with mode 0600, whatever the umask says, in the place of what bore its name: a
symlink there is replaced and not followed, so that nobody who may write to the folder chooses what
is overwritten. Folders that are made on the way are 0700; those that exist are left as they are,
but for :func:`close_unchosen_folder`.

Blocks for the disk.
"""

import contextlib
import os
import stat
from pathlib import Path

__all__ = ["close_unchosen_folder", "make_private_folder", "open_private", "write_private"]

_MODES_NOBODY_CHOSE = (0o755, 0o775)
"""What ``mkdir`` gives with the umasks of the usual systems, 022 and 002."""

_FLAGS = (
    getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)  # Windows knows the last one alone


def make_private_folder(path: Path) -> None:
    """Makes a folder, and those above it that are missing, for its owner alone.

    One that exists stays as it is: whoever made it may have chosen who reads it.

    Raises:
        OSError: If it cannot be made.
    """
    if path.is_dir():
        return
    if path.parent != path:
        make_private_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)


def close_unchosen_folder(path: Path) -> None:
    """Makes a folder 0700 that is ours, empty, and readable for all only because nobody chose.

    A mode other than the usual one was chosen, and a folder with something in it may have readers:
    such ones stay as they are.
    """
    with contextlib.suppress(OSError):
        is_ours = not hasattr(os, "getuid") or path.stat().st_uid == os.getuid()
        mode = stat.S_IMODE(path.stat().st_mode)
        if is_ours and mode in _MODES_NOBODY_CHOSE and not any(path.iterdir()):
            path.chmod(0o700)


def open_private(path: Path) -> int:
    """Opens a new file for reading and writing; gives its descriptor, for ``open()``.

    What bore its name is gone. Devices and pipes (``/dev/null``, ``/dev/stdout``) are written to
    as they are. Where the folder lets nothing be replaced, the file in it is emptied and made
    private instead.

    Raises:
        OSError: If it cannot be opened.
    """
    if _is_device(path):
        return _opened_device(path)
    for _ in range(3):
        try:
            path.unlink(missing_ok=True)
        except OSError:
            return _emptied(path)
        with contextlib.suppress(FileExistsError):
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
    raise FileExistsError("expected to make a file anew, got one in its place 3 times")


def write_private(path: Path, content: bytes) -> None:
    """Writes a whole file that only its owner may read.

    Raises:
        OSError: If it cannot be written.
    """
    with os.fdopen(open_private(path), "wb") as file:
        file.write(content)


def _is_device(path: Path) -> bool:
    """Whether a path names no file on a disk: ``/dev/stdout`` is a link that is to be followed."""
    if path.absolute().parts[:2] in (("/", "dev"), ("/", "proc")):
        return True
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode))


def _opened_device(path: Path) -> int:
    flags = _FLAGS & ~getattr(os, "O_NOFOLLOW", 0)
    try:
        return os.open(path, os.O_RDWR | flags)
    except OSError:
        return os.open(path, os.O_WRONLY | flags)


def _emptied(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | _FLAGS)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise PermissionError("expected a file of one name, got another")
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, 0o600)
        os.ftruncate(descriptor, 0)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
