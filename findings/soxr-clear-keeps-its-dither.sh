#!/usr/bin/env bash
# A cleared stream resampler makes other samples of the same sound than a new one.
#
# Seen with soxr 1.0.0: ResampleStream.clear() keeps the state of the noise that integers are
# dithered with. Floats are not dithered, and come out the same.
#
# For a phone bot: a greeting that is spoken twice is no longer the same bytes, so what is compared
# or looked up by its bytes, as in tests and caches, is not found again.
# Here: audio is resampled as floats and rounded afterwards.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check soxr==1.0.0 numpy

"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import soxr

SECOND = 8000 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)


def apart(kind: str) -> tuple[int, float]:
    """How many samples differ between a new stream's output and a cleared one's, and how far."""
    sound, stream = SECOND.astype(kind), soxr.ResampleStream(16000, 8000, 1, dtype=kind)
    fresh = stream.resample_chunk(sound, last=True).astype(float)
    stream.clear()
    cleared = stream.resample_chunk(sound, last=True).astype(float)
    gaps = np.abs(fresh - cleared)
    differ = np.count_nonzero(gaps)
    print(f"{kind}: {differ} of {len(gaps)} samples differ, by {gaps.max():g} at most")
    return differ, gaps.max()


print("soxr", version("soxr"), "with numpy", np.__version__)
integers, floats = apart("int16"), apart("float32")
seen = integers[0] > 0 and integers[1] <= 2 and floats[0] == 0
print("seen as described" if seen else "NOT as described")
raise SystemExit(not seen)
PYTHON
