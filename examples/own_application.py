# /// script
# dependencies = ["pipecat-twilio-frames", "fastapi", "uvicorn[standard]"]
# ///
"""A bot in a FastAPI application of one's own, which lets nobody in but Twilio.

What you hear: nothing yet. Your bot's processors go between the transport's two ends.
What it needs: TWILIO_AUTH_TOKEN; without it, only this machine can call.
Run with: ``uvicorn twilio_frames.examples.own_application:app``. One process: a call's stream is
taken by the process that answered its webhook.
Then set your number's voice webhook to ``https://your-host/twiml``, and call.
"""

# README: from here
from typing import Annotated

from fastapi import Depends, FastAPI, Response
from pipecat.pipeline.pipeline import Pipeline
from pipecat.workers.runner import WorkerRunner

from twilio_frames.call import phone_worker
from twilio_frames.server.guard import Webhook
from twilio_frames.server.starlette_guard import TwilioGuard
from twilio_frames.transport import TwilioTransport

app = FastAPI()
guard = TwilioGuard()  # TWILIO_AUTH_TOKEN, TWILIO_FRAMES_PUBLIC_URL


@app.post("/twiml")
async def twiml(webhook: Annotated[Webhook, Depends(guard.webhook)]) -> Response:
    """Connects a call to the stream below."""
    return Response(webhook.connect("/stream"), media_type="text/xml")


@app.websocket("/stream")
async def stream(transport: Annotated[TwilioTransport, Depends(guard.stream)]) -> None:
    """Carries one call: your bot's processors go between the transport's two ends."""
    worker = phone_worker(Pipeline([transport.input(), transport.output()]))
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()
