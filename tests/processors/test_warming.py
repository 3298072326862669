import subprocess
import sys

import pytest

from twilio_frames.errors import ConfigurationError
from twilio_frames.processors.warming import warm_up

FIRST_CALL = """
import asyncio, gc, sys
from twilio_frames.processors import silero_model
from twilio_frames.processors.warming import tls_context, warm_up

async def first_call():
    from pipecat.services.llm_service import LLMService
    from pipecat.services.settings import LLMSettings
    from pipecat.utils.string import match_endofsentence
    from twilio_frames.processors.vad import PhoneVAD

    before = set(sys.modules)
    LLMService()
    PhoneVAD()
    match_endofsentence("Hello. You")
    return sorted(set(sys.modules) - before)

async def main():
    from twilio_frames.call import Call
    from twilio_frames.processors.vad import PhoneVAD
    await warm_up()
    assert silero_model.is_built()
    assert tls_context.cache_info().currsize == 1
    assert gc.get_freeze_count() > 1000
    assert await first_call() == []

asyncio.run(main())
"""


def test_first_call_finds_everything_there():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FIRST_CALL],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr


async def test_module_that_is_not_there_is_an_error():
    with pytest.raises(ConfigurationError, match="expected the module no_such_module"):
        await warm_up("no_such_module", freeze=False)
