#!/usr/bin/env bash
# espeak-ng says a sentence with another sound each time, and its seed does not change that.
#
# Seen with the espeak-ng in espeakng-loader 0.2.4: after espeak_ng_SetRandSeed() with the same seed,
# which reports success, the same text in the same voice gives other samples the second time, and
# another number of them. The seed alone decides nothing: what earlier sentences left in the library
# goes on. Only a library that is loaded anew, and given a seed, says a sentence as it said it before:
# without one it begins with the second of the day.
#
# For a phone bot: a simulated caller's last sound fades 50 ms earlier or later from run to run, so a
# test that measures an answer fails now and then.
# Here: in tests in virtual time, the library is loaded anew for each sentence.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check espeakng-loader==0.2.4

cat >"$folder/speak.py" <<'PYTHON'
import ctypes
import hashlib
import sys

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


library.espeak_SetSynthCallback(take)
library.espeak_SetVoiceByName(b"en-us")
for _ in range(int(sys.argv[1])):
    pcm.clear()
    assert library.espeak_ng_SetRandSeed(ctypes.c_long(7)) == 0
    text = b"No, stop, I want something else.\0"
    library.espeak_Synth(text, len(text), 0, POSITION_CHARACTER, 0, UTF8, None, None)
    print(len(pcm), hashlib.sha256(pcm).hexdigest()[:12])
PYTHON

speak() { "$folder/venv/bin/python" "$folder/speak.py" "$1"; }
echo "espeakng-loader $("$folder/venv/bin/python" -c 'from importlib.metadata import version; print(version("espeakng-loader"))')"
speak 4 >"$folder/together"
for _ in 1 2 3; do
  speak 1
  sleep 1.1
done >"$folder/alone"
echo "bytes and sum of the same sentence, four times in one process, the same seed each time:"
cat "$folder/together"
echo "in three processes, a second apart, by the same seed:"
cat "$folder/alone"
if [ "$(sort -u "$folder/together" | wc -l)" -gt 1 ] && [ "$(sort -u "$folder/alone" | wc -l)" -eq 1 ]; then
  echo "seen as described"
else
  echo "NOT as described"
  exit 1
fi
