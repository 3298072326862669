"""A menu and a PIN by the telephone's keys: no model, no recogniser.

What you will hear: a menu, asked again where you press another key; for the balance, a question for
your PIN (4711), which is read back, and stands in no log and no recording; then the line is closed.

What it needs: the voice of ``bot.py``: Cartesia's where its key is set, else this machine's own.
Run it::

    twilio-frames serve twilio_frames.examples.telephone.pin_menu:bot

Then call it, and press keys: without a telephone,
``twilio-frames call http://127.0.0.1:8000/twiml --press "1w4711w1"``.
"""

import asyncio

from pipecat.pipeline.pipeline import Pipeline

from twilio_frames.call import Call, DigitsOutcome
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.services import choose_services, load_services

warm_up = load_services  # awaited before calls are taken

MENU = {"1": "balance", "2": "opening hours"}
PIN = "4711"


async def ask(call: Call) -> None:
    """Leads one caller through the menu."""
    wanted = await call.menu(MENU, prompt="For your balance, press one. For our hours, press two.")
    match wanted.choice:
        case "balance":
            await call.say(await balance(call))
        case "opening hours":
            await call.say("We are open from eight to six.")
        case _ if wanted.outcome is not DigitsOutcome.CALLER_HUNG_UP:
            await call.say("Please call again when you know. Goodbye.")
    await call.hang_up()


async def balance(call: Call) -> str:
    """What the caller gets to know, if they know their PIN."""
    pin = await call.collect_digits(length=4, prompt="Please enter your PIN.", confirm=True)
    if pin.outcome is not DigitsOutcome.COMPLETE:
        return "That was no PIN. Goodbye."
    return "You have twelve dollars." if pin.digits == PIN else "That PIN is wrong. Goodbye."


async def bot(call: Call) -> None:
    """Serves one caller."""
    services = await choose_services(Dialogue())
    asking = asyncio.create_task(ask(call))
    await call.run(Pipeline([call.transport.input(), services.tts, call.transport.output()]))
    await asking
