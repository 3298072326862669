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
from pipecat.processors.aggregators.llm_context import LLMContext

from twilio_frames.call import Call
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.greeting import Greeting
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.services.openai import PhoneOpenAILLMService, ReplyPolicy
from twilio_frames.services.piper import PhonePiperTTSService
from twilio_frames.services.whisper import PhoneWhisperSTTService

URL = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1")  # Ollama's
MODEL = os.environ.get("OPENAI_MODEL", "llama3.2")
EARS = os.environ.get("WHISPER_MODEL", "base")
VOICE = os.environ.get("PIPER_VOICE", "en_US-ljspeech-medium")
INSTRUCTIONS = "You are on the telephone. Answer in one or two short sentences, without markup."


def voice() -> PhonePiperTTSService:
    """Speaks."""
    return PhonePiperTTSService(settings=PhonePiperTTSService.Settings(voice=VOICE))


GREETING = Greeting("Hello! What shall we talk about?", voice)


async def warm_up() -> None:
    """Loads the models, before calls are taken."""
    await PhoneWhisperSTTService.load(EARS)
    await PhonePiperTTSService.load(VOICE)
    await GREETING.prepare()


async def bot(call: Call) -> None:
    """Talks with one caller."""
    context = PhoneContextAggregator(LLMContext())
    llm = PhoneOpenAILLMService(
        base_url=URL,
        settings=PhoneOpenAILLMService.Settings(model=MODEL, system_instruction=INSTRUCTIONS),
        policy=ReplyPolicy(answer_secs=20.0),  # the first answer may wait for the model to load
    )
    pipeline = Pipeline([
        call.transport.input(),
        PhoneVAD(),
        PhoneWhisperSTTService(settings=PhoneWhisperSTTService.Settings(model=EARS)),
        context.user(),
        llm,
        voice(),
        call.transport.output(),
        context.assistant(),
    ])  # fmt: skip
    await call.run(pipeline, greeting=GREETING)
