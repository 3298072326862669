#!/usr/bin/env bash
# The usual normaliser counts a code without its zeros as right, and one heard right as wrong.
#
# Seen with whisper-normalizer 0.1.15, Whisper's own EnglishTextNormalizer, and jiwer 4.0.0: numbers
# that are written lose the zeros ahead, those that are spoken keep them. Digits that stand by
# themselves are words of their own, but for "1", which becomes "one". So "0042" and "42" are the
# same, "4 1 5" and "four one five" have nothing in common, and of "0800 555 0100" a zero is lost in
# the middle. "mhm" is left out on both sides.
#
# For a phone bot: recognisers are chosen by a word error rate that is best where a caller's code is
# spoilt, and that is worse the more literally it is written; a "yes" that was not heard costs
# nothing.
# Here: nothing that is measured goes through it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
  whisper-normalizer==0.1.15 jiwer==4.0.0

"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

from jiwer import wer
from whisper_normalizer.english import EnglishTextNormalizer

CASES = [
    ("the code is 0042", "the code is 42", 0.0),
    ("room 007", "room seven", 0.0),
    ("yes mhm", "yes", 0.0),
    ("room 007", "room double oh seven", 0.5),
    ("dial 0800 555 0100", "dial oh eight hundred five five five oh one oh oh", 0.75),
    ("4 1 5", "four one five", 1.0),
]


def error_rate(said: str, heard: str) -> float:
    """The word error rate, in per cent."""
    normalise = EnglishTextNormalizer()
    rate = wer(normalise(said), normalise(heard))
    print(f"{said!r} ({normalise(said)!r}), heard {heard!r} ({normalise(heard)!r}): {rate:.2f}")
    return rate


print("whisper-normalizer", version("whisper-normalizer"), "jiwer", version("jiwer"))
rates = [error_rate(said, heard) for said, heard, _ in CASES]
seen = rates == [rate for *_, rate in CASES]
print("seen as described" if seen else "NOT as described")
raise SystemExit(not seen)
PYTHON
