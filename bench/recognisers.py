"""Recognisers for ``bench/recognition.py``: ``--stt recognisers:whisper`` and others.

``WHISPER_MODEL`` names the Whisper model, a folder or a size; ``base`` if it is not set.
"""

import os
from collections.abc import Sequence

from pipecat.services.stt_service import STTService

from twilio_frames.examples.coffee_shop.hearing import coffee_shop_stt
from twilio_frames.examples.coffee_shop.menu import VOCABULARY
from twilio_frames.services.whisper import PhoneWhisperSTTService

MODEL = os.environ.get("WHISPER_MODEL", "base")


async def grammar() -> STTService:
    """The keyless bot's: pocketsphinx, and the grammar of orders."""
    return await coffee_shop_stt()


async def whisper() -> STTService:
    """Whisper, told the words of the menu."""
    return await _whisper(VOCABULARY)


async def whisper_untold() -> STTService:
    """Whisper, told nothing."""
    return await _whisper(())


def pipecat_whisper() -> STTService:
    """Pipecat's own Whisper service, on the line's 8 kHz (needs ``faster-whisper``)."""
    from pipecat.services.whisper.stt import WhisperSTTService

    settings = WhisperSTTService.Settings(model=MODEL)
    return WhisperSTTService(device="cpu", compute_type="int8", settings=settings)


async def _whisper(vocabulary: Sequence[str]) -> STTService:
    await PhoneWhisperSTTService.load(MODEL)
    settings = PhoneWhisperSTTService.Settings(model=MODEL, vocabulary=vocabulary)
    return PhoneWhisperSTTService(settings=settings)
