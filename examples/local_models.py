"""A free conversation without an account: Whisper hears, a model of yours thinks, Piper speaks.

What you will hear: a greeting, and an answer to whatever you say.

What it needs: the extras ``whisper``, ``piper`` and ``openai``, and a server of language models on
this machine, Ollama say (``ollama pull llama3.2``). Ears and voice are fetched on first use.
``OPENAI_BASE_URL`` and ``OPENAI_MODEL`` name another server and model, ``WHISPER_MODEL`` and
``PIPER_VOICE`` other ears and another voice. Run it::

    twilio-frames serve twilio_frames.examples.local_models:bot
"""

import os

from pipecat.pipeline.pipeline import Pipeline

from twilio_frames.call import Call
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.greeting import Greeting
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.services.openai import PhoneOpenAILLMService, ReplyPolicy
from twilio_frames.services.piper import PhonePiperTTSService
from twilio_frames.services.whisper import PhoneWhisperSTTService

URL = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1")  # Ollama's
EARS = os.environ.get("WHISPER_MODEL", "base")
VOICE = os.environ.get("PIPER_VOICE", "en_US-ljspeech-medium")
SPEAKING = PhonePiperTTSService.Settings(voice=VOICE)
HEARING = PhoneWhisperSTTService.Settings(model=EARS)
THINKING = PhoneOpenAILLMService.Settings(
    model=os.environ.get("OPENAI_MODEL", "llama3.2"),
    system_instruction="You are on the telephone. Answer in a short sentence, without markup.",
)
GREETING = Greeting("Hello! Let us talk.", lambda: PhonePiperTTSService(settings=SPEAKING))


async def warm_up() -> None:
    """Loads the models, before calls are taken."""
    await PhoneWhisperSTTService.load(EARS)
    await PhonePiperTTSService.load(VOICE)
    await GREETING.prepare()


async def bot(call: Call) -> None:
    """Talks with one caller."""
    context = PhoneContextAggregator()
    patience = ReplyPolicy(answer_secs=20.0)  # the first answer may wait for the model to load
    pipeline = Pipeline([
        call.transport.input(),
        PhoneVAD(),
        PhoneWhisperSTTService(settings=HEARING),
        context.user(),
        PhoneOpenAILLMService(base_url=URL, settings=THINKING, policy=patience),
        PhonePiperTTSService(settings=SPEAKING),
        call.transport.output(),
        context.assistant(),
    ])  # fmt: skip
    await call.run(pipeline, greeting=GREETING)
