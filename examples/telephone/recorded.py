"""A call that Twilio records, if its caller agrees, and not while they enter a card number.

What you will hear: whether you agree to being recorded; a question for a card number, which is
silence in the recording; then the line is closed.

What it needs: the voice of ``bot.py``, and a Twilio account, which keeps the recording. With
``TWILIO_FRAMES_RECORDING_NEEDS_CONSENT`` nothing is recorded before ``has_consent``. Run it::

    twilio-frames serve twilio_frames.examples.telephone.recorded:bot
"""

import asyncio

from pipecat.pipeline.pipeline import Pipeline

from twilio_frames.call import Call, DigitsOutcome
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.services import choose_services, load_services

warm_up = load_services  # awaited before calls are taken

CONSENT = "May we record this call? Press one if you agree, or two if you do not."


async def take_order(call: Call) -> None:
    """Leads one caller through it."""
    answer = await call.menu({"1": True, "2": False}, prompt=CONSENT)
    if answer.outcome is DigitsOutcome.CALLER_HUNG_UP:
        return
    call.recording.has_consent = bool(answer.choice)
    if call.recording.has_consent:
        await call.recording.start()
    card = await call.collect_digits(length=16, prompt="Please enter your card number.")
    if card.outcome is DigitsOutcome.COMPLETE:
        await call.say(f"Thank you. Your card ends in {' '.join(card.digits[-4:])}. Goodbye.")
    else:
        await call.say("That was no card number. Goodbye.")
    await call.hang_up()


async def bot(call: Call) -> None:
    """Serves one caller."""
    services = await choose_services(Dialogue())
    taking = asyncio.create_task(take_order(call))
    await call.run(Pipeline([call.transport.input(), services.tts, call.transport.output()]))
    await taking
