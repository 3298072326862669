"""A bot that looks at who calls before it says anything.

What you will hear: a greeting by your name, where Twilio knows it, and whether your number is one
to be called back on; nothing but a goodbye, where the network says that it may be forged.

What it needs: the voice of ``bot.py``: Cartesia's where its key is set, else this machine's own.
Run it::

    twilio-frames serve twilio_frames.examples.telephone.who_calls:bot

Whom the server itself does not connect, ``ServerSettings(callers=CallerRules(...))`` says.
"""

from pipecat.pipeline.pipeline import Pipeline

from twilio_frames.call import Attestation, Call, TimeLimit
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.services import choose_services, load_services

warm_up = load_services  # awaited before calls are taken

ONCE = TimeLimit(secs=12.0, warn_secs=None, last_words="Goodbye.")


def greeting(call: Call) -> str:
    """What one caller is greeted with."""
    if call.attestation is Attestation.FAILED:
        return "Your number could not be verified. Please call from another line."
    name = call.caller_name or "caller"
    if call.withheld:
        return f"Hello, {name}. Your number is {call.withheld}, so we cannot call you back."
    if call.forwarded_from:
        return f"Hello, {name}. Somebody has forwarded you to us. We will call you back."
    return f"Hello, {name}. We will call you back."


async def bot(call: Call) -> None:
    """Greets one caller, and hangs up."""
    services = await choose_services(Dialogue())
    parts = [call.transport.input(), services.tts, call.transport.output()]
    await call.run(Pipeline(parts), greeting=greeting(call), time_limit=ONCE)
