"""A bot that calls a company, and finds its way through the menu of keys there.

What you will hear: nothing yourself; the log says what came of it.

What it needs: an account, to call with; OPENAI_API_KEY, or OPENAI_BASE_URL for a server that speaks
as OpenAI's does, and the extra ``openai``. Run it::

    twilio-frames serve twilio_frames.examples.telephone.phone_menu:bot
    twilio-frames dial +12125550123
"""

import os
from typing import Any

from loguru import logger
from pipecat.extensions.ivr.ivr_navigator import IVRNavigator, IVRStatus
from pipecat.pipeline.pipeline import Pipeline

from twilio_frames.call import Call
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.services import choose_services, load_services
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.services.openai import PhoneOpenAILLMService

GOAL = "Find out when they are open. Once you have heard it, you are done."


async def warm_up() -> None:
    """Looks for what the bot needs, before calls are made."""
    await load_services("OPENAI_API_KEY", "OPENAI_BASE_URL")


async def bot(call: Call) -> None:
    """Finds its way on one call."""
    llm: Any = PhoneOpenAILLMService(base_url=os.environ.get("OPENAI_BASE_URL"))
    # Its keys are Pipecat's frames: on this line they are pressed by Twilio.
    navigator = IVRNavigator(llm=llm, ivr_prompt=GOAL)
    context = PhoneContextAggregator()
    services = await choose_services(Dialogue())

    @navigator.event_handler("on_ivr_status_changed")
    async def changed(_processor: object, status: IVRStatus) -> None:
        logger.info(f"{call.call_sid}: the menu is {status.value}")
        if status in (IVRStatus.COMPLETED, IVRStatus.STUCK):
            await call.hang_up()

    pipeline = Pipeline([
        call.transport.input(),
        PhoneVAD(),
        services.stt,
        context.user(),
        navigator,
        services.tts,
        call.transport.output(),
        context.assistant(),
    ])  # fmt: skip
    await call.run(pipeline)
