"""A caller on hold, who then pays by telephone: Twilio asks for the card, the bot hears none of it.

What you will hear: music while your bill is looked up; the sum; Twilio's questions for a card; and
thanks, or, in Twilio's voice, that it did not work.

What it needs: the voice of ``bot.py``; and to take money, a payment connector in your Twilio
account. Run it::

    twilio-frames serve twilio_frames.examples.telephone.pay_by_phone:bot
"""

import asyncio

import numpy as np
from pipecat.pipeline.pipeline import Pipeline

from twilio_frames.audio import encode_mulaw
from twilio_frames.call import Call
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.services import choose_services, load_services
from twilio_frames.twiml import OtherTwiml, Say

warm_up = load_services  # awaited before calls are taken

NOTES = [3000 * np.sin(2 * np.pi * hertz * np.arange(4000) / 8000) for hertz in (262, 330, 392)]
MUSIC = encode_mulaw(np.concatenate(NOTES).astype(np.int16).tobytes())


async def look_up_bill(call: Call) -> str:
    """Takes its time, as such things do."""
    async with call.on_hold(MUSIC):
        await asyncio.sleep(3)
    return "20.45"


async def take_payment(call: Call) -> None:
    """Leads one caller through it."""
    await call.say("One moment, I look up your bill.")
    amount = await look_up_bill(call)
    await call.say(f"It is {amount} dollars. Have your card at hand, please.")
    pay = OtherTwiml(xml=f'<Pay chargeAmount="{amount}"/>', takes_action=True)
    result = await call.detour(pay)
    if result.get("Result") == "success":
        await call.say("Thank you. It is paid. Goodbye.")
    else:
        await call.detour(Say(text="I am sorry, that did not work. Nothing was charged."))
    await call.hang_up()


async def bot(call: Call) -> None:
    """Serves one caller."""
    services = await choose_services(Dialogue())
    paying = asyncio.create_task(take_payment(call))
    await call.run(Pipeline([call.transport.input(), services.tts, call.transport.output()]))
    await paying
