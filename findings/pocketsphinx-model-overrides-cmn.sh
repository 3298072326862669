#!/usr/bin/env bash
# The model's own file wins over the settings that pocketsphinx is given.
#
# Seen with pocketsphinx 5.1.1: Decoder(cmn="none") reads the model's feat.params behind its
# arguments, and has cmn "batch" afterwards: the mean of the sound is taken off, unasked.
#
# For a phone bot: of speech in pieces that mean is a guess, which is kept for all that comes
# after, so what is recognised depends on what was said before.
# Here: the decoder gets its own copy of that file.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pocketsphinx==5.1.1

"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

from pocketsphinx import Decoder, get_model_path

model = get_model_path("en-us/en-us")
print("pocketsphinx", version("pocketsphinx"))
got = {}
for asked in ("none", "live"):
    decoder = Decoder(hmm=model, lm=None, dict=None, cmn=asked, loglevel="FATAL")
    got[asked] = decoder.config["cmn"]
    print(f"asked for cmn={asked!r}, got {got[asked]!r}")
seen = set(got.values()) == {"batch"}
print("seen as described" if seen else "NOT as described")
raise SystemExit(not seen)
PYTHON
