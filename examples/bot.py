"""A coffee shop that takes orders by phone.

What you will hear: a greeting, questions for what your order lacks, the order read back, a goodbye.
Talk over it whenever you like: "actually, make that a large".

What it needs: nothing; with DEEPGRAM_API_KEY, OPENAI_API_KEY or CARTESIA_API_KEY set, that vendor
takes over its part (``pip install 'pipecat-twilio-frames[vendors]'``).

Run it on this machine, with a simulated caller::

    twilio-frames demo

Serve it to Twilio (TWILIO_AUTH_TOKEN set, a public https address that leads here)::

    twilio-frames serve twilio_frames.examples.bot:bot
"""

from collections.abc import Sequence

from pipecat.frames.frames import LLMRunFrame
from pipecat.observers.base_observer import BaseObserver
from pipecat.pipeline.pipeline import Pipeline

from twilio_frames.call import Call, phone_worker
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.services import Services, choose_services
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD


async def bot(call: Call) -> None:
    """One call to the coffee shop."""
    await take_order(call, choose_services(Dialogue()))


async def take_order(
    call: Call, services: Services, *, observers: Sequence[BaseObserver] = ()
) -> None:
    """The call's pipeline, from the caller's voice to the bot's."""
    context = PhoneContextAggregator()
    pipeline = Pipeline(
        [
            call.transport.input(),
            PhoneVAD(),
            services.stt,
            context.user(),
            services.llm,
            services.tts,
            call.transport.output(),
            context.assistant(),
        ]
    )
    worker = phone_worker(pipeline, observers=list(observers))
    await worker.queue_frame(LLMRunFrame())
    await call.run(worker)
