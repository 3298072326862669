#!/usr/bin/env bash
# A recogniser that is told to have nothing logged does not hand it on.
#
# Seen with pipecat-ai 1.14.0: ElevenLabsRealtimeSTTService has enable_logging=False, its default,
# and puts the parameter into its request only if it is True. To ElevenLabs a request without it is
# one to be logged: "When enable_logging is set to false zero retention mode will be used"
# (elevenlabs 2.78.0, SessionStartedPayloadConfig). Pipecat's voice of the same vendor sends false,
# if asked.
#
# For a phone bot: what callers say is kept by the vendor, where the program says that it is not.
# Here: docs/security.md says so; this package has no service for that vendor.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'pipecat-ai[elevenlabs]==1.14.0'

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
from importlib.metadata import version
from urllib.parse import parse_qs, urlsplit

from loguru import logger

logger.remove()

from pipecat.services.elevenlabs.stt import ElevenLabsRealtimeSTTService
from pipecat.services.elevenlabs.tts import ElevenLabsTTSService
from pipecat.tests.utils import run_test


class Noting:
    """Notes which address it would reach, and reaches none."""

    address = ""

    async def _websocket_connect(self, uri: str, **_: object) -> None:
        self.address = uri
        raise ConnectionError("nobody is asked")


class Ear(Noting, ElevenLabsRealtimeSTTService):
    """Would hear."""


class Voice(Noting, ElevenLabsTTSService):
    """Would speak."""


SETTINGS = ElevenLabsTTSService.Settings(voice="none")


async def asked(service: Noting) -> list[str] | None:
    """What a service asks for as to logging; None for nothing."""
    await run_test(service, frames_to_send=[])
    found = parse_qs(urlsplit(service.address).query)
    print(f"{type(service).__bases__[1].__name__}: {found.get('enable_logging')}", end=", ")
    print("in an address of", len(found), "parameters")
    return found.get("enable_logging") if found else ["no address"]


async def main() -> None:
    off = {"api_key": "none", "enable_logging": False}
    ear, voice = await asked(Ear(**off)), await asked(Voice(settings=SETTINGS, **off))
    loud = await asked(Ear(api_key="none", enable_logging=True))
    seen = (ear, voice, loud) == (None, ["false"], ["true"])
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("pipecat-ai", version("pipecat-ai"))
asyncio.run(main())
PYTHON
