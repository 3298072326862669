"""A bot that asks whether you are still there, and does not talk for ever.

What you will hear: your own words back; "Are you still there?" while you say nothing, and in the
end a goodbye; after four minutes a warning, after five the end.

What it needs: nothing; ears and voice are those of ``bot.py``. Run it::

    twilio-frames serve twilio_frames.examples.telephone.patient:bot
"""

from pipecat.frames.frames import LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline

from twilio_frames.call import Call, SilencePolicy, TimeLimit
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.own_llm import Parrot
from twilio_frames.examples.services import choose_services, load_services
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD

warm_up = load_services  # awaited before calls are taken

SILENCE = SilencePolicy(ask_after=6.0, ask=("Are you still there?", "Hello?"))
LIMIT = TimeLimit(secs=300.0, warn_secs=60.0)


async def bot(call: Call) -> None:
    """Repeats what one caller says, as long as they say something."""
    services, context = await choose_services(Dialogue()), PhoneContextAggregator()
    pipeline = Pipeline([
        call.transport.input(),
        PhoneVAD(),
        services.stt,
        context.user(),
        Parrot(),
        services.tts,
        call.transport.output(),
        context.assistant(),
    ])  # fmt: skip
    await call.run(pipeline, begin_with=[LLMRunFrame()], silence=SILENCE, time_limit=LIMIT)
