#!/usr/bin/env bash
# A WAV whose length was never filled in is read as one without sound, without an error.
#
# Seen with soundfile 0.13.1 and the libsndfile in its wheel: a data chunk of size 0 is 0 frames,
# though a second of audio follows; with the other usual placeholder, 0xFFFFFFFF, all of it is
# read.
#
# For a phone bot: a recording whose process was killed, or a voice that streams WAV, looks silent.
# Here: the recorder counts what it has written in the header as it goes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check soundfile==0.13.1 numpy

"$folder/venv/bin/python" - <<'PYTHON'
import io
import struct

import soundfile

PCM = b"\x00\x10\x00\xf0" * 4000
FORM = struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)


def frames_of(size: int, what: str) -> int:
    """How many frames are read of a second of audio with this size in its header."""
    header = b"RIFF" + struct.pack("<I", min(36 + size, 2**32 - 1)) + b"WAVEfmt " + FORM
    data = b"data" + struct.pack("<I", size) + PCM
    frames = len(soundfile.read(io.BytesIO(header + data))[0])
    print(f"{what}: {frames} frames")
    return frames


print("soundfile", soundfile.__version__, "with", soundfile.__libsndfile_version__)
seen = (
    frames_of(len(PCM), "size as it is") == 8000
    and frames_of(2**32 - 1, "size 0xFFFFFFFF") == 8000
    and frames_of(0, "size 0") == 0
)
print("seen as described" if seen else "NOT as described")
raise SystemExit(not seen)
PYTHON
