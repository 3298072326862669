"""Google Cloud hears and speaks: its recogniser's telephone model, its voice in mu-law.

What you will hear: the coffee shop of ``bot.py``, in a Chirp 3 voice.

What it needs: GOOGLE_APPLICATION_CREDENTIALS, a service account's file; the extra
``google``. GOOGLE_SPEECH_TARGET leads to another server (host:port).

Run it::

    twilio-frames serve twilio_frames.examples.google_speech:bot
"""

import os

from pipecat.frames.frames import LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.transcriptions.language import Language

from twilio_frames.call import Call
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.local.llm import DialogueLLMService
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.services.google import (
    PhoneGoogleSTTService,
    PhoneGoogleTTSService,
    check_credentials,
)

LANGUAGE = Language.EN_US
HEARING = PhoneGoogleSTTService.Settings(model="telephony", languages=[LANGUAGE])
VOICE = PhoneGoogleTTSService.Settings(voice="en-US-Chirp3-HD-Charon", language=LANGUAGE)


async def warm_up() -> None:
    """Looks for what the bot needs, before calls are taken."""
    await check_credentials(target=os.environ.get("GOOGLE_SPEECH_TARGET", ""))


async def bot(call: Call) -> None:
    """Takes one caller's order."""
    target = os.environ.get("GOOGLE_SPEECH_TARGET", "")
    context = PhoneContextAggregator()
    pipeline = Pipeline([
        call.transport.input(),
        PhoneVAD(),
        PhoneGoogleSTTService(target=target, settings=HEARING),
        context.user(),
        DialogueLLMService(Dialogue()),
        PhoneGoogleTTSService(target=target, settings=VOICE),
        call.transport.output(),
        context.assistant(),
    ])  # fmt: skip
    await call.run(pipeline, begin_with=[LLMRunFrame()])
