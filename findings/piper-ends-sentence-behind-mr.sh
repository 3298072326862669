#!/usr/bin/env bash
# A name ends a sentence where its title does, and a pause of dots is none.
#
# Seen with piper-tts 1.8.0 and the espeak-ng in its wheel: EspeakPhonemizer makes sentences of what
# espeak calls clauses, which end behind the full stop of "Mr.", "Dr." and "No."; each is spoken by
# itself, as a sentence is. Of "Wait... please." both words become one.
#
# For a phone bot: "Good morning, Mister. Smith." in each call, with a pause for whatever stands
# between two sentences.
# Here: sentences that Piper parts in the middle of one are put together again, and dots between two
# words are a comma.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check piper-tts==1.8.0

"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

from piper.phonemize_espeak import EspeakPhonemizer

SAID = {
    "Good morning, Mr. Smith.": 2,
    "Dr. Jones will see you.": 2,
    "Take the No. 5 bus.": 2,
    "It is at 3 p.m. on Monday.": 1,
    "Good morning. How are you?": 2,
}
phonemizer = EspeakPhonemizer()


def parts(text: str) -> list[str]:
    """How a text is said, in the pieces in which it is."""
    return ["".join(sentence) for sentence in phonemizer.phonemize("en-us", text)]


print("piper-tts", version("piper-tts"))
for text in (*SAID, "Wait... please.", "Wait please."):
    print(text, parts(text))
is_one_word = [" " in parts(text)[0] for text in ("Wait please.", "Wait... please.")]
seen = {text: len(parts(text)) for text in SAID} == SAID and is_one_word == [True, False]
print("seen as described" if seen else "NOT as described")
raise SystemExit(not seen)
PYTHON
