#!/usr/bin/env bash
# espeak-ng accepts a voice whose variant does not exist, and speaks with another.
#
# Seen with the espeak-ng in espeakng-loader 0.2.4: espeak_SetVoiceByName() reports an unknown
# language, but of "en-us+nobody" it says that all is well, and speaks as "en-us" does.
#
# For a phone bot: a slip in a setting gives the caller another speaker, and nobody is told.
# Here: the variant is looked for among the library's files, and an unknown one is refused.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check espeakng-loader==0.2.4

"$folder/venv/bin/python" - <<'PYTHON'
import ctypes
from importlib.metadata import version
from pathlib import Path

import espeakng_loader

SYNCHRONOUS, POSITION_CHARACTER, UTF8 = 2, 1, 1
library = ctypes.CDLL(espeakng_loader.get_library_path())
library.espeak_Initialize(SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0)
pcm = bytearray()


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
def take(samples, count, _events):
    if samples and count > 0:
        pcm.extend(ctypes.string_at(samples, 2 * count))
    return 0


def spoken(voice: str) -> tuple[int, int]:
    """What choosing a voice returns, and how many bytes a word is in it."""
    pcm.clear()
    library.espeak_SetSynthCallback(take)
    code = library.espeak_SetVoiceByName(voice.encode())
    text = b"Hello.\0"
    library.espeak_Synth(text, len(text), 0, POSITION_CHARACTER, 0, UTF8, None, None)
    print(f"{voice}: returns {code}, {len(pcm)} bytes of speech")
    return code, len(pcm)


print("espeakng-loader", version("espeakng-loader"))
variants = Path(espeakng_loader.get_data_path(), "voices", "!v")
print("variants there are:", sum(1 for _ in variants.iterdir()))
known, nobody, plain = spoken("en-us+f2"), spoken("en-us+nobody"), spoken("en-us")
elsewhere, _ = spoken("nowhere")
is_plain = abs(nobody[1] - plain[1]) < abs(nobody[1] - known[1])
seen = not (variants / "nobody").exists() and nobody[0] == 0 and is_plain and elsewhere != 0
print("seen as described" if seen else "NOT as described")
raise SystemExit(not seen)
PYTHON
