"""A bot that calls people: it greets a person, and leaves a message on a voicemail.

What you will hear: say "Hello?" and it tells what it calls about. Say a voicemail's greeting, beep,
and it leaves its message behind the beep, and hangs up. Ask who is calling, as call screening does,
and it says that.

What it needs: a Twilio account to call from; ears and voice are those of ``bot.py``. With words
transcribed (DEEPGRAM_API_KEY) it tells them apart sooner, and by more than length.

Run it::

    twilio-frames serve twilio_frames.examples.telephone.outbound_voicemail:bot
    twilio-frames dial +14155550100 --machine-detection Enable --async-detection
"""

from pipecat.pipeline.pipeline import Pipeline

from twilio_frames.call import Call
from twilio_frames.call.answering import AnswerPolicy
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.services import choose_services, load_services
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD

warm_up = load_services  # awaited before calls are taken

GREETING = "Hello, this is the coffee shop. Your beans have come. What else may I put aside?"
POLICY = AnswerPolicy(
    voicemail="Hello, this is the coffee shop. Your beans have come. We are open until six.",
    screening="This is the coffee shop. We call because your beans have come.",
)


async def bot(call: Call) -> None:
    """Tells somebody that their beans have come, whoever answers."""
    services, context = await choose_services(Dialogue()), PhoneContextAggregator()
    pipeline = Pipeline([
        call.transport.input(),
        PhoneVAD(),
        services.stt,
        context.user(),
        services.llm,
        services.tts,
        call.transport.output(),
        context.assistant(),
    ])  # fmt: skip
    await call.run(pipeline, greeting=GREETING, answering=POLICY)
