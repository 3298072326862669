"""A bot for Pipecat's own runner: the whole of it in one file.

What you will hear: a greeting, then whatever the model makes of what you say. Talk over it whenever
you like: it stops, listens, and knows what you have heard.

What it needs: keys for Deepgram, OpenAI and Cartesia, and the extra ``vendors``; Pipecat's runner
(``pip install "pipecat-ai[runner]"``).

Run it, with a public https address that leads to port 7860 (the number's voice webhook is that
address itself)::

    python pipecat_runner.py -t twilio -x bot.example.com

Then call it; without a telephone: ``twilio-frames call ws://127.0.0.1:7860/ws``. Pipecat's evals
reach it as well: ``pipecat eval run scenarios.yaml --bot-url ws://127.0.0.1:7860/ws``.
"""

import os

from pipecat.frames.frames import LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.runner.types import WebSocketRunnerArguments
from pipecat.runner.utils import create_transport, parse_telephony_websocket
from pipecat.transports.base_transport import BaseTransport
from pipecat.workers.runner import WorkerRunner

from twilio_frames.call import phone_worker
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.services.cartesia import PhoneCartesiaTTSService
from twilio_frames.services.deepgram import PhoneDeepgramSTTService
from twilio_frames.services.openai import PhoneOpenAILLMService
from twilio_frames.transport import TwilioTransport

INSTRUCTIONS = """You answer a telephone. Greet the caller, and help them. Speak as one does on the
telephone: one or two short sentences, no lists, no markup, numbers as words."""


async def run_bot(transport: BaseTransport, *, is_eval: bool) -> None:
    """Talks with one caller."""
    stt = PhoneDeepgramSTTService(
        api_key=os.environ["DEEPGRAM_API_KEY"], base_url=os.environ.get("DEEPGRAM_BASE_URL", "")
    )
    llm = PhoneOpenAILLMService(
        api_key=os.environ["OPENAI_API_KEY"],
        base_url=os.environ.get("OPENAI_BASE_URL"),
        settings=PhoneOpenAILLMService.Settings(model="gpt-4.1", system_instruction=INSTRUCTIONS),
    )
    tts = PhoneCartesiaTTSService(
        api_key=os.environ["CARTESIA_API_KEY"],
        url=os.environ.get("CARTESIA_BASE_URL", "wss://api.cartesia.ai") + "/tts/websocket",
        settings=PhoneCartesiaTTSService.Settings(voice="71a7ad14-091c-4e8e-a314-022ece01c121"),
    )
    context = PhoneContextAggregator(LLMContext())
    pipeline = Pipeline([
        transport.input(),
        PhoneVAD(),
        stt,
        context.user(),
        llm,
        tts,
        transport.output(),
        context.assistant(),
    ])  # fmt: skip
    # On the telephone nobody reads RTVI; an eval is made of it.
    worker = phone_worker(pipeline, enable_rtvi=is_eval)

    @transport.event_handler("on_client_connected")
    async def greet(*_: object) -> None:
        await worker.queue_frames([LLMRunFrame()])

    @transport.event_handler("on_client_disconnected")
    async def end(*_: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


async def bot(runner_args: WebSocketRunnerArguments) -> None:
    """Takes what the runner has: a call, or an eval."""
    kind, _ = await parse_telephony_websocket(runner_args.websocket)
    if kind == "twilio":
        await run_bot(TwilioTransport(runner_args.websocket), is_eval=False)
        return
    from pipecat.evals.transport import EvalTransportParams

    params = {"eval": lambda: EvalTransportParams(audio_in_enabled=True, audio_out_enabled=True)}
    await run_bot(await create_transport(runner_args, params), is_eval=True)


if __name__ == "__main__":
    from pipecat.runner.run import main

    main()
