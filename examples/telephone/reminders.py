"""A campaign: everybody in a table is called and reminded of an appointment.

What you will hear: "Hello Ann. This is a reminder of your appointment at nine o'clock. Goodbye."

What it needs: the voice of ``bot.py``, a Twilio account, a table ``number,name,time``. Run it::

    python -m twilio_frames.examples.telephone.reminders calls.csv

or, with the policy on the command line::

    twilio-frames campaign calls.csv twilio_frames.examples.telephone.reminders:bot
"""

import asyncio
import sys
from collections import Counter
from pathlib import Path

from pipecat.frames.frames import EndFrame, TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline

from twilio_frames.call import Call
from twilio_frames.campaign import (
    Campaign,
    CampaignLine,
    CampaignPolicy,
    Outcome,
    Retry,
    read_contacts,
)
from twilio_frames.errors import ConfigurationError
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.services import choose_services, load_services
from twilio_frames.rest import CallOptions, TwilioRest
from twilio_frames.server import Server, ServerSettings, create_app

warm_up = load_services  # awaited before calls are taken

POLICY = CampaignPolicy(
    at_once=5,
    retries={
        Outcome.BUSY: Retry(times=2, after_secs=600),
        Outcome.NO_ANSWER: Retry(times=1, after_secs=7200),
    },
)


async def bot(call: Call) -> None:
    """Reminds one person."""
    services = await choose_services(Dialogue())
    name, time = call.parameters.get("name", ""), call.parameters.get("time", "the usual time")
    text = f"Hello {name}. This is a reminder of your appointment at {time}. Goodbye."
    pipeline = Pipeline([call.transport.input(), services.tts, call.transport.output()])
    await call.run(pipeline, begin_with=[TTSSpeakFrame(text), EndFrame()])


async def main(table: Path, policy: CampaignPolicy = POLICY) -> Counter[str]:
    """Calls everybody, and counts what came of it. Killed, it goes on where it was."""
    settings = ServerSettings.from_environment()
    if settings.credentials is None or settings.phone_number is None:
        raise ConfigurationError(
            "expected a Twilio account to call from, got none: set TWILIO_ACCOUNT_SID, "
            "TWILIO_AUTH_TOKEN and TWILIO_PHONE_NUMBER"
        )
    listed = read_contacts(table)
    async with (
        Server(create_app(bot, settings, warm_up=warm_up), port=8000) as server,
        TwilioRest(settings.credentials, base_url=settings.api_url) as rest,
    ):
        line = CampaignLine(
            rest,
            caller=settings.phone_number,
            webhook=f"{settings.public_url or server.url}/twiml",
            options=CallOptions(ring_secs=25),
        )
        state = table.with_suffix(".campaign")
        tell = server.shows_campaign(table.name)  # in its console
        campaign = Campaign(
            listed.contacts, line, policy, state=state, barred=listed.barred, tell=tell
        )
        try:
            await campaign.run()
        finally:
            campaign.close()
    return Counter(str(campaign.plan.final(each.number)) for each in listed.contacts)


if __name__ == "__main__":
    counts = asyncio.run(main(Path(sys.argv[1])))
    sys.stdout.write("".join(f"{count} {outcome}\n" for outcome, count in counts.items()))
